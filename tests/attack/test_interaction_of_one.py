"""Attack: two common indicators whose product one person has. The interaction saturates a cell, and the model's estimate
there is that person's outcome.

Defence: the joint cells of every two indicators, and the support of every product, reach the floor.
"""

import numpy as np
import pytest
from hole_lab import answered, ask, estimates, refused, sites

from attack import Attack

ATTACK = Attack("An interaction that saturates one cell", "minimum_count on pairs and products of indicators")
MODEL = {"formula": "CHOL ~ A * B", "family": "gaussian"}


def tables(together: int):
    made = sites()
    for table in made:
        table["A"] = (table["AGE"] > 60).astype(float)
        table["B"] = np.where(table["A"] == 0.0, table["HIV"], 0.0)
    made[0]["B"][np.flatnonzero(made[0]["A"] == 1.0)[:together]] = 1.0
    return made


def test_bare_the_cell_is_one_persons_value(leak):
    made = tables(1)
    victim = float(made[0]["CHOL"][np.flatnonzero(made[0]["A"] == 1.0)[0]])
    found = sum(estimates(ask("glm", MODEL, made)))
    assert found == pytest.approx(victim)
    leak(f"one person's cholesterol, {found:.0f}, exactly")


def test_through_the_site_it_is_refused(stop):
    for family in ("gaussian", "poisson", "gamma"):
        assert refused("glm", {**MODEL, "family": family}, tables(1))
    assert refused("cox", {"formula": "Surv(DAYS, DIED) ~ A * B", "strata": ["site"]}, tables(1))
    stop("refused in every family and for Cox")


def test_an_ordinary_interaction_is_answered():
    made = sites()
    for table in made:
        table["A"] = (table["AGE"] > 60).astype(float)
    assert answered("glm", {"formula": "CHOL ~ A * ARM", "family": "gaussian"}, made)
