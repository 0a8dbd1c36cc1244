"""Attack: a weighted survival curve on recorded days. Each step's sum of weights is one person's weight: their propensity,
and with one covariate in the model that covariate.

Defence: people of each arm in each step are cells, and so are the effective rows of their weights, once these are known.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hole_lab import ROWS, TARGET, answered, patients, refused, sites

from attack import Attack
from isthmus import strict
from isthmus.disclosure.site import shows
from isthmus.model.rules import Rules
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.statistics.contract import Grid, Round
from isthmus.statistics.effect_site import Rows
from isthmus.statistics.effect_survival import cell_layout
from isthmus.statistics.effect_survival_site import cells, summarised
from stated_rules import STRICT

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "law"))
from bare import make, over

ATTACK = Attack(
    "A step of a weighted survival curve that is one person", "minimum_count_site on steps and their effective rows"
)
QUESTION = {"treatment": "ASPIRIN", "time": "DAYS", "event": "DIED", "adjust": "AGE", "method": "iptw"}


def treated(table):
    draw = np.random.default_rng(9)
    table["ASPIRIN"] = (draw.random(ROWS) < 1 / (1 + np.exp(-(table["AGE"] - 55) / 20))).astype(float)
    return table


def test_bare_weights_give_the_age(leak):
    table, kind = treated(patients(1)), CATALOGUE["effect"]
    table["DAYS"][TARGET], table["DIED"][TARGET], table["ASPIRIN"][TARGET] = 5000.0, 1.0, 1.0
    question = strict.parse(kind.question, QUESTION)
    trace = over(kind, question, make(kind, question, table), np.arange(ROWS) % 3)
    at = next(i for i, asked in enumerate(trace.rounds) if asked.params.get("0.step") == "cells")
    weight = trace.pooled[at]["0.weights"][0, 0, -2]  # the last recorded day
    slope, start = trace.report["propensity"]["AGE"], trace.report["propensity"]["(Intercept)"]
    assert (-np.log(weight - 1.0) - start) / slope == pytest.approx(table["AGE"][TARGET])
    leak("one patient's age, exactly")


def test_a_step_of_few_is_refused(stop):
    tables = [treated(table) for table in sites()]
    wide = {**QUESTION, "grid": {"edges": [60, 200, 400]}}
    assert answered("effect", wide, tables)
    assert answered("effect", {**wide, "propensity": "site", "at": [200], "tau": 200}, tables)
    assert refused("effect", {**QUESTION, "grid": {"every": 5, "to": 500}}, tables)
    tables[0]["DAYS"][:3], tables[0]["DIED"][:3] = 700.0, 1.0
    assert refused("effect", {**QUESTION, "grid": {"edges": [60, 200, 400, 800]}}, tables)
    stop("refused: a step of few people in an arm")


PEOPLE = 40
STEP = {
    "step": "cells",
    "ps centre": np.zeros(2),
    "ps scale": np.ones(2),
    "ps coefficients": np.array([0.0, -1.0]),
}


def one_step(scores) -> Rows:
    """People of both arms in turn, all with an event in one step, who have these linear predictors of being untreated."""
    inside = np.array([1.0, 0.0] * (len(scores) // 2))
    return Rows(np.vstack([np.ones(len(scores)), scores]), inside, np.ones(len(scores)), time=np.full(len(scores), 5.0))


def shown(rows: Rows):
    """The effective rows of the step, by arm."""
    answer = summarised(rows, ("DAYS", Grid((10.0,), recorded=False)), "ATE", Round(cell_layout(1), STEP))
    return answer.cells["weights per step"]


def test_nor_do_eleven_light_people_hide_a_heavy_one(stop):
    cells = shown(one_step(np.append(6.0, np.zeros(PEOPLE - 1))))
    assert cells.min(where=cells > 0, initial=99) < 11
    assert not shows({"steps": cells}, strict.parse(Rules, STRICT, "rules")).holds
    stop("refused where one of twenty people has nearly all the weight of a step")


def test_nor_does_a_step_pass_with_fewer_effective_people_than_the_floor(stop):
    """Twelve of each arm, of whom weights leave nine or ten: no allowance is made for what is usual of weights."""
    cells = shown(one_step(np.tile([1.2, 1.2, 0.0, 0.0], 6)))
    assert 9 <= cells.min(where=cells > 0, initial=99) < 11
    assert not shows({"steps": cells}, strict.parse(Rules, STRICT, "rules")).holds
    stop("refused where twelve people of a step weigh as much as nine or ten")


@pytest.mark.parametrize(("people", "holds"), [(11, False), (13, False), (14, True)])
def test_the_vote_keeps_room_for_weights(people, holds):
    """Else it would choose steps of just enough people, which their weights refuse in mid-run."""
    found = cells(one_step(np.zeros(2 * people)), "DAYS", Grid((10.0,), recorded=False))
    assert shows(found, strict.parse(Rules, STRICT, "rules")).holds == holds
    alone = cells(one_step(np.zeros(2)), "DAYS", Grid((10.0,), recorded=False))
    assert max(int(v.max()) for v in alone.values()) == 1  # not 0, which another rule is about
