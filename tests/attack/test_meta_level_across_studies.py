"""Attack: the same meta-analysis over arms, of those below 60 and of those below 62. Arms, grades and populations differ by
many people each; the people of one grade in one arm by three. The hub's sums of both studies tell that count, and what
else is summed over the three.

Defence: the history remembers, of a model in each level, the parts of that model within the level.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from history_lab import BOOK, Forgetful, Recalling

from attack import Attack, Say
from isthmus.disclosure.history import FAMILY, NEAR
from isthmus.federation import rowsets
from isthmus.model.codebook import Codebook, Variable

ATTACK = Attack("One grade within one arm, between two meta-analyses", "history: near an earlier set, or a union")
GRADES = Codebook(
    name="ward",
    person="id",
    variables={**BOOK.variables, "GRADE": Variable(type="category", levels=("I", "II", "III"))},
)
YOUNGER, OLDER = "AGE < 60", "AGE < 62"
BETWEEN = {("B", "I"): 12, ("A", "III"): 12, ("B", "III"): 3}
KINDS = ("multinomial", "ordinal")


def graded() -> dict[str, pa.Table]:
    """Three sites; from 60 to 62 at each those of `BETWEEN`."""
    tables = {}
    for at, name in enumerate(("leeds", "oxford", "boston")):
        draw = np.random.default_rng(at)
        groups = [(arm, grade) for (arm, grade), few in BETWEEN.items() for _ in range(few)]
        rest = 600
        arm = np.array([*draw.choice(["A", "B"], rest), *(a for a, _ in groups)])
        grade = np.array([*draw.choice(["I", "II", "III"], rest), *(g for _, g in groups)])
        age = np.concatenate(
            [np.round(draw.choice([1, -1], rest) * draw.uniform(5, 30, rest) + 61, 1), np.full(len(groups), 61.0)]
        )
        n = len(age)
        tables[name] = pa.table(
            {
                "id": [f"{at}-{k}" for k in range(n)],
                "AGE": age,
                "SBP": np.round(draw.normal(130, 15, n), 1),
                "DIED": (draw.random(n) < 0.4).astype(np.int64),
                "ARM": arm,
                "GRADE": grade,
            }
        )
    return tables


def question(kind: str) -> dict[str, dict[str, object]]:
    term = "SBP" if kind == "ordinal" else "III: SBP"
    return {"meta": {"by": "ARM", "of": {kind: {"formula": "GRADE ~ SBP"}}, "term": term, "method": "fixed"}}


@pytest.mark.parametrize("kind", KINDS)
def test_two_studies_differ_by_the_few_of_one_grade_and_arm(leak: Say, kind: str) -> None:
    sites = Forgetful(tables=graded(), codebook=GRADES)
    told = [
        np.asarray(sites.ask(where, m=question(kind)).sums["m", 1].values["1.levels"]) for where in (YOUNGER, OLDER)
    ]
    assert (told[1] - told[0]).tolist() == [36, 0, 9]  # three at each site
    leak("a count of 9, three of each site")


@pytest.mark.parametrize("kind", KINDS)
def test_through_the_sites_the_second_is_refused(stop: Say, tmp_path: Path, kind: str) -> None:
    for order in ((YOUNGER, OLDER), (OLDER, YOUNGER)):
        sites = Recalling(tables=graded(), codebook=GRADES, folder=tmp_path / order[0][-2:])
        sites.folder.mkdir()
        assert [sites.ask(where, m=question(kind)).refused("m") for where in order] == [False, True]
        assert {why for _, _, why in sites.notes} <= {NEAR, FAMILY}
    stop("the second study is refused, in either order")


def test_it_is_the_crossing_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A history of levels and grades apart answers both."""
    crossed = rowsets._parts
    monkeypatch.setattr(rowsets, "_parts", lambda *asked: ((t, m) for t, m in crossed(*asked) if t == "rows"))
    sites = Recalling(tables=graded(), codebook=GRADES, folder=tmp_path)
    assert [sites.ask(where, m=question("ordinal")).refused("m") for where in (YOUNGER, OLDER)] == [False, False]
