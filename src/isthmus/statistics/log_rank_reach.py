"""How far a log-rank statistic on a grid can be from that of the recorded times.

Inside a step nobody knows the order of events and censoring. Whoever is at risk at an event there, group g's share of
them is least when all of g that leave in the step have left, and largest when all others that do have left. This
brackets expected events and variances, term by term, and with them the statistic. With rho above 0, the weight S(t-)**rho of an
event of a step is largest at its start, when all events before came before any censoring, and least at its end, when all
came after.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from isthmus.statistics import linear
from isthmus.summary import FloatArray


@dataclass(frozen=True, slots=True)
class Tables:
    """Pooled counts (strata, groups, steps), those at risk at the start of each step, and the power of the weights."""

    events: FloatArray
    censored: FloatArray
    risk: FloatArray
    rho: float


@dataclass(frozen=True, slots=True)
class Reach:
    """Largest distances from the sums on the grid: of observed less expected (groups,), of the variance (groups, groups)."""

    gap: FloatArray
    variance: FloatArray


def reach(tables: Tables, gap: FloatArray, variance: FloatArray) -> Reach:
    """Over every order inside the steps, from `gap` (groups,) and `variance` (groups, groups) on the grid."""
    events, risk = tables.events, tables.risk
    left = risk - events - tables.censored
    n, stay = risk.sum(axis=1, keepdims=True), left.sum(axis=1, keepdims=True)
    d = events.sum(axis=1)
    low = left / np.maximum(left + n - risk, 1.0)
    others = stay - left
    high = np.where(risk > 0.0, risk / np.maximum(risk + others, 1.0), 0.0)
    tied = (stay + d[:, None, :])[:, 0, :]  # at risk if all censoring comes first
    factor = np.where(tied > 1.0, np.maximum(tied - d, 0.0) / np.maximum(tied - 1.0, 1.0), 0.0)  # all events at once
    small, large = _weights(d, n[:, 0, :], tied, tables.rho)
    ends = _gap_ends(events, (low, high), (small, large))
    off = np.maximum(ends[1] - gap, gap - ends[0])
    return Reach(off, _spread((low, high), (small**2 * factor * d, large**2 * d), variance))


def _weights(d: FloatArray, n: FloatArray, tied: FloatArray, rho: float) -> tuple[FloatArray, FloatArray]:
    """Least and largest weight (strata, steps) of an event of each step."""
    late = np.multiply.accumulate(1.0 - d / np.maximum(tied, 1.0), axis=-1)
    early = np.multiply.accumulate(1.0 - d / np.maximum(n, 1.0), axis=-1)
    early = np.concatenate([np.ones((len(early), 1)), early[:, :-1]], axis=1)
    return np.power(np.maximum(late, 0.0), rho), np.power(early, rho)


def _gap_ends(
    events: FloatArray, shares: tuple[FloatArray, FloatArray], weights: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Least and largest sum over events of weight x (own group - share): an event of the group adds, one of another takes off."""
    (low, high), (small, large) = shares, (w[:, None, :] for w in weights)
    others = events.sum(axis=1, keepdims=True) - events
    least = small * (1.0 - high) * events - large * high * others
    most = large * (1.0 - low) * events - small * low * others
    return _total(least), _total(most)


def _total(values: FloatArray) -> FloatArray:
    return linear.total(values.transpose(1, 0, 2).reshape(values.shape[1], -1))


def _spread(
    shares: tuple[FloatArray, FloatArray], weights: tuple[FloatArray, FloatArray], at: FloatArray
) -> FloatArray:
    """Largest distance of each entry of the variance from `at`."""
    (low, high), (least, most) = shares, weights
    own = np.minimum(low * (1.0 - low), high * (1.0 - high))
    peak = np.where((low < 0.5) & (high > 0.5), 0.25, np.maximum(low * (1.0 - low), high * (1.0 - high)))
    far = np.zeros_like(at)
    for g in range(len(at)):
        for h in range(len(at)):
            small, large = (own[:, g], peak[:, g]) if g == h else (low[:, g] * low[:, h], high[:, g] * high[:, h])
            ends = np.array([linear.total((least * small).reshape(-1)), linear.total((most * large).reshape(-1))])
            far[g, h] = float(np.abs(ends - abs(at[g, h])).max())
    return np.maximum(far, far.T)


def farthest(gap: FloatArray, expected: FloatArray, variance: FloatArray, bounds: Reach) -> float | None:
    """Largest distance of the statistic; None where the steps are too wide to say.

    With L L' = V on the grid, e = L^-1 (V' - V) L^-T and s = |L^-1 (gap' - gap)|: the statistic's root moves by s at most,
    then it is divided by something between 1 - |e| and 1 + |e|.
    """
    used = np.flatnonzero(expected > 0.0)[:-1]
    lower = linear.cholesky(variance[np.ix_(used, used)])
    back = np.abs(linear.forward(lower, np.eye(len(used))))
    half = linear.forward(lower, gap[used])
    root = math.sqrt(linear.dot(half, half))
    moved = linear.product(back, bounds.gap[used])
    step = math.sqrt(linear.dot(moved, moved))
    change = linear.congruence(back, bounds.variance[np.ix_(used, used)]).reshape(-1)
    size = math.sqrt(linear.dot(change, change))
    if size >= 1.0:
        return None
    high = (root + step) ** 2 / (1.0 - size) - root**2
    low = root**2 - max(root - step, 0.0) ** 2 / (1.0 + size)
    return max(high, low)
