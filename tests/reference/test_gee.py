"""Generalized estimating equations against R's geepack (r/gee.R), bare and through the masked path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from reference_cases import run, worst
from test_negative_binomial import timed

import isthmus
from isthmus.model.canonical import plain
from isthmus.model.errors import Invalid
from isthmus.model.rules import OPEN

HERE = Path(__file__).parent / "r"
QUESTIONS = {
    "binomial": {"formula": "event ~ age + arm", "family": "binomial"},
    "poisson": {"formula": "visits ~ age + arm + offset(logtime)", "family": "poisson"},
    "gaussian": {"formula": "y ~ age + arm + day", "family": "gaussian"},
    "independence": {"formula": "event ~ age + arm", "family": "binomial", "correlation": "independence"},
}
ASKED = {name: {**question, "cluster": "ward"} for name, question in QUESTIONS.items()}


def compared(body: dict[str, Any], name: str) -> dict[str, float]:
    right = json.loads((HERE / "gee.json").read_text())[name]
    own = {key: [t[key] for t in body["terms"]] for key in ("estimate", "std_error")}
    own |= {"scale": body["fit"]["scale"], "alpha": body["fit"]["alpha"] or 0.0}
    exact = max(worst(own[key], right[key]) for key in own)
    return {"exact": exact, "package": max(worst(own[key], value) for key, value in right["package"].items())}


@pytest.mark.parametrize("name", QUESTIONS)
def test_equals_geepack(name: str) -> None:
    body = run("gee", ASKED[name], timed()).report
    found = compared(body, name)
    assert found["exact"] < 1e-9
    assert found["package"] < 1e-9
    assert body["fit"]["clusters"] == 72
    assert body["rounds"] <= 15


SETS = json.loads((HERE / "gee_sets.json").read_text())


def of_set(name: str) -> dict[str, Any]:
    rows = {key: np.array(values, dtype=float) for key, values in SETS[name]["rows"].items()}
    return rows | {"site_": rows["id"] % 3}


@pytest.mark.parametrize("correlation", ["exchangeable", "independence"])
@pytest.mark.parametrize("name", [name for name in SETS if name != "software"])
def test_equals_geepack_on_published_and_made_sets(name: str, correlation: str) -> None:
    right = SETS[name][correlation]
    question = {"formula": "y ~ a + b", "family": SETS[name]["family"], "cluster": "id", "correlation": correlation}
    body = run("gee", question, of_set(name)).report
    for key in ("estimate", "std_error"):
        assert worst([t[key] for t in body["terms"]], right[key]) < 1e-9
    assert worst([body["fit"]["scale"], body["fit"]["alpha"] or 0.0], [right["scale"], right["alpha"]]) < 1e-9
    assert worst([t["estimate"] for t in body["terms"]], right["package"]["estimate"]) < 1e-9


def test_moments_that_no_correlation_below_1_agrees_with_are_named() -> None:
    """geepack's coefficients run to 135 and -142 here."""
    rows = of_set("cgd")
    rows["known"] = np.array(SETS["cgd"]["known"], dtype=float)
    question = {"formula": "y ~ a + offset(known)", "family": "poisson", "cluster": "id"}
    with pytest.raises(Invalid, match="no correlation below 1 fits outcome 'y' inside 'id'") as caught:
        run("gee", question, rows)
    assert caught.value.code == "E-CLUSTER"
    assert run("gee", question | {"correlation": "independence"}, rows).report["fit"]["converged"]


def test_equals_geepack_through_the_masked_path() -> None:
    whole = timed()
    names = ("age", "arm", "day", "event", "visits", "y", "logtime", "ward")
    sites = {f"s{s}": pa.table({n: whole[n][whole["site_"] == s] for n in names}) for s in np.unique(whole["site_"])}
    study = isthmus.Study(
        title="clusters",
        dataset="clusters",
        purpose={"duo": "DUO:0000042", "text": "reference check", "commercial": False},
        analyses={name: {"gee": question} for name, question in ASKED.items()},
    )
    answers = isthmus.rehearse(study, sites, rules=plain(OPEN)).to_dict()["analyses"]
    for name, answer in answers.items():
        assert "status" not in answer, answer
        assert compared(answer, name)["exact"] < 1e-9


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"ward": lambda r: r["age"] * 0, "site_": lambda r: r["age"] * 0}, "E-CLUSTER", "'ward' has one value"),
        ({"ward": lambda r: np.arange(r["age"].size) * 1.0}, "E-CLUSTER", "every row is a cluster"),
        ({"event": lambda r: r["event"] * 0}, "E-NO-EVENTS", "'event'"),
        ({"event": lambda r: (r["age"] > 60) * 1.0}, "E-SEPARATED", "outcome 'event' is separated by 'age': its"),
        ({"age": lambda r: r["age"] * 0 + 5}, "E-COLLINEAR", "'age'"),
        ({"event": lambda r: r["event"] * 2}, "E-OUTCOME", "'event'"),
    ],
)
def test_bad_input_names_the_column(change, code, says) -> None:
    rows = timed()
    rows |= {name: make(rows) for name, make in change.items()}
    with pytest.raises(Invalid) as caught:
        run("gee", ASKED["binomial"], rows)
    assert caught.value.code == code
    assert says in caught.value.message


@pytest.mark.parametrize("cluster", ["site", "country"])
def test_clusters_lie_inside_a_site(cluster: str) -> None:
    with pytest.raises(Invalid, match="inside a site") as caught:
        run("gee", {**QUESTIONS["binomial"], "cluster": cluster}, timed())
    assert caught.value.code == "E-CLUSTER"


@pytest.mark.parametrize("correlation", ["exchangeable", "independence"])
@pytest.mark.parametrize("make", [lambda r: 1.0 + 2.0 * r["age"], lambda r: r["age"] * 0.0 + 1.7])
def test_an_outcome_without_residuals_is_an_error(make, correlation: str) -> None:
    rows = timed()
    rows["y"] = make(rows)
    with pytest.raises(Invalid, match="'y'") as caught:
        run("gee", {**ASKED["gaussian"], "formula": "y ~ age", "correlation": correlation}, rows)
    assert caught.value.code == "E-OUTCOME"


@pytest.mark.parametrize("family", ["poisson", "binomial", "gaussian"])
def test_rows_that_repeat_each_other_have_no_correlation_below_1(family: str) -> None:
    ward = np.repeat(np.arange(30.0), 4)
    y = ward % 2 if family == "binomial" else np.round(3.0 + 3.0 * np.sin(ward))
    rows = {"y": y, "x": np.cos(np.arange(120.0)), "ward": ward, "site_": ward % 3}
    with pytest.raises(Invalid, match="no correlation below 1 fits outcome 'y' inside 'ward'") as caught:
        run("gee", {"formula": "y ~ x", "family": family, "cluster": "ward"}, rows)
    assert caught.value.code == "E-CLUSTER"
