"""Where a site's sorted rows stand among its own event times: blocks, late entries, strata."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.statistics import survival
from isthmus.statistics.cox_rows import Rows
from isthmus.statistics.cox_sums import Segments
from isthmus.statistics.cox_ties import TieIndex, tie_index
from isthmus.summary import FloatArray


@dataclass(frozen=True, slots=True)
class Late:
    """Rows that came after an event time: they are not at risk there.

    `entered`: (n,) last block each row was not at risk at, -1 for none; `rows`: (m,) those with one, in its order;
    `present`, `starts`: (L,) these blocks, (L + 1,) the first of `rows` at each and the end.
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
        return cls(entered, rows, present, np.append(starts, len(rows)))

    def between(self, low: int, high: int) -> tuple[Any, Any, Any]:
        """`present`, `rows` and `starts` among these rows of the blocks from `low` to before `high`."""
        first, last = np.searchsorted(self.present, [low, high])
        starts = self.starts[first : last + 1]
        return self.present[first:last], self.rows[starts[0] : starts[-1]], starts - starts[0]


def exposed(cumulated: FloatArray, block: Any, late: Late | None) -> FloatArray:
    """What cumulated (..., K) adds up over the blocks that each row was at risk at: (..., n)."""
    found: FloatArray = cumulated[..., block]
    if late is not None and len(late.rows):
        found[..., late.rows] -= cumulated[..., late.entered[late.rows]]
    return found


def exposures(
    segments: Segments, late: Late | None, cumulated: FloatArray, tied: FloatArray
) -> Iterator[tuple[slice, FloatArray]]:
    """Pieces of the rows, and the `cumulated` hazard (K,) of each, less what its event takes off as one of the `tied` (K,)."""
    values = cumulated[segments.block]
    values[segments.tied] -= tied[segments.block[segments.tied]]
    before = np.append(cumulated, 0.0)  # at -1: no late entry
    for piece, exposure in segments.parts(values):
        if late is not None:
            exposure -= before[late.entered[piece]]
        yield piece, exposure


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks begin at an event time, K in all.

    `segments`: who had the event, who left then without or before the next; `bounds`: (strata + 1,) first block of each
    stratum; `begin`, `end`: (strata,) its rows that left at its first event or later; `company`: (n,) rows at risk at an event
    beside another, None where that is all of these; `index`: tied pairs; `late`: late entries or None.
    Of the events among them: `x` (p,) their columns and `died` (strata,) their weights, summed. `alone`: what of the
    log-likelihood knows no coefficient: weighted events without company, offsets of events.
    """

    segments: Segments
    bounds: Any
    begin: Any
    end: Any
    company: Any
    index: TieIndex
    late: Late | None
    x: FloatArray
    died: FloatArray
    alone: float

    @property
    def size(self) -> int:
        """K."""
        return len(self.index.counts)


def own_blocks(rows: Rows) -> Blocks:
    """Blocks at this site's own event times."""
    if "own" not in rows.kept:
        rows.kept["own"] = _blocks(rows)
    made: Blocks = rows.kept["own"]
    return made


def in_company(rows: Rows) -> Any:
    """Positions of the rows that were at risk at an event beside another."""
    blocks = own_blocks(rows)
    if blocks.company is not None:
        return np.flatnonzero(blocks.company)
    ranges = zip(blocks.begin.tolist(), blocks.end.tolist(), strict=True)
    return np.concatenate([np.arange(begin, end) for begin, end in ranges])


def events(rows: Rows) -> Any:
    """Positions of the events in the likelihood."""
    company = own_blocks(rows).company
    return np.flatnonzero(rows.event if company is None else rows.event & company)


def _blocks(rows: Rows) -> Blocks:
    steps = survival.own_steps(rows.time, rows.told.entry, rows.told.near)
    length = int(steps.max(initial=0)) + 1
    cell = rows.stratum * length + steps[: rows.size]
    event, company, late = rows.event, None, None
    distinct = np.unique(cell[event])
    if rows.told.entry is not None:
        came = rows.stratum * length + steps[rows.size :]
        first, entered = np.searchsorted(distinct // length, rows.stratum), _last(distinct, came, length)
        start = np.where(entered < 0, first, entered + 1)
        company = _in_company(_last(distinct, cell, length), start, len(distinct))
        event = event & company
        distinct = np.unique(cell[event])
        late = Late.of(np.where(company, _last(distinct, came, length), -1))
    bounds = np.searchsorted(distinct // length, np.arange(rows.strata + 1))
    # Who left before the first event of a stratum stands in the last block of the one before, without a risk.
    segments = Segments.of(np.searchsorted(distinct, cell, side="right") - 1, event)
    strata = np.arange(rows.strata)
    begin, end = _begin(segments, bounds, rows.size), np.searchsorted(rows.stratum, strata, side="right")
    index, died = _died(rows, np.flatnonzero(event), np.searchsorted(distinct, cell[event]), len(distinct))
    x, alone = summed(rows, np.flatnonzero(event)), _alone(rows, event) + offset_of(rows, np.flatnonzero(event))
    return Blocks(segments, bounds, begin, np.maximum(begin, end), company, index, late, x, died, alone)


def _begin(segments: Segments, bounds: Any, rows: int) -> Any:
    """(strata,) first row of the first block of each stratum; `rows` where it has none."""
    first = np.append(segments.starts[segments.first], rows)
    return np.where(np.diff(bounds) > 0, first[np.minimum(bounds[:-1], len(first) - 1)], rows)


def _died(rows: Rows, events: Any, block: Any, count: int) -> tuple[TieIndex, Any]:
    """Tied pairs, and the weight of the events in each stratum."""
    weight = None if rows.weight is None else rows.weight[events]
    deaths, heavy = (np.bincount(block, weights=w, minlength=count).astype(np.float64) for w in (None, weight))
    return tie_index(deaths, None if weight is None else heavy), np.bincount(
        rows.stratum[events], weights=weight, minlength=rows.strata
    )


def summed(rows: Rows, at: Any) -> FloatArray:
    """(p,) columns summed over the rows at some positions, with their weights."""
    weight = None if rows.weight is None else rows.weight[at]
    return np.array([line[at].sum() if weight is None else line[at] @ weight for line in rows.columns])


def offset_of(rows: Rows, at: Any) -> float:
    """Offsets summed over the rows at some positions, with their weights."""
    if rows.told.offset is None:
        return 0.0
    found = rows.told.offset[at]
    return float(found.sum() if rows.weight is None else found @ rows.weight[at])


def _alone(rows: Rows, event: Any) -> float:
    """What events of rows alone in their risk set add: -w log w, whatever the coefficients."""
    if rows.weight is None:
        return 0.0
    w = rows.weight[rows.event & ~event]
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
