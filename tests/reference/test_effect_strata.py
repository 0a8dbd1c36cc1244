"""Strata of the propensity score, and calibration by negative controls, against R (r/effect.R), through the masked path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cohort import asked, cohort, column, expected
from reference_cases import run, worst

from isthmus.model.errors import Invalid
from isthmus.statistics.effect_controls import fit_null

QUESTION = {"treatment": "t", "adjust": "age + dose + smoker", "method": "stratified"}
CONTROLS = ("male", "high", "heavy", "long", "dear")


def rows() -> dict[str, np.ndarray]:
    made = cohort()
    marks = (made["sex"] == "m", made["times"] >= 2, made["w"] > 1, made["years"] > 2.5, made["cost"] > 3)
    found = {name: mark.astype(float) for name, mark in zip(CONTROLS, marks, strict=True)}
    return made | {"t": (made["arm"] == "b").astype(float)} | found


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    analyses = {
        "bp": {**QUESTION, "outcome": "bp"},
        "ill": {**QUESTION, "outcome": "ill"},
        "att": {**QUESTION, "outcome": "bp", "estimand": "ATT"},
        "controls": {**QUESTION, "outcome": "ill", "method": "iptw", "negative_controls": list(CONTROLS)},
        "alone": {**QUESTION, "outcome": "ill", "method": "iptw"},
    }
    return asked(rows(), {name: {"effect": question} for name, question in analyses.items()})


@pytest.mark.parametrize("name", ["bp", "ill", "att"])
def test_strata_equal_r_on_the_printed_cuts(answers, name) -> None:
    r, found = expected("effect")["stratified"][name], answers[name]
    estimates, errors = column(found, "estimate"), column(found, "std_error")
    assert worst(estimates[:3], [*r["mean"], r["difference"]]) < 1e-11
    assert worst(errors[2], r["std_error"]) < 1e-11
    assert (found["exactness"], found["error"]) == ("grid", "known")


def test_strata_are_shown_with_their_balance_and_nearly_equal(answers) -> None:
    r, fit = expected("effect")["stratified"], answers["bp"]["fit"]
    assert [(s["treated"], s["control"]) for s in fit["strata"]] == [(n["1"], n["0"]) for n in r["rows"]]
    assert max(abs(sum(n.values()) / 900 - 0.2) for n in r["rows"]) < 0.015
    assert worst([b["after"] for b in fit["balance"]], r["balance"]) < 1e-9
    assert all(abs(b["after"]) < abs(b["before"]) / 4 for b in fit["balance"])
    edges = answers["bp"]["grid"]["edges"]
    ends = [s["from"] for s in fit["strata"][1:]]
    assert worst(ends, (1 / (1 + np.exp(-np.array(edges)))).tolist()) < 1e-15


def test_calibration_equals_r(answers) -> None:
    r, found = expected("effect")["calibration"], answers["controls"]["fit"]["calibration"]
    controls = found["controls"]
    assert [c["outcome"] for c in controls] == list(CONTROLS)
    assert worst([c["estimate"] for c in controls], [c[0] for c in r["controls"]]) < 1e-9
    assert worst([c["std_error"] for c in controls], [c[1] for c in r["controls"]]) < 1e-9
    assert worst([found["mean"], found["sd"]], [r["mean"], r["tau2"] ** 0.5]) < 1e-9
    assert worst(found["p_value"], r["p_value"]) < 1e-9
    assert answers["controls"]["terms"] == answers["alone"]["terms"]
    wide = expected("effect")["wide"]
    assert worst(list(fit_null(np.array(wide["values"]), np.array(wide["errors"]))), [wide["mean"], wide["sd"]]) < 1e-9


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"propensity_strata": 1}, "E-PROBABILITY"),
        ({"estimand": "ATO"}, "E-ESTIMAND"),
        ({"negative_controls": ["male", "high", "heavy"]}, "E-OUTCOME"),
        ({"method": "iptw", "negative_controls": ["male", "high"]}, "E-OUTCOME"),
        ({"method": "iptw", "negative_controls": ["male", "high", "t"]}, "E-OUTCOME"),
        ({"method": "iptw", "negative_controls": ["male", "high", "age"]}, "E-OUTCOME"),
        ({"method": "iptw", "negative_controls": ["male", "high", "never"]}, "E-NO-EVENTS"),
    ],
)
def test_what_cannot_be_asked(change, code) -> None:
    with pytest.raises(Invalid) as caught:
        run("effect", {**QUESTION, "outcome": "ill", **change}, rows() | {"never": np.zeros(900)})
    assert caught.value.code == code
