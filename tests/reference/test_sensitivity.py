"""E-values and calibration by negative controls against the published formulas (r/sensitivity.R) and figures."""

from __future__ import annotations

import numpy as np
import pytest
from cohort import asked, cohort, expected
from reference_cases import worst

from isthmus.statistics.effect_controls import calibrated, fit_null
from isthmus.statistics.effect_sensitivity import e_value, e_values, risk_ratio

R = expected("sensitivity")


@pytest.mark.parametrize(
    ("ratio", "published"),
    [((3.9, 1.8, 8.7), (7.26, 3.0)), ((0.80, 0.71, 0.91), (1.81, 1.43)), ((1.3, 0.9, 1.9), (None, 1.0))],
)
def test_e_values_of_vanderweele_and_ding(ratio, published) -> None:
    """Breastfeeding and respiratory death, and leukaemia: the paper's figures for estimate and limit."""
    found = e_values(*ratio)
    if published[0] is not None:
        assert found["e_value"] == pytest.approx(published[0], abs=0.005)
    assert found["e_value_limit"] == pytest.approx(published[1], abs=0.005)
    assert e_value(1.0) == 1.0


def test_e_values_equal_r() -> None:
    for ratio, risk, hazard in zip(R["ratios"], R["risk"], R["hazard"], strict=True):
        rare = [risk_ratio(r, 0.1499) for r in ratio]
        common = [risk_ratio(r, 0.15) for r in ratio]
        assert rare == ratio
        for found, right in ((e_values(*rare), risk), (e_values(*common), hazard)):
            assert worst(list(found.values()), [right["point"], right["limit"]]) < 1e-12


@pytest.mark.parametrize("name", sorted(R["calibration"]))
def test_calibration_equals_r(name: str) -> None:
    right = R["calibration"][name]
    values, errors = np.array(right["values"]), np.array(right["errors"])
    mean, sd = fit_null(values, errors)
    assert worst([mean, sd], [right["mean"], right["sd"]]) < 1e-9
    controls = [(f"c{i}", y, s) for i, (y, s) in enumerate(zip(values, errors, strict=True))]
    found = calibrated(tuple(right["own"]), controls, 0.95)
    for key in ("estimate", "conf_low", "conf_high", "p_value"):
        assert worst(found[key], right[key]) < 1e-9, key
    assert (sd == 0.0) == (name == "none")


def test_answers_have_the_e_values_of_their_own_ratios() -> None:
    rows = cohort()
    rows |= {"t": (rows["arm"] == "b").astype(float)}
    base = {"treatment": "t", "adjust": "age + dose", "method": "iptw"}
    survival = {"time": "days", "event": "died"}
    answers = asked(
        {name: rows[name] for name in ("t", "age", "dose", "bp", "ill", "days", "died", "site_")},
        {
            "risk": {"effect": {**base, "outcome": "ill"}},
            "number": {"effect": {**base, "outcome": "bp"}},
            "hazard": {"effect": {**base, **survival}},
            "within": {"effect": {**base, **survival, "strata": ["site"]}},
        },
    )
    share = float(rows["died"].mean())
    assert share > 0.15
    for name in ("risk", "hazard", "within"):
        term = next(t for t in answers[name]["terms"] if t["term"] in {"log ratio", "log hazard ratio"})
        ends = [float(np.exp(term[key])) for key in ("estimate", "conf_low", "conf_high")]
        wanted = e_values(*(ends if name == "risk" else [risk_ratio(end, share) for end in ends]))
        assert {key: answers[name]["fit"][key] for key in wanted} == pytest.approx(wanted, rel=1e-9)
    assert (answers["number"]["fit"]["e_value"], answers["number"]["fit"]["e_value_limit"]) == (None, None)
