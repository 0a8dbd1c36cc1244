"""Cumulative incidence from counts at steps, and Gray's test of equal incidence over groups, as R's `cmprsk::cuminc`.

Reference: Gray (1988), Ann Stat 16:1141; Aalen (1978), Ann Stat 6:534 for the variance of one curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.model.errors import Invalid
from isthmus.statistics import linear
from isthmus.summary import FloatArray

ROUNDING = 1e-12  # of an incidence of 1; the last of a billion people leaves more


@dataclass(frozen=True, slots=True)
class Incidence:
    """One cause in one group, all (steps,): the incidence after each step and its standard error."""

    incidence: FloatArray
    error: FloatArray


def incidences(risk: FloatArray, events: FloatArray) -> list[Incidence]:
    """Each cause's curve from `risk` (steps,) and `events` (causes, steps); steps without anybody at risk stay flat."""
    n = np.maximum(risk, 1.0)
    every = np.where(risk > 0.0, np.minimum(events.sum(axis=0), n), 0.0)
    alive = np.multiply.accumulate(1.0 - every / n)
    before = np.concatenate([[1.0], alive[:-1]])
    return [_incidence(n, every, one, alive, before) for one in events]


def _incidence(
    n: FloatArray, every: FloatArray, events: FloatArray, alive: FloatArray, before: FloatArray
) -> Incidence:
    """Variance at step t: sum over steps j of what an event of this cause, or of another, at j does to F(t).

    Each is a square of 1 + (F(j) - F(t)) / S(j), or of (F(j) - F(t)) / S(j): sums of 1, g and g**2 give every t.
    """
    found = np.add.accumulate(before * events / n)
    found = np.where(found > 1.0 - ROUNDING, 1.0, found)
    others = every - events
    inverse = np.where(alive > 0.0, 1.0 / np.where(alive > 0.0, alive, 1.0), 0.0)
    share = found * inverse
    own = _tied(events, n) * (before / n) ** 2
    other = np.where(alive > 0.0, _tied(others, n) * (before / n) ** 2, 0.0)
    one = np.add.accumulate(own * (1.0 + share) ** 2 + other * share**2)
    two = np.add.accumulate(inverse * (own * (1.0 + share) + other * share))
    three = np.add.accumulate(inverse**2 * (own + other))
    variance = one - 2.0 * found * two + found**2 * three
    return Incidence(found, np.sqrt(np.maximum(variance, 0.0)))


def _tied(events: FloatArray, n: FloatArray) -> FloatArray:
    """Events, corrected for ties as hypergeometric counts."""
    return events * np.where(events > 1.0, 1.0 - (events - 1.0) / np.maximum(n - 1.0, 1.0), 1.0)


@dataclass(slots=True)
class _Sums:
    """Gray's score (groups - 1,) and what its variance is put together from, over the steps so far."""

    score: FloatArray
    within: FloatArray
    reach: FloatArray
    cross: FloatArray
    spread: FloatArray

    @classmethod
    def zero(cls, groups: int) -> _Sums:
        """Before the first step."""
        square = np.zeros((groups, groups))
        return cls(np.zeros(groups), square.copy(), square.copy(), square.copy(), np.zeros(groups))


@dataclass(frozen=True, slots=True)
class Contrast:
    """Gray's score (groups,), events less those expected, and its variance (groups, groups)."""

    score: FloatArray
    variance: FloatArray

    @property
    def df(self) -> int:
        """Of the test."""
        return len(self.score) - 1

    def statistic(self) -> float:
        """Chi-square of the score.

        Raises:
            Invalid: E-COLLINEAR, the groups cannot be told apart.
        """
        try:
            lower = linear.cholesky(self.variance[: self.df, : self.df])
        except linear.Dependent as error:
            raise Invalid(
                "E-COLLINEAR", "the groups cannot be told apart", "compare groups that overlap in time"
            ) from error
        half = linear.forward(lower, self.score[: self.df])
        return linear.dot(half, half)


def gray(risk: FloatArray, events: FloatArray, others: FloatArray) -> Contrast:
    """Score of equal incidence of one cause.

    Args:
        risk: (groups, steps) at risk.
        events: (groups, steps) events of the cause.
        others: (groups, steps) events of all other causes.
    """
    groups = len(risk)
    sums = _Sums.zero(groups)
    alive, incidence, pooled = np.ones(groups), np.zeros(groups), 0.0
    for n, d, o in zip(risk.T, events.T, others.T, strict=True):
        if not float(d.sum() + o.sum()) > 0.0:
            continue
        there = n > 0.0
        safe = np.where(there, n, 1.0)
        after = np.where(there, alive * (safe - d - o) / safe, alive)
        grown = np.where(there, incidence + alive * d / safe, incidence)
        weight = np.divide(
            safe, alive, out=np.zeros(groups), where=there
        )  # numbers at risk as if nobody had had another event
        whole = float(np.add.accumulate(weight)[-1])
        rise = pooled + float(np.add.accumulate(d)[-1]) / whole
        _add(sums, _Step(n, d, o, there, alive, after, incidence, weight, whole, pooled, rise))
        alive, incidence, pooled = after, grown, rise
    return _contrast(sums)


@dataclass(frozen=True, slots=True)
class _Step:
    """One step: counts (groups,), survival before and after, incidence before, weights and pooled incidence."""

    n: FloatArray
    d: FloatArray
    o: FloatArray
    there: NDArray[np.bool_]
    before: FloatArray
    after: FloatArray
    incidence: FloatArray
    weight: FloatArray
    whole: float
    pooled: float
    rise: float


def _add(sums: _Sums, step: _Step) -> None:
    deaths = float(np.add.accumulate(step.d)[-1])
    contrast = np.diag(step.weight) - step.weight[:, None] * step.weight[None, :] / step.whole
    sums.reach += contrast * (deaths / (step.whole * (1.0 - step.pooled)))
    left = np.where(step.after > 0.0, (1.0 - step.rise) / np.where(step.after > 0.0, step.after, 1.0), 0.0)
    if deaths > 0.0:
        free = step.weight * (1.0 - step.incidence)
        expected = deaths * free / float(np.add.accumulate(free)[-1])
        sums.score += np.where(step.there, step.d - expected, 0.0)
        ties = 1.0 - (deaths - 1.0) / np.maximum(step.whole * step.before - 1.0, 1e-300) if deaths > 1.0 else 1.0
        size = np.where(step.there, step.before * ties * deaths / (step.whole * np.where(step.there, step.n, 1.0)), 0.0)
        _spread(sums, contrast, 1.0 - left, size)
    other = step.there & (step.after > 0.0) & (step.o > 0.0)
    if bool(other.any()):
        n = np.where(step.there, step.n, 1.0)
        size = np.where(other, step.before**2 * _tied(step.o, n) / n**2, 0.0)
        _spread(sums, np.zeros_like(contrast), -left, size)


def _spread(sums: _Sums, direct: FloatArray, factor: FloatArray, size: FloatArray) -> None:
    """One kind of event in every group k: `size` (k,), with direct effects (i, k) and those through `reach`."""
    effect = direct - factor * sums.reach
    scaled = effect * size
    for k in range(len(size)):
        sums.within += scaled[:, k, None] * effect[None, :, k]
    sums.cross += effect * (factor * size)
    sums.spread += factor**2 * size


def _contrast(sums: _Sums) -> Contrast:
    mixed = linear.product(sums.reach, sums.cross.T)
    variance = sums.within + linear.product(sums.reach * sums.spread, sums.reach.T) + mixed + mixed.T
    return Contrast(sums.score, variance)
