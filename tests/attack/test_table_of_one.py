"""A mean that is a count, and a deviation that is one person's value."""

import math

import numpy as np
import pytest
from hole_lab import ONLY_SUMS, ROWS, STRICT, TARGET, answered, ask, refused, sites

from attack import Attack

ATTACK = Attack("A table's mean and deviation of one value", "supports, spread and dominance of table sums")


def test_a_mean_is_a_count(leak):
    tables = sites()
    for table in tables:
        table["C"] = np.zeros(ROWS)
    tables[0]["C"][:3] = 1.0
    found = ask("table_one", {"variables": ["C"]}, tables)["cells"][0]["mean"] * 3 * ROWS
    assert found == pytest.approx(3)
    assert refused("table_one", {"variables": ["C"]}, tables)
    (cell,) = ask("table_one", {"variables": ["C"]}, tables, ONLY_SUMS)["cells"]
    assert (cell["mean"], cell["sd"]) == (None, None)
    leak("a count of 3, exactly")


def test_a_mean_of_two_values_follows_the_rounded_counts():
    tables = sites()
    exact = sum(table["HIV"].sum() for table in tables)
    assert exact % 5
    (cell,) = ask("table_one", {"variables": ["HIV"]}, tables, STRICT)["cells"]
    assert cell["mean"] == pytest.approx(5 * round(exact / 5) / (3 * ROWS), rel=1e-3)


def test_a_deviation_is_one_persons_value(leak, stop):
    tables = sites()
    for table in tables:
        table["V"] = np.full(ROWS, 1000.0)
    tables[0]["V"][TARGET] += tables[0]["CHOL"][TARGET]
    cell = ask("table_one", {"variables": ["V"]}, tables)["cells"][0]
    assert cell["sd"] * math.sqrt(3 * ROWS) == pytest.approx(tables[0]["CHOL"][TARGET], rel=1e-2)
    assert refused("table_one", {"variables": ["V"]}, tables)
    stop("refused")
    leak("one person's cholesterol to 1 %")


def test_an_ordinary_table_is_answered():
    question = {"variables": ["AGE", "CHOL", "DAYS", "HIV", "ARM"], "by": "ARM"}
    assert answered("table_one", {**question, "variables": question["variables"][:4], "smd": True}, sites())
