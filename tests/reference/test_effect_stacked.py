"""Effects and their stacked errors against M-estimation in base R (r/effect_stacked.R), through the masked path.

Every method, estimand and kind of propensity model; R forms no sandwich by hand: it differentiates the estimating functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cohort import asked, cohort, expected
from reference_cases import worst

from isthmus.model.errors import Invalid

BASE = {"treatment": "t", "adjust": "age + dose + smoker"}
WANTED = {name: found for name, found in expected("effect_stacked").items() if name != "software"}
CASES = [(name, outcome, errors) for name, found in WANTED.items() for outcome, own in found.items() for errors in own]


def question(name: str, outcome: str, errors: str) -> dict[str, Any]:
    method, estimand, propensity = name.split(" ")
    told = {**BASE, "outcome": outcome, "method": method, "estimand": estimand, "errors": errors}
    if method != "iptw":
        told["family"] = "binomial" if outcome == "ill" else "gaussian"
    return told | ({"propensity": "site"} if propensity == "site" else {})


@pytest.fixture(scope="module")
def answers() -> dict[tuple[str, str, str], Any]:
    rows = cohort()
    rows |= {"t": (rows["arm"] == "b").astype(float)}
    analyses = {" ".join(case): {"effect": question(*case)} for case in CASES}
    return asked({name: rows[name] for name in ("t", "age", "dose", "smoker", "bp", "ill", "site_")}, analyses)


@pytest.mark.parametrize(("name", "outcome", "errors"), CASES)
def test_equals_m_estimation(answers, name: str, outcome: str, errors: str) -> None:
    body, right = answers[" ".join((name, outcome, errors))], WANTED[name][outcome][errors]
    found = {term["term"]: [term["estimate"], term["std_error"]] for term in body["terms"]}
    assert list(found) == list(right)
    for term, pair in right.items():
        assert worst(found[term], pair) < 1e-9, term
    assert body["error"] == errors
    assert body["rounds"] <= 15


def test_stacking_matters() -> None:
    """So that a test above would fail if the models were left out of the errors."""
    for name, found in WANTED.items():
        for own in found.values():
            if "known" in own:
                stacked, known = own["stacked"]["difference"][1], own["known"]["difference"][1]
                assert abs(stacked / known - 1.0) > 1e-4, name


def test_g_computation_has_no_weights_to_take_as_known() -> None:
    with pytest.raises(Invalid) as caught:
        asked({"x": np.zeros(1)}, {"m": {"effect": question("gcomputation ATE common", "bp", "known")}})
    assert caught.value.code == "E-ESTIMAND"
