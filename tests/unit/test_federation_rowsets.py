"""Row sets of a question: populations, levels, cells, indicators, bins; what weighs nothing is not in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pyroaring import BitMap

from isthmus.data.dictionary import dictionary
from isthmus.disclosure.traces import people_of
from isthmus.federation.plan import make_plan
from isthmus.federation.question import Question
from isthmus.federation.rowsets import MOST_PARTS, row_sets
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.rules import OPEN
from isthmus.model.study import Study
from isthmus.statistics.contract import Inputs
from isthmus.strict import parse

BOOK = Codebook(
    name="b",
    variables={
        "age": Variable(type="number", range=(0, 100)),
        "w": Variable(type="number", range=(0, 9)),
        "dead": Variable(type="integer", range=(0, 1)),
        "arm": Variable(type="category", levels=("A", "B")),
        "sex": Variable(type="category", levels=("F", "M")),
        "ward": Variable(type="category", levels=("x", "y")),
    },
)
ROWS = 100
PEOPLE = people_of(np.arange(ROWS, dtype=np.uint64), np.arange(ROWS, dtype=np.uint64))
ARM, SEX = np.arange(ROWS) % 2, (np.arange(ROWS) >= 50).astype(int)
AGE = np.arange(ROWS, dtype=np.float64)


def question(**analysis: Any) -> Question:
    stated = {"isthmus": "study/1", "title": "t", "dataset": "b", "purpose": {"duo": "DUO:1", "text": "x"}}
    study = parse(Study, {**stated, "analyses": {"q": analysis}})
    rules = replace(OPEN, minimum_count=5)
    return make_plan("run", study, dictionary(study, BOOK, ("GB",)), rules, {}, 3).questions[1]


def sets(asked: Question, floor: int = 5, **inputs: Any) -> list[tuple[str, list[int]]]:
    ids = np.arange(ROWS, dtype=np.uint32)[::-1].copy()  # ids are in no order of the rows
    made = Inputs(**{"rows": ROWS, "numbers": {}, "codes": {}, **inputs})
    found = row_sets(asked, range(len(asked.rungs)), made, ids, PEOPLE, floor)
    assert found[0].population
    assert not any(part.population for part in found[1:])
    return [(rows.track, [ROWS - 1 - i for i in reversed(BitMap(rows.rows).to_array())]) for rows in found]


def test_a_cross_table_has_levels_and_cells_of_which_numbers_leave() -> None:
    found = sets(question(crosstab={"rows": "arm", "columns": "sex"}), codes={"arm": ARM, "sex": SEX})
    assert found[0] == ("rows", list(range(ROWS)))
    cells = [ARM == 0, ARM == 1, SEX == 0, SEX == 1, *((a == ARM) & (s == SEX) for a in (0, 1) for s in (0, 1))]
    assert sorted(found[1:]) == sorted(("cells", np.flatnonzero(cell).tolist()) for cell in cells)


def test_a_model_has_indicators_and_what_weighs_nothing_is_not_in() -> None:
    asked = question(
        glm={"formula": "age ~ arm", "family": "gaussian", "weights": {"variable": "w", "kind": "precision"}}
    )
    design = np.vstack([np.ones(ROWS), ARM.astype(np.float64)])
    weights = np.where(AGE < 10, 0.0, 1.5)
    found = sets(asked, numbers={"age": AGE, "w": weights}, design=design)
    assert found[0] == ("rows", list(range(10, ROWS)))
    assert ("rows", [i for i in range(10, ROWS) if i % 2]) in found


def test_a_histogram_has_bins_of_every_rung_that_may_be_chosen() -> None:
    asked = question(histogram={"variable": "age", "grid": {"edges": [0, 30, 60, 100]}})
    found = sets(asked, numbers={"age": AGE})
    assert found[1:] == [("cells", list(range(low, high))) for low, high in ((0, 30), (30, 60), (60, 100))]


def test_intervals_of_a_hazard_are_parts_by_event_and_by_entry() -> None:
    told = {"formula": "Surv(w, age, dead) ~ arm", "distribution": "piecewise_exponential", "cuts": [30, 60]}
    asked, dead = question(parametric_survival=told), (np.arange(ROWS) % 3 == 0).astype(np.float64)
    found = sets(asked, numbers={"w": AGE - 10.0, "age": AGE, "dead": dead}, design=ARM[None, :] * 1.0)
    for low, high in ((0, 31), (31, 61), (61, 100)):  # who leaves at a cut is in the interval before it
        assert ("cells", list(range(low, high))) in found
        assert ("cells", [i for i in range(low, high) if i % 3 == 0]) in found
    for low, high in ((0, 40), (40, 70), (70, 100)):  # who enters at a cut is in the one after
        assert ("cells", list(range(low, high))) in found


OUTCOMES = {
    "ordinal": {"formula": "sex ~ arm"},
    "multinomial": {"formula": "sex ~ arm"},
    "fine_gray": {
        "formula": "Surv(age, sex) ~ arm",
        "causes": {"M": "death"},
        "cause": "death",
        "grid": {"edges": [30, 60, 100]},
    },
}
WARD = np.arange(ROWS) // 5 % 2
TREATED = ARM[None, :].astype(np.float64)


def inside(kind: str) -> dict[str, Any]:
    design = TREATED if kind == "fine_gray" else np.vstack([np.ones((1, ROWS)), TREATED])
    return {"numbers": {"age": AGE}, "codes": {"sex": SEX, "ward": WARD}, "design": design}


@pytest.mark.parametrize("kind", OUTCOMES)
def test_levels_of_an_outcome_are_crossed_with_indicators_and_bins(kind) -> None:
    told = {**inside(kind), "codes": {"sex": SEX}}
    found = sets(question(**{kind: OUTCOMES[kind]}), **told)
    cells = [(s == SEX) & (a == ARM) for s in (0, 1) for a in (0, 1)]
    cells += [(AGE > 30) & (AGE <= 60) & (s == SEX) for s in (0, 1)] if kind == "fine_gray" else []
    assert all(("cells", np.flatnonzero(cell).tolist()) in found for cell in cells)


@pytest.mark.parametrize("kind", OUTCOMES)
def test_a_model_in_each_level_has_its_parts_within_each(kind) -> None:
    stated = {"by": "ward", "of": {kind: OUTCOMES[kind]}, "term": "arm[B]"}
    found = sets(question(meta=stated), **inside(kind))
    levels = [w == WARD for w in (0, 1)]
    cells = [level & (s == SEX) & (a == ARM) for level in levels for s in (0, 1) for a in (0, 1)]
    cells += [level & (s == SEX) for level in levels for s in (0, 1)]
    if kind == "fine_gray":
        cells += [level & (AGE > 30) & (AGE <= 60) & (s == SEX) for level in levels for s in (0, 1)]
    assert all(("rows", np.flatnonzero(level).tolist()) in found for level in levels)
    assert all(("cells", np.flatnonzero(cell).tolist()) in found for cell in cells)


def test_what_weighs_nothing_in_the_model_of_a_level_is_not_in() -> None:
    model = {"formula": "age ~ arm", "family": "gaussian", "weights": {"variable": "w", "kind": "precision"}}
    asked = question(meta={"by": "ward", "of": {"glm": model}, "term": "arm[B]"})
    told = {**inside("glm"), "codes": {"ward": WARD}, "numbers": {"age": AGE, "w": np.where(AGE < 10, 0.0, 1.5)}}
    found = sets(asked, **told)
    assert found[0] == ("rows", list(range(10, ROWS)))
    assert all(rows[0] >= 10 for _, rows in found)


def test_a_hazard_in_each_level_has_its_intervals_within_each() -> None:
    """Cuts are those of the model, and so are the parts of them."""
    model = {"formula": "Surv(age, dead) ~ arm", "distribution": "piecewise_exponential", "cuts": [30, 60]}
    asked = question(meta={"by": "ward", "of": {"parametric_survival": model}, "term": "arm[B]"})
    dead = (np.arange(ROWS) % 3 == 0).astype(np.float64)
    found = sets(asked, numbers={"age": AGE, "dead": dead}, codes={"ward": WARD}, design=TREATED)
    for level in (WARD == 0, WARD == 1):
        assert ("cells", np.flatnonzero(level & (AGE > 30) & (AGE <= 60) & (dead == 1)).tolist()) in found


def test_parts_below_the_floor_and_beyond_the_most_are_not_kept() -> None:
    asked = question(count={"by": ["arm", "sex"]})
    few = np.where(np.arange(ROWS) < 3, 1, 0)
    assert [3] not in [[len(rows)] for _, rows in sets(asked, codes={"arm": few, "sex": SEX})]
    many = np.arange(ROWS) % 50
    assert len(sets(asked, floor=1, codes={"arm": many, "sex": np.arange(ROWS)})) <= MOST_PARTS + 1
