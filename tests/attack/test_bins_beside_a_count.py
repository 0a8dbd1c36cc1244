"""Attack: a count of the people up to 60, then a histogram with edges 40 and 60.5. No bin is near the count, but the two
lower ones together are: less the count they give the few who are between 60 and 60.5.

Defence: the history sets the parts of a question beside an earlier set together too, not one by one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from history_lab import Forgetful, Recalling

from attack import Attack, Say
from isthmus.disclosure.history import FAMILY

ATTACK = Attack("Two bins beside an earlier count", "history: near a union of parts of the same question")
COUNT = {"count": {"where": "AGE <= 60"}}
BINS = {"histogram": {"variable": "AGE", "grid": {"edges": [40.0, 60.5, 75.0]}}}
FAR_BINS = {"histogram": {"variable": "AGE", "grid": {"edges": [40.0, 68.0, 75.0]}}}


def counts(sites: Forgetful, question: dict[str, dict]) -> np.ndarray:
    asked = sites.ask(m=question)
    assert not asked.refused("m")
    return np.concatenate([np.asarray(v).reshape(-1) for v in asked.sums["m", 1].values.values()])


def test_bare_the_bins_less_the_count_are_a_few(leak: Say) -> None:
    sites = Forgetful()
    few = counts(sites, BINS)[:2].sum() - counts(sites, COUNT)[0]
    ages = np.concatenate([np.asarray(table["AGE"]) for table in sites.tables.values()])
    assert few == np.count_nonzero((ages > 60) & (ages < 60.5))
    assert 0 < few < 11
    leak(f"a count of {few}")


def test_through_the_sites_the_histogram_is_refused(stop: Say, tmp_path: Path) -> None:
    sites = Recalling(folder=tmp_path)
    assert not sites.ask(m=COUNT).refused("m")
    assert sites.ask(m=BINS).refused("m")
    assert {why for _, _, why in sites.notes} == {FAMILY}
    stop("the histogram is refused")


def test_in_the_other_order_the_count_is(tmp_path: Path) -> None:
    sites = Recalling(folder=tmp_path)
    assert not sites.ask(m=BINS).refused("m")
    assert sites.ask(m=COUNT).refused("m")


def test_bins_that_leave_enough_are_answered(tmp_path: Path) -> None:
    sites = Recalling(folder=tmp_path)
    assert not sites.ask(m=COUNT).refused("m")
    assert not sites.ask(m=FAR_BINS).refused("m")
