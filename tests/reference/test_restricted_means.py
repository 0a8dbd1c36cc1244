"""Restricted means, cumulative hazards and robust Cox errors against R's survival and survRM2."""

from __future__ import annotations

import numpy as np
import pytest
from reference_cases import cases, rows, run, truth, worst


def lung(shared):
    case = cases(shared)["lung_sex curves"]
    return rows(shared, case["data"], case["prepare"], case["split"])


def test_restricted_means_equal_r(shared) -> None:
    block = truth(shared)["km_logrank_rmst"]["lung_sex"]
    taus = block["1"]["rmst"]["tau"]
    for at, tau in enumerate(taus if isinstance(taus, list) else [taus]):
        arguments = {"time": "time", "event": "ev", "by": "sex", "tau": tau}
        found = run("rmst", arguments, lung(shared)).report
        for cell in found["cells"]:
            expected = block[str(cell["sex"])]["rmst"]
            mean, error = (v[at] if isinstance(v, list) else v for v in (expected["rmst"], expected["se"]))
            assert worst(cell["rmst"], mean) < 1e-12
            assert worst(cell["std_error"], error) < 1e-12
        (gap,) = found["terms"]
        assert gap["estimate"] == found["cells"][1]["rmst"] - found["cells"][0]["rmst"]


def test_the_printed_bound_covers_the_recorded_times(shared) -> None:
    table = lung(shared)
    exact = run("rmst", {"time": "time", "event": "ev", "by": "sex", "tau": 400}, table).report
    for every in (7, 30, 90):
        grid = {"every": every, "to": 450}
        found = run("rmst", {"time": "time", "event": "ev", "by": "sex", "tau": 400, "grid": grid}, table).report
        gaps = [abs(a["rmst"] - b["rmst"]) for a, b in zip(exact["cells"], found["cells"], strict=True)]
        assert found["exactness"] == "grid"
        assert max(gaps) <= found["bound"]
        assert found["bound"] < every  # not an empty promise


def test_cumulative_hazards_equal_r(shared) -> None:
    block = truth(shared)["km_logrank_rmst"]["lung_sex"]
    found = run("kaplan_meier", {"time": "time", "event": "ev", "by": "sex"}, lung(shared)).report
    for curve in found["curves"]:
        at = [i for i, d in enumerate(curve["events"]) if d > 0]
        expected = block[str(curve["group"]["sex"])]["nelson_aalen"]
        assert worst([curve["cumulative_hazard"][i] for i in at], expected) < 1e-12


def test_a_curve_that_ends_early_has_no_mean() -> None:
    from isthmus.statistics.rmst import area

    table = np.array([[10.0, 6.0], [2.0, 1.0], [2.0, 5.0]])
    assert np.isnan(area(np.array([5.0, 9.0]), table, 20.0)[0])
    assert area(np.array([5.0, 9.0]), table, 9.0)[0] == pytest.approx(5 + 0.8 * 4)


@pytest.mark.parametrize(
    "key", ["lung_efron_strata_inst", "veteran_breslow", "veteran_efron", "ist_6m_death_breslow_strata_country"]
)
def test_robust_cox_errors_equal_coxph(shared, key) -> None:
    case, block = cases(shared)[key], truth(shared)["cox"][key]
    arguments = {**case["analysis"]["cox"], "robust": True}
    found = run("cox", arguments, rows(shared, case["data"], case["prepare"], case["split"])).report
    expected = block["robust_se_LinWei"]
    expected = list(expected.values()) if isinstance(expected, dict) else expected
    assert worst([t["std_error"] for t in found["terms"]], expected) < 1e-9


def test_robust_cox_errors_with_countries_as_sites(shared) -> None:
    case = cases(shared)["ist_6m_death_breslow_strata_country"]
    expected = truth(shared)["cox"]["ist_6m_death_breslow_strata_country"]["robust_se_LinWei"]
    arguments = {**case["analysis"]["cox"], "strata": ["site"], "robust": True}
    found = run("cox", arguments, rows(shared, case["data"], case["prepare"], "country_")).report
    values = list(expected.values()) if isinstance(expected, dict) else expected
    assert worst([t["std_error"] for t in found["terms"]], values) < 1e-9
