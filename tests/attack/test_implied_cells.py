"""The cells behind an estimate, where only sums over sites are held to the floor."""

import numpy as np
import pytest
from hole_lab import ONLY_SUMS, STRICT, answered, ask, estimates, refused, sites

from attack import Attack

ATTACK = Attack("The two-by-two cells behind an estimate", "implied cells at the output gate")


def rare(high: float = 1.0):
    """Four people of each site's x = 1 ... two, two and four have the outcome: eight in all."""
    tables = sites()
    for table, few in zip(tables, (2, 2, 4), strict=True):
        table["X"] = (table["AGE"] < 40).astype(float)
        marked = np.flatnonzero(table["X"])
        table["Y"] = np.where(table["X"] == 1.0, 0.0, high * table["HIV"])
        table["Y"][marked[:few]] = high
        table["D"] = (table["Y"] > 0).astype(float)
    return tables


MODELS = {
    "declared": ("glm", {"formula": "Y ~ X", "family": "binomial"}),
    "I": ("glm", {"formula": "Y ~ I(X*2)", "family": "binomial"}),
    "product": ("glm", {"formula": "Y ~ X:X2", "family": "binomial"}),
    "gaussian": ("glm", {"formula": "Y ~ X", "family": "gaussian"}),
    "poisson": ("glm", {"formula": "Y ~ X", "family": "poisson"}),
    "cox": ("cox", {"formula": "Surv(DAYS, Y) ~ X", "strata": ["site"]}),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_cell_of_eight(leak, stop, name):
    kind, question = MODELS[name]
    tables = rare()
    for table in tables:
        table["X2"] = table["X"] + 0.0
    if name == "gaussian":
        marked = sum(table["X"].sum() for table in tables)
        assert marked * sum(estimates(ask(kind, question, tables))) == pytest.approx(8)
    assert refused(kind, question, tables, ONLY_SUMS)
    stop("refused for every family")
    leak("a cell of 8, exactly")


def test_an_outcome_of_other_values():
    question = {"formula": "Y ~ X", "family": "gaussian"}
    assert refused("glm", question, rare(2.0), ONLY_SUMS)
    assert refused("glm", question, rare(2.0), STRICT)


def test_large_cells_are_answered():
    tables = sites()
    for kind, question in (
        ("glm", {"formula": "HIV ~ DIED + ARM", "family": "gaussian"}),
        ("cox", {"formula": "Surv(DAYS, DIED) ~ HIV + ARM", "strata": ["site"]}),
    ):
        assert answered(kind, question, tables, ONLY_SUMS)
