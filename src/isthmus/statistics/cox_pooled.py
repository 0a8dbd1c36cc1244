"""Pooled risk sets of a Cox model with one baseline: what follows from the summed rounds, elementwise only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from isthmus.statistics import cox_robust, linear
from isthmus.statistics.cox_sums import forward
from isthmus.statistics.cox_ties import TieIndex, Ties, TieSums, tie_index, tie_sums
from isthmus.summary import FloatArray, IntArray, Summary


@dataclass(frozen=True, slots=True)
class EventBlocks:
    """Pooled event times: `block_of` (cells,), per stratum `bounds`, `steps` (events,) of the blocks with events, events `deaths` (K,), leavers (K,) per block.

    Block 0 of each stratum holds the rows that leave before its first event: never at risk at one. `weight` (K,): of
    the events, None without case weights; `entering` (K,): rows that came after the block's event, before the next.
    """

    block_of: FloatArray
    steps: IntArray
    bounds: tuple[int, ...]
    deaths: FloatArray
    leaving: FloatArray
    entering: FloatArray
    weight: FloatArray | None = None

    @property
    def with_events(self) -> Any:
        """Positions of the blocks that have events."""
        return np.flatnonzero(self.deaths > 0.0)

    @property
    def total(self) -> float:
        """Summed weight of all events."""
        return float(linear.total((self.deaths if self.weight is None else self.weight)[None, :])[0])

    def at_risk(self) -> FloatArray:
        """Rows at risk at the blocks with events."""
        return cumulated(self, self.leaving - self.entering)

    def tie_index(self) -> TieIndex:
        """Of the blocks with events."""
        at = self.with_events
        return tie_index(self.deaths[at], None if self.weight is None else self.weight[at])


def event_blocks(strata: int, pooled: Summary) -> EventBlocks:
    """Join the cells after each event time up to the next, within strata: from the first round's counts."""
    cells = pooled["events"].reshape(strata, -1)
    table = cells[:, :-1]
    block_of = np.zeros(cells.shape)
    bounds, deaths = [0], []
    for s in range(strata):
        died = table[s] > 0.0
        block_of[s, :-1] = bounds[-1] + np.add.accumulate(died)
        block_of[s, -1] = bounds[-1] + int(died.sum())
        deaths += [0.0, *table[s][died].tolist()]
        bounds.append(len(deaths))
    flat = block_of.reshape(-1)
    place: Callable[[FloatArray], FloatArray] = lambda counts: np.bincount(  # noqa: E731
        flat.astype(np.intp), weights=counts, minlength=len(deaths)
    ).astype(np.float64)
    entering = np.zeros(len(deaths))
    if "entries" in pooled.values:
        came = pooled["entries"].reshape(strata, -1)
        entering = place(np.concatenate([came[:, 1:], np.zeros((strata, 1))], axis=1).reshape(-1))
    weight = place(pooled["event_weight"]) if "event_weight" in pooled.values else None
    steps = np.nonzero(table > 0.0)[1].astype(np.int64)
    return EventBlocks(flat, steps, tuple(bounds), np.array(deaths), place(pooled["rows"]), entering, weight)


def cumulated(blocks: EventBlocks, parts: FloatArray) -> FloatArray:
    """Risk-set sums (..., K) at the blocks with events: from the last time to the first, within strata."""
    made = np.empty_like(parts)
    for low, high in pairwise(blocks.bounds):
        made[..., low:high] = np.add.accumulate(parts[..., low:high][..., ::-1], axis=-1)[..., ::-1]
    kept: FloatArray = made[..., blocks.with_events]
    return kept


@dataclass(frozen=True, slots=True)
class RiskSets:
    """Pooled sums over the risk sets of the blocks with events (K,), elementwise only."""

    blocks: EventBlocks
    s0: FloatArray
    s1: FloatArray
    d1: FloatArray
    event_x: FloatArray
    sums: TieSums
    event_offset: float = 0.0

    @classmethod
    def of(cls, ties: Ties, blocks: EventBlocks, s0: FloatArray, pooled: Any) -> RiskSets:
        """From round A and its cumulated, positive risks `s0` (K,)."""
        at = blocks.with_events
        efron = ties == "efron"
        d0 = pooled["d0"][at] if efron else np.zeros(len(at))
        d1 = pooled["d1"][:, at] if efron else np.zeros((len(pooled["s1"]), len(at)))
        sums = tie_sums(ties, blocks.tie_index(), s0, d0)
        return cls(blocks, s0, cumulated(blocks, pooled["s1"]), d1, pooled["event_x"], sums)

    def loglik(self, coefficients: FloatArray) -> float:
        """Log partial likelihood."""
        return linear.dot(coefficients, self.event_x) + self.event_offset - self.sums.logs

    def score(self) -> FloatArray:
        """Gradient (p,)."""
        return self.event_x - linear.total(self.s1 * self.sums.first) + linear.total(self.d1 * self.sums.first_f)

    def hazards(self, sums: TieSums) -> dict[str, Any]:
        """Cumulative hazard and tied part per block, for round B."""
        at, size = self.blocks.with_events, len(self.blocks.deaths)
        hazard, tied = np.zeros(size), np.zeros(size)
        hazard[at], tied[at] = sums.first, sums.first_f
        return {"hazard": forward(hazard, self.blocks.bounds), "tied": tied}

    def moments(self) -> dict[str, Any]:
        """What score residuals need at each block, for the sandwich."""
        at, size = self.blocks.with_events, len(self.blocks.deaths)
        found = cox_robust.moments(self.sums, self.blocks.tie_index().total, self.s1, self.d1)
        spread = {}
        for name in ("hazard", "tied", "mean", "tied_mean", "average"):
            values = getattr(found, name)
            spread[name] = np.zeros((*values.shape[:-1], size))
            spread[name][..., at] = values
        for name, source in (("cumulated", "hazard"), ("cumulated_mean", "mean")):
            spread[name] = forward(spread[source], self.blocks.bounds)
        return spread

    def squares(self, sums: TieSums) -> FloatArray:
        """Sum over events of mean x mean', (p, p)."""
        left = self.s1 * sums.second - self.d1 * sums.second_f
        right = self.d1 * sums.second_ff - self.s1 * sums.second_f
        made = np.array(
            [linear.total(a * self.s1) + linear.total(b * self.d1) for a, b in zip(left, right, strict=True)]
        )
        middle: FloatArray = (made + made.T) / 2.0
        return middle
