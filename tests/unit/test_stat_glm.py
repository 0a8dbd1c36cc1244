"""Textbook answers, exact arithmetic, and models that cannot be fitted."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from stat_help import column, report, run, texts

import isthmus
from isthmus.model.errors import Invalid
from isthmus.model.rules import OPEN
from isthmus.statistics import newton


def two_by_two(a: int, b: int, c: int, d: int) -> dict:
    """Exposed a cases, b controls; unexposed c, d."""
    exposed = np.array([1.0] * (a + b) + [0.0] * (c + d))
    case = np.array([1.0] * a + [0.0] * b + [1.0] * c + [0.0] * d)
    return {"exposed": exposed, "case": case}


def exact_least_squares(columns, y) -> list[float]:
    rows = [[Fraction(float(v)) for v in row] for row in columns]
    target = [Fraction(float(v)) for v in y]
    system = [[sum(p * q for p, q in zip(a, b, strict=True)) for b in rows] for a in rows]
    for i, row in enumerate(rows):
        system[i].append(sum(p * q for p, q in zip(row, target, strict=True)))
    size = len(rows)
    for i in range(size):
        for j in range(i + 1, size):
            factor = system[j][i] / system[i][i]
            system[j] = [b - factor * a for a, b in zip(system[i], system[j], strict=True)]
    found = [Fraction(0)] * size
    for i in reversed(range(size)):
        found[i] = (system[i][size] - sum(system[i][k] * found[k] for k in range(i + 1, size))) / system[i][i]
    return [float(v) for v in found]


def test_odds_ratio_of_a_two_by_two_table() -> None:
    """log(ad / bc) and Woolf's standard error."""
    a, b, c, d = 30, 70, 15, 120
    found = report("glm", {"formula": "case ~ exposed", "family": "binomial"}, two_by_two(a, b, c, d))
    slope = found["terms"][1]
    assert slope["estimate"] == pytest.approx(math.log(a * d / (b * c)), rel=1e-12)
    assert slope["std_error"] == pytest.approx(math.sqrt(1 / a + 1 / b + 1 / c + 1 / d), rel=1e-12)
    assert slope["conf_high"] - slope["conf_low"] == pytest.approx(2 * 1.959963984540054 * slope["std_error"])
    assert (found["n"], found["events"], found["test"], found["error"]) == (235, 45, "z", "model")


def test_risk_ratio_by_modified_poisson() -> None:
    """log of the risk ratio; the sandwich gives its binomial standard error."""
    a, b, c, d = 30, 70, 15, 120
    arguments = {"formula": "case ~ exposed", "family": "poisson", "robust": "HC0"}
    slope = report("glm", arguments, two_by_two(a, b, c, d))["terms"][1]
    assert slope["estimate"] == pytest.approx(math.log((a / 100) / (c / 135)), rel=1e-12)
    assert slope["std_error"] == pytest.approx(math.sqrt(b / (a * 100) + d / (c * 135)), rel=1e-12)


def test_rate_with_person_time_as_offset() -> None:
    """Events over person-time in two groups: the estimates are log rates."""
    years = np.array([10.0, 20.0, 30.0, 5.0, 25.0, 60.0])
    table = {"events": np.array([1.0, 3, 2, 4, 1, 7]), "log_years": np.log(years), "arm": texts(*"aaabbb")}
    found = report("glm", {"formula": "events ~ arm", "offset": "log_years", "family": "poisson"}, table)
    low, ratio = (row["estimate"] for row in found["terms"])
    assert low == pytest.approx(math.log(6 / 60), rel=1e-12)
    assert ratio == pytest.approx(math.log((12 / 90) / (6 / 60)), rel=1e-12)
    mean = 18 / 150 * years
    null = 2 * np.sum(table["events"] * np.log(table["events"] / mean) - (table["events"] - mean))
    assert found["fit"]["null_deviance"] == pytest.approx(null, rel=1e-12)


def test_no_intercept_and_contrasts_agree_with_the_usual_coding() -> None:
    draw = np.random.default_rng(5)
    table = {"y": draw.normal(10, 2, 90), "arm": texts(*np.tile(["a", "b", "c"], 30))}
    plain = report("glm", {"formula": "y ~ arm", "family": "gaussian"}, table)
    contrasts = {"b against a": {"arm[b]": 1, "arm[a]": -1}}
    cells = report("glm", {"formula": "y ~ arm - 1", "family": "gaussian", "contrasts": contrasts}, table)
    for key in ("estimate", "std_error", "p_value"):
        assert cells["contrasts"][0][key] == pytest.approx(plain["terms"][1][key], rel=1e-9)
    assert plain["reference"] == {"arm": "a"}
    assert (plain["test"], plain["fit"]["df_residual"], plain["fit"]["df_null"]) == ("t", 87, 89)
    assert cells["fit"]["df_null"] == 90


def test_wald_test_of_all_levels_is_the_anova_f() -> None:
    draw = np.random.default_rng(6)
    arm = np.tile(["a", "b", "c"], 30)
    table = {"y": draw.normal(10, 2, 90) + (arm == "c"), "arm": texts(*arm)}
    arguments = {"formula": "y ~ arm", "family": "gaussian", "tests": {"arm": ["arm[b]", "arm[c]"]}}
    found = report("glm", arguments, table)
    groups = [table["y"][arm == level] for level in "abc"]
    between = sum(30 * (g.mean() - table["y"].mean()) ** 2 for g in groups) / 2
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / 87
    assert found["tests"]["arm"]["statistic"] == pytest.approx(between / within, rel=1e-9)
    assert found["tests"]["arm"]["df"] == 2


@pytest.mark.parametrize("ranges", [True, False])
def test_uncentred_powers_and_tiny_columns_keep_their_digits(ranges) -> None:
    draw = np.random.default_rng(0)
    year, tiny = np.round(draw.uniform(2000, 2020, 120)), draw.normal(3, 1, 120) * 2e-9
    y = 100 + 0.5 * (year - 2010) + 0.03 * (year - 2010) ** 2 + 1e8 * tiny + draw.normal(0, 2, 120)
    table = {"y": y, "year": year, "tiny": tiny}
    found = report("glm", {"formula": "y ~ year + I(year^2) + tiny", "family": "gaussian"}, table, ranges=ranges)
    exact = exact_least_squares([np.ones(120), year, year**2, tiny], y)
    assert column(found["terms"], "estimate") == pytest.approx(exact, rel=1e-10)


def test_frequency_weights_stand_for_rows() -> None:
    table = two_by_two(30, 70, 15, 120)
    folded = {
        "exposed": np.array([1.0, 1, 0, 0]),
        "case": np.array([1.0, 0, 1, 0]),
        "times": np.array([30.0, 70, 15, 120]),
    }
    rows = report("glm", {"formula": "case ~ exposed", "family": "binomial"}, table)
    arguments = {"formula": "case ~ exposed", "family": "binomial"}
    weighted = report("glm", arguments | {"weights": {"variable": "times", "kind": "frequency"}}, folded)
    assert column(weighted["terms"], "std_error") == pytest.approx(column(rows["terms"], "std_error"), rel=1e-9)
    assert (weighted["n"], weighted["fit"]["df_residual"]) == (235, 233)
    assert weighted["fit"]["aic"] == pytest.approx(rows["fit"]["aic"], rel=1e-12)


def test_sampling_weights_have_robust_errors() -> None:
    draw = np.random.default_rng(2)
    table = {"y": draw.normal(size=60), "x": draw.normal(size=60), "w": draw.uniform(0.5, 2, 60)}
    weights = {"variable": "w", "kind": "sampling"}
    found = report("glm", {"formula": "y ~ x", "family": "gaussian", "weights": weights}, table)
    x = np.column_stack([np.ones(60), table["x"]])
    bread = np.linalg.inv(x.T @ (x * table["w"][:, None]))
    beta = bread @ x.T @ (table["w"] * table["y"])
    u = x * (table["w"] * (table["y"] - x @ beta))[:, None]
    assert (found["error"], found["test"]) == ("HC0", "z")
    expected = np.sqrt(np.diag(bread @ u.T @ u @ bread))
    assert column(found["terms"], "std_error") == pytest.approx(expected, rel=1e-9)


def test_implied_cells_are_counts_behind_indicators_numeric_ones_too() -> None:
    table = two_by_two(30, 70, 15, 120) | {"arm": texts(*(["b", "a", "a", "a", "a"] * 47))}
    trace = run("glm", {"formula": "case ~ exposed + arm", "family": "binomial"}, table)
    cells = {name: c.values.tolist() for name, c in trace.estimate.counts.items() if c.kind == "implied"}
    assert cells["implied:exposed"] == [30, 70, 15, 120]
    assert cells["implied:arm[b]"] == [9, 38, 36, 152]
    assert cells["implied:arm[a]"] == [36, 152, 9, 38]
    assert cells["non_events"] == [190]


def numbers(rows: int = 60) -> dict:
    draw = np.random.default_rng(9)
    x = draw.normal(size=rows)
    return {"x": x, "z": x * 2.0, "flat": np.full(rows, 5.0), "d": (draw.random(rows) < 0.4).astype(float)}


@pytest.mark.parametrize(
    ("formula", "family", "change", "code", "named"),
    [
        ("d ~ x + z", "binomial", {}, "E-COLLINEAR", "'z' follows from 'x'"),
        ("d ~ flat", "binomial", {}, "E-COLLINEAR", "'flat' is constant"),
        ("d ~ x", "binomial", {"d": 2 * numbers()["d"]}, "E-OUTCOME", "'d'"),
        ("d ~ x", "binomial", {"d": np.zeros(60)}, "E-NO-EVENTS", "'d'"),
        ("d ~ x", "binomial", {"d": np.ones(60)}, "E-OUTCOME", "'d'"),
        ("d ~ x", "poisson", {"d": np.zeros(60)}, "E-NO-EVENTS", "'d'"),
        ("d ~ x", "poisson", {"d": -np.ones(60)}, "E-OUTCOME", "'d'"),
        ("flat ~ x", "gaussian", {}, "E-OUTCOME", "'flat'"),
        ("d ~ x", "binomial", {"d": (numbers()["x"] > 0).astype(float)}, "E-SEPARATED", "'x'"),
    ],
)
def test_what_cannot_be_fitted_says_why_and_names_columns(formula, family, change, code, named) -> None:
    with pytest.raises(Invalid) as caught:
        report("glm", {"formula": formula, "family": family}, numbers() | change)
    assert caught.value.code == code
    assert named in caught.value.message


def test_a_level_with_only_cases_separates() -> None:
    table = numbers() | {"g": texts(*(["b"] * 12 + ["a"] * 48))}
    table["d"][:12] = 1.0
    with pytest.raises(Invalid, match=r"'g\[b\]'") as caught:
        report("glm", {"formula": "d ~ x + g", "family": "binomial"}, table)
    assert caught.value.code == "E-SEPARATED"
    assert "'x'" not in caught.value.message


@pytest.mark.parametrize("rows", [2, 8])
@pytest.mark.parametrize(
    "model",
    [
        *({"family": "binomial", "link": link} for link in ("logit", "probit", "cloglog")),
        {"family": "poisson"},
        {"family": "negative_binomial"},
        {"family": "binomial", "cluster": "who", "correlation": "independence"},
    ],
    ids=lambda model: "-".join(str(value) for value in model.values()),
)
def test_a_small_cell_of_an_interaction_separates(model, rows) -> None:
    """Few rows move the predictor little per standard deviation of their column, but further each round."""
    draw, size = np.random.default_rng(3), 2000
    cell = np.arange(size) < rows
    table = {
        "x": draw.normal(size=size).round(2),
        "a": np.where(cell, 1.0, (draw.random(size) < 0.3) * 1.0),
        "g": texts(*np.where(cell, "r", draw.choice(["p", "q", "r"], size, p=[0.5, 0.4, 0.1]))),
        "who": np.arange(size) // 10,
    }
    others = (table["a"] == 1) & (table["g"] == "r") & ~cell
    table["g"][others] = "p"
    counts = model["family"] != "binomial"
    table["y"] = np.where(
        cell, 0.0 if counts else 1.0, draw.negative_binomial(2, 0.5, size) if counts else draw.random(size) < 0.4
    )
    with pytest.raises(Invalid) as caught:
        report("gee" if "cluster" in model else "glm", {"formula": "y ~ x + a * g", **model}, table)
    assert caught.value.code == "E-SEPARATED"
    assert caught.value.message == "outcome 'y' is separated by 'a:g[r]': its coefficient has no finite value"


def test_an_absurd_value_is_named_by_its_column() -> None:
    table = numbers() | {"y": np.arange(60.0)}
    table["y"][3] = 1e40
    with pytest.raises(Invalid) as caught:
        report("glm", {"formula": "d ~ x + y", "family": "binomial"}, table)
    assert "'y'" in caught.value.message
    assert "'x'" not in caught.value.message
    assert "absurd values" in caught.value.hint


def test_a_term_in_a_test_is_all_its_columns() -> None:
    table = numbers() | {"g": texts(*(["a", "b", "c"] * 20))}
    asked = {"whole": ["g"], "each": ["g[b]", "g[c]"], "across": ["x:g", "x"], "by_name": ["x:g[b]", "x:g[c]", "x"]}
    found = report("glm", {"formula": "d ~ x * g", "family": "binomial", "tests": asked}, table)["tests"]
    assert found["whole"] == found["each"]
    assert found["whole"]["df"] == 2
    assert found["across"] == found["by_name"]


def test_as_many_terms_as_rows_is_refused() -> None:
    table = {k: v[:2] for k, v in numbers().items()}
    with pytest.raises(Invalid) as caught:
        report("glm", {"formula": "x ~ d", "family": "gaussian"}, table)
    assert caught.value.code == "E-TOO-MANY-TERMS"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"formula": "d ~ x", "family": "binomial", "link": "inverse"}, "E-LINK"),
        ({"formula": "~ x", "family": "binomial"}, "E-FORMULA"),
        ({"formula": "Surv(x, d) ~ z", "family": "binomial"}, "E-FORMULA"),
        ({"formula": "d ~ x", "family": "binomial", "weights": {"variable": "z", "kind": "sampling"}}, "E-WEIGHTS"),
        ({"formula": "d ~ x", "family": "binomial", "weights": {"variable": "half", "kind": "frequency"}}, "E-WEIGHTS"),
        ({"formula": "d ~ x", "family": "binomial", "tests": {"t": ["nothing"]}}, "E-TERM"),
        ({"formula": "d ~ x", "family": "binomial", "contrasts": {"c": {"nothing": 1}}}, "E-TERM"),
    ],
)
def test_wrong_arguments(arguments, code) -> None:
    with pytest.raises(Invalid) as caught:
        report("glm", arguments, numbers() | {"half": np.full(60, 0.5)})
    assert caught.value.code == code


def test_convergence_is_judged_in_standard_errors() -> None:
    trace = run("glm", {"formula": "d ~ x", "family": "binomial"}, numbers())
    assert newton.STEP == 1e-10
    last = trace.pooled[-1]
    step = np.linalg.solve(last["gram"], last["score"]) / np.sqrt(np.diag(np.linalg.inv(last["gram"])))
    assert np.abs(step).max() < 1e-10


def test_a_large_mean_outcome_and_a_perfect_fit() -> None:
    x = numbers()["x"]
    found = report("glm", {"formula": "y ~ x", "family": "gaussian"}, {"x": x, "y": 1e6 + 3 * x})
    assert column(found["terms"], "estimate") == pytest.approx([1e6, 3.0], rel=1e-10)


@pytest.mark.parametrize("robust", [None, "HC2", "HC3"])
@pytest.mark.parametrize("noise", [1.0, 1e6])
def test_an_outcome_far_from_0_without_an_intercept(robust, noise) -> None:
    """Scaled by a power of two it is the same fit; beside a factor, which takes its constant up, the residuals' digits are lost."""
    draw = np.random.default_rng(4)
    x, half = np.round(draw.normal(50, 5, 90), 1), np.arange(90) % 2
    y = 1e12 + np.round(noise * draw.normal(size=90))
    more = {} if robust is None else {"robust": robust}
    asked = {"formula": "y ~ 0 + x", "family": "gaussian", **more}
    large, small = (report("glm", asked, {"x": x, "y": own})["terms"][0] for own in (y, y * 2.0**-40))
    for key in ("estimate", "std_error"):
        assert large[key] * 2.0**-40 == pytest.approx(small[key], rel=1e-12)
    table = {"x": x, "y": y, "g": texts(*("ab"[k] for k in half))}
    with pytest.raises(Invalid, match="standard errors lose their digits") as caught:
        run("glm", {**asked, "formula": "y ~ 0 + g + x"}, table)
    assert caught.value.code == "E-RANGE"
    assert len(report("glm", {**asked, "formula": "y ~ g + x"}, table)["terms"]) == 3


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("glm", {"formula": "d ~ 0", "family": "binomial"}),
        ("glm", {"formula": "d ~ -1 + offset(x)", "family": "poisson"}),
        ("gee", {"formula": "d ~ 0", "family": "binomial", "cluster": "c"}),
        ("mixed", {"formula": "x ~ 0", "group": "c"}),
    ],
)
def test_a_model_without_anything_to_estimate_is_refused(kind, asked) -> None:
    rows = np.arange(20.0)
    with pytest.raises(Invalid, match="a model has an intercept or a term"):
        report(kind, asked, {"d": (rows % 3 > 0) * 1.0, "x": rows, "c": rows % 5})


def test_an_outcome_far_from_0_without_an_intercept_fits_into_a_masked_sum() -> None:
    """Its range lies so far from 0 that its own width is no scale for it."""
    draw = np.random.default_rng(4)
    x, y = np.round(draw.normal(50, 5, 90), 1), 1e12 + np.round(draw.normal(size=90))
    sites = {f"s{k}": pa.table({"x": x[k::3], "y": y[k::3]}) for k in range(3)}
    asked = {"m": {"glm": {"formula": "y ~ 0 + x", "family": "gaussian"}}}
    study = isthmus.Study(title="t", question="q", dataset="d", analyses=asked, missing="analysis")
    found = isthmus.rehearse(study, sites=sites, rules=OPEN).to_dict()["analyses"]["m"]
    assert found["terms"][0]["estimate"] == pytest.approx(float(x @ y / (x @ x)), rel=1e-12)
