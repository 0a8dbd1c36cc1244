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


def test_equals_r_through_the_masked_path() -> None:
    whole = table()
    columns = [name for name in whole if name != "site_"]
    sites = {f"s{s}": pa.table({n: whole[n][whole["site_"] == s] for n in columns}) for s in np.unique(whole["site_"])}
    study = isthmus.Study(title="t", dataset="d", analyses={name: {"effect": q} for name, q in QUESTIONS.items()})
    answers = isthmus.rehearse(study, sites, rules=plain(OPEN)).to_dict()["analyses"]
    for name, answer in answers.items():
        check(answer, expected(name), "stacked")
