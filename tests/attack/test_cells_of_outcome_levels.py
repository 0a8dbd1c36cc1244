"""The cells of an outcome's level and an indicator: the estimates of a saturated model are that table."""

import math

import numpy as np
import pytest
from hole_lab import ONLY_SUMS, answered, ask, estimates, refused, sites

from attack import Attack

ATTACK = Attack(
    "The cells of a rare outcome level behind a multinomial or ordinal model", "cells of levels, implied cells"
)


def rare(few: tuple[int, int, int]):
    """Stage III among treated people: `few` of each site; else every cell is large."""
    tables = sites()
    for table, count in zip(tables, few, strict=True):
        treated = table["ARM"] == "B"
        stage = np.where(table["DIED"] == 1.0, "II", "I").astype(object)
        stage[np.flatnonzero(~treated)[:40]] = "III"
        stage[np.flatnonzero(treated)[:count]] = "III"
        table["STAGE"] = stage
    return tables


def test_bare_estimates_tell_a_cell_of_eight(leak):
    tables = rare((2, 2, 4))
    found = estimates(ask("multinomial", {"formula": "STAGE ~ ARM"}, tables))
    stages = np.concatenate([t["STAGE"] for t in tables])[np.concatenate([t["ARM"] for t in tables]) == "B"]
    told = math.exp(found[2] + found[3]) * np.count_nonzero(stages == "I")
    assert told == pytest.approx(8)
    leak("a cell of 8, exactly")


@pytest.mark.parametrize("kind", ["multinomial", "ordinal"])
def test_a_small_cell_is_refused_at_the_site_and_in_the_sum(stop, kind):
    question = {"formula": "STAGE ~ ARM"}
    assert refused(kind, question, rare((2, 20, 20)))  # by the site that has two
    assert refused(kind, question, rare((2, 2, 4)), ONLY_SUMS)  # by the output gate
    assert answered(kind, question, rare((20, 20, 20)))
    assert answered(kind, question, rare((4, 5, 6)), ONLY_SUMS)
    stop("refused, by the site with the cell and in the sum")


@pytest.mark.parametrize("kind", ["multinomial", "ordinal"])
def test_a_level_of_a_few_is_refused(kind):
    tables = rare((20, 20, 20))
    tables[0]["STAGE"][np.flatnonzero(tables[0]["STAGE"] == "I")[:3]] = "IV"
    assert refused(kind, {"formula": "STAGE ~ AGE"}, tables)
