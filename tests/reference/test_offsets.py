"""Offsets of Cox, accelerated failure time and proportional odds models against coxph, survreg and polr (r/offsets.R)."""

from __future__ import annotations

import csv
from itertools import product
from typing import Any

import numpy as np
import pytest
from cohort import R, asked, column, expected
from reference_cases import run, worst
from test_levels import table as levels

from isthmus.model.errors import Invalid

FITS = list(product(("plain", "late"), ("one", "site"), ("efron", "breslow")))
MORE: dict[str, dict[str, Any]] = {
    "model": {},
    "robust": {"robust": True},
    "weighted": {"cluster": "clinic", "weights": {"variable": "w", "kind": "precision"}},
}
DISTRIBUTIONS = list(product(("exponential", "weibull", "lognormal"), ("plain", "weighted")))
WEIGHTS = {"weights": {"variable": "w", "kind": "precision"}}


def patients() -> dict[str, np.ndarray]:
    with (R / "survival.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = {
        n: np.array([float(row[n]) for row in rows]) for n in ("entry", "time", "event", "x", "age", "w", "copies")
    }
    found |= {n: np.array([row[n] for row in rows], dtype=object) for n in ("clinic", "arm")}
    return found | {"o": 0.4 * np.log(found["copies"]) + found["w"] - 20, "site_": np.array([r["site"] for r in rows])}


def cox(left: str, baseline: str, ties: str) -> dict[str, Any]:
    surv = "Surv(time, event)" if left == "plain" else "Surv(entry, time, event)"
    strata = ["site"] if baseline == "site" else []
    return {"formula": f"{surv} ~ x + age + arm + offset(o)", "ties": ties, "strata": strata}


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """Through the masked path."""
    analyses: dict[str, Any] = {}
    for left, baseline, ties in FITS:
        for name, more in MORE.items():
            analyses[f"{left} {baseline} {ties} {name}"] = {"cox": cox(left, baseline, ties) | more}
    for dist, weights in DISTRIBUTIONS:
        question = {"formula": "Surv(time, event) ~ x + age + arm", "offset": "o", "distribution": dist}
        question |= WEIGHTS if weights == "weighted" else {}
        analyses[f"{dist} {weights}"] = {"parametric_survival": question}
        analyses[f"{dist} {weights} robust"] = {"parametric_survival": {**question, "robust": True}}
    return asked(patients(), analyses)


@pytest.mark.parametrize("errors", MORE)
@pytest.mark.parametrize(("left", "baseline", "ties"), FITS)
def test_cox_equals_coxph(answers, left, baseline, ties, errors) -> None:
    found, told = (
        answers[f"{left} {baseline} {ties} {errors}"],
        expected("offsets")[f"{left} {baseline} {ties}"][errors],
    )
    for key in ("estimate", "std_error"):
        assert worst(column(found, key), told[key]) < 1e-9, key
    for key in ("loglik", "loglik_null", "score", "wald"):
        assert worst(found["fit"][key], told[key]) < 1e-9, key
    assert found["exactness"] == "exact"


@pytest.mark.parametrize("left", ["plain", "late"])
def test_concordance_and_proportionality_know_the_offset(left) -> None:
    found = run("cox", cox(left, "site", "efron") | {"zph": "identity", "concordance": True}, patients()).report
    told = expected("offsets")[f"{left} site efron"]
    assert worst(found["fit"]["concordance"], told["concordance"][5]) < 1e-9
    assert worst(found["fit"]["concordance_error"], told["concordance"][6]) < 1e-9
    assert worst([row["statistic"] for row in found["zph"]], told["zph"]["statistic"]) < 1e-9


@pytest.mark.parametrize(("dist", "weights"), DISTRIBUTIONS)
def test_accelerated_failure_times_equal_survreg(answers, dist, weights) -> None:
    found, told = answers[f"{dist} {weights}"], expected("offsets")[f"{dist} {weights}"]
    for key in ("estimate", "std_error"):
        assert worst(column(found, key), told[key]) < 1e-9, key
    for key in ("loglik", "loglik_null"):
        assert worst(found["fit"][key], told[key]) < 1e-9, key
    assert worst(column(answers[f"{dist} {weights} robust"], "std_error"), told["robust"]) < 1e-9


def test_ordinal_equals_polr() -> None:
    rows = levels()
    rows["o"] = (rows["age"] - 60) / 40
    question = {"formula": "y ~ I((year - 2000) / 10) + arm + offset(o)"}
    answers = asked(rows, {"plain": {"ordinal": question}, "weighted": {"ordinal": question | WEIGHTS}})
    for name, found in answers.items():
        told = expected("offsets")[f"ordinal {name}"]
        for key in ("estimate", "std_error"):
            assert worst(column(found, key), told[key]) < 1e-9, key
        assert worst(found["fit"]["loglik"], told["loglik"]) < 1e-9
    assert worst(column(answers["plain"], "estimate"), expected("offsets")["ordinal plain"]["package"]) < 1e-4


@pytest.mark.parametrize(
    ("kind", "question", "says"),
    [
        ("cox", {"formula": "Surv(time, event) ~ x + offset(o)", "release": ["baseline"]}, "baseline"),
        ("fine_gray", {"formula": "Surv(time, c) ~ x + offset(o)", "causes": {"1": "a"}, "cause": "a"}, "offset"),
        ("multinomial", {"formula": "arm ~ x + offset(o)"}, "offset"),
        (
            "parametric_survival",
            {"formula": "Surv(time, event) ~ x + offset(o)", "distribution": "piecewise_exponential", "cuts": [5.0]},
            "no offset",
        ),
    ],
)
def test_where_there_is_no_offset_the_error_says_so(kind, question, says) -> None:
    with pytest.raises(Invalid, match=says):
        run(kind, question, patients())


LOGS: dict[str, dict[str, Any]] = {
    "log glm": {"glm": {"formula": "copies ~ x + age + arm + offset(log(time))", "family": "poisson"}},
    "log cox": {"cox": {"formula": "Surv(time, event) ~ x + age + arm + offset(log(w))"}},
}


def test_a_logarithm_in_the_formula_is_that_of_r() -> None:
    found = asked(patients(), LOGS)
    for name in LOGS:
        for key in ("estimate", "std_error"):
            assert worst(column(found[name], key), expected("offsets")[name][key]) < 1e-9, (name, key)


@pytest.mark.parametrize(
    ("kind", "question"),
    [
        ("glm", {"formula": "event ~ x + offset({})", "family": "binomial"}),
        ("glm", {"formula": "copies ~ x", "family": "poisson", "offset": "{}"}),
        (
            "gee",
            {
                "formula": "copies ~ x + offset({})",
                "family": "poisson",
                "cluster": "clinic",
                "correlation": "independence",
            },
        ),
        ("mixed", {"formula": "copies ~ x + offset({})", "family": "poisson", "group": "clinic"}),
        ("parametric_survival", {"formula": "Surv(time, event) ~ x + offset({})", "distribution": "weibull"}),
        ("cox", {"formula": "Surv(time, event) ~ x + offset({}) + strata(site)"}),
    ],
)
def test_a_logarithm_in_the_formula_is_a_derived_one(kind, question) -> None:
    rows = patients()
    rows |= {"lw": np.log(rows["w"]), "clinic": np.char.add(rows["clinic"].astype(str), rows["site_"]).astype(object)}

    def fitted(text: str) -> Any:
        return asked(rows, {"m": {kind: {k: v.format(text) for k, v in question.items()}}})["m"]

    one, other = fitted("log(w)"), fitted("lw")
    assert worst(column(one, "estimate"), column(other, "estimate")) < 1e-12
    assert worst(column(one, "std_error"), column(other, "std_error")) < 1e-12


def test_a_logarithm_of_nothing_names_the_variable() -> None:
    rows = patients()
    rows["w"][3] = 0.0
    with pytest.raises(Invalid, match="'w' is not above 0 in every row") as caught:
        run("glm", {"formula": "copies ~ x + offset(log(w))", "family": "poisson"}, rows)
    assert caught.value.code == "E-OFFSET"
