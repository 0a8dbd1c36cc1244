"""Attack: a meta-analysis over places, one of which two patients of one site come from. The model of that level is their
mean and its error: both cholesterol values.

Defence: each level is a group of people at every site, with the guards of the model inside it.
"""

import numpy as np
import pytest
from hole_lab import ONLY_SUMS, answered, ask, refused, sites

from attack import Attack

ATTACK = Attack("The two people of one level of a meta-analysis", "`minimum_count` of each level")
MEAN = {"by": "PLACE", "of": {"glm": {"formula": "CHOL ~ 1", "family": "gaussian"}}, "term": "(Intercept)"}


def placed(few: int):
    tables = sites()
    for table in tables:
        table["PLACE"] = np.where(table["AGE"] < 50, "north", "south").astype(object)
    tables[0]["PLACE"][:few] = "west"
    return tables


def test_of_two_people_the_bare_statistic_tells_both_values(leak):
    tables = placed(2)
    west = next(row for row in ask("meta", MEAN, tables)["terms"] if row["term"] == "west")
    found = (west["estimate"] - west["std_error"], west["estimate"] + west["std_error"])
    assert found == pytest.approx(tuple(sorted(tables[0]["CHOL"][:2])))
    leak("both values, exactly")


def test_through_the_site_it_is_refused(stop):
    for few in (1, 2, 10):
        assert refused("meta", MEAN, placed(few))
        assert refused("meta", MEAN, placed(few), ONLY_SUMS)
    stop("refused, with either floor for cells")


def test_levels_of_many_are_answered():
    assert answered("meta", MEAN, placed(0))
