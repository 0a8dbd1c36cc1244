"""Cox models at a site: rows sorted once, sums over risk sets by blocks of event times.

Never an (n, p) cumulative sum: columns times risk are added up within blocks (`reduceat`), and only the block sums are
cumulated. The information needs no risk-set matrices: sum_j S2(t_j)/S0(t_j) = X' diag(r_i A(t_i)) X with A the
cumulated hazard, one weighted product of the columns with themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from isthmus.evidence import Weights
from isthmus.statistics import cox_robust, survival
from isthmus.statistics.chunks import CHUNK, pieces
from isthmus.statistics.cox_ties import TieIndex, Ties, TieSums, tie_index, tie_sums
from isthmus.summary import FloatArray

Params = Mapping[str, Any]
SMALLEST_ETA = -200.0  # below the largest of its stratum: exp of it squared is still a number


@dataclass(frozen=True, slots=True)
class Blocks:
    """Rows with a step, sorted by (stratum, step), cut where an event time begins.

    `rows`: (n,) positions of the sorted rows that are ever at risk at an event; `starts`: (K,) first of each block;
    `block`: (n,) block of each row; `bounds`: (strata + 1,) first block of each stratum; `events`: (E,) sorted-row
    positions of events; `event_starts`: (K,) first event of each block; `index`: its tied pairs.
    """

    rows: slice | Any
    starts: Any
    block: Any
    bounds: Any
    events: Any
    event_starts: Any
    index: TieIndex


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's rows sorted by (stratum, time): columns (p, n) about the site's own means `centre` (p,).

    `kept` holds what was derived from the rows on first use: it lives and goes with them.
    """

    columns: FloatArray
    centre: FloatArray
    time: FloatArray
    event: Any
    stratum: Any
    strata: int
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Rows."""
        return int(self.time.size)


@dataclass(slots=True)
class Totals:
    """Sums of one round at sites as strata."""

    loglik: float
    score: FloatArray
    information: FloatArray
    weights: Weights


def sorted_rows(design: FloatArray, time: FloatArray, event: FloatArray, stratum: Any, strata: int) -> Rows:
    """Sort by (stratum, time); centre each column at its mean here (the partial likelihood does not see it)."""
    order = np.lexsort((time, stratum))
    centre = design.mean(axis=1) if time.size else np.zeros(len(design))
    columns = np.ascontiguousarray(design[:, order])
    columns -= centre[:, None]
    return Rows(columns, centre, time[order], event[order] > 0.0, stratum[order], strata)


def own_blocks(rows: Rows) -> Blocks:
    """Blocks at this site's own event times."""
    if "own" not in rows.kept:
        rows.kept["own"] = _blocks(rows, survival.own_steps(rows.time))
    made: Blocks = rows.kept["own"]
    return made


def _blocks(rows: Rows, step: Any) -> Blocks:
    length = int(step.max(initial=0)) + 1
    cell = rows.stratum * length + step
    distinct, first = np.unique(cell[rows.event], return_index=True)
    of_row = np.searchsorted(distinct, cell, side="right") - 1
    same = of_row >= 0
    same[same] = distinct[of_row[same]] // length == rows.stratum[same]
    kept = np.flatnonzero(same)
    block = of_row[kept]
    starts = np.searchsorted(block, np.arange(len(distinct)), side="left")
    events = np.flatnonzero(rows.event[kept])
    bounds = np.searchsorted(distinct // length, np.arange(rows.strata + 1), side="left")
    deaths = np.diff(np.append(first, len(events))).astype(np.float64)
    whole = slice(None) if len(kept) == rows.size else kept
    return Blocks(whole, starts, block, bounds, events, first, tie_index(deaths))


@dataclass(frozen=True, slots=True)
class _RiskSets:
    """One round at this site's own event times: rows ever at risk, their risks, sums over risk sets and ties."""

    x: FloatArray
    eta: FloatArray
    risk: FloatArray
    s1: FloatArray
    d1: FloatArray
    sums: TieSums


def _risk_sets(columns: FloatArray, scale: FloatArray, blocks: Blocks, ties: Ties, params: Params) -> _RiskSets:
    x = columns if isinstance(blocks.rows, slice) else columns[:, blocks.rows]
    eta = (params["coefficients"] / scale) @ x
    eta -= _largest(eta, blocks)[blocks.block]  # per stratum: cancels in the likelihood, keeps exp in range
    risk = np.exp(np.maximum(eta, SMALLEST_ETA))
    s0 = _backward(np.add.reduceat(risk, blocks.starts), blocks)
    s1 = _backward(block_sums(x, risk, blocks.starts), blocks)
    tied = risk[blocks.events]
    d0 = np.add.reduceat(tied, blocks.event_starts)
    d1 = np.add.reduceat(x[:, blocks.events] * tied, blocks.event_starts, axis=1)
    return _RiskSets(x, eta, risk, s1, d1, tie_sums(ties, blocks.index, s0, d0))


def site_sums(rows: Rows, ties: Ties, params: Params) -> Totals:
    """Log partial likelihood, score and information of this site's strata at `coefficients`."""
    columns, scale = turned(rows, params)
    size = len(columns)
    blocks = own_blocks(rows)
    if len(blocks.starts) == 0:
        return Totals(0.0, np.zeros(size), np.zeros((size, size)), Weights(0.0, 0.0, 0.0, size))
    at = _risk_sets(columns, scale, blocks, ties, params)
    sums, s1, d1 = at.sums, at.s1, at.d1
    score = at.x[:, blocks.events].sum(axis=1) - s1 @ sums.first + d1 @ sums.first_f
    tied = at.risk[blocks.events]
    weight = at.risk * _forward(sums.first, blocks)[blocks.block]
    weight[blocks.events] -= tied * np.repeat(sums.first_f, np.diff(np.append(blocks.event_starts, len(tied))))
    np.maximum(weight, 0.0, out=weight)
    cross = (s1 * sums.second_f) @ d1.T
    information = (
        weighted_gram(at.x, weight) - (s1 * sums.second) @ s1.T + cross + cross.T - (d1 * sums.second_ff) @ d1.T
    )
    loglik = float(at.eta[blocks.events].sum()) - sums.logs
    return Totals(loglik, score / scale, information / np.outer(scale, scale), weights(weight, size))


def site_meat(rows: Rows, ties: Ties, params: Params) -> tuple[FloatArray, Weights]:
    """The middle of the sandwich over this site's strata; rows never at risk at an event have no residual."""
    columns, scale = turned(rows, params)
    blocks = own_blocks(rows)
    if len(blocks.starts) == 0:
        return np.zeros((len(columns), len(columns))), Weights(0.0, 0.0, 0.0, len(columns))
    sets = _risk_sets(columns, scale, blocks, ties, params)
    at = cox_robust.moments(sets.sums, blocks.index.counts, sets.s1, sets.d1)
    summed = replace(at, hazard=_forward(at.hazard, blocks), mean=_forward(at.mean, blocks))
    found = cox_robust.residuals(sets.x, sets.risk, blocks.block, summed, at, blocks.events)
    return cox_robust.meat(found, scale)


def turned(rows: Rows, params: Params) -> tuple[FloatArray, FloatArray]:
    """Columns in the round's coordinates up to `scale` (p,), by which sums are divided (exactly: powers of two)."""
    scale = np.asarray(params["scale"])
    if "rotation" not in params:
        return rows.columns, scale
    return (params["rotation"] / scale) @ rows.columns, np.ones_like(scale)


def weights(weight: FloatArray, parameters: int) -> Weights:
    """For the weight guard."""
    return Weights(float(weight.sum()), float(weight @ weight), float(weight.max(initial=0.0)), parameters)


def weighted_gram(x: FloatArray, weight: FloatArray) -> FloatArray:
    """x diag(weight) x' in pieces."""
    total = np.zeros((len(x), len(x)))
    root = np.sqrt(weight)
    buffer = np.empty((len(x), min(CHUNK, x.shape[1])))
    for piece in pieces(x.shape[1]):
        z = np.multiply(x[:, piece], root[piece], out=buffer[:, : piece.stop - piece.start])
        total += z @ z.T
    return total


def block_sums(x: FloatArray, weight: FloatArray, starts: Any) -> FloatArray:
    """Sums (p, K) of weighted columns within consecutive blocks, in pieces that begin anywhere."""
    total = np.zeros((len(x), len(starts)))
    buffer = np.empty((len(x), min(CHUNK, x.shape[1])))
    for piece, first, cuts in _cut(starts, x.shape[1]):
        z = np.multiply(x[:, piece], weight[piece], out=buffer[:, : piece.stop - piece.start])
        total[:, first : first + len(cuts)] += np.add.reduceat(z, cuts, axis=1)
    return total


def _cut(starts: Any, rows: int) -> Iterator[tuple[slice, int, Any]]:
    for piece in pieces(rows):
        first = int(np.searchsorted(starts, piece.start, side="right")) - 1
        last = int(np.searchsorted(starts, piece.stop, side="left"))
        yield piece, first, np.maximum(starts[first:last] - piece.start, 0)


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
