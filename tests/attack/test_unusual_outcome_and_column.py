"""One person's value as an outcome that is 0 for all others, or as a column that is noise for all others."""

import numpy as np
import pytest
from hole_lab import ROWS, TARGET, answered, ask, estimates, refused, sites

from attack import Attack

ATTACK = Attack("An outcome or a column that one person has", "effective rows of outcomes and columns; dominance")


def spike(tables, name, base, values):
    """`base` of each site, and `values` in the first rows from TARGET on of the first site."""
    for table in tables:
        table[name] = np.asarray(base(table), dtype=float).copy()
    tables[0][name][TARGET : TARGET + len(values)] = values
    return tables


@pytest.mark.parametrize("base", [0.0, 10.0])
def test_an_outcome_that_one_person_has(leak, stop, base):
    tables = sites()
    tables = spike(tables, "V", lambda t: np.full(ROWS, base), [base + tables[0]["CHOL"][TARGET]])
    question = {"formula": "V ~ 1", "family": "gaussian"}
    (mean,) = estimates(ask("glm", question, tables))
    assert (mean - base) * 3 * ROWS == pytest.approx(tables[0]["CHOL"][TARGET])
    assert refused("glm", question, tables)
    assert refused("glm", {**question, "family": "poisson"}, tables)
    stop("refused")
    leak("one person's cholesterol, exactly")


def test_an_outcome_that_is_noise_but_for_one_person():
    tables = sites()
    tables = spike(tables, "V", lambda t: 1e-6 * t["BMI"], [tables[0]["CHOL"][TARGET]])
    question = {"formula": "V ~ 1", "family": "gaussian"}
    (mean,) = estimates(ask("glm", question, tables))
    assert mean * 3 * ROWS == pytest.approx(tables[0]["CHOL"][TARGET], abs=0.1)
    assert refused("glm", question, tables)


@pytest.mark.parametrize("family", ["gaussian", "binomial"])
def test_a_column_that_is_large_for_three_people(family):
    tables = spike(sites(), "Z", lambda t: 1e-6 * t["BMI"], [1.0, 1.0001, 1.0002])
    tables[0]["HIV"][TARGET : TARGET + 3] = (1, 0, 0)
    question = {"formula": "HIV ~ Z", "family": family}
    if family == "gaussian":
        assert 3 * sum(estimates(ask("glm", question, tables))) == pytest.approx(1, abs=0.05)
    assert refused("glm", question, tables)
    assert refused("cox", {"formula": "Surv(DAYS, DIED) ~ Z", "strata": ["site"]}, tables)


def test_ordinary_columns_and_outcomes_are_answered():
    assert answered("glm", {"formula": "CHOL ~ AGE + BMI + ARM", "family": "gaussian"}, sites())
    assert answered("glm", {"formula": "HIV ~ AGE + I(AGE^2) + CHOL*ARM", "family": "binomial"}, sites())
    assert answered("cox", {"formula": "Surv(DAYS, DIED) ~ AGE + CHOL + ARM", "strata": ["site"]}, sites())
