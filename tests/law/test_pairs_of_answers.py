"""Whatever two studies are asked: no two answers of real sites with a history determine a cell below the floor.

The reader knows every pooled count that the hub sees, of both studies, and the size of the snapshot. Each is the sum of
an indicator over the rows. What up to three of them determine, with coefficients 1 and -1, is the same combination of
their indicators; it must not rest on 1 to floor - 1 people. The rows have no missing values: `excluded` says nothing.
One gap is known, and marked below: two parts of the later answer beside one set of the earlier.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "attack"))
from history_lab import Asked, Forgetful, Recalling

from isthmus.model.codebook import Codebook, Variable
from stated_rules import STRICT

FLOOR = STRICT["minimum_count"]
ROWS = 300
WARDS = ("x", "y", "z")
BOOK = Codebook(
    name="ward",
    person="id",
    variables={
        "AGE": Variable(type="number", range=(0, 120)),
        "SBP": Variable(type="number", range=(0, 400)),
        "DIED": Variable(type="integer", range=(0, 1)),
        "ARM": Variable(type="category", levels=("A", "B")),
        "WARD": Variable(type="category", levels=WARDS),
    },
)
Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Question:
    """One analysis: its kind, ages above or below a threshold, a ward, a grouping, and the edges of its grid."""

    kind: str
    side: str | None = None  # <= or >
    age: float = 0.0
    ward: str | None = None
    by: str | None = None
    edges: tuple[float, ...] = ()

    def stated(self) -> dict[str, Any]:
        """As a study states it."""
        by = {} if self.by is None else {"by": self.by}
        told: dict[str, dict[str, Any]] = {
            "count": {} if self.by is None else {"by": [self.by]},
            "crosstab": {"rows": "WARD", "columns": "ARM"},
            "table_one": {"variables": ["SBP", "ARM" if self.by == "WARD" else "WARD"], **by},
            "kaplan_meier": {"time": "AGE", "event": "DIED", "grid": {"edges": list(self.edges)}, **by},
            "histogram": {"variable": "AGE", "grid": {"edges": list(self.edges)}, **by},
            "glm": {"formula": "SBP ~ 1" + (f" + {self.by}" if self.by else ""), "family": "gaussian"},
        }
        conditions = [f"AGE {self.side} {self.age}"] if self.side else []
        conditions += [f"WARD = '{self.ward}'"] if self.ward else []
        where = {"where": " AND ".join(conditions)} if conditions else {}
        return {self.kind: {**told[self.kind], **where}}

    def counted(self, rows: dict[str, Any]) -> list[Mask]:
        """Indicators over the rows, one for each count that its answer shows."""
        kept = np.ones(len(rows["AGE"]), dtype=np.bool_)
        if self.side:
            kept &= rows["AGE"] <= self.age if self.side == "<=" else rows["AGE"] > self.age
        if self.ward:
            kept &= rows["WARD"] == self.ward
        groups = [kept & level for level in _levels(rows, self.by)] if self.by else [kept]
        if self.kind == "crosstab":
            return [kept & a & b for a in _levels(rows, "WARD") for b in _levels(rows, "ARM")]
        if self.kind == "table_one":
            other = _levels(rows, "ARM" if self.by == "WARD" else "WARD")
            return groups + [group & level for group in groups for level in other]
        if self.edges:
            edge: Literal["left", "right"] = "right" if self.kind == "histogram" else "left"  # whose an edge itself is
            step = np.searchsorted(np.array(self.edges), rows["AGE"], side=edge)
            *bins, beyond = [step == at for at in range(len(self.edges) + 1)]
            sides = [np.ones_like(kept)] if self.kind == "histogram" else [rows["DIED"] == 1, rows["DIED"] == 0]
            return [g & b & side for g in groups for b in bins for side in sides] + [g & beyond for g in groups]
        if self.kind == "glm":
            return [kept]
        return groups


def _levels(rows: dict[str, Any], name: str) -> list[Mask]:
    return [rows[name] == level for level in (WARDS if name == "WARD" else ("A", "B"))]


def wards(seed: int) -> dict[str, pa.Table]:
    """Three small sites."""
    draw = np.random.default_rng(seed)
    return {
        name: pa.table(
            {
                "id": [f"{name}-{i}" for i in range(ROWS)],
                "AGE": np.round(draw.uniform(20, 90, ROWS), 1),
                "SBP": np.round(draw.normal(130, 15, ROWS), 1),
                "DIED": (draw.random(ROWS) < 0.5).astype(np.int64),
                "ARM": draw.choice(["A", "B"], ROWS),
                "WARD": draw.choice(WARDS, ROWS, p=[0.4, 0.35, 0.25]),
            }
        )
        for name in ("leeds", "oxford", "boston")
    }


def pooled(tables: dict[str, pa.Table]) -> dict[str, Any]:
    return {name: np.concatenate([np.asarray(t[name]) for t in tables.values()]) for name in BOOK.variables}


def told(sites: Forgetful, questions: Sequence[Question]) -> list[list[Mask]]:
    """What the reader knows of the snapshot and of each answer in turn: the indicators of all counts, each of which
    is seen in the hub's sums."""
    rows = pooled(sites.tables)
    known = [[np.ones(len(rows["AGE"]), dtype=np.bool_)]]
    for question in questions:
        asked = sites.ask(m=question.stated())
        shown = [] if asked.refused("m") else question.counted(rows)
        assert {int(mask.sum()) for mask in shown} <= whole_numbers(asked), question
        known.append(shown)
    return known


def whole_numbers(asked: Asked) -> set[int]:
    """Every whole number in the sums of a study."""
    fields = [value for (name, _), s in asked.sums.items() if name == "m" for value in s.values.values()]
    return {int(v) for value in fields for v in np.asarray(value).reshape(-1) if float(v).is_integer()}


def determined(known: Sequence[Sequence[Mask]], *, of_the_last: int = 3) -> int | None:
    """The least number of people, 1 to floor - 1, on whom a sum or difference of up to three counts rests, at most
    `of_the_last` of them of the last answer; None where there is none."""
    masks = {
        mask.tobytes(): (mask, at == len(known) - 1) for at, shown in reversed([*enumerate(known)]) for mask in shown
    }
    made = np.array([mask for mask, _ in masks.values()], dtype=np.int8)
    last = np.array([late for _, late in masks.values()])
    least = FLOOR
    for many in (1, 2, 3):
        for chosen in map(list, combinations(range(len(made)), many)):
            if np.count_nonzero(last[chosen]) > of_the_last:
                continue
            for signs in product((1, -1), repeat=many - 1):
                people = np.count_nonzero(np.array([1, *signs], dtype=np.int8) @ made[chosen])
                least = min(least, people or FLOOR)
    return least if least < FLOOR else None


THRESHOLDS = st.builds(lambda base, more: round(base + more, 1), st.just(50.0), st.sampled_from([0.0, 0.3, 0.6, 12.0]))


@st.composite
def questions(draw: st.DrawFn) -> Question:
    """Ages are cut at few places, so that two questions are often nearly alike."""
    kind = draw(st.sampled_from(["count", "crosstab", "table_one", "kaplan_meier", "glm", "histogram"]))
    side = draw(st.sampled_from(["<=", ">"])) if kind != "kaplan_meier" else None
    edges = (
        tuple(sorted(draw(st.sets(THRESHOLDS, min_size=1, max_size=2))))
        if kind in {"kaplan_meier", "histogram"}
        else ()
    )
    return Question(
        kind=kind,
        side=side,
        age=draw(THRESHOLDS) if side else 0.0,
        ward=draw(st.sampled_from([None, None, None, "x"])) if kind in {"count", "glm"} else None,
        by=draw(st.sampled_from([None, None, "ARM"])) if kind != "crosstab" else None,
        edges=edges,
    )


def remembered(seed: int, pair: Sequence[Question]) -> list[list[Mask]]:
    """What a reader knows from sites with a history."""
    with tempfile.TemporaryDirectory() as folder:
        return told(Recalling(tables=wards(seed), folder=Path(folder), codebook=BOOK), pair)


PAIRS = (st.integers(0, 9999), st.tuples(questions(), questions()))


@settings(max_examples=4)
@given(*PAIRS)
def test_no_pair_of_answers_determines_a_small_cell(seed: int, pair: tuple[Question, Question]) -> None:
    assert determined(remembered(seed, pair), of_the_last=2) is None


@pytest.mark.long
@settings(max_examples=60)
@given(*PAIRS)
def test_no_pair_of_many_determines_a_small_cell(seed: int, pair: tuple[Question, Question]) -> None:
    assert determined(remembered(seed, pair), of_the_last=2) is None


NEARLY_ALIKE = [
    (Question("count", "<=", 60.0), Question("glm", "<=", 60.5)),
    (Question("count", ">", 40.0, by="ARM"), Question("kaplan_meier", edges=(40.6,))),
    (Question("histogram", edges=(40.0, 60.5, 75.0)), Question("count", "<=", 60.0)),
]


@pytest.mark.parametrize("pair", NEARLY_ALIKE)
def test_without_a_history_such_pairs_do(pair: tuple[Question, Question]) -> None:
    forgetful = Forgetful(tables=wards(1), codebook=BOOK)
    assert determined(told(forgetful, pair)) is not None
    assert determined(remembered(1, pair)) is None


def test_a_count_before_the_bins_that_nearly_make_it_up() -> None:
    """History: 1_U - 1_M1 - 1_M2 with U earlier and both others parts of one later question, and the other way about."""
    assert determined(remembered(1, NEARLY_ALIKE[2])) is None
    assert determined(remembered(1, (NEARLY_ALIKE[2][1], NEARLY_ALIKE[2][0]))) is None
