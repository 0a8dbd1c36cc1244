"""Accelerated failure times against R's survreg, late entries against the likelihood by R's deriv3, constant hazards
against its Poisson regression (`r/parametric_survival.R` made the numbers)."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from reference_cases import run, worst
from test_masked_path import rehearsed

from isthmus.model.errors import Invalid

HERE = Path(__file__).parent / "r"
FORMULA = "Surv(time, event) ~ x + age + arm"
LATE = FORMULA.replace("time", "entry, time", 1)
DISTRIBUTIONS = ("exponential", "weibull", "lognormal")
NUMBERS = ("entry", "time", "event", "x", "age", "w", "copies")
CUTS = {"distribution": "piecewise_exponential", "cuts": [10, 20, 35]}


@pytest.fixture(scope="module")
def table() -> dict[str, np.ndarray]:
    with (HERE / "survival.csv").open() as file:
        rows = list(csv.DictReader(file))
    numbers = {name: np.array([float(r[name]) for r in rows]) for name in NUMBERS}
    texts = {name: np.array([r[name] for r in rows], dtype=object) for name in ("arm", "site")}
    texts["ward"] = np.array([f"{r['site']} {int(r['id']) % 9}" for r in rows], dtype=object)
    return numbers | texts | {"site_": texts["site"]}


@pytest.fixture(scope="module")
def r() -> dict:
    return json.loads((HERE / "parametric_survival.json").read_text())


def compared(found: dict, told: dict) -> None:
    assert worst([term["estimate"] for term in found["terms"]], told["estimate"]) < 1e-9
    got, expected = np.array(found["vcov"]), np.array(told["variance"])
    size = np.sqrt(np.diag(expected))  # a covariance near 0 has no digits of its own
    assert np.max(np.abs(got - expected) / np.outer(size, size)) < 1e-9
    for key in ("loglik", "loglik_null", *(("scale",) if "scale" in told else ())):
        assert worst(found["fit"][key], told[key]) < 1e-9, key


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_equals_survreg(table, r, distribution) -> None:
    asked = {"formula": FORMULA, "distribution": distribution, "release": ["vcov"]}
    compared(run("parametric_survival", asked, table).report, r[distribution])


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_late_entries_are_left_truncation(table, r, distribution) -> None:
    asked = {"formula": LATE, "distribution": distribution, "release": ["vcov"]}
    compared(run("parametric_survival", asked, table).report, r[f"late_{distribution}"])


@pytest.mark.parametrize(("formula", "name"), [(FORMULA, "piecewise"), (LATE, "late_piecewise")])
def test_hazards_between_cuts_are_poisson_regression(table, r, formula, name) -> None:
    found = run("parametric_survival", {"formula": formula, "release": ["vcov"], **CUTS}, table).report
    compared(found, r[name])
    assert [term["term"] for term in found["terms"]][3:5] == ["Log(hazard)(0, 10]", "Log(hazard)(10, 20]"]


def sites(table) -> dict[str, pa.Table]:
    names = (*NUMBERS, "arm", "ward")
    return {f"s{s}": pa.table({n: table[n][table["site"] == s] for n in names}) for s in "012"}


MODELS = {
    **{name: {"formula": FORMULA, "distribution": name} for name in DISTRIBUTIONS},
    **{f"late_{name}": {"formula": LATE, "distribution": name} for name in DISTRIBUTIONS},
    "late_piecewise": {"formula": LATE, **CUTS},
}
WEIGHTS: dict[str, dict] = {
    "plain": {},
    "weighted": {"weights": {"variable": "w", "kind": "precision"}},
    "frequency": {"weights": {"variable": "copies", "kind": "frequency"}},
}
ERRORS: dict[str, dict] = {"variance": {}, "robust": {"robust": True}, "cluster": {"cluster": "ward"}}
WEIGHED = [
    (model, weights, error)
    for weights in WEIGHTS
    for model in MODELS
    for error in ERRORS
    if weights != "frequency" or not model.startswith("late_") or model == "late_piecewise"
]


@pytest.fixture(scope="module")
def weighed(table) -> dict:
    """Weights and errors of every distribution, through files, gate and masks."""
    asked = {f"{m} {w} {e}": {**MODELS[m], **WEIGHTS[w], **ERRORS[e], "release": ["vcov"]} for m, w, e in WEIGHED}
    sampling = {"weights": {"variable": "w", "kind": "sampling"}}
    asked |= {f"{m} sampling": {**MODELS[m], **sampling} for m in ("weibull", "late_piecewise")}
    asked["in formula"] = {**MODELS["weibull"], **sampling, "formula": f"{FORMULA} + cluster(ward)"}
    questions = {name: {"parametric_survival": one} for name, one in asked.items()}
    return rehearsed("survival", sites(table), questions, missing="analysis")["analyses"]


@pytest.mark.parametrize(("model", "weights", "error"), WEIGHED)
def test_weights_robust_and_clustered_errors_equal_r(table, r, weighed, model, weights, error) -> None:
    found, told = weighed[f"{model} {weights} {error}"], r[weights][model]
    compared(found, {**told, "variance": told[error]})
    assert found["error"] == {"variance": "model"}.get(error, error)
    assert (found["n"], found["events"]) == (240, int(table["event"].sum()))
    assert error != "cluster" or found["clusters"] == len(np.unique(table["ward"]))


def test_sampling_weights_have_robust_errors(weighed) -> None:
    for name in ("weibull", "late_piecewise"):
        assert weighed[f"{name} sampling"]["terms"] == weighed[f"{name} weighted robust"]["terms"]
        assert weighed[f"{name} sampling"]["error"] == "robust"
    assert weighed["in formula"]["terms"] == weighed["weibull weighted cluster"]["terms"]


@pytest.mark.parametrize("model", MODELS)
def test_a_row_without_weight_does_not_count(table, model) -> None:
    half = np.arange(240) % 2 == 0
    weights = {"weights": {"variable": "w", "kind": "precision"}, "cluster": "ward"}
    without = run("parametric_survival", {**MODELS[model], **weights}, table | {"w": np.where(half, table["w"], 0.0)})
    alone = run("parametric_survival", {**MODELS[model], **weights}, {name: v[half] for name, v in table.items()})
    for name in ("estimate", "std_error"):
        one, other = ([term[name] for term in trace.report["terms"]] for trace in (without, alone))
        assert worst(one, other) < 1e-9
    assert (without.report["n"], without.report["clusters"]) == (120, alone.report["clusters"])


@pytest.mark.parametrize("model", MODELS)
def test_sites_as_clusters(table, model) -> None:
    """Of twelve sites, each a cluster, as the pooled table clustered by them."""
    clinic = np.arange(240) % 12
    together = run("parametric_survival", {**MODELS[model], "cluster": "unit"}, table | {"unit": clinic}).report
    apart = run("parametric_survival", {**MODELS[model], "cluster": "site"}, table | {"site_": clinic}).report
    whole = run(
        "parametric_survival", {**MODELS[model], "cluster": "unit"}, table | {"unit": clinic, "site_": 0 * clinic}
    )
    errors = [[term["std_error"] for term in one["terms"]] for one in (apart, whole.report, together)]
    assert worst(errors[0], errors[1]) < 1e-9
    assert worst(errors[0], errors[2]) > 1e-3  # a value at three sites is three clusters
    assert (apart["clusters"], together["clusters"]) == (12, 36)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"weights": {"variable": "x", "kind": "precision"}}, "E-WEIGHTS", "'x' must not be negative"),
        ({"weights": {"variable": "w", "kind": "frequency"}}, "E-WEIGHTS", "'w' must be whole"),
        ({"weights": {"variable": "none", "kind": "precision"}}, "E-NO-ROWS", "row"),
        ({"cluster": "site"}, "E-CLUSTER", "10 sites or more"),
        ({"cluster": "one"}, "E-CLUSTER", "'one' has one value only"),
    ],
)
def test_what_cannot_be_weighed_or_clustered(table, model, change, code, named) -> None:
    rows = table | {"none": np.zeros(240), "one": np.ones(240), "site_": np.zeros(240)}
    with pytest.raises(Invalid) as caught:
        run("parametric_survival", {**MODELS[model], **change}, rows)
    assert caught.value.code == code
    assert named in caught.value.message


def test_through_files_gate_and_masks(table, r) -> None:
    parts = sites(table)
    asked = {
        "weibull": {"formula": FORMULA, "distribution": "weibull"},
        "late_weibull": {"formula": LATE, "distribution": "weibull"},
        "late_piecewise": {"formula": LATE, **CUTS},
    }
    questions = {name: {"parametric_survival": {**one, "release": ["vcov"]}} for name, one in asked.items()}
    found = rehearsed("survival", parts, questions, missing="analysis")["analyses"]
    for name in asked:
        compared(found[name], r[name])


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"cuts": []}, "E-GRID", "cuts increase"),
        ({"cuts": [0, 20]}, "E-GRID", "above 0"),
        ({"cuts": [20, 20]}, "E-GRID", "increase"),
        ({"cuts": [20, 400]}, "E-NO-EVENTS", "(400, Inf]"),
        ({"distribution": "weibull"}, "E-GRID", "weibull has no cuts"),
        ({"formula": "Surv(time, event) ~ 1"}, "E-FORMULA", "needs a term"),
        ({"formula": "Surv(time, time, event) ~ x"}, "E-FORMULA", "different variables"),
        ({"formula": "Surv(age, time, event) ~ x"}, "E-TIME", "'age' must come before"),
        ({"formula": "Surv(time, event) ~ x + flat"}, "E-COLLINEAR", "'flat'"),
        ({"formula": "Surv(time, event) ~ x + y"}, "E-SEPARATED", "'y'"),
        ({"cut": [20]}, "E-UNKNOWN-KEY", "'cuts'"),
    ],
)
def test_hazards_that_cannot_be_fitted_say_why(table, change, code, named) -> None:
    more = {"flat": np.full(240, 2.0), "y": 1.0 - table["event"]}
    with pytest.raises(Invalid) as caught:
        run("parametric_survival", {"formula": FORMULA, **CUTS, **change}, table | more)
    assert caught.value.code == code
    assert named in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize(
    ("formula", "change", "code", "named"),
    [
        (FORMULA, {"event": np.zeros(240)}, "E-NO-EVENTS", "'event'"),
        (FORMULA, {"time": np.zeros(240)}, "E-TIME", "'time' must be above 0"),
        ("Surv(time, event) ~ x + flat", {"flat": np.full(240, 2.0)}, "E-COLLINEAR", "'flat'"),
        ("Surv(time, event) ~ x + strata(arm)", {}, "E-FORMULA", "strata"),
        ("Surv(age, time, event) ~ x", {}, "E-TIME", "'age' must come before"),
    ],
)
def test_what_cannot_be_fitted_says_why(table, distribution, formula, change, code, named) -> None:
    with pytest.raises(Invalid) as caught:
        run("parametric_survival", {"formula": formula, "distribution": distribution}, table | change)
    assert caught.value.code == code
    assert named in caught.value.message


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_column_without_events_is_named(table, distribution) -> None:
    split = table | {"y": 1.0 - table["event"]}
    with pytest.raises(Invalid) as caught:
        run("parametric_survival", {"formula": "Surv(time, event) ~ x + y", "distribution": distribution}, split)
    assert (caught.value.code, "'y'" in caught.value.message) == ("E-SEPARATED", True)
