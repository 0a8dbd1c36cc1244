"""Attack: a hazard ratio with sites as strata, where a site has one event. Of it alone are that site's score and information:
their quotient is the mean of the risk set, and with it the weight of the one who died, hence their propensity and age.

Defence: events of each arm are counted at each site, and so are the effective rows of their weights.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hole_lab import ROWS, TARGET, answered, patients, refused, sites

from attack import Attack
from isthmus import strict
from isthmus.disclosure.site import shows, weigh
from isthmus.model.rules import Rules
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.statistics.contract import Round
from isthmus.statistics.effect_hazard import SPREAD, SUMS, summarised
from isthmus.statistics.effect_site import Rows
from stated_rules import STRICT

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "law"))
from bare import make, over, split

ATTACK = Attack(
    "A hazard ratio within sites whose one event is one person",
    "minimum_count on events of each arm, minimum_count_site on their effective rows",
)
QUESTION = {
    "treatment": "ASPIRIN", "time": "DAYS", "event": "DIED", "adjust": "AGE", "method": "iptw", "strata": ["site"],
}  # fmt: skip


def treated(table):
    draw = np.random.default_rng(9)
    table["ASPIRIN"] = (draw.random(ROWS) < 1 / (1 + np.exp(-(table["AGE"] - 55) / 20))).astype(float)
    return table


def test_bare_the_sums_of_a_site_give_the_age(leak):
    tables = [treated(patients(seed)) for seed in (1, 2, 3)]
    tables[0]["DIED"][:] = 0.0
    tables[0]["DIED"][TARGET], tables[0]["ASPIRIN"][TARGET] = 1.0, 1.0
    whole = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    kind, dealt = CATALOGUE["effect"], np.arange(3).repeat(ROWS)
    question = strict.parse(kind.question, QUESTION)
    made = make(kind, question, whole)
    trace = over(kind, question, made, dealt)
    asked = next(one for one in trace.rounds if one.params.get("0.step") == "hazard")
    own = split(made.inputs, dealt, 3)[0]
    sums = kind.summarise(question, made.setting, kind.prepare(question, made.setting, own), asked).summary
    score, information = sums["0.score"][0], sums["0.information"][0, 0]
    weight = score / (1.0 - information / score)
    slope, start = trace.report["propensity"]["AGE"], trace.report["propensity"]["(Intercept)"]
    assert (-np.log(weight - 1.0) - start) / slope == pytest.approx(tables[0]["AGE"][TARGET])
    leak("the age of the one who died, exactly")


def test_a_site_of_few_events_is_refused(stop):
    tables = [treated(table) for table in sites()]
    assert answered("effect", QUESTION, tables)
    assert answered("effect", {**QUESTION, "propensity": "site", "estimand": "ATT"}, tables)
    few = np.flatnonzero((tables[0]["DIED"] > 0) & (tables[0]["ASPIRIN"] > 0))
    tables[0]["DIED"][few[3:]] = 0.0
    assert refused("effect", QUESTION, tables)
    stop("refused: few events of one arm at one site")


PEOPLE = 60


def heavy(number: float) -> tuple[Rows, dict[str, Any]]:
    """Sixty who die, of whom one has the weight 1 + exp(`number`), the others 2."""
    columns = np.vstack([np.ones(PEOPLE), np.append(number, np.zeros(PEOPLE - 1))])
    inside = np.array([1.0, 0.0] * (PEOPLE // 2))
    params = {
        "log ratio": 0.0,
        "ps centre": np.zeros(2),
        "ps scale": np.ones(2),
        "ps coefficients": np.array([0.0, -1.0]),
    }
    return Rows(columns, inside, np.ones(PEOPLE), time=np.arange(PEOPLE) + 1.0), params


@pytest.mark.parametrize(("number", "holds"), [(0.0, True), (6.0, False)])
def test_the_spread_of_the_ratio_is_weighed(number, holds):
    rows, params = heavy(number)
    asked = {**params, "step": "hazard spread", "turns": np.zeros(2), "stacked": 0}
    weights = summarised(rows, "ATE", Round(SPREAD, asked)).weights
    assert weigh(weights, strict.parse(Rules, STRICT, "rules")).holds is holds


def test_events_of_each_arm_are_known_before_the_first_round():
    table = treated(patients(1))
    table["DIED"] = ((table["ASPIRIN"] > 0) & (np.arange(ROWS) < 40)).astype(float)
    kind = CATALOGUE["effect"]
    question = strict.parse(kind.question, QUESTION)
    made = make(kind, question, table)
    found = kind.evidence(question, made.setting, kind.prepare(question, made.setting, made.inputs))
    assert 0 < found.cells["events of arms"][0] <= table["DIED"].sum()
    assert found.cells["events of arms"][1] == 0


def test_nor_do_light_events_hide_a_heavy_one(stop):
    rows, params = heavy(6.0)
    cells = summarised(rows, "ATE", Round(SUMS, {**params, "step": "hazard"})).cells
    assert cells["weighted events"].min() < 11 < PEOPLE // 2
    assert not shows(cells, strict.parse(Rules, STRICT, "rules")).holds
    stop("refused where one of thirty who died has nearly all their weight")
