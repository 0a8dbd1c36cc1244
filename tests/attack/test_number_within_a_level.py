"""A number that is common, but that one person alone has within a level or a class of the outcome; and noise on 0 and 1."""

import numpy as np
import pytest
from hole_lab import ROWS, STRICT, TARGET, answered, ask, estimates, refused, sites

from attack import Attack
from isthmus.statistics import unusual

ATTACK = Attack(
    "A number that one person has within a level", "who makes up each number within each level and each class"
)


def costs():
    """COST is 0 in arm A and in half of arm B, but for one person in arm A; who is in arm A died, and nobody else."""
    tables = sites()
    for i, table in enumerate(tables):
        draw, arm = np.random.default_rng(10 + i), table["ARM"] == "A"
        table["COST"] = np.where(arm | (draw.random(ROWS) < 0.5), 0.0, np.round(np.exp(draw.normal(5, 0.5, ROWS))))
        table["DIED"] = arm.astype(float)
    tables[0]["ARM"][TARGET], tables[0]["DIED"][TARGET] = "A", 1.0
    tables[0]["COST"][TARGET] = 137.0
    return tables


def jittered(people):
    """DIED and HIV of few `people`, each beside itself with a trace of AGE."""
    tables = sites()
    for table in tables:
        table["HIV"] = np.where(table["DIED"] == 1.0, 0.0, table["HIV"])
    tables[0]["HIV"][np.flatnonzero(tables[0]["DIED"] == 1.0)[:people]] = 1.0
    for table in tables:
        table["Y"], table["X"] = (table[name] + table["AGE"] / 1e6 for name in ("DIED", "HIV"))
    return tables


def within(tables, level):
    return sum(int((table["ARM"] == level).sum()) for table in tables)


@pytest.mark.parametrize("family", ["gaussian", "quasipoisson"])
def test_a_mean_of_one_arm_is_one_persons(leak, stop, family):
    tables = costs()
    question = {"formula": "COST ~ ARM", "family": family}
    first = estimates(ask("glm", question, tables))[0]
    mean = first if family == "gaussian" else np.exp(first)
    assert mean * within(tables, "A") == pytest.approx(137.0, rel=1e-6)
    assert refused("glm", question, tables)
    stop("refused, in every kind of model")
    leak("one person's cost, 137, exactly")


@pytest.mark.parametrize(
    ("kind", "question"),
    [
        ("glm", {"formula": "DIED ~ COST + AGE", "family": "binomial"}),
        ("glm", {"formula": "AGE ~ ARM + COST", "family": "gaussian"}),
        ("glm", {"formula": "AGE ~ COST:ARM + COST", "family": "gaussian"}),
        ("correlation", {"variables": ["COST", "DIED"]}),
        ("cox", {"formula": "Surv(DAYS, DIED) ~ COST", "strata": ["site"]}),
        ("parametric_survival", {"formula": "Surv(DAYS, DIED) ~ COST", "distribution": "weibull"}),
        ("multinomial", {"formula": "ARM ~ COST"}),
        ("ordinal", {"formula": "ARM ~ COST"}),
    ],
)
def test_a_sum_within_a_class_or_level_is_refused(kind, question):
    """The hub sees it in X'X or X'y, whoever shows the estimates."""
    assert refused(kind, question, costs())


@pytest.mark.parametrize("people", [1, 8, 10])
def test_noise_makes_no_number_of_a_count(leak, stop, people):
    tables = jittered(people)
    question = {"formula": "Y ~ HIV", "family": "gaussian"}
    both = sum(estimates(ask("glm", question, tables)))
    count = sum(table["HIV"].sum() for table in tables)
    assert both * count == pytest.approx(people, abs=0.05)
    assert refused("glm", question, tables)
    assert refused("glm", {"formula": "DIED ~ X", "family": "binomial"}, tables)
    assert refused("correlation", {"variables": ["X", "DIED"]}, tables)
    assert refused("correlation", {"variables": ["X", "Y"]}, tables)
    assert refused("glm", {"formula": "Y ~ X", "family": "gaussian"}, tables)
    stop("refused, in every kind of model")
    leak("a count of 1, 8 or 10 beneath a trace of noise")


def test_eight_to_ten_people_are_no_eleven():
    """Of a table's mean as well."""
    for people in (8, 9, 10):
        values = np.random.default_rng(people).uniform(20, 90, ROWS) / 1e6
        values[:people] += 1.0
        assert unusual.makers(values)[1] == people


@pytest.mark.parametrize("rows", [30, 100])
def test_ordinary_numbers_are_made_by_enough(rows):
    draw = np.random.default_rng(rows)
    ordinary = (draw.normal(size=rows), draw.uniform(size=rows), np.exp(draw.normal(0, 0.5, rows)))
    for values in (*ordinary, np.floor(draw.uniform(20, 90, rows)), draw.integers(0, 5, rows), draw.poisson(2, rows)):
        assert unusual.makers(values.astype(float)).min() >= STRICT["minimum_count"]


def test_ordinary_models_are_answered():
    tables = sites()
    for table in tables:
        table["STAGE"] = np.array(["I", "II", "III"], dtype=object)[np.arange(ROWS) % 3]
    assert answered("glm", {"formula": "CHOL ~ ARM * AGE + STAGE", "family": "gaussian"}, tables)
    assert answered("glm", {"formula": "DIED ~ AGE + BMI + CHOL + ARM", "family": "binomial"}, tables)
    assert answered("cox", {"formula": "Surv(DAYS, DIED) ~ AGE + BMI + STAGE", "strata": ["site"]}, tables)
    assert answered("correlation", {"variables": ["CHOL", "BMI", "DIED"]}, tables)
    assert answered("multinomial", {"formula": "STAGE ~ AGE + CHOL + ARM"}, tables)
