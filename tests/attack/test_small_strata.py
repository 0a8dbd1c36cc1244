"""Strata in which only a known person and the target differ in group."""

from typing import Any

import numpy as np
import pytest
from hole_lab import ROWS, TARGET, answered, ask, estimates, refused, sites

from attack import Attack

ATTACK = Attack("Strata of one or two", "minimum_count on strata, groups and events in them")


def paired(positive: float):
    tables = sites()
    for table in tables:
        table["S"] = np.where(table["ARM"] == "A", "two", "three").astype(object)
        table["T"] = np.ones(ROWS)
    first = tables[0]
    first["S"][TARGET : TARGET + 2] = "one"
    first["ARM"][TARGET : TARGET + 2] = ("A", "B")
    first["HIV"][TARGET : TARGET + 2] = (positive, 0.0)
    return tables


def test_a_stratum_of_two_tells_who_is_positive(leak, stop):
    question = {"time": "T", "event": "HIV", "by": "ARM", "strata": ["site", "S"]}
    assert ask("log_rank", question, paired(1.0))["fit"]["statistic"] == pytest.approx(1.0)
    assert refused("log_rank", question, paired(1.0))
    assert refused("log_rank", question, paired(0.0))
    assert refused("cox", {"formula": "Surv(T, HIV) ~ ARM", "strata": ["site", "S"]}, paired(1.0))
    apart = {"formula": "HIV ~ ARM", "family": "gaussian", "strata": ["site", "S"]}
    assert abs(ask("glm", apart, paired(1.0))["terms"][0]["estimate"]) == pytest.approx(1.0)
    assert refused("glm", apart, paired(1.0))
    assert refused("glm", apart, paired(0.0))
    stop("refused, for log-rank, Cox and glm")
    leak("chi-square 1.0: who of two is positive")


def test_a_number_that_is_constant_but_for_one_person_of_a_stratum():
    tables = sites()
    for table in tables:
        table["S"] = np.where(table["BMI"] < 27, "one", "two").astype(object)
        table["Z"] = np.where(table["BMI"] < 27, 150.0, 250.0)
    tables[0]["Z"][TARGET] = tables[0]["CHOL"][TARGET]
    assert refused("cox", {"formula": "Surv(DAYS, DIED) ~ Z", "strata": ["site", "S"]}, tables)
    assert refused("glm", {"formula": "DIED ~ Z", "family": "binomial", "strata": ["site", "S"]}, tables)
    assert answered("glm", {"formula": "DIED ~ Z", "family": "binomial"}, sites_with_numbers())


def halves(world: int, *, of: str) -> list[dict[str, Any]]:
    """Two strata at each site; at the first site one person of a stratum, this one or that, is set apart by `of`."""
    tables = sites()
    for table in tables:
        table["S"] = np.where(table["BMI"] < 27, "one", "two").astype(object)
        table["SCORE"] = np.where(table["S"] == "one", 150.0, 250.0)
    first = tables[0]
    inside = first["S"] == "one"
    apart = np.arange(ROWS) == np.flatnonzero(inside)[world]
    if of == "stratum":
        first["S"][np.flatnonzero(inside)[world : world + 9]] = "few"
    if of == "outcome":
        first["DIED"] = np.where(inside, apart.astype(float), first["DIED"])
    if of == "indicator":
        first["ARM"] = np.where(inside, np.where(apart, "B", "A"), first["ARM"]).astype(object)
    if of == "number":
        first["SCORE"][apart] = 262.0
    return tables


@pytest.mark.parametrize(
    ("of", "formula", "family"),
    [
        ("stratum", "CHOL ~ AGE", "gaussian"),
        ("outcome", "DIED ~ AGE", "gaussian"),
        ("outcome", "DIED ~ AGE", "binomial"),
        ("outcome", "DIED ~ AGE", "poisson"),
        ("indicator", "CHOL ~ ARM", "gaussian"),
        ("number", "SCORE ~ AGE", "gaussian"),
        ("number", "SCORE ~ AGE", "inverse_gaussian"),
    ],
)
def test_who_is_set_apart_within_a_stratum_of_a_glm(of, formula, family):
    """Over all rows nobody is: each of these is refused for its stratum alone."""
    question = {"formula": formula, "family": family, "strata": ["site", "S"]}
    question |= {"link": "log"} if family == "inverse_gaussian" else {}
    this, that = (halves(world, of=of) for world in (0, 1))
    assert estimates(ask("glm", question, this)) != pytest.approx(estimates(ask("glm", question, that)), rel=1e-9)
    assert refused("glm", question, this)
    assert refused("glm", question, that)
    assert answered("glm", {**question, "strata": []}, this)


def sites_with_numbers():
    tables = sites()
    for table in tables:
        table["Z"] = np.where(table["BMI"] < 27, 150.0, 250.0)
    return tables


@pytest.mark.parametrize(
    ("family", "outcome"), [("binomial", "DIED"), ("gaussian", "BMI"), ("poisson", "HIV"), ("gamma", "BMI")]
)
@pytest.mark.parametrize("strata", [["site"], ["site", "ARM"]])
def test_ordinary_strata_of_a_glm_are_answered(family, outcome, strata):
    assert answered("glm", {"formula": f"{outcome} ~ AGE", "family": family, "strata": strata}, sites())


def test_sites_without_an_event_leave_no_site_alone():
    """Two of three sites say nothing: what is left would be the third's own result."""
    tables = sites()
    for table in tables[1:]:
        table["DIED"] = np.zeros(ROWS)
    assert refused("glm", {"formula": "DIED ~ AGE", "family": "binomial", "strata": ["site"]}, tables)


def test_ordinary_strata_are_answered():
    tables = sites()
    for table in tables:
        table["S"] = np.where(table["BMI"] < 27, "one", "two").astype(object)
    question = {"time": "DAYS", "event": "DIED", "by": "ARM", "strata": ["site", "S"]}
    assert answered("log_rank", question, tables)
    assert answered("cox", {"formula": "Surv(DAYS, DIED) ~ ARM + AGE", "strata": ["site", "S"]}, tables)
