"""Late entries: whoever comes just before leaving is alone in a risk set, and few are left to be compared."""

from dataclasses import replace

import numpy as np
import pytest
from hole_lab import ROWS, STRICT, TARGET, answered, ask, refused, sites

from attack import Attack
from isthmus.evidence import Weights, weights_of
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.formula import design, parse
from isthmus.statistics.contract import Grid, Inputs, Setting
from isthmus.statistics.cox import STATISTIC, Cox
from isthmus.statistics.fine_gray import STATISTIC as FINE_GRAY
from isthmus.statistics.fine_gray import FineGray

ATTACK = Attack(
    "Late entries leave two people in the only risk set",
    "only rows at risk beside another count; who is at risk at each step is a cell; each row's own information is its weight",
)
KNOWN = 8  # the attacker's own row


def alone(table: dict) -> dict:
    """Everybody enters half a day before leaving, on a day of their own; the target stays for the attacker's event."""
    days = 10.0 + np.arange(ROWS)
    start = days - 0.5
    days[KNOWN], days[TARGET] = 900.0, 901.0
    start[[KNOWN, TARGET]] = 899.0
    died = np.ones(ROWS)
    return table | {"DAYS": days, "START": start, "DIED": died}


def asked_of_one_site(table: dict) -> tuple:
    numbers = ("START", "DAYS", "DIED", "CHOL")
    book = Codebook(name="lab", variables={n: Variable(type="number", range=(0, 1000)) for n in numbers})
    question = Cox(formula="Surv(START, DAYS, DIED) ~ CHOL", strata=("site",))
    made = design(parse(question.formula), book, {}, {})
    setting = Setting(sites=1, dictionary=book, levels={}, conf_level=0.95, design=made)
    inputs = Inputs(ROWS, {n: table[n] for n in numbers[:3]}, {}, design=table["CHOL"][None, :])
    return question, setting, STATISTIC.prepare(question, setting, inputs)


def test_bare_the_score_is_the_difference_of_two_people(leak):
    table = alone(sites()[0])
    question, setting, rows = asked_of_one_site(table)
    asked = next(STATISTIC.flow(question, setting))
    score = STATISTIC.summarise(question, setting, rows, asked).summary["score"][0] * asked.params["scale"][0]
    found = table["CHOL"][KNOWN] - 2.0 * score
    assert found == pytest.approx(table["CHOL"][TARGET], abs=1e-6)
    leak("one person's cholesterol out of the score, exactly")


def test_the_weight_guard_sees_two_rows_where_hazards_alone_would_see_all():
    question, setting, rows = asked_of_one_site(alone(sites()[0]))
    asked = next(STATISTIC.flow(question, setting))
    guard = STATISTIC.summarise(question, setting, rows, asked).weights
    assert effective(guard) == pytest.approx(2.0)
    hazards = weights_of(np.ones(ROWS), 1)  # one event in each risk set: so much everybody's hazard comes to
    assert effective(hazards) == ROWS


def effective(guard: Weights) -> float:
    return guard.total**2 / guard.squares


WHY = {"causes": {"1": "a", "2": "b"}, "cause": "a"}


def subdistribution(table: dict, others: int = 0) -> dict:
    """`others` had another event on their first days."""
    return table | {"WHY": np.where(np.arange(ROWS) < others, "2", "1").astype(object)}


def test_so_it_is_of_a_subdistribution_hazard():
    made = fine_gray_of(subdistribution(alone(sites()[0])))
    question, setting, rows = made
    asked = next(FINE_GRAY.flow(question, setting))
    answer = FINE_GRAY.summarise(question, setting, rows, asked)
    assert effective(answer.weights) == pytest.approx(2.0)
    assert FINE_GRAY.evidence(question, setting, rows).supports["rows at risk beside another"] == 2


def fine_gray_of(table: dict) -> tuple:
    book = Codebook(
        name="lab",
        variables={n: Variable(type="number", range=(0, 1000)) for n in ("START", "DAYS", "CHOL")}
        | {"WHY": Variable(type="category", levels=("0", "1", "2"))},
    )
    question = FineGray(formula="Surv(START, DAYS, WHY) ~ CHOL", strata=("site",), **WHY)
    made = design(parse("Surv(START, DAYS, WHY) ~ CHOL"), book, {}, {})
    levels = {"WHY": ("0", "1", "2")}
    setting = Setting(sites=1, dictionary=book, levels=levels, conf_level=0.95, design=made)
    codes = {"WHY": np.searchsorted(levels["WHY"], table["WHY"].astype(str)).astype(np.int32)}
    inputs = Inputs(ROWS, {n: table[n] for n in ("START", "DAYS")}, codes, design=table["CHOL"][None, :])
    return question, setting, FINE_GRAY.prepare(question, setting, inputs)


def test_through_the_site_they_are_refused(stop):
    tables = [alone(table) for table in sites()]
    assert refused("cox", {"formula": "Surv(START, DAYS, DIED) ~ CHOL", "strata": ["site"]}, tables)
    compete = [subdistribution(table, 40) for table in tables]
    gray = {"formula": "Surv(START, DAYS, WHY) ~ CHOL", "strata": ["site"], **WHY}
    assert "status" in ask("fine_gray", gray, compete, STRICT)  # no answer, or refused: nobody is beside another
    stop("refused")


def few_at_risk(table: dict, few: int) -> dict:
    """Between days 100 and 200 `few` are at risk at the site; enough leave before, and enough come and leave after."""
    early = np.arange(ROWS) < ROWS // 2
    start = np.where(early, 0.0, 250.0)
    start[ROWS // 2 : ROWS // 2 + few] = 0.0
    return table | {"START": start, "DAYS": np.where(early, 50.0, 350.0)}


@pytest.mark.parametrize("few", [0, 1, 10, 150])
def test_a_risk_set_of_few_between_entries_is_refused(few):
    tables = sites()
    tables[0] = few_at_risk(tables[0], few)
    for table in tables[1:]:
        table["START"], table["DAYS"] = np.zeros(ROWS), np.minimum(table["DAYS"], 399.0)
    question = {"formula": "Surv(START, DAYS, DIED) ~ ARM", "grid": {"edges": [100, 200, 300, 400]}}
    assert refused("cox", question, tables) is (few in {1, 10})


@pytest.mark.parametrize("few", [0, 1, 10, 150])
def test_nor_is_one_of_a_subdistribution_hazard(few):
    each, tables = np.arange(ROWS), sites()
    for table in tables:  # every cell of a step, a fate and an arm is large
        table["START"], table["DAYS"] = np.zeros(ROWS), 50.0 + 100.0 * (each % 4)
        table["WHY"] = np.array(["0", "1", "2"])[each // 4 % 3].astype(object)
        table["ARM"] = np.array(["A", "B"])[each // 12 % 2].astype(object)
    tables[0] = few_at_risk(tables[0], few)
    question = {"formula": "Surv(START, DAYS, WHY) ~ ARM", "grid": {"edges": [100, 200, 300, 400]}, **WHY}
    assert refused("fine_gray", question, tables) is (few in {1, 10})


def test_ordinary_late_entries_are_answered():
    tables = sites()
    for seed, table in enumerate(tables):
        table["DAYS"] = np.minimum(table["DAYS"], 1000.0)  # two or three beyond the grid would be a cell
        table["START"] = np.floor(np.random.default_rng(seed).uniform(0, 0.9, ROWS) * table["DAYS"])
    left = {"formula": "Surv(START, DAYS, DIED) ~ CHOL + ARM"}
    assert answered("cox", {**left, "strata": ["site"]}, tables)
    assert answered("cox", {**left, "grid": {"edges": [150, 1000]}}, tables)
    for seed, table in enumerate(tables):
        draw = np.random.default_rng(seed)
        table["WHY"] = draw.choice(["0", "1", "2"], ROWS, p=[0.3, 0.4, 0.3]).astype(object)
        table["START"][:40] = 0.0
        table["DAYS"][:40] = 500.0 + np.arange(40)  # at risk all along
    left = {"formula": "Surv(START, DAYS, WHY) ~ CHOL + ARM", **WHY}
    assert answered("fine_gray", {**left, "strata": ["site"]}, tables)
    assert answered("fine_gray", {**left, "grid": {"edges": [150, 1000]}}, tables)


def beside_another(table: dict) -> int:
    _, setting, rows = asked_of_one_site(table)
    question = Cox(formula="Surv(START, DAYS, DIED) ~ CHOL", concordance="within_sites")
    found = STATISTIC.evidence(question, replace(setting, grid=Grid((1000.0,), recorded=False)), rows)
    return int(found.sides["rows at risk beside another"][0])


def test_pairs_of_two_people_at_a_site_are_not_counted_beside_one_baseline():
    """On a grid all of them are at risk together; at recorded times, of which pairs are made, two are beside another."""
    tables = [alone(table) for table in sites()]
    for seed, table in enumerate(tables):
        table["DIED"] = np.random.default_rng(seed).choice([0.0, 1.0], ROWS)
        table["DIED"][KNOWN] = 1.0
    question = {"formula": "Surv(START, DAYS, DIED) ~ CHOL", "grid": {"edges": [1000]}}
    assert answered("cox", question, tables)
    assert beside_another(tables[0]) == 2  # so that it is refused before anything leaves, not by their weights
    assert refused("cox", {**question, "concordance": "within_sites"}, tables)
    for table in tables:
        table["START"] = np.zeros(ROWS)
    assert answered("cox", {**question, "concordance": "within_sites"}, tables)
