"""Treatment effects: the stroke trial's aspirin against R, g-computation against a sandwich written out in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from reference_cases import cases, rows, run, truth, worst

from isthmus.model.errors import Invalid

BASE = {"treatment": "asp", "outcome": "ID14", "adjust": "AGE + male + RSBP + RDELAY + RCONSC"}
KNOWN = {"treatment": "asp", "outcome": "y", "adjust": "x + g"}


@pytest.fixture(scope="module")
def trial(shared):
    case = cases(shared)["ist_death14_binomial"]
    block = truth(shared)["causal_iptw"]["ist_aspirin_iptw_death14"]
    return rows(shared, case["data"], case["prepare"], case["split"]), block


def ask(table, **arguments):
    found = run("effect", {**BASE, **arguments}, table).report
    return {term["term"]: (term["estimate"], term["std_error"]) for term in found["terms"]}, found


def test_weighting_equals_r(trial) -> None:
    table, r = trial
    terms, found = ask(table, method="iptw")
    assert worst([terms["mean[1]"][0], terms["mean[0]"][0]], [r["mean1"], r["mean0"]]) < 1e-12
    assert worst(list(terms["difference"]), [r["ATE_hajek"], r["se_stacked"]]) < 1e-9
    assert worst(list(found["propensity"].values()), list(r["ps_coef"].values())) < 1e-9
    assert worst(list(found["fit"]["ess"].values()), list(r["ESS"].values())) < 1e-12
    balance = found["fit"]["balance"]
    assert worst([b["before"] for b in balance], list(r["smd_before"].values())) < 1e-9
    assert max(abs(b["after"] - s) for b, s in zip(balance, r["smd_after"].values(), strict=True)) < 1e-12
    assert worst(ask(table, method="iptw", errors="known")[0]["difference"][1], r["se_HC0_weights_known"]) < 1e-9


@pytest.mark.parametrize("estimand", ["ATT", "ATO"])
def test_other_estimands_equal_r(trial, estimand) -> None:
    table, r = trial
    assert worst(ask(table, method="iptw", estimand=estimand)[0]["difference"][0], r[estimand]) < 1e-9


def test_augmented_weighting_equals_r(trial) -> None:
    """R's error there takes the models as known, over n - 1; here no small-sample factor is taken."""
    table, r = trial
    estimate, error = ask(table, method="aipw", family="gaussian", errors="known")[0]["difference"]
    n = r["n"]
    assert worst([estimate, error * (n / (n - 1)) ** 0.5], [r["AIPW"], r["AIPW_se"]]) < 1e-9


def made(rows_: int = 1500):
    draw = np.random.default_rng(12)
    x, g = draw.normal(50, 10, rows_), (draw.random(rows_) < 0.4).astype(float)
    a = (draw.random(rows_) < 1 / (1 + np.exp(-(0.04 * (x - 50) + 0.5 * g)))).astype(float)
    y = (draw.random(rows_) < 1 / (1 + np.exp(-(-1 + 0.03 * (x - 50) - 0.4 * a + 0.3 * g)))).astype(float)
    return {"x": x, "g": g, "asp": a, "y": y, "site_": np.arange(rows_) % 3}


@pytest.mark.parametrize("family", ["binomial", "gaussian"])
def test_g_computation_equals_a_sandwich_written_out(family) -> None:
    table = made()
    found = run("effect", {**KNOWN, "method": "gcomputation", "family": family}, table).report
    design = np.column_stack([np.ones(1500), table["x"], table["g"]])
    means, influences = [], []
    for arm in (1.0, 0.0):
        inside = table["asp"] == arm
        other = sm.families.Binomial() if family == "binomial" else sm.families.Gaussian()
        fit = sm.GLM(table["y"][inside], design[inside], family=other).fit(tol=1e-14, maxiter=100)
        mean = fit.predict(design)
        slope = mean * (1 - mean) if family == "binomial" else np.ones(1500)
        information = (design[inside] * slope[inside, None]).T @ design[inside]
        score = design * (inside * (table["y"] - mean))[:, None]
        through = np.linalg.solve(information, design.T @ slope)
        means.append(mean.mean())
        influences.append(mean - mean.mean() + score @ through)
    gap = influences[0] - influences[1]
    expected = [means[0] - means[1], np.sqrt(gap @ gap) / 1500]
    term = next(t for t in found["terms"] if t["term"] == "difference")
    assert worst([term["estimate"], term["std_error"]], expected) < 1e-8


def test_weighting_removes_confounding_and_says_how_much_is_left() -> None:
    table = made(30_000)
    found = run("effect", {**KNOWN, "method": "iptw"}, table).report
    crude = table["y"][table["asp"] == 1].mean() - table["y"][table["asp"] == 0].mean()
    term = next(t for t in found["terms"] if t["term"] == "difference")
    assert term["estimate"] < crude - 0.02
    assert all(abs(b["after"]) < 0.01 < abs(b["before"]) for b in found["fit"]["balance"])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"method": "aipw"}, "E-MISSING-KEY"),
        ({"method": "aipw", "family": "gaussian", "estimand": "ATO"}, "E-ESTIMAND"),
        ({"method": "iptw", "adjust": "x + strata(g)"}, "E-FORMULA"),
        ({"method": "iptw", "treatment": "x", "adjust": "g"}, "E-OUTCOME"),
    ],
)
def test_what_cannot_be_asked(change, code) -> None:
    with pytest.raises(Invalid) as caught:
        run("effect", {**KNOWN, **change}, made(200))
    assert caught.value.code == code


def test_separated_treatment_has_no_effect() -> None:
    table = made(300)
    table["asp"] = (table["x"] > 50).astype(float)
    with pytest.raises(Invalid) as caught:
        run("effect", {**KNOWN, "method": "iptw"}, table)
    assert caught.value.code in {"E-SEPARATED", "E-CONVERGENCE"}
