"""Kruskal and Wallis' rank test of a number between groups (kind `kruskal_wallis`), as R's `kruskal.test`.

Of two groups it is the rank-sum test of Wilcoxon, Mann and Whitney without continuity correction: the statistic is its z squared
(`wilcox.test(correct = FALSE, exact = FALSE)`).

Result keys: `fit`: `statistic`, `df`, `p_value`; `cells`: per group `n` and `mean_rank`; `n`; where `exactness` is `grid` also
`bound` (no order of the rows inside the cells moves the statistic by more) and `grid`.

Rows are counted by group on public cells of the variable, as `roc` counts a marker: recorded values under open rules, a stated
grid, or the finest cuts that every site's rules allow; each cell of each group is 0 or enough people at each site. With N rows,
R_g the sum of the mid-ranks of the n_g rows of group g, and t the sizes of ties:

    H = 12 / (N (N + 1)) sum_g (R_g - n_g (N + 1) / 2)**2 / n_g / (1 - sum (t**3 - t) / (N**3 - N))

Reference: Kruskal & Wallis (1952), J Am Stat Assoc 47:583.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.statistics import cutting, grids, linear, ranks
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.cutting import Counted, Cut
from isthmus.statistics.halving import Sorted
from isthmus.statistics.histogram import grid_of, group
from isthmus.statistics.inference import chi_square_p
from isthmus.statistics.show import count, head, number
from isthmus.statistics.survival import GridWish
from isthmus.summary import FloatArray, IntArray

ORDERED = 7  # groups whose orders are all tried: 5,040
STAGES = 6  # ballots, as `roc`


@record
class KruskalWallis:
    """Arguments of `kruskal_wallis`: a number, `by` a category; `grid` else the codebook's or cuts by ballots."""

    variable: str
    by: str
    grid: GridWish | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's values by group, in order."""

    sorted: Sorted


def _needs(question: KruskalWallis) -> Needs:
    if question.variable == question.by:
        raise Invalid("E-VARIABLE", "`variable` and `by` are different variables")
    return Needs(numbers=(question.variable,), categories=(question.by,), times=(question.variable,))


def _rungs(question: KruskalWallis, dictionary: Codebook) -> tuple[Grid, ...]:
    return cutting.ladder(question.variable, dictionary, question.grid)


def _cut(question: KruskalWallis, setting: Setting) -> Cut:
    return Cut(question.variable, grids.declared(question.variable, setting.dictionary), setting.levels[question.by])


def _prepare(question: KruskalWallis, setting: Setting, inputs: Inputs) -> Rows:
    which = group(question.by, setting, inputs)
    return Rows(cutting.grouped(inputs.numbers[question.variable], which, len(setting.levels[question.by])))


def _evidence(question: KruskalWallis, setting: Setting, prepared: Rows) -> Evidence:
    counts = cutting.counts(question.variable, prepared.sorted, grid_of(setting))
    sizes = counts.sum(axis=1)
    return Evidence(
        rows=int(sizes.sum()), groups={question.by: sizes}, cells=cutting.named(_cut(question, setting), counts)
    )


def _flow(question: KruskalWallis, setting: Setting) -> Flow:
    what = _cut(question, setting)
    at = yield from cutting.searched(what, grid_of(setting), _mixed, 0 if question.grid else STAGES)
    _check(question, at.counts)
    _check_cells(question, at, setting.open_rules and question.grid is None)
    counts = {"n": Counts("size", np.array([int(at.counts.sum())])), "groups": Counts("size", at.counts.sum(axis=1))}
    single = ranks.single(at.grid, what.variable.type == "integer")
    exact = not bool(at.counts.sum(axis=0)[~single].any())
    values = {"at": at, "single": single}
    n = int(at.counts.sum())
    return Estimate("kruskal_wallis", "exact" if exact else "grid", n, at.rounds, counts=counts, values=values)


def _mixed(counts: IntArray) -> list[int]:
    """Cells with rows of more than one group: the others' order changes no rank sum."""
    return np.flatnonzero((counts > 0).sum(axis=0) > 1).tolist()


def _check(question: KruskalWallis, counts: IntArray) -> None:
    sizes = counts.sum(axis=1)
    if not sizes.sum():
        raise Invalid("E-NO-ROWS", "no row has all variables of this question", "look at `excluded`")
    if (sizes > 0).sum() < 2:
        raise Invalid("E-ONE-GROUP", f"{question.by!r} is the same in every row", "a test compares two groups or more")


def _check_cells(question: KruskalWallis, at: Counted, finest: bool) -> None:
    if (at.counts.sum(axis=0) > 0).sum() > 1:
        return
    if finest or at.grid.recorded:
        raise Invalid("E-COLLINEAR", f"column {question.variable!r} is constant", "leave it out")
    raise cutting.uncut(question.variable, "people of each group", "fewer and larger groups")


def _summarise(question: KruskalWallis, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    return cutting.summarised(_cut(question, setting), prepared.sorted, grid_of(setting).recorded, asked)


def _report(question: KruskalWallis, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    at: Counted = estimate.values["at"]
    sizes = at.counts.sum(axis=1)
    held = np.flatnonzero(sizes)
    table = at.counts[held]
    scores = ranks.mid(table.sum(axis=0))
    totals = np.array([linear.dot(row.astype(np.float64), scores) for row in table])
    statistic = _statistic(totals, table, 0.0)
    shown = dict(zip(held.tolist(), (totals / sizes[held]).tolist(), strict=True))
    names = setting.levels[question.by]
    people = estimate.counts["groups"].values.tolist()
    body: dict[str, Any] = {
        **head(estimate),
        "fit": {
            "statistic": number(statistic),
            "df": held.size - 1,
            "p_value": number(chi_square_p(statistic, held.size - 1)),
        },
        "cells": [
            {question.by: name, "n": count(people[i]), "mean_rank": number(shown.get(i, math.nan))}
            for i, name in enumerate(names)
        ],
    }
    if estimate.exactness == "grid":
        body |= {"bound": _bound(totals, table, estimate.values["single"]), "grid": {"edges": list(at.grid.edges)}}
    return body


def _statistic(totals: FloatArray, table: IntArray, moved: FloatArray | float) -> float:
    """H of rank sums (groups,), each `moved` towards its expectation, with ties by cell."""
    away = _away(totals, table)
    return float(_sized(np.sign(away) * np.maximum(np.abs(away) - moved, 0.0), table))


def _away(totals: FloatArray, table: IntArray) -> FloatArray:
    """Rank sums less their expectation."""
    found: FloatArray = totals - table.sum(axis=1) * (float(table.sum()) + 1.0) / 2.0
    return found


def _sized(away: FloatArray, table: IntArray) -> FloatArray:
    """H of rank sums' departures (..., groups), with ties by cell."""
    n, sizes = float(table.sum()), table.sum(axis=1).astype(np.float64)
    found: FloatArray = np.add.accumulate(away * away / sizes, axis=-1)[..., -1]
    return 12.0 / (n * (n + 1.0)) * found / _untied(table, n)


def _untied(table: IntArray, n: float) -> float:
    """What ties by cell leave of the ranks' variance."""
    ties = table.sum(axis=0).astype(np.float64)
    return 1.0 - float(np.add.accumulate(ties * ties * ties - ties)[-1]) / (n * n * n - n)


def _bound(totals: FloatArray, table: IntArray, single: Any) -> float:
    """How far the statistic of the rows' own ranks may lie: rank sums move by half of the pairs with other groups in a
    cell, and up to all ties of a cell of several values may be none."""
    n = float(table.sum())
    inside = table[:, ~single].astype(np.float64)
    pairs = np.add.accumulate(inside[:, None, :] * inside[None, :, :] / 2.0, axis=2)[..., -1]
    np.fill_diagonal(pairs, 0.0)
    reach = np.add.accumulate(pairs, axis=1)[:, -1]
    found = _statistic(totals, table, 0.0)
    loose = _untied(table, n) / _untied(np.where(single, table, 0), n)  # without ties the correction divides by more
    return max(_largest(totals, table, pairs) - found, found - _statistic(totals, table, reach) * loose)


def _largest(totals: FloatArray, table: IntArray, pairs: FloatArray) -> float:
    """The largest H where each two groups move apart by up to their `pairs` (groups, groups), one up and the other down.

    H is convex and the moves are a zonotope, whose corners are the orders of the groups: all are looked at, where they are
    few; else every rank sum goes its own way.
    """
    groups, away = len(pairs), _away(totals, table)
    if groups > ORDERED:
        return float(_sized(np.abs(away) + np.add.accumulate(pairs, axis=1)[:, -1], table))
    place = np.array(list(permutations(range(groups))))
    moved = pairs * np.sign(place[:, :, None] - place[:, None, :])
    return float(_sized(away + np.add.accumulate(moved, axis=2)[..., -1], table).max())


STATISTIC = Statistic(
    kind="kruskal_wallis",
    question=KruskalWallis,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
