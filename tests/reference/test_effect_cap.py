"""Effects with weights cut at a cap or at percentiles against M-estimation and coxph in R (r/effect_cap.R), through the masked path."""

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
    if errors in {"stacked", "known"} and name not in {"software", "truncated"}
]
TRUNCATED = expected("effect_cap")["truncated"]


def question(name: str, errors: str) -> dict[str, Any]:
    first, propensity = name.split(" ")
    method = {"method": "aipw", "family": "gaussian"} if first == "aipw" else {"method": "iptw", "estimand": first}
    own = {"propensity": "site"} if propensity == "site" else {}
    return {**BASE, **method, **own, "outcome": "bp", "errors": errors, "cap": 1.1 if first == "ATT" else 2.0}


def truncated(name: str, errors: str = "stacked") -> dict[str, Any]:
    capped = {"hazard one": SURVIVAL, "hazard site": {**SURVIVAL, "strata": ["site"]}}.get(name) or question(
        name, errors
    )
    return {**{k: v for k, v in capped.items() if k != "cap"}, "truncate": TRUNCATED[name]["probs"]}


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    rows = cohort()
    rows |= {"t": (rows["arm"] == "b").astype(float)}
    analyses = {" ".join(case): {"effect": question(*case)} for case in CASES}
    analyses |= {"hazard one": {"effect": SURVIVAL}, "hazard site": {"effect": {**SURVIVAL, "strata": ["site"]}}}
    analyses["plain"] = {"effect": {k: v for k, v in question("ATE common", "stacked").items() if k != "cap"}}
    analyses |= {f"truncated {name}": {"effect": truncated(name)} for name in TRUNCATED}
    analyses["truncated known"] = {"effect": truncated("ATE common", "known")}
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


def listed(value: Any) -> list[float]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("name", TRUNCATED)
def test_weights_are_cut_on_the_grid_about_the_percentiles_of_r(answers, name) -> None:
    body, right = answers[f"truncated {name}"], TRUNCATED[name]
    lines = body["fit"]["truncation"]
    assert body["exactness"] == "grid"
    assert worst([line["at"] for line in lines], listed(right["cuts"])) < 1e-12
    for line, percentile in zip(lines, listed(right["percentiles"]), strict=True):
        assert line["from"] <= percentile <= line["to"]
        assert line["to"] / line["from"] < 1.04
        assert abs(line["below"] - line["prob"]) < 0.005


@pytest.mark.parametrize("name", TRUNCATED)
def test_the_answer_is_exact_at_the_cuts(answers, name) -> None:
    body, right = answers[f"truncated {name}"], TRUNCATED[name]["at_cuts"]
    if name.startswith("hazard"):
        right = {"stacked": {"log hazard ratio": [right["estimate"], right["std_error"]]}}
    found = {term["term"]: [term["estimate"], term["std_error"]] for term in body["terms"]}
    for term, pair in right["stacked"].items():
        assert worst(found[term], pair) < 1e-9, term


def test_of_few_weights_the_cut_lies_beside_the_percentile() -> None:
    """The 99th percentile is the largest weight, which a third have: nearly nothing is cut, as in R."""
    x, t = np.arange(300) % 3 == 0, np.where(np.arange(300) % 3 == 0, np.arange(300) % 12 == 0, np.arange(300) % 2)
    rows = {"x": x.astype(float), "t": t.astype(float), "y": np.arange(300.0), "site_": np.arange(300) // 100}
    base = {"treatment": "t", "adjust": "x", "outcome": "y", "method": "iptw"}
    found = asked(rows, {"plain": {"effect": base}, "cut": {"effect": {**base, "truncate": [0, 0.99]}}})
    (line,) = found["cut"]["fit"]["truncation"]
    assert 0.98 * 4.0 < line["at"] <= 4.0
    gap = found["cut"]["terms"][2]["estimate"] - found["plain"]["terms"][2]["estimate"]
    assert abs(gap) < 0.01 * found["plain"]["terms"][2]["std_error"]


def test_known_weights_cut_at_percentiles(answers) -> None:
    right = TRUNCATED["ATE common"]["at_cuts"]["known"]
    for term in answers["truncated known"]["terms"]:
        assert worst([term["estimate"], term["std_error"]], right[term["term"]]) < 1e-9


@pytest.mark.parametrize("name", ["ATE common", "ATE site", "ATT common"])
def test_the_bound_covers_the_answer_at_the_percentiles(answers, name) -> None:
    body, right = answers[f"truncated {name}"], TRUNCATED[name]["at_percentiles"]["stacked"]
    far = max(abs(term["estimate"] - right[term["term"]][0]) for term in body["terms"])
    assert 0.0 < far <= body["bound"] < 0.25


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"truncate": [0.01, 0.99]}, "E-WEIGHTS"),
        ({"cap": None, "truncate": [0.99, 0.01]}, "E-PROBABILITY"),
        ({"cap": None, "truncate": [0, 1]}, "E-PROBABILITY"),
        ({"cap": None, "truncate": [0.01, 0.99], "estimand": "ATO"}, "E-ESTIMAND"),
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
