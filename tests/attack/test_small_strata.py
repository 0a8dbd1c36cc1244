"""Strata in which only a known person and the target differ in group."""

import numpy as np
import pytest
from hole_lab import ROWS, TARGET, answered, ask, refused, sites

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
    stop("refused, for log-rank and Cox")
    leak("chi-square 1.0: who of two is positive")


def test_a_number_that_is_constant_but_for_one_person_of_a_stratum():
    tables = sites()
    for table in tables:
        table["S"] = np.where(table["BMI"] < 27, "one", "two").astype(object)
        table["Z"] = np.where(table["BMI"] < 27, 150.0, 250.0)
    tables[0]["Z"][TARGET] = tables[0]["CHOL"][TARGET]
    assert refused("cox", {"formula": "Surv(DAYS, DIED) ~ Z", "strata": ["site", "S"]}, tables)


def test_ordinary_strata_are_answered():
    tables = sites()
    for table in tables:
        table["S"] = np.where(table["BMI"] < 27, "one", "two").astype(object)
    question = {"time": "DAYS", "event": "DIED", "by": "ARM", "strata": ["site", "S"]}
    assert answered("log_rank", question, tables)
    assert answered("cox", {"formula": "Surv(DAYS, DIED) ~ ARM + AGE", "strata": ["site", "S"]}, tables)
