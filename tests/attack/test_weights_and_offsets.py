"""Weights and offsets: a sum told by degrees of freedom; rows silenced until an indicator marks one person."""

import numpy as np
import pytest
from hole_lab import ROWS, STRICT, TARGET, answered, ask, estimates, refused, sites

from attack import Attack

ATTACK = Attack(
    "Weights that carry labels (hub-chosen weights cannot be said)",
    "supports, spread and dominance of weights; no weights from outside",
    number=12,
)


def test_frequency_weights_are_no_sum(leak, stop):
    tables = sites()
    for table in tables:
        table["W"] = np.full(ROWS, 10.0)
    tables[0]["W"][TARGET] += tables[0]["CHOL"][TARGET]
    question = {"formula": "AGE ~ 1", "family": "gaussian", "weights": {"variable": "W", "kind": "frequency"}}
    found = ask("glm", question, tables)["fit"]["df_residual"] + 1 - 30 * ROWS
    assert found == tables[0]["CHOL"][TARGET]
    assert refused("glm", question, tables)
    stop("refused")
    leak("one person's cholesterol out of the degrees of freedom, exactly")


@pytest.mark.parametrize("kind", ["multinomial", "ordinal"])
def test_nor_are_those_of_an_outcome_with_levels(kind):
    tables = sites()
    for table in tables:
        table["W"] = np.full(ROWS, 10.0)
        table["GRADE"] = np.array(["low", "middle", "high"])[np.digitize(table["CHOL"], [170, 230])].astype(object)
    tables[0]["W"][TARGET] += tables[0]["CHOL"][TARGET]
    question = {"formula": "GRADE ~ AGE", "weights": {"variable": "W", "kind": "frequency"}}
    assert ask(kind, question, tables)["n"] - 30 * ROWS == tables[0]["CHOL"][TARGET]
    assert refused(kind, question, tables)
    tables[0]["W"][TARGET] = 10.0
    assert answered(kind, question, tables)


@pytest.mark.parametrize("strata", [["site"], []])
def test_nor_is_the_size_of_a_cox_model(strata):
    tables = sites()
    for table in tables:
        table["W"] = np.full(ROWS, 10.0)
    tables[0]["W"][TARGET] += tables[0]["CHOL"][TARGET]
    question = {
        "formula": "Surv(DAYS, DIED) ~ AGE",
        "strata": strata,
        "weights": {"variable": "W", "kind": "frequency"},
    }
    question |= {} if strata else {"grid": {"edges": [150]}}
    assert ask("cox", question, tables)["n"] - 30 * ROWS == tables[0]["CHOL"][TARGET]
    assert refused("cox", question, tables)
    tables[0]["W"][TARGET] = 10.0
    assert answered("cox", question, tables)


def test_degrees_of_freedom_follow_the_rounded_size():
    tables = [{k: v[: ROWS - i] for k, v in table.items()} for i, table in enumerate(sites())]
    question = {"formula": "HIV ~ AGE", "family": "binomial"}
    assert ask("glm", question, tables)["fit"]["df_residual"] == 3 * ROWS - 3 - 2
    shown = ask("glm", question, tables, STRICT)
    assert (shown["n"], shown["fit"]["df_residual"], shown["fit"]["df_null"]) == (1195, 1193, 1194)


def hidden(light: float, family: str) -> list:
    tables = sites()
    for table in tables:
        seen = table["BMI"] >= 26
        table["X"] = np.where(seen, 0.0, 1.0)
        table["W"] = np.where(seen, 1.0, light)
        table["O"] = np.log(np.maximum(table["W"], 1e-3))
    for name, value in (("X", 1.0), ("W", 1.0), ("O", 0.0)):
        tables[0][name][TARGET] = value
    return tables


@pytest.mark.parametrize("light", [0.0, 1e-9])
def test_light_rows_hide_nobody(stop, light):
    tables = hidden(light, "gaussian")
    question = {"formula": "CHOL ~ X", "family": "gaussian", "weights": {"variable": "W", "kind": "precision"}}
    assert sum(estimates(ask("glm", question, tables))) == pytest.approx(tables[0]["CHOL"][TARGET], rel=1e-3)
    assert refused("glm", question, tables)
    stop("light rows do not hide the rest")


@pytest.mark.parametrize("kind", ["multinomial", "ordinal"])
@pytest.mark.parametrize("light", [0.0, 1e-9])
def test_nor_where_the_outcome_has_levels(kind, light):
    """The two levels that X marks at the first site: the target, and those the light rows would hide them among."""
    tables = hidden(light, "gaussian")
    for table in tables:
        table["GRADE"] = np.where(table["CHOL"] > 220, "high", np.where(table["CHOL"] > 170, "middle", "low")).astype(
            object
        )
    question = {"formula": "GRADE ~ X", "weights": {"variable": "W", "kind": "precision"}}
    assert refused(kind, question, tables)
    for table in tables:
        table["X"], table["W"] = (np.arange(ROWS) % 3 == 0).astype(float), 1.0 + (np.arange(ROWS) % 4)
    assert answered(kind, question, tables)  # it was the light rows


@pytest.mark.parametrize("kind", ["glm", "ordinal"])
def test_one_row_without_weight_hides_in_no_weights_that_vary(kind):
    """Beside the same weights with its own, its part of every sum would come out; the weights themselves look ordinary."""
    tables = sites()
    for i, table in enumerate(tables):
        table["W"] = np.random.default_rng(i).uniform(0.5, 1.5, ROWS)
        table["GRADE"] = np.array(["low", "middle", "high"])[np.digitize(table["CHOL"], [170, 230])].astype(object)
    outcome = {"glm": {"formula": "CHOL ~ AGE", "family": "gaussian"}, "ordinal": {"formula": "GRADE ~ AGE"}}[kind]
    question = {**outcome, "weights": {"variable": "W", "kind": "precision"}}
    assert answered(kind, question, tables)
    tables[0]["W"][TARGET] = 0.0
    assert refused(kind, question, tables)


SURVIVAL = [
    {"distribution": "weibull"},
    {"distribution": "lognormal"},
    {"distribution": "piecewise_exponential", "cuts": [150]},
]


@pytest.mark.parametrize("survival", SURVIVAL, ids=lambda asked: asked["distribution"])
@pytest.mark.parametrize("light", [0.0, 1e-9])
def test_nor_where_the_outcome_is_a_time(survival, light):
    tables = hidden(light, "gaussian")
    question = {"formula": "Surv(DAYS, DIED) ~ X", **survival, "weights": {"variable": "W", "kind": "precision"}}
    assert refused("parametric_survival", question, tables)
    for table in tables:
        table["X"], table["W"] = (np.arange(ROWS) % 3 == 0).astype(float), 1.0 + (np.arange(ROWS) % 4)
    assert answered("parametric_survival", question, tables)  # it was the light rows


@pytest.mark.parametrize("survival", SURVIVAL, ids=lambda asked: asked["distribution"])
def test_ordinary_weights_of_times_are_answered(survival):
    tables = sites()
    for seed, table in enumerate(tables):
        table["W"] = np.random.default_rng(seed).integers(1, 5, ROWS).astype(float)
        table["WARD"] = np.arange(ROWS) % 60
    weights = {"variable": "W", "kind": "sampling"}
    question = {"formula": "Surv(DAYS, DIED) ~ AGE + ARM", **survival}
    assert answered("parametric_survival", {**question, "weights": weights}, tables)
    assert answered("parametric_survival", {**question, "robust": True}, tables)
    assert answered("parametric_survival", {**question, "cluster": "WARD"}, tables)
    for table in tables:
        table["WARD"] = (np.arange(ROWS) == TARGET).astype(int)
    assert refused("parametric_survival", {**question, "cluster": "WARD"}, tables)


def test_an_offset_silences_nobody():
    tables = hidden(0.0, "poisson")
    for table in tables:
        table["Y"] = np.where(table["O"] == 0.0, table["CHOL"], 0.0)
    question = {"formula": "Y ~ X", "family": "poisson", "offset": "O"}
    assert refused("glm", question, tables)  # exp(a + b) would be the target's value, over 1 and what the rest leaves
    for table in tables:
        table["O"], table["Y"] = np.zeros(ROWS), np.round(table["CHOL"] / 100)
    assert answered("glm", question, tables)  # it was the offset


TIMES = [
    ("cox", {"formula": "Surv(DAYS, DIED) ~ X + offset(O)", "strata": ["site"]}, 1.0),
    ("parametric_survival", {"formula": "Surv(DAYS, DIED) ~ X + offset(O)", "distribution": "weibull"}, -1.0),
    ("parametric_survival", {"formula": "Surv(DAYS, DIED) ~ X + offset(O)", "distribution": "exponential"}, -1.0),
    ("ordinal", {"formula": "GRADE ~ X + offset(O)"}, 1.0),
]


@pytest.mark.parametrize(("kind", "question", "sign"), TIMES)
def test_nor_does_one_of_times_or_levels(kind, question, sign):
    """X is 1 at the target and at those whose offset takes them out of the risk sets, the hazards, the odds."""
    tables = hidden(0.0, "poisson")
    for table in tables:
        table["GRADE"] = np.array(["low", "middle", "high"])[np.digitize(table["CHOL"], [170, 230])].astype(object)
        table["O"] = sign * table["O"] * 4
    assert refused(kind, question, tables)
    for table in tables:
        table["O"], table["X"] = np.zeros(ROWS), (np.arange(ROWS) % 3 == 0).astype(float)
    assert answered(kind, question, tables)  # it was the offset


@pytest.mark.parametrize(("kind", "question", "sign"), TIMES)
def test_nor_is_an_offset_an_indicator_of_one(kind, question, sign):
    tables = sites()
    for table in tables:
        table["X"], table["O"] = (np.arange(ROWS) % 3 == 0).astype(float), np.zeros(ROWS)
        table["GRADE"] = np.array(["low", "middle", "high"])[np.digitize(table["CHOL"], [170, 230])].astype(object)
    assert answered(kind, question, tables)
    tables[0]["O"][TARGET] = -0.5
    assert refused(kind, question, tables)


def test_bare_an_offset_leaves_one_persons_time():
    """Of the rows with X all but the target are silenced: their mean time is the target's own."""
    tables = hidden(0.0, "poisson")
    for table in tables:
        table["O"] = -2 * table["O"]
        table["DIED"] = np.where(table["X"] == 1.0, 0.0, table["DIED"])
    tables[0]["DIED"][TARGET] = 1.0
    question = {"formula": "Surv(DAYS, DIED) ~ X + offset(O)", "distribution": "exponential"}
    mean = np.exp(sum(estimates(ask("parametric_survival", question, tables))))
    assert mean == pytest.approx(tables[0]["DAYS"][TARGET], rel=1e-2)
    assert refused("parametric_survival", question, tables)


def test_ordinary_weights_and_offsets_are_answered():
    tables = sites()
    for seed, table in enumerate(tables):
        table["W"] = np.random.default_rng(seed).integers(1, 5, ROWS).astype(float)
        table["O"] = np.log(table["DAYS"])
    weights = {"variable": "W", "kind": "sampling"}
    assert answered("glm", {"formula": "HIV ~ AGE + ARM", "family": "binomial", "weights": weights}, tables)
    assert answered("glm", {"formula": "DIED ~ AGE + ARM", "family": "poisson", "offset": "O"}, tables)
    for seed, table in enumerate(tables):
        table["O"] = np.round(np.random.default_rng(seed).normal(0, 0.3, ROWS), 2)
    assert answered("cox", {"formula": "Surv(DAYS, DIED) ~ AGE + ARM", "offset": "O", "strata": ["site"]}, tables)
    accelerated = {"formula": "Surv(DAYS, DIED) ~ AGE + ARM", "offset": "O", "distribution": "weibull"}
    assert answered("parametric_survival", accelerated, tables)
