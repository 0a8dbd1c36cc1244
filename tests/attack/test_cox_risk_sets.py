"""Attack 8: with one baseline, sums over the rows that leave at each event time are the covariates of the one who left.

Where event times are recorded days, S1 over S0 between two of them is that patient's column. Defence: the days as they
are recorded are no grid that a floor passes, bins hold enough people and events of every level; or sites are strata, and
only score and information leave.
"""

import numpy as np
from hole_lab import ROWS, answered, refused, sites

from attack import Attack
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.formula import design, parse
from isthmus.statistics.contract import Grid, Inputs, Setting
from isthmus.statistics.cox import STATISTIC, Cox

ATTACK = Attack(
    "Cox tail: risk sets give the covariates", "minimum_count_site on bins and levels; strata = site", number=8
)
PEOPLE = 30


def test_bare_the_sums_between_two_event_days_are_one_patients_column(leak):
    draw = np.random.default_rng(8)
    days, pressure = np.arange(1.0, PEOPLE + 1), np.round(draw.normal(140, 20, PEOPLE))
    book = Codebook(name="lab", variables={n: Variable(type="number", range=(0, 300)) for n in ("T", "D", "X")})
    question = Cox(formula="Surv(T, D) ~ X", ties="breslow")
    made = design(parse(question.formula), book, {}, {})
    grid = Grid(tuple(days.tolist()), recorded=True)
    setting = Setting(sites=1, dictionary=book, levels={}, conf_level=0.95, design=made, grid=grid, open_rules=True)
    inputs = Inputs(PEOPLE, {"T": days, "D": np.ones(PEOPLE)}, {}, design=pressure[None, :])
    prepared, flow = STATISTIC.prepare(question, setting, inputs), STATISTIC.flow(question, setting)
    asked = next(flow)
    asked = flow.send(STATISTIC.summarise(question, setting, prepared, asked).summary)
    sums = STATISTIC.summarise(question, setting, prepared, asked).summary
    place = asked.params
    found = sums["s1"][0, 1:] / sums["s0"][1:] * place["scale"][0] + place["centre"][0]
    exact = int(np.sum(np.abs(found - pressure) < 1e-6))
    assert exact == PEOPLE
    leak(f"{exact} of {PEOPLE} covariates, exactly")


def unique_days():
    tables = sites()
    for table in tables:
        table["DAYS"] = 1.0 + np.random.default_rng(1).permutation(ROWS)
    return tables


def test_through_the_site_daily_risk_sets_are_refused(stop):
    model = {"formula": "Surv(DAYS, DIED) ~ CHOL + ARM"}
    assert refused("cox", {**model, "grid": {"every": 1, "to": 400}}, unique_days())
    assert refused("cox", {**model, "grid": {"every": 5, "to": 400}}, unique_days())
    stop("daily and five-day grids are refused")


def competing():
    tables = unique_days()
    for seed, table in enumerate(tables):
        table["WHY"] = np.random.default_rng(seed).choice(["0", "1", "2"], ROWS).astype(object)
    return tables


def test_so_are_those_of_a_subdistribution_hazard():
    model = {"formula": "Surv(DAYS, WHY) ~ CHOL + ARM", "causes": {"1": "a", "2": "b"}, "cause": "a"}
    assert refused("fine_gray", {**model, "grid": {"every": 1, "to": 400}}, competing())
    assert refused("fine_gray", {**model, "grid": {"every": 20, "to": 400}}, competing())
    tables = competing()
    tables[0]["WHY"][(tables[0]["DAYS"] <= 200) & (tables[0]["WHY"] == "2")] = "0"
    at = np.flatnonzero(tables[0]["DAYS"] <= 200)[:5]
    tables[0]["WHY"][at] = "2"
    one = {**model, "formula": "Surv(DAYS, WHY) ~ CHOL", "grid": {"every": 200, "to": 400}}
    assert refused("fine_gray", one, tables)  # five who stay at risk are a cell of five
    assert answered("fine_gray", one, competing())


def test_with_sites_as_strata_those_who_stay_are_nobody_or_enough():
    """A Cox model that censors them is the same but for their weights."""
    model = {
        "formula": "Surv(DAYS, WHY) ~ CHOL + ARM",
        "causes": {"1": "a", "2": "b"},
        "cause": "a",
        "strata": ["site"],
    }
    assert answered("fine_gray", model, competing())
    tables = competing()
    tables[0]["WHY"][np.flatnonzero(tables[0]["WHY"] == "2")[5:]] = "0"
    assert refused("fine_gray", model, tables)


def test_sites_as_strata_and_wide_bins_are_answered():
    assert answered("cox", {"formula": "Surv(DAYS, DIED) ~ CHOL + ARM", "strata": ["site"]}, unique_days())
    one = {"formula": "Surv(DAYS, DIED) ~ CHOL", "grid": {"every": 200, "to": 400}}
    assert answered("cox", one, unique_days())
