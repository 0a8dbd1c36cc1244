"""Accelerated failure times against R's survreg (`r/parametric_survival.R` made the numbers)."""

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
DISTRIBUTIONS = ("exponential", "weibull", "lognormal")


@pytest.fixture(scope="module")
def table() -> dict[str, np.ndarray]:
    with (HERE / "survival.csv").open() as file:
        rows = list(csv.DictReader(file))
    numbers = {name: np.array([float(r[name]) for r in rows]) for name in ("time", "event", "x", "age")}
    texts = {name: np.array([r[name] for r in rows], dtype=object) for name in ("arm", "site")}
    return numbers | texts | {"site_": texts["site"]}


@pytest.fixture(scope="module")
def r() -> dict:
    return json.loads((HERE / "parametric_survival.json").read_text())


def compared(found: dict, told: dict) -> None:
    assert worst([term["estimate"] for term in found["terms"]], told["estimate"]) < 1e-9
    assert worst(np.ravel(found["vcov"]).tolist(), np.ravel(told["variance"]).tolist()) < 1e-9
    assert worst([found["fit"]["loglik"], found["fit"]["scale"]], [told["loglik"], told["scale"]]) < 1e-9


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_equals_survreg(table, r, distribution) -> None:
    asked = {"formula": FORMULA, "distribution": distribution, "release": ["vcov"]}
    compared(run("parametric_survival", asked, table).report, r[distribution])


def test_through_files_gate_and_masks(table, r) -> None:
    names = ("time", "event", "x", "age", "arm")
    parts = {f"s{s}": pa.table({n: table[n][table["site"] == s] for n in names}) for s in "012"}
    question = {"parametric_survival": {"formula": FORMULA, "distribution": "weibull", "release": ["vcov"]}}
    compared(rehearsed("survival", parts, {"m": question})["analyses"]["m"], r["weibull"])


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize(
    ("formula", "change", "code", "named"),
    [
        (FORMULA, {"event": np.zeros(240)}, "E-NO-EVENTS", "'event'"),
        (FORMULA, {"time": np.zeros(240)}, "E-TIME", "'time' must be above 0"),
        ("Surv(time, event) ~ x + flat", {"flat": np.full(240, 2.0)}, "E-COLLINEAR", "'flat'"),
        ("Surv(time, event) ~ x + strata(arm)", {}, "E-FORMULA", "strata"),
        ("Surv(age, time, event) ~ x", {}, "E-FORMULA", "Surv(time, event)"),
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
