"""Kruskal and Wallis' test on a grid: what the order of rows inside cells can do to the statistic."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from stat_help import run

from isthmus.statistics import kruskal_wallis as kw
from isthmus.statistics import ranks

TABLE = np.array([[2, 1], [1, 2], [1, 1]])  # three groups in two cells


def orders() -> list[np.ndarray]:
    """Rank sums (3,) for every order of the rows inside the cells."""
    cells = [np.repeat(np.arange(3), column) for column in TABLE.T]
    every = [sorted(set(permutations(cell.tolist()))) for cell in cells]
    place = np.arange(1, TABLE.sum() + 1)
    return [np.bincount(np.concatenate(rows), weights=place, minlength=3) for rows in product(*every)]


def pairs() -> np.ndarray:
    made = (TABLE[:, None, :] * TABLE[None, :, :] / 2.0).sum(axis=2)
    np.fill_diagonal(made, 0.0)
    return made


def test_the_largest_statistic_is_that_of_an_order_of_the_groups() -> None:
    totals = TABLE @ ranks.mid(TABLE.sum(axis=0))
    found = kw._largest(totals, TABLE, pairs())
    every = [float(kw._sized(kw._away(found, TABLE), TABLE)) for found in orders()]
    assert found == pytest.approx(max(every), rel=1e-12)


def test_groups_that_are_many_go_their_own_ways_and_no_less_far(monkeypatch: pytest.MonkeyPatch) -> None:
    totals = TABLE @ ranks.mid(TABLE.sum(axis=0))
    by_order = kw._largest(totals, TABLE, pairs())
    monkeypatch.setattr(kw, "ORDERED", 2)
    assert kw._largest(totals, TABLE, pairs()) > by_order


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_the_bound_covers_every_order_of_the_rows(groups: int) -> None:
    draw = np.random.default_rng(groups)
    arm = draw.integers(0, groups, 400)
    table = {"x": draw.normal(size=400) + 0.2 * arm, "arm": np.array([f"g{k}" for k in arm], dtype=object)}
    asked = {"variable": "x", "by": "arm", "grid": {"edges": [-1.0, -0.5, 0.0, 0.5, 1.0]}}
    coarse = run("kruskal_wallis", asked, table).report
    exact = run("kruskal_wallis", {"variable": "x", "by": "arm"}, table).report
    away = abs(exact["fit"]["statistic"] - coarse["fit"]["statistic"])
    assert 0.0 < away <= coarse["bound"]
