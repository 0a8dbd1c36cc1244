"""Families, links and robust errors of `glm`: against R where its results are beside the repository, else statsmodels."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from reference_cases import cases, rows, run, truth, worst

from isthmus.model.errors import Invalid

LINKS = sm.families.links


def report(kind: str, arguments: dict[str, Any], table: dict[str, np.ndarray]) -> dict[str, Any]:
    """Over three sites."""
    rows_ = len(next(iter(table.values())))
    return run(kind, arguments, {**table, "site_": np.arange(rows_) % 3}).report


@pytest.mark.parametrize("robust", ["HC0", "HC1", "HC2", "HC3"])
@pytest.mark.parametrize(
    "key", ["heart_binomial", "heart_gaussian", "heart_probit", "ist_rsbp_gamma_log", "ist_death14_modifiedPoisson"]
)
def test_robust_errors_equal_sandwich(shared, key, robust) -> None:
    case, block = cases(shared)[key], truth(shared)["glm"][key]
    arguments = {**case["analysis"]["glm"], "robust": robust}
    found = run("glm", arguments, rows(shared, case["data"], case["prepare"], case["split"])).report
    errors = block["robust_se"][robust]
    expected = list(errors.values()) if isinstance(errors, dict) else errors
    assert worst([term["std_error"] for term in found["terms"]], expected) < 1e-9
    assert (found["error"], found["test"]) == (robust, "z")


def test_log_binomial_is_rs(shared) -> None:
    """The risk ratio of aspirin in the stroke trial; R needs starting values for this link, Isthmus takes the mean."""
    case, block = cases(shared)["ist_death14_binomial"], truth(shared)["glm"]["ist_death14_logbinomial_unadj"]
    arguments = {"formula": "ID14 ~ asp", "family": "binomial", "link": "log"}
    found = run("glm", arguments, rows(shared, case["data"], case["prepare"], case["split"])).report
    assert worst([t["estimate"] for t in found["terms"]], list(block["coef"].values())) < 1e-9
    assert worst([t["std_error"] for t in found["terms"]], list(block["se"].values())) < 1e-9
    assert worst(found["fit"]["deviance"], block["deviance"]) < 1e-9


def patients(rows: int = 900) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(20)
    age, dose = draw.uniform(-1, 1, rows), draw.uniform(0, 1, rows)
    return {
        "age": age,
        "dose": dose,
        "ill": (draw.random(rows) < 0.2 + 0.1 * age + 0.15 * dose).astype(float),
        "visits": draw.poisson(1.5 + 0.6 * age + dose).astype(float),
        "cost": draw.gamma(4.0, (3.0 + age + dose) / 4.0),
        "delay": draw.wald(1.5 + 0.4 * dose, 3.0),
    }


CHOICES: list[tuple[str, str, str, Any]] = [
    ("ill", "binomial", "cloglog", sm.families.Binomial(LINKS.CLogLog())),
    ("ill", "binomial", "log", sm.families.Binomial(LINKS.Log())),
    ("ill", "binomial", "identity", sm.families.Binomial(LINKS.Identity())),
    ("visits", "poisson", "identity", sm.families.Poisson(LINKS.Identity())),
    ("cost", "gamma", "inverse", sm.families.Gamma(LINKS.InversePower())),
    ("cost", "gamma", "identity", sm.families.Gamma(LINKS.Identity())),
    ("cost", "gamma", "log", sm.families.Gamma(LINKS.Log())),
    ("delay", "inverse_gaussian", "1/mu^2", sm.families.InverseGaussian(LINKS.InverseSquared())),
    ("delay", "inverse_gaussian", "log", sm.families.InverseGaussian(LINKS.Log())),
    ("delay", "inverse_gaussian", "inverse", sm.families.InverseGaussian(LINKS.InversePower())),
]


@pytest.mark.parametrize(("outcome", "family", "link", "other"), CHOICES, ids=lambda v: v if isinstance(v, str) else "")
def test_family_and_link_equal_statsmodels(outcome, family, link, other) -> None:
    table = patients()
    found = report("glm", {"formula": f"{outcome} ~ age + dose", "family": family, "link": link}, table)
    design = np.column_stack([np.ones(900), table["age"], table["dose"]])
    start = None
    if link in {"identity", "inverse", "1/mu^2", "log"}:
        start = np.array([float(other.link(table[outcome].mean())), 0.0, 0.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of links that are not canonical
        model = sm.GLM(table[outcome], design, family=other).fit(
            start_params=start, maxiter=500, tol=1e-15, tol_criterion="params"
        )
    assert worst([t["estimate"] for t in found["terms"]], model.params.tolist()) < 1e-9
    assert worst([t["std_error"] for t in found["terms"]], model.bse.tolist()) < 1e-9
    assert worst(found["fit"]["deviance"], float(model.deviance)) < 1e-11
    assert worst(found["fit"]["null_deviance"], float(model.null_deviance)) < 1e-9
    assert worst(found["fit"]["dispersion"], float(model.scale)) < 1e-9


@pytest.mark.parametrize(
    ("quasi", "plain", "outcome"), [("quasibinomial", "binomial", "ill"), ("quasipoisson", "poisson", "visits")]
)
def test_quasi_families_keep_the_estimates_and_scale_the_errors(quasi, plain, outcome) -> None:
    table, formula = patients(), f"{outcome} ~ age + dose"
    loose, strict = (report("glm", {"formula": formula, "family": f}, table) for f in (quasi, plain))
    root = loose["fit"]["dispersion"] ** 0.5
    for a, b in zip(loose["terms"], strict["terms"], strict=True):
        assert a["estimate"] == b["estimate"]
        assert a["std_error"] == pytest.approx(b["std_error"] * root, rel=1e-12)
    assert loose["test"] == "t"
    assert (loose["fit"]["loglik"], loose["fit"]["aic"]) == (None, None)
    assert loose["fit"]["dispersion"] != 1.0


@pytest.mark.parametrize("formula", ["per ~ age + dose", "per ~ age + site"])
def test_rates_below_one_have_their_deviance(formula) -> None:
    """Visits per year, weighted by the years: R's `glm(family = quasipoisson, weights = years)`."""
    table = patients()
    table |= {"years": np.repeat([0.5, 4.0, 9.0], 300)}
    table |= {"per": table["visits"] / table["years"]}
    weights = {"variable": "years", "kind": "precision"}
    found = report("glm", {"formula": formula, "family": "quasipoisson", "weights": weights}, table)
    rest = [table["dose"]] if "dose" in formula else list(np.eye(3)[1:, np.arange(900) % 3])
    design = np.column_stack([np.ones(900), table["age"], *rest])
    model = sm.GLM(table["per"], design, sm.families.Poisson(), var_weights=table["years"]).fit(tol=1e-14)
    assert worst(found["fit"]["deviance"], float(model.deviance)) < 1e-12
    assert worst(found["fit"]["null_deviance"], float(model.null_deviance)) < 1e-9


def test_log_likelihoods_of_estimated_dispersions() -> None:
    """By scipy's densities at dispersion deviance / n, as R's `logLik` takes it."""
    from scipy import stats

    table = patients()
    gamma = report("glm", {"formula": "cost ~ age", "family": "gamma", "link": "log"}, table)
    phi = gamma["fit"]["deviance"] / 900
    mean = np.exp(gamma["terms"][0]["estimate"] + gamma["terms"][1]["estimate"] * table["age"])
    assert gamma["fit"]["loglik"] == pytest.approx(
        stats.gamma.logpdf(table["cost"], 1 / phi, scale=mean * phi).sum(), rel=1e-11
    )
    inverse = report("glm", {"formula": "delay ~ dose", "family": "inverse_gaussian", "link": "log"}, table)
    phi = inverse["fit"]["deviance"] / 900
    mean = np.exp(inverse["terms"][0]["estimate"] + inverse["terms"][1]["estimate"] * table["dose"])
    density = stats.invgauss.logpdf(table["delay"], mean * phi, scale=1 / phi)
    assert inverse["fit"]["loglik"] == pytest.approx(density.sum(), rel=1e-11)


def test_a_mean_that_leaves_its_range_is_told() -> None:
    """The best log-binomial fit lies on the border, where a risk of 1 is predicted: no estimate inside."""
    x = np.repeat(np.arange(5.0), 40)
    y = (np.arange(200) % 40 < np.array([2, 5, 12, 30, 40])[x.astype(int)]).astype(float)
    with pytest.raises(Invalid) as caught:
        report("glm", {"formula": "y ~ x", "family": "binomial", "link": "log"}, {"x": x, "y": y})
    assert caught.value.code == "E-CONVERGENCE"
    assert "on the border of link 'log'" in caught.value.message
    assert "in rows told by 'x'" in caught.value.message


def test_the_border_names_the_rows_that_lie_on_it() -> None:
    """A cell with events alone has a risk of 1 and finite coefficients: R's `glm` warns and stops at the border."""
    draw = np.random.default_rng(8)
    a, b = (draw.random(600) < 0.3) * 1.0, (draw.random(600) < 0.1) * 1.0
    y = np.where((a == 1) & (b == 1), 1.0, draw.random(600) < 0.3) * 1.0
    rows = {"x": draw.normal(size=600).round(2), "a": a, "b": b, "y": y}
    with pytest.raises(Invalid) as caught:
        report("glm", {"formula": "y ~ x + a * b", "family": "binomial", "link": "log"}, rows)
    assert caught.value.code == "E-CONVERGENCE"
    assert caught.value.message.endswith("in rows told by 'b', 'a:b'")
    assert "family: poisson" in caught.value.hint


@pytest.mark.parametrize("value", [1e-3, 0.37, 3.0, 140.0, 3e5])
@pytest.mark.parametrize(
    ("family", "link"),
    [
        ("gamma", "inverse"),
        ("gamma", "log"),
        ("inverse_gaussian", "1/mu^2"),
        ("inverse_gaussian", "log"),
        ("quasipoisson", "log"),
        ("gaussian", "identity"),
    ],
)
def test_a_constant_outcome_has_one_value(family: str, link: str, value: float) -> None:
    """R gives coefficients with a dispersion that is rounding; no error follows from it."""
    from isthmus.model.errors import Invalid

    table = {"y": np.full(120, value), "x": np.round(np.sin(np.arange(120.0)), 2)}
    with pytest.raises(Invalid, match="'y' has one value only") as caught:
        report("glm", {"formula": "y ~ x", "family": family, "link": link}, table)
    assert caught.value.code == "E-OUTCOME"
