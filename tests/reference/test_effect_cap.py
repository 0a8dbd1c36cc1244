"""Effects with capped weights against M-estimation and coxph in R (r/effect_cap.R), through the masked path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cohort import asked, cohort, expected
from reference_cases import worst

from isthmus.model.errors import Invalid

BASE = {"treatment": "t", "adjust": "age + dose + smoker"}
SURVIVAL = {**BASE, "time": "days", "event": "died", "method": "iptw", "errors": "known", "cap": 2.0}
CASES = [
    (name, errors)
    for name, found in expected("effect_cap").items()
    for errors in found
    if errors in {"stacked", "known"} and name != "software"
]


def question(name: str, errors: str) -> dict[str, Any]:
    first, propensity = name.split(" ")
    method = {"method": "aipw", "family": "gaussian"} if first == "aipw" else {"method": "iptw", "estimand": first}
    own = {"propensity": "site"} if propensity == "site" else {}
    return {**BASE, **method, **own, "outcome": "bp", "errors": errors, "cap": 1.1 if first == "ATT" else 2.0}


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    rows = cohort()
    rows |= {"t": (rows["arm"] == "b").astype(float)}
    analyses = {" ".join(case): {"effect": question(*case)} for case in CASES}
    analyses |= {"hazard one": {"effect": SURVIVAL}, "hazard site": {"effect": {**SURVIVAL, "strata": ["site"]}}}
    analyses["plain"] = {"effect": {k: v for k, v in question("ATE common", "stacked").items() if k != "cap"}}
    analyses["beyond"] = {"effect": {**question("ATE common", "stacked"), "cap": 1e6}}
    names = ("t", "age", "dose", "smoker", "bp", "days", "died", "site_")
    return asked({name: rows[name] for name in names}, analyses)


@pytest.mark.parametrize(("name", "errors"), CASES)
def test_equals_m_estimation(answers, name, errors) -> None:
    body, right = answers[f"{name} {errors}"], expected("effect_cap")[name][errors]
    found = {term["term"]: [term["estimate"], term["std_error"]] for term in body["terms"]}
    for term, pair in right.items():
        assert worst(found[term], pair) < 1e-9, term
    assert body["fit"]["cap"] == question(name, errors)["cap"]


@pytest.mark.parametrize("name", ["hazard one", "hazard site"])
def test_a_hazard_ratio_equals_coxph(answers, name) -> None:
    term, right = answers[name]["terms"][0], expected("effect_cap")[name]
    assert worst(term["estimate"], right["estimate"]) < 1e-9
    assert worst(term["std_error"], right["std_error"]) < 1e-9


def test_a_cap_above_all_weights_changes_nothing(answers) -> None:
    assert answers["beyond"]["terms"] == answers["plain"]["terms"]
    ess = [answers[name]["fit"]["ess"]["treated"] for name in ("plain", "ATE common stacked")]
    assert ess[1] > ess[0]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"estimand": "ATO"}, "E-ESTIMAND"),
        ({"method": "stratified"}, "E-ESTIMAND"),
        ({"cap": 1.0}, "E-WEIGHTS"),
        ({"cap": float("inf")}, "E-TYPE"),
    ],
)
def test_a_cap_that_makes_no_sense(change, code) -> None:
    with pytest.raises(Invalid) as raised:
        asked({"x": np.zeros(1)}, {"m": {"effect": {**question("ATE common", "stacked"), **change}}})
    assert raised.value.code == code
