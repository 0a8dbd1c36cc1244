"""Steps to the least profiled deviance, from the pooled sums and their derivatives at one covariance.

Coordinates are those in which the random columns of an average group are orthonormal: D = L L' is the covariance of the
random effects over the residual's, and K = (I + D)^-1 what shrinkage leaves. Were all groups alike, the sums would be
linear in K, and log det V a multiple of log det K. So the deviance is modelled as such a multiple and a convex parabola
of K, and the model made least over L, where a variance of 0 is no edge.
Everything here runs at every party between two rounds: `linear.py` and elementwise operations only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from isthmus.statistics import linear, mixed_profile
from isthmus.statistics.mixed_profile import Profile
from isthmus.summary import FloatArray

NUDGE = 0.1  # of a diagonal entry of L that is 0 where the deviance falls
STEPS = 40  # of Newton's method over L on the model; they cost no round
STILL = 1e-10  # largest change of L relative to its size at which they end
HALVINGS = 30
HALF = 0.7  # a correlation to begin at, with either sign
LOG_TWO, ROOT_HALF = 0.6931471805599453, 0.7071067811865476
TERMS = 12  # of the series of a logarithm: the last is below 2**-60


@dataclass(frozen=True, slots=True)
class Known:
    """At `factor` L (q, q): `logs` (k,) of log det V and `grams` (k, P, P), with first and second derivatives by entries of S, I + D = C S C'."""

    factor: FloatArray
    logs: FloatArray
    grams: FloatArray


def turn(gram: FloatArray) -> FloatArray:
    """R (q, q) lower with R R' the inverse of the mean over groups of Z'Z: in its coordinates that mean is I."""
    flipped = gram[::-1, ::-1]
    made: FloatArray = np.tril(linear.forward(linear.cholesky(flipped), np.eye(len(gram)))[::-1, ::-1].T)
    return made


def by_factor(known: Known) -> tuple[FloatArray, FloatArray]:
    """Values, and first and second derivatives by the entries of L row by row."""
    factor = known.factor
    units, inner = _lower_units(len(factor)), linear.forward(root(factor), np.eye(len(factor)))
    first = [entries(linear.congruence(inner, _symmetric(linear.product(unit, factor.T)))) for unit in units]
    whole, m = _chained(first, len(known.logs)), len(units)
    for at, (i, j) in enumerate(_pairs(m), start=m + 1):
        bent = linear.congruence(inner, _symmetric(linear.product(units[i], units[j].T)))
        whole[at, 1 : m + 1] = entries(bent)
    return _mixed(whole, known.logs, known.grams)


def reframed(known: Known, inner: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Values, and derivatives by the entries of S where S of `known` is `inner` S `inner`'."""
    first = [entries(linear.congruence(inner, unit)) for unit in _symmetric_units(len(inner))]
    return _mixed(_chained(first, len(known.logs)), known.logs, known.grams)


def _chained(first: list[FloatArray], size: int) -> FloatArray:
    """Weights (size, size) of values and derivatives by the entries of S in those by others, of which `first` are its slopes."""
    made, m = np.zeros((size, size)), len(first)
    made[0, 0], made[1 : m + 1, 1 : m + 1] = 1.0, np.array(first)
    for at, (i, j) in enumerate(_pairs(m), start=m + 1):
        made[at, m + 1 :] = _folded(first[i][:, None] * first[j][None])
    return made


@dataclass(frozen=True, slots=True)
class Model:
    """The deviance from what it is where K = K0, in X = C'K C with C C' = K0^-1 and d = X - 1 (entries of its triangle).

    `slope`'d + d'`bend` d / 2 - `barrier` log det X; `root` C.
    """

    factor: FloatArray
    root: FloatArray
    slope: FloatArray
    bend: FloatArray
    barrier: float

    def at(self, factor: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Value, slopes and second derivatives by the entries of L."""
        grown, units = root(factor), _lower_units(len(factor))
        kept = linear.inverse(grown)  # K
        change = entries(self._lifted(kept) - np.eye(len(factor)))
        turns = [linear.product(kept, _symmetric(linear.product(unit, factor.T))) for unit in units]
        moves = np.array([-entries(self._lifted(linear.product(turn, kept))) for turn in turns])
        steep = self.slope + linear.product(self.bend, change)
        value = linear.dot(self.slope, change) + linear.dot(change, linear.product(self.bend, change)) / 2.0
        value += self.barrier * 2.0 * sum(_log(pivot) for pivot in np.diag(grown).tolist())
        gradient = linear.product(moves, steep) + self.barrier * np.array([linear.trace(turn) for turn in turns])
        curvature = linear.congruence(moves, self.bend)
        for i, j in _pairs(len(units)):
            both = linear.product(turns[i], turns[j])
            bent = linear.product(kept, _symmetric(linear.product(units[i], units[j].T)))
            twice = both + linear.product(turns[j], turns[i])
            extra = linear.dot(steep, entries(self._lifted(linear.product(twice - bent, kept))))
            extra += self.barrier * (linear.trace(bent) - linear.trace(both))
            curvature[i, j] += extra
            curvature[j, i] = curvature[i, j]
        return value, gradient, curvature

    def _lifted(self, change: FloatArray) -> FloatArray:
        return linear.congruence(self.root.T, change)


def model(known: Known, found: Profile, groups: int, hold: float) -> Model:
    """From `found`, the profile with derivatives by the entries of S; `hold` a group keeps X near 1 (Stein's loss)."""
    turned, units = root(known.factor), _symmetric_units(len(known.factor))
    slope, bend = found.gradient, found.curvature.copy()
    for i, j in _pairs(len(units)):
        square = entries(_symmetric(linear.product(units[i], units[j])))
        bend[i, j] += linear.dot(slope, square)
        bend[j, i] = bend[i, j]
    traces = np.array([[linear.trace(linear.product(one, other)) for other in units] for one in units])
    size = np.sqrt(np.diag(traces))
    ones = entries(np.eye(len(turned)))
    values, vectors = linear.eigen(bend / size[:, None] / size[None])
    barrier = min(max(float(values.min()), 0.0), float(groups))
    bend = linear.congruence(size[:, None] * vectors, np.diag(np.maximum(values - barrier, 0.0)))
    barrier += hold * groups
    return Model(known.factor, turned, barrier * ones - slope, bend, barrier)


def onward(made: Model) -> FloatArray:
    """L where the model is least."""
    found = [_descended(made, one) for one in _starts(made.factor)]
    return min(found, key=lambda one: one[0])[1]


def _starts(factor: FloatArray) -> list[FloatArray]:
    """L; where a variance is near 0, which has no slope in L and hides those of others, also L without it being so."""
    own = np.diag(factor)
    if float(np.min(np.abs(own))) >= NUDGE:
        return [factor]
    made = [factor, factor + np.diag(np.where(np.abs(own) < NUDGE, NUDGE, own) - own)]
    spread = np.maximum(np.sqrt(linear.total(factor**2)), NUDGE)
    return made + [correlated(spread, share) for share in (-HALF, HALF)] if len(factor) > 1 else made


def correlated(spread: FloatArray, share: float) -> FloatArray:
    """L of these standard deviations (q,), all correlated by `share` with the first."""
    made = np.diag(spread)
    for k in range(1, len(spread)):
        made[k, 0], made[k, k] = share * spread[k], math.sqrt(1.0 - share**2) * spread[k]
    return made


def _descended(made: Model, factor: FloatArray) -> tuple[float, FloatArray]:
    value, slope, bend = made.at(factor)
    for _ in range(STEPS):
        step, _ = mixed_profile.descend(slope, bend)
        share, move = 1.0, lower(step, len(factor))
        for _ in range(HALVINGS):
            there = made.at(factor + share * move)
            if there[0] <= value:
                break
            share /= 2.0
        else:
            break
        factor, (value, slope, bend) = factor + share * move, there
        if float(np.max(np.abs(share * move))) <= STILL * float(np.max(np.abs(factor))):
            break
    return value, factor


def lower(values: FloatArray, size: int) -> FloatArray:
    """L (size, size) from its entries row by row."""
    made = np.zeros((size, size))
    made[_triangle(size)] = values
    return made


@cache
def _lower_units(size: int) -> tuple[FloatArray, ...]:
    """Derivatives of L by its entries."""
    return tuple(lower(row, size) for row in np.eye(size * (size + 1) // 2))


@cache
def _symmetric_units(size: int) -> tuple[FloatArray, ...]:
    """Derivatives of a symmetric matrix by the entries of its lower triangle."""
    return tuple(unit + unit.T - np.diag(np.diag(unit)) for unit in _lower_units(size))


def settled(factor: FloatArray, zero: float) -> FloatArray:
    """L, with 0 on its diagonal where that is less than `zero`: rounding."""
    made: FloatArray = np.where((np.abs(factor) < zero) & np.eye(len(factor), dtype=np.bool_), 0.0, factor)
    return made


def entries(matrix: FloatArray) -> FloatArray:
    """(m,) of the lower triangle, row by row."""
    made: FloatArray = matrix[_triangle(len(matrix))]
    return made


@cache
def _triangle(size: int) -> tuple[Any, Any]:
    return np.tril_indices(size)


def _log(value: float) -> float:
    """With the same bits on every machine, since steps are compared by it: 2 artanh of what is left of a power of two."""
    fraction, exponent = math.frexp(value)
    z = (fraction - ROOT_HALF) / (fraction + ROOT_HALF)
    square, power, added = z * z, z, 0.0
    for k in range(TERMS):
        added += power / (2 * k + 1)
        power *= square
    return 2.0 * added + (exponent - 0.5) * LOG_TWO


def _mixed(whole: FloatArray, logs: FloatArray, grams: FloatArray) -> tuple[FloatArray, FloatArray]:
    flat = linear.product(whole, grams.reshape(len(grams), -1))
    return linear.product(whole, logs), flat.reshape(grams.shape)


def _pairs(size: int) -> list[tuple[int, int]]:
    """Of second derivatives, in their order."""
    return [(i, j) for i in range(size) for j in range(i + 1)]


def _folded(both: FloatArray) -> FloatArray:
    """Weights (m (m + 1) / 2,) of second derivatives from those (m, m) of all pairs."""
    return np.array([both[i, j] + (both[j, i] if i != j else 0.0) for i, j in _pairs(len(both))])


def root(factor: FloatArray) -> FloatArray:
    """C lower with C C' = I + D, whose pivots are at least 1."""
    rest = np.eye(len(factor)) + linear.product(factor, factor.T)
    made = np.zeros_like(rest)
    for j in range(len(rest)):
        made[j:, j] = rest[j:, j] / math.sqrt(max(float(rest[j, j]), 1.0))
        made[j, j] = math.sqrt(max(float(rest[j, j]), 1.0))
        rest = rest - made[:, j][:, None] * made[:, j][None]
    return made


def _symmetric(matrix: FloatArray) -> FloatArray:
    return matrix + matrix.T
