"""Weights, offsets and clustered errors of `glm` against R's glm and sandwich (r/glm_weights.R), through the masked path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cohort import asked, cohort, column, expected
from reference_cases import run, worst

from isthmus.model.errors import Invalid

QUESTIONS: dict[str, dict[str, Any]] = {
    "offset": {"formula": "visits ~ age + dose + arm + offset(rate)", "family": "poisson"},
    "offset_logit": {"formula": "ill ~ age + arm", "family": "binomial", "offset": "quarter"},
    "offset_identity": {"formula": "bp ~ age + arm", "family": "gaussian", "offset": "threefold"},
    "offset_gamma": {"formula": "cost ~ age + dose", "family": "gamma", "link": "log", "offset": "quarter"},
    "precision": {"formula": "bp ~ age + dose + arm", "family": "gaussian", "weights": "precision"},
    "precision_logit": {"formula": "ill ~ age + dose + arm", "family": "quasibinomial", "weights": "precision"},
    "precision_offset": {
        "formula": "visits ~ age + arm",
        "family": "poisson",
        "offset": "rate",
        "weights": "precision",
    },
    "plain": {"formula": "bp ~ age + dose + arm", "family": "gaussian"},
    "plain_logit": {"formula": "ill ~ age + dose + arm", "family": "binomial"},
    "plain_probit": {"formula": "ill ~ age + arm", "family": "binomial", "link": "probit"},
    "frequency": {"formula": "ill ~ age + dose + arm", "family": "binomial", "weights": "frequency"},
}
COLUMNS = {"precision": "w", "frequency": "times", "sampling": "w"}


def rows() -> dict[str, np.ndarray]:
    found = cohort()
    rate = np.log(found["years"])
    return found | {"rate": rate, "quarter": rate / 4, "threefold": found["dose"] * 3}


def stated(question: dict[str, Any], **more: Any) -> dict[str, Any]:
    kind = question.get("weights")
    weights = {} if kind is None else {"weights": {"variable": COLUMNS[kind], "kind": kind}}
    return {**question, **weights, **more}


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    analyses = {name: {"glm": stated(question)} for name, question in QUESTIONS.items()}
    analyses |= {f"{name} hc0": {"glm": stated(q, robust="HC0")} for name, q in QUESTIONS.items()}
    analyses |= {f"{name} cluster": {"glm": stated(q, cluster="gp")} for name, q in QUESTIONS.items()}
    analyses["sampling"] = {"glm": stated({**QUESTIONS["precision"], "weights": "sampling"})}
    formula = QUESTIONS["plain"]["formula"] + " + cluster(gp)"
    analyses["in formula"] = {"glm": stated({**QUESTIONS["precision"], "formula": formula, "weights": "sampling"})}
    return asked(rows(), analyses)


@pytest.mark.parametrize("name", QUESTIONS)
def test_equals_r(answers, name) -> None:
    r, found = expected("glm_weights")[name], answers[name]
    assert worst(column(found, "estimate"), r["estimate"]) < 1e-9
    assert worst(column(found, "std_error"), r["std_error"]) < 1e-9
    assert worst(found["fit"]["deviance"], r["deviance"]) < 1e-11
    assert worst(found["fit"]["null_deviance"], r["null_deviance"]) < 1e-11
    if name == "frequency":
        assert found["n"] == r["n"]


@pytest.mark.parametrize("error", ["hc0", "cluster"])
@pytest.mark.parametrize("name", QUESTIONS)
def test_robust_and_clustered_errors_equal_sandwich(answers, name, error) -> None:
    r, found = expected("glm_weights")[name], answers[f"{name} {error}"]
    assert worst(column(found, "estimate"), r["estimate"]) < 1e-9
    assert worst(column(found, "std_error"), r[error]) < 1e-9
    assert (found["error"], found["test"]) == ("HC0" if error == "hc0" else "cluster", "z")
    assert error == "hc0" or found["clusters"] == len(np.unique(cohort()["gp"]))


def test_sampling_weights_are_precision_weights_with_robust_errors(answers) -> None:
    assert answers["sampling"]["terms"] == answers["precision hc0"]["terms"]
    assert answers["in formula"]["terms"] == answers["precision cluster"]["terms"]


def test_sites_as_clusters_need_ten_of_them() -> None:
    table, r = cohort(), expected("glm_weights")["clinics"]
    question = QUESTIONS["plain_logit"] | {"cluster": "site"}
    clinics = np.unique(table["gp"].astype(str), return_inverse=True)[1] % 12
    found = run("glm", question, table | {"site_": clinics}).report
    assert worst(column(found, "std_error"), r["cluster"]) < 1e-9
    assert found["clusters"] == 12
    with pytest.raises(Invalid, match="10 sites or more") as caught:
        run("glm", question, table | {"site_": clinics % 9})
    assert caught.value.code == "E-CLUSTER"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"cluster": "one"}, "'one' has one value only"),
        ({"cluster": "gp", "robust": "HC3"}, "not HC3"),
        ({"cluster": "gp", "formula": "bp ~ age + cluster(sex)"}, "two cluster variables"),
        ({"cluster": "country"}, "inside one site"),
    ],
)
def test_what_cannot_be_clustered(change, match) -> None:
    table = cohort() | {"one": np.ones(900), "country": np.full(900, "GB", dtype=object)}
    table["site_"] = np.zeros(900, dtype=int)
    with pytest.raises(Invalid, match=match) as caught:
        run("glm", {"formula": "bp ~ age", "family": "gaussian", **change}, table)
    assert caught.value.code == "E-CLUSTER"


def test_bad_weights_end_in_an_error_or_the_pooled_answer() -> None:
    table = rows()

    def ask(weights: Any, kind: str = "precision") -> Any:
        changed = {"formula": "bp ~ age", "family": "gaussian", "weights": {"variable": "own", "kind": kind}}
        return run("glm", changed, table | {"own": np.broadcast_to(weights, 900).astype(float)}).report

    with pytest.raises(Invalid, match="'own' must not be negative"):
        ask(np.where(np.arange(900) == 4, -1.0, 1.0))
    with pytest.raises(Invalid, match="a weight above 0") as caught:
        ask(0.0)
    assert caught.value.code == "E-NO-ROWS"
    plain = run("glm", {"formula": "bp ~ age", "family": "gaussian"}, table).report
    constant = ask(7.0)
    for one, other in zip(plain["terms"], constant["terms"], strict=True):
        assert worst([one["estimate"], one["std_error"]], [other["estimate"], other["std_error"]]) < 1e-9
    with pytest.raises(Invalid, match="whole numbers"):
        ask(0.5, "frequency")
