"""How far a log-rank statistic on a grid can be from that of the recorded times.

Inside a step nobody knows the order of events and censoring. Whoever is at risk at an event there, group g's share of
them is least when all of g that leave in the step have left, and largest when all others that do have left; at an event
of the others as many of them as have theirs later are still there. This brackets expected events and variances, and with
them the statistic. With powers above 0 events weigh S(t-)**rho (1 - S(t-))**gamma: S is largest at the start of a step, when all
events before came before any censoring, and least at its end, when all came after; between them the weight has one peak, at
rho / (rho + gamma).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from isthmus.statistics import linear
from isthmus.summary import FloatArray

Powers = tuple[float, float]  # rho and gamma


def weights_at(curve: FloatArray, powers: Powers) -> FloatArray:
    """S**rho (1 - S)**gamma at S = `curve`."""
    rho, gamma = powers
    found: FloatArray = np.power(curve, rho)
    return found * np.power(1.0 - curve, gamma) if gamma else found


@dataclass(frozen=True, slots=True)
class Tables:
    """Pooled counts (strata, groups, steps), those at risk at the start of each step, and the powers of the weights."""

    events: FloatArray
    censored: FloatArray
    risk: FloatArray
    powers: Powers


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the sums may lie from those on the grid.

    `gap` (groups,) and `variance` (groups, groups): largest distances of observed less expected and of the variance;
    `gaps` and `spreads` (2, groups): least and largest of the former, and of each group's own variance.
    """

    gap: FloatArray
    variance: FloatArray
    gaps: FloatArray
    spreads: FloatArray


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
    small, large = _weights(d, n[:, 0, :], tied, tables.powers)
    gaps = gap_ends(events, (risk, left), (n - risk, others), (small, large))
    far, spreads = _spread((low, high), (small**2 * factor * d, large**2 * d), variance)
    return Reach(np.maximum(gaps[1] - gap, gap - gaps[0]), far, gaps, spreads)


def _weights(d: FloatArray, n: FloatArray, tied: FloatArray, powers: Powers) -> tuple[FloatArray, FloatArray]:
    """Least and largest weight (strata, steps) of an event of each step."""
    late = np.multiply.accumulate(1.0 - d / np.maximum(tied, 1.0), axis=-1)
    early = np.multiply.accumulate(1.0 - d / np.maximum(n, 1.0), axis=-1)
    early = np.concatenate([np.ones((len(early), 1)), early[:, :-1]], axis=1)
    late, (rho, gamma) = np.maximum(late, 0.0), powers
    ends = weights_at(late, powers), weights_at(early, powers)
    small, large = np.minimum(*ends), np.maximum(*ends)
    peak = rho / (rho + gamma) if gamma else 1.0
    return small, np.where((late < peak) & (peak < early), weights_at(np.array(peak), powers), large)


def gap_ends(
    events: FloatArray,
    own: tuple[FloatArray, FloatArray],
    others: tuple[FloatArray, FloatArray],
    weights: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """Least and largest (2, groups) sum over events of weight x (own group - share), of `own` and `others` at risk and left.

    An event of the group adds 1 less its share, one of another takes its share off. Shares are largest when others leave
    first: the group's own events meet those left, the others' last event one more, the one before two more, and so on.
    """
    (risk, left), (rest, stay), (small, large) = own, others, (w[:, None, :] for w in weights)
    theirs = events.sum(axis=1, keepdims=True) - events
    most_own = events * risk / np.maximum(risk + stay, 1.0)
    most_theirs = risk * _harmonic(risk + stay, theirs)
    least_own = events - rest * _harmonic(left + rest, events)
    least_theirs = theirs * left / np.maximum(left + rest, 1.0)
    least = small * (events - most_own) - large * most_theirs
    most = large * (events - least_own) - small * least_theirs
    return np.array([_total(least), _total(most)])


def _harmonic(after: FloatArray, count: FloatArray) -> FloatArray:
    """Sum of 1 / (after + k) for k from 1 to `count`."""
    found: FloatArray = special.digamma(after + count + 1.0) - special.digamma(after + 1.0)
    return found


def _total(values: FloatArray) -> FloatArray:
    return linear.total(values.transpose(1, 0, 2).reshape(values.shape[1], -1))


def _spread(
    shares: tuple[FloatArray, FloatArray], weights: tuple[FloatArray, FloatArray], at: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Largest distance of each entry of the variance from `at`; least and largest (2, groups) of the diagonal."""
    (low, high), (least, most) = shares, weights
    own = np.minimum(low * (1.0 - low), high * (1.0 - high))
    peak = np.where((low < 0.5) & (high > 0.5), 0.25, np.maximum(low * (1.0 - low), high * (1.0 - high)))
    far, spreads = np.zeros_like(at), np.zeros((2, len(at)))
    for g in range(len(at)):
        for h in range(len(at)):
            small, large = (own[:, g], peak[:, g]) if g == h else (low[:, g] * low[:, h], high[:, g] * high[:, h])
            ends = np.array([linear.total((least * small).reshape(-1)), linear.total((most * large).reshape(-1))])
            far[g, h] = float(np.abs(ends - abs(at[g, h])).max())
            if g == h:
                spreads[:, g] = ends
    return np.maximum(far, far.T), spreads


def farthest(gap: FloatArray, expected: FloatArray, variance: FloatArray, bounds: Reach) -> float | None:
    """Largest distance of the statistic; None where the steps are too wide to say.

    With L L' = V on the grid, e = L^-1 (V' - V) L^-T and s = |L^-1 (gap' - gap)|: the statistic's root moves by s at most,
    then it is divided by something between 1 - |e| and 1 + |e|. Of two groups it is the square of a ratio, whose ends are
    those of its parts.
    """
    used = np.flatnonzero(expected > 0.0)[:-1]
    if used.size == 1:
        return _of_two(gap[used[0]], variance[used[0], used[0]], bounds.gaps[:, used[0]], bounds.spreads[:, used[0]])
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


def _of_two(gap: float, variance: float, gaps: FloatArray, spread: FloatArray) -> float | None:
    low, high = np.abs(gaps).min(), np.abs(gaps).max()
    if not spread[0] > 0.0:
        return None
    least = 0.0 if gaps[0] <= 0.0 <= gaps[1] else float(low**2 / spread[1])
    statistic = gap**2 / variance
    return float(max(high**2 / spread[0] - statistic, statistic - least))
