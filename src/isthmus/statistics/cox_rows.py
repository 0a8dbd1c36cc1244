"""Cox models at a site: rows sorted once, sums over risk sets by blocks of event times.

Never an (n, p) cumulative sum: columns times risk are added up within blocks (`reduceat`), and only the block sums are
cumulated. The information needs no risk-set matrices: sum_j S2(t_j)/S0(t_j) = X' diag(r_i A(t_i)) X with A the
cumulated hazard, one weighted product of the columns with themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from isthmus.evidence import Weights, weights_of
from isthmus.statistics import cox_robust, survival
from isthmus.statistics.cox_sums import block_sums, event_sums, weighted_gram
from isthmus.statistics.cox_ties import TieIndex, Ties, TieSums, tie_index, tie_sums
from isthmus.summary import FloatArray, IntArray

Params = Mapping[str, Any]
ALONE = 1e-9  # of its weight: what is left of a row alone in its risk sets is rounding
SMALLEST_ETA = -200.0  # below the largest of its stratum: exp of it squared is still a number


@dataclass(frozen=True, slots=True)
class Late:
    """Rows that came after an event time: they are not at risk there.

    `entered`: (n,) last block each row was not at risk at, -1 for none; `rows`: (m,) those with one, in its order;
    `present`, `starts`: (L,) these blocks and the first of `rows` at each.
    """

    entered: Any
    rows: Any
    present: Any
    starts: Any

    @classmethod
    def of(cls, entered: Any) -> Late:
        """From the last block each row was not at risk at."""
        order = np.argsort(entered, kind="stable")
        rows = order[np.searchsorted(entered[order], 0) :]
        present, starts = np.unique(entered[rows], return_index=True)
        return cls(entered, rows, present, starts)


@dataclass(frozen=True, slots=True)
class Blocks:
    """Rows with a step, sorted by (stratum, step), cut where an event time begins.

    `rows`: (n,) positions of the sorted rows that are ever at risk at an event; `starts`: (K,) first of each block;
    `block`: (n,) block of each row; `bounds`: (strata + 1,) first block of each stratum; `events`: (E,) sorted-row
    positions of events; `event_starts`: (K,) first event of each block; `index`: its tied pairs; `weight`: (n,) case
    weights or None; `late`: late entries or None; `alone`: log-likelihood of weighted events without company.
    """

    rows: slice | Any
    starts: Any
    block: Any
    bounds: Any
    events: Any
    event_starts: Any
    index: TieIndex
    weight: FloatArray | None
    late: Late | None
    alone: float


@dataclass(frozen=True, slots=True)
class Told:
    """What a row says beside its columns, all (n,): `entry`, `weight` and `cluster` where the question has them."""

    time: FloatArray
    event: Any
    stratum: Any
    entry: FloatArray | None = None
    weight: FloatArray | None = None
    cluster: Any = None

    def taken(self, at: Any) -> Told:
        """The rows `at`."""
        entry, weight, cluster = (None if v is None else v[at] for v in (self.entry, self.weight, self.cluster))
        return Told(self.time[at], self.event[at], self.stratum[at], entry, weight, cluster)


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's rows sorted by (stratum, time): columns (p, n) about the site's own means `centre` (p,).

    `silent`: rows without weight, which are left out. `kept` holds what was derived from the rows on first use: it
    lives and goes with them.
    """

    columns: FloatArray
    centre: FloatArray
    told: Told
    strata: int
    silent: int = 0
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Rows."""
        return int(self.told.time.size)

    @property
    def time(self) -> FloatArray:
        """When each row left."""
        return self.told.time

    @property
    def event(self) -> Any:
        """Whether with an event."""
        return self.told.event

    @property
    def stratum(self) -> Any:
        """Of each row, from 0."""
        return self.told.stratum

    @property
    def weight(self) -> FloatArray | None:
        """Case weights."""
        return self.told.weight


@dataclass(slots=True)
class Totals:
    """Sums of one round at sites as strata."""

    loglik: float
    score: FloatArray
    information: FloatArray
    weights: Weights


def sorted_rows(design: FloatArray, told: Told, strata: int) -> Rows:
    """Sort by (stratum, time); centre each column at its mean here (the partial likelihood does not see it)."""
    order = np.lexsort((told.time, told.stratum))
    silent = 0
    if told.weight is not None:
        heavy = told.weight[order] > 0.0
        silent = int(np.count_nonzero(~heavy))
        order = order[heavy]
    columns = np.ascontiguousarray(design[:, order])
    centre = columns.mean(axis=1) if order.size else np.zeros(len(design))
    columns -= centre[:, None]
    return Rows(columns, centre, told.taken(order), strata, silent)


def own_blocks(rows: Rows) -> Blocks:
    """Blocks at this site's own event times."""
    if "own" not in rows.kept:
        rows.kept["own"] = _blocks(rows)
    made: Blocks = rows.kept["own"]
    return made


def _blocks(rows: Rows) -> Blocks:
    steps = survival.own_steps(rows.time, rows.told.entry)
    length = int(steps.max(initial=0)) + 1
    cell = rows.stratum * length + steps[: rows.size]
    came = None if rows.told.entry is None else rows.stratum * length + steps[rows.size :]
    distinct = np.unique(cell[rows.event])
    block = _last(distinct, cell, length)
    kept = np.flatnonzero(block >= 0)
    if came is not None:
        entered = _last(distinct, came, length)
        first = np.searchsorted(distinct // length, rows.stratum, side="left")
        kept = np.flatnonzero(_in_company(block, np.where(entered < 0, first, entered + 1), len(distinct)))
        distinct = np.unique(cell[kept][rows.event[kept]])
    block, event = _last(distinct, cell[kept], length), rows.event[kept]
    starts = np.searchsorted(block, np.arange(len(distinct)), side="left")
    events = np.flatnonzero(event)
    event_starts = np.searchsorted(block[events], np.arange(len(distinct)), side="left")
    bounds = np.searchsorted(distinct // length, np.arange(rows.strata + 1), side="left")
    deaths = np.diff(np.append(event_starts, len(events))).astype(np.float64)
    weight = None if rows.weight is None else rows.weight[kept]
    died = None if weight is None or not len(distinct) else np.add.reduceat(weight[events], event_starts)
    whole = slice(None) if len(kept) == rows.size else kept
    late = None if came is None else Late.of(_last(distinct, came[kept], length))
    ties, alone = tie_index(deaths, died), _alone(rows, kept)
    return Blocks(whole, starts, block, bounds, events, event_starts, ties, weight, late, alone)


def _alone(rows: Rows, kept: Any) -> float:
    """What events of rows alone in their risk set add: -w log w, whatever the coefficients."""
    if rows.weight is None:
        return 0.0
    left_out = rows.event.copy()
    left_out[kept] = False
    w = rows.weight[left_out]
    return -float(w @ np.log(w))


def _in_company(block: Any, start: Any, count: int) -> Any:
    """(rows,) whether each is at risk, in blocks `start` to `block`, at an event beside another row.

    Of the others the likelihood says nothing.
    """
    at = block >= start
    came, left = (np.bincount(v[at], minlength=count) for v in (start, block))
    size = np.cumsum(came) - np.cumsum(left) + left
    shared = np.concatenate([[0], np.cumsum(size > 1)])
    return at & (shared[np.where(at, block + 1, 0)] > shared[np.where(at, start, 0)])


def _last(distinct: Any, cell: Any, length: int) -> Any:
    """Last event cell not after each row's, in its stratum; -1 where there is none."""
    found = np.searchsorted(distinct, cell, side="right") - 1
    there = found >= 0
    there[there] = distinct[found[there]] // length == cell[there] // length
    return np.where(there, found, -1)


@dataclass(frozen=True, slots=True)
class RiskSets:
    """One round at this site's own event times: rows ever at risk, their risks, sums over risk sets and ties."""

    x: FloatArray
    eta: FloatArray
    risk: FloatArray
    s1: FloatArray
    d1: FloatArray
    sums: TieSums


def risk_sets(columns: FloatArray, scale: FloatArray, blocks: Blocks, ties: Ties, params: Params) -> RiskSets:
    """At the coefficients of the round."""
    x = columns if isinstance(blocks.rows, slice) else columns[:, blocks.rows]
    eta = (params["coefficients"] / scale) @ x
    eta -= _largest(eta, blocks)[blocks.block]  # per stratum: cancels in the likelihood, keeps exp in range
    risk = np.exp(np.maximum(eta, SMALLEST_ETA))
    if blocks.weight is not None:
        risk *= blocks.weight
    s0, s1 = np.add.reduceat(risk, blocks.starts), block_sums(x, risk, blocks.starts)
    if blocks.late is not None:
        not_yet(blocks.late, x, risk, (s0, s1))
    s0, s1 = _backward(s0, blocks), _backward(s1, blocks)
    tied = risk[blocks.events]
    d0 = np.add.reduceat(tied, blocks.event_starts)
    d1 = event_sums(x, tied, blocks.events, blocks.event_starts)
    return RiskSets(x, eta, risk, s1, d1, tie_sums(ties, blocks.index, s0, d0))


def not_yet(late: Late, x: FloatArray, risk: FloatArray, sums: tuple[FloatArray, FloatArray]) -> None:
    """Take late rows out of the sums (K,) and (p, K) of the blocks before they came."""
    if len(late.rows):
        own = risk[late.rows]
        sums[0][late.present] -= np.add.reduceat(own, late.starts)
        sums[1][:, late.present] -= np.add.reduceat(x[:, late.rows] * own, late.starts, axis=1)


def exposed(cumulated: FloatArray, block: Any, late: Late | None) -> FloatArray:
    """What cumulated (..., K) adds up over the blocks that each row was at risk at: (..., n)."""
    found: FloatArray = cumulated[..., block]
    if late is not None and len(late.rows):
        found[..., late.rows] -= cumulated[..., late.entered[late.rows]]
    return found


def clusters(rows: Rows) -> IntArray:
    """(1,) clusters with a row that has a weight."""
    return np.array([0 if rows.told.cluster is None else np.unique(rows.told.cluster).size], dtype=np.int64)


def in_company(rows: Rows) -> Any:
    """Positions of the rows that were at risk at an event beside another."""
    return np.arange(rows.size)[own_blocks(rows).rows]


def site_sums(rows: Rows, ties: Ties, params: Params) -> Totals:
    """Log partial likelihood, score and information of this site's strata at `coefficients`."""
    columns, scale = turned(rows, params)
    size = len(columns)
    blocks = own_blocks(rows)
    if len(blocks.starts) == 0:
        return Totals(blocks.alone, np.zeros(size), np.zeros((size, size)), Weights(0.0, 0.0, 0.0, size))
    at = risk_sets(columns, scale, blocks, ties, params)
    sums, s1, d1 = at.sums, at.s1, at.d1
    copies = np.ones(len(blocks.events)) if blocks.weight is None else blocks.weight[blocks.events]
    score = (
        event_sums(at.x, copies, blocks.events, blocks.event_starts).sum(axis=1) - s1 @ sums.first + d1 @ sums.first_f
    )
    weight = np.maximum(row_weights(at, sums, blocks), 0.0)
    information = weighted_gram(at.x, weight) - between(at, sums)
    died = at.eta[blocks.events]
    loglik = float((died * copies).sum())
    loglik += blocks.alone - sums.logs
    guard = weights_of(weight if blocks.late is None else _apart(at, blocks, weight), size)
    return Totals(loglik, score / scale, information / np.outer(scale, scale), guard)


def row_weights(at: RiskSets, sums: TieSums, blocks: Blocks) -> FloatArray:
    """(n,) of each row in the sum of squares over risk sets, times what `sums` are of those at `at`."""
    weight = at.risk * exposed(_forward(sums.first, blocks), blocks.block, blocks.late)
    weight[blocks.events] -= at.risk[blocks.events] * sums.first_f[blocks.block[blocks.events]]
    return weight


def between(at: RiskSets, sums: TieSums) -> FloatArray:
    """(p, p) what the means of the risk sets take off it."""
    cross = (at.s1 * sums.second_f) @ at.d1.T
    return (at.s1 * sums.second) @ at.s1.T - cross - cross.T + (at.d1 * sums.second_ff) @ at.d1.T


def _apart(at: RiskSets, blocks: Blocks, weight: FloatArray) -> FloatArray:
    """(n,) what the information knows of each row alone: that of its own indicator.

    Late entries make risk sets of one or two people. A row alone in its risk set adds to `weight` and nothing to the
    information, so that many of them would hide those few whose risk sets say something.
    """
    sums = at.sums
    squares = exposed(_forward(sums.second, blocks), blocks.block, blocks.late)
    squares[blocks.events] += (sums.second_ff - 2.0 * sums.second_f)[blocks.block[blocks.events]]
    found: FloatArray = np.maximum(weight - at.risk**2 * squares, 0.0)
    found[found <= ALONE * weight] = 0.0
    return found


def site_residuals(rows: Rows, ties: Ties, params: Params) -> FloatArray:
    """(p, n) score residuals times the weights, in order of the rows; 0 for those never at risk at an event."""
    columns, scale = turned(rows, params)
    blocks, found = own_blocks(rows), np.zeros_like(columns)
    if len(blocks.starts):
        sets = risk_sets(columns, scale, blocks, ties, params)
        at = cox_robust.moments(sets.sums, blocks.index.total, sets.s1, sets.d1)
        hazard, mean = (exposed(_forward(v, blocks), blocks.block, blocks.late) for v in (at.hazard, at.mean))
        events = blocks.events
        mine = cox_robust.At(sets.x, sets.risk, blocks.weight, hazard, mean, events, blocks.block[events])
        found[:, blocks.rows] = cox_robust.residuals(mine, at)
    return found


def site_meat(rows: Rows, ties: Ties, params: Params, copies: FloatArray | None) -> tuple[FloatArray, Weights]:
    """The middle of the sandwich over this site's strata.

    `copies`: (rows,) that each row stands for, or None.
    """
    columns, scale = turned(rows, params)
    blocks = own_blocks(rows)
    if len(blocks.starts) == 0:
        return np.zeros((len(columns), len(columns))), Weights(0.0, 0.0, 0.0, len(columns))
    found = site_residuals(rows, ties, params)[:, blocks.rows]
    cluster, copies = (None if v is None else v[blocks.rows] for v in (rows.told.cluster, copies))
    return cox_robust.meat(found, scale, cluster, copies)


def turned(rows: Rows, params: Params) -> tuple[FloatArray, FloatArray]:
    """Columns in the round's coordinates up to `scale` (p,), by which sums are divided (exactly: powers of two)."""
    scale = np.asarray(params["scale"])
    if "rotation" not in params:
        return rows.columns, scale
    return (params["rotation"] / scale) @ rows.columns, np.ones_like(scale)


def _backward(values: FloatArray, blocks: Blocks) -> FloatArray:
    """Cumulate blocks (..., K) from the last time to the first, within strata."""
    for low, high in pairwise(blocks.bounds.tolist()):
        if high > low:
            values[..., low:high] = np.add.accumulate(values[..., low:high][..., ::-1], axis=-1)[..., ::-1]
    return values


def _forward(values: FloatArray, blocks: Blocks) -> FloatArray:
    """Cumulate blocks (..., K) from the first time to the last, within strata."""
    made = np.empty_like(values)
    for low, high in pairwise(blocks.bounds.tolist()):
        if high > low:
            made[..., low:high] = np.add.accumulate(values[..., low:high], axis=-1)
    return made


def _largest(eta: FloatArray, blocks: Blocks) -> FloatArray:
    """(K,) largest linear predictor of each block's stratum."""
    top = np.maximum.reduceat(eta, blocks.starts)
    for low, high in pairwise(blocks.bounds.tolist()):
        if high > low:
            top[low:high] = top[low:high].max()
    return top
