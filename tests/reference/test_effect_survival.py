"""Effects on survival against R's `survfit` and `coxph` with weights, stacked errors written out (r/effect_survival.R)."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from reference_cases import run, worst

import isthmus
from isthmus.model.canonical import plain
from isthmus.model.errors import Invalid
from isthmus.model.rules import OPEN

HERE = Path(__file__).parent / "r"
ASKED = {
    "treatment": "a",
    "time": "time",
    "event": "event",
    "adjust": "age + x",
    "method": "iptw",
    "at": [20.0, 60.0],
    "tau": 70.0,
}
QUESTIONS = {
    "ATE": ASKED,
    "ATT": {**ASKED, "estimand": "ATT"},
    "ATO": {**ASKED, "estimand": "ATO"},
    "site": {**ASKED, "propensity": "site"},
}


def table() -> dict[str, np.ndarray]:
    with (HERE / "survival.csv").open() as file:
        rows = list(csv.DictReader(file))
    made = {name: np.array([float(row[name]) for row in rows]) for name in ("time", "event", "age", "x")}
    made["a"] = np.array([float(row["arm"] == "treated") for row in rows])
    return made | {"site_": np.array([int(row["site"]) for row in rows])}


def expected(name: str) -> dict[str, Any]:
    return json.loads((HERE / "effect_survival.json").read_text())[name]


def figures(body: dict[str, Any]) -> dict[str, tuple[float, float]]:
    return {term["term"]: (term["estimate"], term["std_error"]) for term in body["terms"]}


def wanted(right: dict[str, Any], errors: str) -> dict[str, tuple[float, float]]:
    """R's estimates and errors by the names of terms."""
    found = {"log hazard ratio": (right["loghr"], right["hr_error"][errors])}
    for time, own in zip((20, 60), right["at"], strict=True):
        one, nought = own["survival"]
        found[f"survival[1] at {time}"] = (one, own["error"][0][errors])
        found[f"survival[0] at {time}"] = (nought, own["error"][1][errors])
        found[f"risk difference at {time}"] = (nought - one, own["difference"][errors])
    one, nought = right["mean"]
    found["mean[1] to 70"] = (one, right["mean_error"][0][errors])
    found["mean[0] to 70"] = (nought, right["mean_error"][1][errors])
    found["difference to 70"] = (one - nought, right["mean_difference"][errors])
    return found


def check(body: dict[str, Any], right: dict[str, Any], errors: str) -> None:
    found, want = figures(body), wanted(right, errors)
    assert list(found) == list(want)
    for name, pair in want.items():
        assert worst(list(found[name]), list(pair)) < 1e-9, name
    assert worst(list(body["fit"]["ess"].values()), right["ess"]) < 1e-9
    for curve, r in zip(body["curves"], right["curves"], strict=True):
        at = np.searchsorted(r["time"], curve["time"])
        assert np.array(r["time"])[at] == pytest.approx(curve["time"])
        assert worst(curve["survival"], np.array(r["survival"])[at].tolist()) < 1e-9
        alive = [i for i, s in enumerate(curve["survival"]) if s > 0.0]
        for key, theirs in (("std_error", "std_error"), ("conf_low", "lower"), ("conf_high", "upper")):
            right_of = [r[theirs][at[i]] for i in alive]
            assert worst([curve[key][i] for i in alive], right_of) < 1e-9, key


@pytest.mark.parametrize("errors", ["stacked", "known"])
@pytest.mark.parametrize("name", QUESTIONS)
def test_equals_r(name: str, errors: str) -> None:
    body = run("effect", {**QUESTIONS[name], "errors": errors}, table()).report
    check(body, expected(name), errors)
    assert (body["propensity"] is None) == (name == "site")


def answered(questions: dict[str, Any], rules: dict[str, Any]) -> dict[str, Any]:
    whole = table()
    columns = [name for name in whole if name != "site_"]
    sites = {f"s{s}": pa.table({n: whole[n][whole["site_"] == s] for n in columns}) for s in np.unique(whole["site_"])}
    study = isthmus.Study(title="t", dataset="d", analyses={name: {"effect": q} for name, q in questions.items()})
    return isthmus.rehearse(study, sites, rules=rules).to_dict()["analyses"]


def test_equals_r_through_the_masked_path() -> None:
    for name, answer in answered(QUESTIONS, plain(OPEN)).items():
        check(answer, expected(name), "stacked")


WITHIN = {key: value for key, value in ASKED.items() if key not in {"at", "tau"}} | {"strata": ["site"]}
STRATIFIED = {
    **{estimand: {**WITHIN, "estimand": estimand} for estimand in ("ATE", "ATT", "ATO")},
    "site": {**WITHIN, "propensity": "site"},
    **{f"site{estimand}": {**WITHIN, "propensity": "site", "estimand": estimand} for estimand in ("ATT", "ATO")},
}


def check_within(body: dict[str, Any], name: str, errors: str) -> None:
    right = expected("strata")[name]
    assert right["check"] < 1e-11  # R's numeric derivatives give its information to this
    assert figures(body) == {"log hazard ratio": pytest.approx((right["loghr"], right[errors]), rel=1e-9)}
    assert body["fit"]["hazard_ratio"]["estimate"] == pytest.approx(np.exp(right["loghr"]), rel=1e-9)
    assert (body["exactness"], body["error"], "curves" in body) == ("exact", errors, False)


@pytest.mark.parametrize("errors", ["stacked", "known"])
@pytest.mark.parametrize("name", STRATIFIED)
def test_sites_as_strata_equal_r(name: str, errors: str) -> None:
    check_within(run("effect", {**STRATIFIED[name], "errors": errors}, table()).report, name, errors)


@pytest.mark.parametrize("errors", ["stacked", "known"])
def test_a_site_without_treated_people_and_one_without_events_equal_r(errors: str) -> None:
    rows = table()
    apart = np.where((rows["x"] < -0.5) & (rows["event"] == 0), 4, rows["site_"])
    rows["site_"] = np.where((rows["x"] > 0.5) & (rows["a"] == 0), 3, apart)
    check_within(run("effect", {**WITHIN, "errors": errors}, rows).report, "lacking", errors)


def test_sites_as_strata_equal_r_through_masks_whatever_the_floor() -> None:
    """A floor of 3 leaves no recorded day its own step, and the hazard ratio as it is."""
    for rules in (plain(OPEN), plain(OPEN) | {"minimum_count": 3, "minimum_count_site": 3, "minimum_sites": 3}):
        answers = answered(STRATIFIED, rules)
        for name, answer in answers.items():
            check_within(answer, name, "stacked")
            assert answer["rounds"] <= 15


def test_one_stratum_is_one_baseline() -> None:
    alone = table() | {"site_": np.zeros(240, dtype=int)}
    within, common = (run("effect", question, alone).report for question in (WITHIN, ASKED))
    assert figures(within)["log hazard ratio"] == pytest.approx(figures(common)["log hazard ratio"], rel=1e-9)
    for key in ("balance", "ess"):
        assert within["fit"][key] == common["fit"][key]


@pytest.mark.parametrize(
    "change",
    [
        {"strata": ["x"]},
        {"at": [20.0]},
        {"tau": 70.0},
        {"grid": {"edges": [20.0]}},
        {"time": None, "event": None, "outcome": "event"},
    ],
)
def test_what_cannot_be_asked_with_strata(change: dict[str, Any]) -> None:
    stated = {key: value for key, value in {**WITHIN, **change}.items() if value is not None}
    with pytest.raises(Invalid) as caught:
        run("effect", stated, table())
    assert caught.value.code == "E-OUTCOME"


def test_a_hazard_ratio_without_an_end_says_so() -> None:
    rows = table()
    rows["event"] = rows["event"] * (rows["a"] == 0)
    with pytest.raises(Invalid) as caught:
        run("effect", WITHIN, rows)
    assert caught.value.code == "E-NO-EVENTS"
    rows = table()
    died = (rows["event"] == 1) & (rows["a"] == 1)  # a treated person dies only where nobody else is at risk
    for site in np.unique(rows["site_"]):
        here = rows["site_"] == site
        rows["time"][here & died] += 1000.0
        rows["time"][here & (rows["a"] == 0)] %= 500.0
    with pytest.raises(Invalid) as caught:
        run("effect", WITHIN, rows)
    assert caught.value.code == "E-SEPARATED"
