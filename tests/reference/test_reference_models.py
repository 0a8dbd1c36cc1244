"""Models, curves and tests against R at the gates of STATISTICS.md: the bare statistic over the split rows."""

from __future__ import annotations

import numpy as np
import pytest
from reference_cases import cases, rows, run, truth, worst

NAMES = [
    "heart_binomial",
    "heart_binomial HC0",
    "heart_binomial_siteFE",
    "heart_gaussian",
    "ist_death14_binomial",
    "ist_death14_modifiedPoisson",
    "ist_rsbp_gaussian",
    "heart_probit",
    "ist_rsbp_gamma_log",
    "lung_efron",
    "lung_efron robust",
    "lung_efron_strata_inst",
    "veteran_breslow",
    "veteran_efron",
    "ist_6m_death_breslow_strata_country",
    "lung_logrank_sex",
    "ist_logrank_asp",
    "ist_logrank_asp_strat",
    "lung_sex curves",
    "ist EXPD14 AUC",
    "aSAH s100b AUC",
]


def test_every_case_that_can_be_answered_is_here(shared) -> None:
    assert sorted(NAMES) == sorted(cases(shared))


@pytest.mark.parametrize("name", NAMES)
def test_equals_r(shared, name) -> None:
    case = cases(shared)[name]
    kind, arguments = next(iter(case["analysis"].items()))
    trace = run(kind, arguments, rows(shared, case["data"], case["prepare"], case["split"]))
    compared = case["compare"](trace.report, truth(shared))
    missed = [(label, worst(got, expected)) for label, got, expected, gate in compared if worst(got, expected) > gate]
    assert missed == []


@pytest.mark.parametrize("split", ["country_", "country_ in ('UK', 'USA')"])
def test_sites_as_strata_equal_rs_strata(shared, split) -> None:
    """Each country a site, or several in one: site and country as strata are R's strata(COUNTRY)."""
    case = cases(shared)["ist_6m_death_breslow_strata_country"]
    arguments = {**case["analysis"]["cox"], "strata": ["site", "country_"]}
    trace = run("cox", arguments, rows(shared, case["data"], case["prepare"], split))
    for label, got, expected, gate in case["compare"](trace.report, truth(shared)):
        assert worst(got, expected) <= gate, label
    block = truth(shared)["cox"]["ist_6m_death_breslow_strata_country"]
    assert worst(trace.report["fit"]["score"], block["score_test"]) < 1e-9
    assert worst(trace.report["fit"]["wald"], block["wald"]) < 1e-9


@pytest.mark.parametrize("key", ["lung_efron", "veteran_breslow", "veteran_efron", "lung_efron_strata_inst"])
def test_score_and_wald_tests_of_cox(shared, key) -> None:
    case, block = cases(shared)[key], truth(shared)["cox"][key]
    trace = run("cox", case["analysis"]["cox"], rows(shared, case["data"], case["prepare"], case["split"]))
    fit = trace.report["fit"]
    assert worst([fit["score"], fit["wald"]], [block["score_test"], block["wald"]]) < 1e-9
    assert fit["events"] == block["nevent"]


@pytest.mark.parametrize("key", ["heart_binomial", "heart_gaussian", "ist_death14_modifiedPoisson"])
def test_degrees_of_freedom_and_aic(shared, key) -> None:
    case, block = cases(shared)[key], truth(shared)["glm"][key]
    trace = run("glm", {**case["analysis"]["glm"], "release": ["vcov"]}, rows(shared, case["data"], case["prepare"]))
    fit = trace.report["fit"]
    assert (fit["df_residual"], trace.report["n"]) == (block["df_residual"], block["n"])
    assert worst(fit["aic"], block["aic"]) < 1e-12
    if "robust" not in case["analysis"]["glm"]:
        assert worst(np.array(trace.report["vcov"]).ravel().tolist(), np.array(block["vcov"]).ravel().tolist()) < 1e-9


@pytest.mark.parametrize(("conf_type", "key"), [("log", "log"), ("log-log", "loglog")])
@pytest.mark.parametrize("group", ["1", "2"])
def test_intervals_of_the_curves(shared, conf_type, key, group) -> None:
    case = cases(shared)["lung_sex curves"]
    arguments = {**case["analysis"]["kaplan_meier"], "conf_type": conf_type}
    table = rows(shared, case["data"], case["prepare"], case["split"])
    curve = run("kaplan_meier", arguments, table).report["curves"][int(group) - 1]
    block = truth(shared)["km_logrank_rmst"]["lung_sex"][group]
    at = [i for i, d in enumerate(curve["events"]) if d > 0]
    for bound, name in (("conf_low", f"lower_{key}"), ("conf_high", f"upper_{key}")):
        expected = [v if isinstance(v, (int, float)) else None for v in block[name]]
        assert worst([curve[bound][i] for i in at], expected) < 1e-10
