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
CUTS = {"distribution": "piecewise_exponential", "cuts": [10, 20, 35]}


@pytest.fixture(scope="module")
def table() -> dict[str, np.ndarray]:
    with (HERE / "survival.csv").open() as file:
        rows = list(csv.DictReader(file))
    numbers = {name: np.array([float(r[name]) for r in rows]) for name in ("entry", "time", "event", "x", "age")}
    texts = {name: np.array([r[name] for r in rows], dtype=object) for name in ("arm", "site")}
    return numbers | texts | {"site_": texts["site"]}


@pytest.fixture(scope="module")
def r() -> dict:
    return json.loads((HERE / "parametric_survival.json").read_text())


def compared(found: dict, told: dict) -> None:
    assert worst([term["estimate"] for term in found["terms"]], told["estimate"]) < 1e-9
    assert worst(np.ravel(found["vcov"]).tolist(), np.ravel(told["variance"]).tolist()) < 1e-9
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


def test_through_files_gate_and_masks(table, r) -> None:
    names = ("entry", "time", "event", "x", "age", "arm")
    parts = {f"s{s}": pa.table({n: table[n][table["site"] == s] for n in names}) for s in "012"}
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
