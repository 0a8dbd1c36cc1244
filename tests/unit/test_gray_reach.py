"""Whatever the order of the rows inside the steps of a grid, incidence and Gray's statistic lie within their bounds."""

from __future__ import annotations

import numpy as np
import pytest
from stat_help import report

from isthmus.model.errors import Invalid
from isthmus.statistics.cumulative_incidence import bound
from isthmus.statistics.gray import gray, incidences
from isthmus.statistics.gray_reach import Steps, gray_bound


def counted(time: np.ndarray, cause: np.ndarray, group: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, ...]:
    """(groups, steps) at risk, and of events of cause 1, of cause 2, and of censoring."""
    steps, groups = np.searchsorted(edges, time), int(group.max()) + 1
    tables = []
    for which in (1, 2, 0):
        table = np.zeros((groups, len(edges) + 1))
        np.add.at(table, (group[cause == which], steps[cause == which]), 1.0)
        tables.append(table)
    leaving = sum(tables)
    risk = leaving[:, ::-1].cumsum(axis=1)[:, ::-1]
    return risk[:, :-1], *(table[:, :-1] for table in tables)


def orders(cause: np.ndarray, draw: np.random.Generator) -> list[np.ndarray]:
    """Ranks of the rows of a step: extreme orders of what happened, and a chance one."""
    found = [
        np.array([order.index(c) for c in cause]) + draw.random(cause.size)
        for order in ([0, 1, 2], [1, 2, 0], [2, 0, 1], [1, 0, 2])
    ]
    return [*found, draw.random(cause.size)]


@pytest.mark.parametrize("width", [60.0, 90.0, 240.0, 720.0])
@pytest.mark.parametrize("seed", range(6))
def test_no_order_inside_the_steps_leaves_the_bounds(width: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    n, groups = 400, 2 + seed % 2
    group = draw.integers(0, groups, n)
    hidden = draw.exponential(300 / (1 + 0.4 * (group == 1)))
    censored = draw.uniform(1, 720 if seed % 3 else 1500, n)
    cause = np.where(hidden <= censored, 1 + (draw.random(n) < 0.3), 0)
    time = np.minimum(np.minimum(hidden, censored), 2000.0)
    edges = np.arange(width, 721.0, width)
    risk, one, two, lost = counted(time, cause, group, edges)
    found = gray(risk, one, two)
    far = gray_bound(Steps(risk, one, two, lost), found)
    spread = [bound(np.vstack([risk[g], one[g], two[g], lost[g]])) for g in range(groups)]
    step = np.searchsorted(edges, time)
    for rank in orders(cause, draw):
        for tied in (1.0, 7.0):  # sevenths of a step: some are ties
            place = rank if tied == 1.0 else np.floor(rank * tied)
            moved = np.unique(np.column_stack([step, place]), axis=0, return_inverse=True)[1].reshape(-1) + 1.0
            moved = np.where(step < len(edges), moved, np.inf)
            ends = np.array([moved[step == k].max(initial=0.0) for k in range(len(edges))])
            fine = np.unique(moved[np.isfinite(moved)])
            r, a, b, _ = counted(moved, cause, group, fine)
            exact = gray(r, a, b)
            if far is not None:
                assert abs(exact.statistic() - found.statistic()) <= far * (1 + 1e-9)
            for g in range(groups):
                usual, pooled = (
                    incidences(n_, np.array([x, y])) for n_, x, y in ((risk[g], one[g], two[g]), (r[g], a[g], b[g]))
                )
                at = np.searchsorted(fine, np.maximum.accumulate(ends), side="right") - 1
                for k in range(2):
                    gap = np.abs(usual[k].incidence - pooled[k].incidence[at])[risk[g] > 0].max(initial=0.0)
                    assert gap <= spread[g] + 1e-12


@pytest.mark.parametrize("width", [1.0, 10.0])
def test_groups_that_cannot_be_told_apart_are_named_on_a_grid_too(width: float) -> None:
    """All of the first group are gone before anybody has an event; of three groups the bound needs the variance's root."""
    draw = np.random.default_rng(1)
    time, cause = draw.uniform(11.0, 60.0, 150), draw.choice([0, 1, 2], 150)
    time[:30], cause[:30] = 5.0, 0
    asked = {"time": "t", "cause": "c", "causes": {"1": "r", "2": "d"}, "by": "g", "grid": {"every": width, "to": 60.0}}
    with pytest.raises(Invalid) as caught:
        report("cumulative_incidence", asked, {"t": time, "c": cause, "g": np.repeat(["a", "b", "c"], [30, 60, 60])})
    assert caught.value.code == "E-COLLINEAR"
