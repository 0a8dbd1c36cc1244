"""Splines with stated knots, alone and crossed with a factor or a number, against R's bs and ns (r/splines.R)."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np
import pytest
from cohort import R, asked, cohort, column, expected
from reference_cases import worst

CUBIC = "bs(age, knots = c(45, 60), Boundary.knots = c(0, 120))"
NATURAL = "ns(age, knots = c(45, 60), Boundary.knots = c(35, 75))"  # rows lie on both sides of the boundary
GLM: dict[str, dict[str, Any]] = {
    "bs": {"formula": f"bp ~ {CUBIC} + arm", "family": "gaussian"},
    "ns": {"formula": f"ill ~ {NATURAL} + dose", "family": "binomial"},
    "linear": {
        "formula": "visits ~ bs(age, knots = c(50), Boundary.knots = c(0, 120), degree = 1) + sex",
        "family": "poisson",
    },
    "bs_factor": {
        "formula": "bp ~ bs(age, knots = c(50), Boundary.knots = c(0, 120), degree = 2) * sex",
        "family": "gaussian",
    },
    "ns_factor": {"formula": f"ill ~ {NATURAL} * sex + arm", "family": "binomial"},
    "ns_number": {
        "formula": "visits ~ ns(age, knots = c(50), Boundary.knots = c(35, 75)):dose + arm",
        "family": "poisson",
    },
}
COX = {
    "cox_bs": "Surv(time, event) ~ bs(age, knots = c(60), Boundary.knots = c(0, 120)) + arm + strata(site)",
    "cox_ns": "Surv(time, event) ~ ns(age, knots = c(55, 65), Boundary.knots = c(40, 85)) * arm + strata(site)",
}
GATE = 1e-9


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    with (R / "survival.csv").open() as file:
        read = list(csv.DictReader(file))
    survived = {name: np.array([float(row[name]) for row in read]) for name in ("time", "event", "age")}
    survived |= {"arm": np.array([row["arm"] for row in read], dtype=object)}
    survived |= {"site_": np.array([int(row["site"]) for row in read])}
    found = asked(cohort(), {name: {"glm": question} for name, question in GLM.items()})
    return found | asked(survived, {name: {"cox": {"formula": formula}} for name, formula in COX.items()})


@pytest.mark.parametrize("name", [*GLM, *COX])
def test_equals_r(answers, name) -> None:
    r, found = expected("splines")[name], answers[name]
    assert found["exactness"] == "exact"
    assert len(found["terms"]) == len(r["estimate"])
    assert worst(column(found, "estimate"), r["estimate"]) < GATE
    assert worst(column(found, "std_error"), r["std_error"]) < GATE
    told = "deviance" if name in GLM else "loglik"
    assert worst(found["fit"][told], r[told]) < GATE


def test_terms_are_named_after_the_basis(answers) -> None:
    assert column(answers["bs"], "term")[1:3] == ["bs(age)[1]", "bs(age)[2]"]
    assert "ns(age)[1]:sex[m]" in column(answers["ns_factor"], "term")
