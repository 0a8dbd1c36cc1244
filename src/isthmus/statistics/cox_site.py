"""Cox models with sites as strata: a site's sums over the risk sets at its own event times.

Never an (n, p) cumulative sum: columns times risk are added up within segments of blocks (`reduceat`), and only the sums of
blocks are cumulated, from the last to the first, some thousands at a time. The information needs no risk-set matrices:
sum_j S2(t_j)/S0(t_j) = X' diag(r_i A(t_i)) X with A the cumulated hazard, one weighted product of the columns with
themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from isthmus.evidence import Weights
from isthmus.statistics import cox_robust, cox_rows
from isthmus.statistics.chunks import Guard
from isthmus.statistics.cox_blocks import Blocks, events, exposed, exposures, own_blocks
from isthmus.statistics.cox_rows import Params, Rows
from isthmus.statistics.cox_sums import Columns, forward, gram, joined, picked_sums, segment_sums
from isthmus.statistics.cox_ties import Ties, TieSums, tie_sums
from isthmus.summary import FloatArray

GROUP, ROWS = 4_096, 65_536  # blocks, and rows in them, whose sums are in hand at once
ALONE = 1e-9  # of its weight: what is left of a row alone in its risk sets is rounding
SMALLEST_ETA = -200.0  # below the largest of its stratum: exp of it squared is still a number


@dataclass(slots=True)
class Totals:
    """Sums of one round at sites as strata."""

    loglik: float
    score: FloatArray
    information: FloatArray
    weights: Weights


@dataclass(frozen=True, slots=True)
class RiskSets:
    """Sums over the risk sets `s1` and over the tied events `d1` (p, k) at some blocks, and what follows from the ties."""

    at: slice
    s1: FloatArray
    d1: FloatArray
    sums: TieSums

    def score(self) -> FloatArray:
        """What the means of the risk sets take off the columns of the events."""
        found: FloatArray = self.s1 @ self.sums.first - self.d1 @ self.sums.first_f
        return found


def site_sums(rows: Rows, ties: Ties, params: Params) -> Totals:
    """Log partial likelihood, score and information of this site's strata at `coefficients`."""
    x, scale = cox_rows.columns(rows, params)
    size, blocks = len(scale), own_blocks(rows)
    if blocks.size == 0:
        return Totals(blocks.alone, np.zeros(size), np.zeros((size, size)), Weights(0.0, 0.0, 0.0, size))
    coefficients, event_x = params["coefficients"] / scale, x.summed(blocks.x, 0.0)
    risk, shift = risks(rows, x, coefficients)
    loglik = float(coefficients @ event_x) - float(shift @ blocks.died) + blocks.alone
    score, taken = event_x.copy(), np.zeros((size, size))
    hazards, guard = np.empty((2 if blocks.late is None else 4, blocks.size)), Guard()
    for sets in risk_sets(rows, x, risk, ties):
        loglik -= sets.sums.logs
        score -= sets.score()
        taken += between(sets, sets.sums)
        hazards[:, sets.at] = _hazards(sets.sums)[: len(hazards)]
    information = gram(x, _information_weights(blocks, risk, hazards, guard)) - taken
    return Totals(loglik, score / scale, information / np.outer(scale, scale), guard.weights(size))


def _hazards(sums: TieSums) -> tuple[FloatArray, ...]:
    """Hazard of every row and what tied rows have less of it, and the same of squares: all (k,)."""
    return sums.first, sums.first_f, sums.second, 2.0 * sums.second_f - sums.second_ff


def risks(rows: Rows, x: Columns, coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(n,) risk of each row in units of its stratum's largest, times its weight, 0 where it is never at risk; (strata,) log units."""
    blocks, shift, last = own_blocks(rows), np.zeros(rows.strata), 0
    risk = x.predictor(coefficients)
    for stratum, (begin, end) in enumerate(zip(blocks.begin.tolist(), blocks.end.tolist(), strict=True)):
        if begin >= end:
            continue
        part = risk[begin:end]
        shift[stratum] = part.max() if blocks.company is None else part[blocks.company[begin:end]].max()
        part -= shift[stratum]  # cancels in the likelihood, keeps exp in range
        np.exp(np.clip(part, SMALLEST_ETA, 0.0, out=part), out=part)
        risk[last:begin], last = 0.0, end
    risk[last:] = 0.0
    if blocks.company is not None:
        risk[~blocks.company] = 0.0
    if rows.weight is not None:
        risk *= rows.weight
    return risk, shift


def risk_sets(rows: Rows, x: Columns, risk: FloatArray, ties: Ties) -> Iterator[RiskSets]:
    """Sums of groups of blocks, from the last group to the first."""
    blocks, after = own_blocks(rows), np.zeros((len(x.base) + 1, 1))
    segments = blocks.segments
    first, tied = np.append(segments.first, len(segments.block)), np.append(segments.tied_first, len(segments.tied))
    for low, high in _groups(segments.starts[first]):
        begin = first[low]
        each = segment_sums(x, risk, segments.starts[begin : first[high] + 1])
        d = joined(each[:, segments.tied[tied[low] : tied[high]] - begin], tied[low:high] - tied[low])
        if blocks.late is not None:
            present, late, starts = blocks.late.between(low, high)
            each[:, first[present] - begin] -= picked_sums(x, risk[late], late, starts)
        _backward(each, first[blocks.bounds] - begin, after)
        after, s = each[:, :1], each[:, first[low:high] - begin]
        yield RiskSets(slice(low, high), s[:-1], d[:-1], tie_sums(ties, blocks.index.part(low, high), s[-1], d[-1]))


def _groups(starts: Any) -> Iterator[tuple[int, int]]:
    """Blocks (first, end) that begin at `starts` (K + 1,), the last first: some thousands, of not too many rows."""
    high = len(starts) - 1
    while high > 0:
        low = int(np.searchsorted(starts, starts[high] - ROWS))
        low = min(max(low, high - GROUP), high - 1)
        yield low, high
        high = low


def whole_sets(rows: Rows, x: Columns, risk: FloatArray, ties: Ties) -> RiskSets:
    """Those of all blocks."""
    parts = list(risk_sets(rows, x, risk, ties))[::-1]
    s1, d1 = (np.concatenate([getattr(part, name) for part in parts], axis=1) for name in ("s1", "d1"))
    return RiskSets(slice(0, s1.shape[1]), s1, d1, TieSums.joined([part.sums for part in parts]))


def between(sets: RiskSets, sums: TieSums) -> FloatArray:
    """(p, p) what the means of the risk sets take off the squares, times what `sums` are of those at `sets`."""
    found: FloatArray = (sets.s1 * sums.second) @ sets.s1.T
    if not sums.second_f.any():  # no ties, or Breslow's
        return found
    cross = (sets.s1 * sums.second_f) @ sets.d1.T
    found += (sets.d1 * sums.second_ff) @ sets.d1.T - cross - cross.T
    return found


def row_weights(
    blocks: Blocks, risk: FloatArray, hazard: FloatArray, tied: FloatArray
) -> Iterator[tuple[slice, FloatArray]]:
    """Pieces of the rows, and the weight of each in the sum of squares over risk sets: hazards are (K,)."""
    for piece, exposure in _exposures(blocks, hazard, tied):
        yield piece, np.multiply(exposure, risk[piece], out=exposure)


def _information_weights(
    blocks: Blocks, risk: FloatArray, hazards: FloatArray, guard: Guard
) -> Iterator[tuple[slice, FloatArray]]:
    """The same, counted by the guard. Late entries make risk sets of one or two people: there the guard counts what the
    information knows of each row alone, that of its own indicator. A row alone in its risk set adds to its weight and
    nothing to the information, so that many of them would hide those few whose risk sets say something.
    """
    of_rows = row_weights(blocks, risk, hazards[0], hazards[1])
    found = ((piece, np.maximum(weight, 0.0, out=weight)) for piece, weight in of_rows)
    if blocks.late is None:
        for piece, weight in found:
            guard.weigh(weight)
            yield piece, weight
        return
    squares = _exposures(blocks, hazards[2], hazards[3])
    for (piece, weight), (_, square) in zip(found, squares, strict=True):
        apart = np.maximum(weight - risk[piece] ** 2 * square, 0.0)
        apart[apart <= ALONE * weight] = 0.0
        guard.weigh(apart)
        yield piece, weight


def _exposures(blocks: Blocks, every: FloatArray, died: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
    """Pieces of the rows, and for each `every` (K,) added up over the blocks it was at risk at, less `died` at its event."""
    return exposures(blocks.segments, blocks.late, forward(every, blocks.bounds), died)


def site_residuals(rows: Rows, ties: Ties, params: Params) -> FloatArray:
    """(p, n) score residuals times the weights, in order of the rows; 0 for those never at risk at an event."""
    x, scale = cox_rows.columns(rows, params)
    blocks = own_blocks(rows)
    if blocks.size == 0:
        return np.zeros_like(rows.columns)
    risk, _ = risks(rows, x, params["coefficients"] / scale)
    sets = whole_sets(rows, x, risk, ties)
    at = cox_robust.moments(sets.sums, blocks.index.total, sets.s1, sets.d1)
    of_row, died = blocks.segments.of_row(), events(rows)
    hazard, mean = (exposed(forward(v, blocks.bounds), of_row, blocks.late) for v in (at.hazard, at.mean))
    mine = cox_robust.At(x.at(slice(None)), risk, rows.weight, hazard, mean, died, of_row[died])
    return cox_robust.residuals(mine, at)


def site_meat(rows: Rows, ties: Ties, params: Params, copies: FloatArray | None) -> tuple[FloatArray, Weights]:
    """The middle of the sandwich over this site's strata.

    `copies`: (rows,) that each row stands for, or None.
    """
    _, scale = cox_rows.columns(rows, params)
    return cox_robust.meat(site_residuals(rows, ties, params), scale, rows.told.cluster, copies)


def _backward(values: FloatArray, bounds: Any, after: FloatArray) -> None:
    """Cumulate segments (q, k) in place from the last to the first within strata, whose `bounds` are given from the first
    of these segments; `after` (q, 1) is what the segment after them holds.
    """
    count = values.shape[1]
    for low, high in pairwise(bounds.tolist()):
        begin, end = max(low, 0), min(high, count)
        if begin < end:
            part = values[:, begin:end]
            if high > count:
                part[:, -1:] += after
            part[:] = np.add.accumulate(part[:, ::-1], axis=1)[:, ::-1]
