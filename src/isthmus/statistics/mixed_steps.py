"""Steps to the least profiled deviance, in coordinates in which the random columns of an average group are orthonormal.

There D = L L' is the covariance of the random effects over the residual's, and K = (I + D)^-1 is what shrinkage leaves.
Were all groups alike, the deviance would be a - g log det K + n log(w + tr(B K)): where the first Newton step is long,
`alike` goes to the least of this, with B, g and w from the slopes. In K the deviance is nearly so, hence `inside` takes
Newton's step of K, which is good from 0 to any size; near a variance of 0, Newton's step of L, in which it is even.
Everything here runs at every party between two rounds: `linear.py` and elementwise operations only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isthmus.statistics import linear, mixed_profile
from isthmus.statistics.mixed_profile import Profile
from isthmus.summary import FloatArray

FLAT = 1e-3  # of a diagonal entry of L: below it K hardly changes with L
INNER = 0.3  # of each of them: from here steps are of K
LONG = 0.3  # standard errors: a first step longer than this is not trusted
LEAST = 0.1  # share of K that one step leaves at least
CUT = 0.8  # of a step that takes more
EDGE = 0.999  # of I: K beyond it would leave a variance of nothing or less
FLOOR = 1e-2  # of D after `alike`, so that every direction can grow
NUDGE = 0.1  # of L where its slopes are 0 and the deviance is not least
JUMPS = 3  # of `alike` in one fit; where groups are not alike, more would not help
MOST_CUTS = 60


@dataclass(frozen=True, slots=True)
class Turn:
    """`root` R (q, q) lower, L of the random columns = R L here; `matrix` (m, m) the same for their entries."""

    root: FloatArray
    matrix: FloatArray

    def theta(self, factor: FloatArray) -> FloatArray:
        """(m,) entries of R `factor`."""
        made: FloatArray = linear.product(self.root, factor)[np.tril_indices(len(factor))]
        return made


@dataclass(frozen=True, slots=True)
class Here:
    """`factor` L (q, q) and what the deviance does there: `slope` (m,), `bend` (m, m), `rest` with its `falls` (m,)."""

    factor: FloatArray
    slope: FloatArray
    bend: FloatArray
    rest: float
    falls: FloatArray

    @property
    def least(self) -> float:
        """Smallest diagonal entry of L, by size."""
        return float(np.min(np.abs(np.diag(self.factor))))


@dataclass(frozen=True, slots=True)
class Move:
    """Where to go, the Newton step of L's entries, and their standard errors where the deviance is convex."""

    factor: FloatArray
    newton: FloatArray
    errors: FloatArray | None
    jumped: bool


def turn(gram: FloatArray) -> Turn:
    """From the mean over groups of Z'Z (q, q)."""
    flipped = gram[::-1, ::-1]
    root = linear.forward(linear.cholesky(flipped), np.eye(len(gram)))[::-1, ::-1].T  # R R' = gram^-1
    units = [linear.product(root, unit) for unit in _units(len(gram))]
    return Turn(np.tril(root), np.array([unit[np.tril_indices(len(gram))] for unit in units]).T)


def here(found: Profile, factor: FloatArray, by: Turn) -> Here:
    """A profile in these coordinates."""
    slope, falls = (linear.product(by.matrix.T, v) for v in (found.gradient, found.falls))
    bend = linear.congruence(by.matrix.T, found.curvature)
    return Here(factor, slope, bend, found.rest, falls)


def onward(at: Here, groups: int, degrees: int, jumps: int) -> Move:
    """The next L; `jumps` are those of `alike` so far, with a step before them none."""
    newton, errors = mixed_profile.descend(at.slope, at.bend)
    long = errors is None or bool(np.any(np.abs(newton) > LONG * errors))
    wanted = jumps == 0 and long
    found, whole = None, True
    if at.least > INNER:
        found, whole = _inside(at)
        wanted = wanted or not whole
    if wanted and 0 <= jumps < JUMPS and at.least > FLAT:
        jumped = _alike(at, groups, degrees)
        if jumped is not None:
            return Move(jumped, newton, errors, True)
    if errors is None and not bool(np.any(newton)):
        found = NUDGE * np.eye(len(at.factor))
    if found is None:
        found = at.factor + lower(newton, len(at.factor))
    return Move(found, newton, errors, False)


def lower(entries: FloatArray, size: int) -> FloatArray:
    """L (size, size) from its entries row by row."""
    made = np.zeros((size, size))
    made[np.tril_indices(size)] = entries
    return made


def _units(size: int) -> list[FloatArray]:
    return [lower(row, size) for row in np.eye(size * (size + 1) // 2)]


def _by_covariance(slope: FloatArray, factor: FloatArray) -> FloatArray:
    """G (q, q), symmetric, the slopes by D behind those by L: slope = the lower triangle of 2 G L."""
    size = len(factor)
    half, found = lower(slope, size) / 2.0, np.zeros((size, size))
    for j in range(size - 1, -1, -1):
        for i in range(size - 1, j - 1, -1):
            rest = linear.dot(found[i, j + 1 :], factor[j + 1 :, j])
            found[i, j] = found[j, i] = (half[i, j] - rest) / factor[j, j]
    return found


def _grown(factor: FloatArray) -> FloatArray:
    """I + D."""
    made: FloatArray = np.eye(len(factor)) + linear.product(factor, factor.T)
    return made


def _alike(at: Here, groups: int, degrees: int) -> FloatArray | None:
    """L where the deviance would be least if all groups had the same random columns; None where that says nothing."""
    grown = _grown(at.factor)
    kept = linear.inverse(linear.cholesky(grown))
    gram = -linear.congruence(grown, _by_covariance(at.falls, at.factor))  # B
    slope = -linear.congruence(grown, _by_covariance(at.slope, at.factor))
    weight = _trace(linear.product(degrees * gram / at.rest - slope, kept)) / len(grown) / degrees  # g / n
    left = at.rest - _trace(linear.product(gram, kept))  # w
    values, vectors = linear.eigen(gram)
    if not (float(values.min()) > 0.0 and left > 0.0 and 0.0 < weight < 1.0):
        return None
    rest = _balance(left, values, weight)
    if rest is None:
        return None
    share = np.minimum(1.0, weight * rest / values)
    covariance = linear.product(vectors * np.maximum(1.0 / share - 1.0, FLOOR), vectors.T)
    return linear.cholesky((covariance + covariance.T) / 2.0)


def _balance(left: float, values: FloatArray, weight: float) -> float | None:
    """The residual r = left + sum of min(values, weight r)."""
    ordered = np.sort(values)
    for bound in range(len(ordered) + 1):  # the `bound` smallest are below weight r
        free = 1.0 - weight * (len(ordered) - bound)
        if free <= 0.0:
            continue
        rest = (left + float(linear.total(ordered[:bound]))) / free
        if bound == len(ordered) or weight * rest <= ordered[bound]:
            return rest
    return None


def _inside(at: Here) -> tuple[FloatArray | None, bool]:
    """L after Newton's step of K, None where there is none; and whether the step was taken whole."""
    size, factor = len(at.factor), at.factor
    kept = linear.inverse(linear.cholesky(_grown(factor)))
    by = _by_covariance(at.slope, factor)
    units = _units(size)
    changes = [linear.product(unit, factor.T) for unit in units]
    changes = [change + change.T for change in changes]
    half = [linear.product(linear.product(by, change), kept) for change in changes]
    bend = at.bend.copy()
    for i, first in enumerate(units):
        for j, second in enumerate(units):
            twice = linear.product(first, second.T)
            curved = _trace(linear.product(half[i], changes[j])) + _trace(linear.product(half[j], changes[i]))
            bend[i, j] += curved - 2.0 * _trace(linear.product(by, twice))
    try:
        step = lower(-linear.solve(linear.cholesky(bend), at.slope), size)
    except linear.Dependent:
        return None, False
    change = linear.product(step, factor.T)
    move = -linear.congruence(kept, change + change.T)
    share = 1.0
    for _ in range(MOST_CUTS):
        if _positive((1.0 - LEAST) * kept + share * move):
            break
        share *= CUT
    after = kept + share * move
    if not (_positive(after) and _positive(EDGE * np.eye(size) - after)):
        return None, share == 1.0
    return linear.cholesky(linear.inverse(linear.cholesky(after)) - np.eye(size)), share == 1.0


def _positive(matrix: FloatArray) -> bool:
    if bool(np.any(np.diag(matrix) <= 0.0)):
        return False
    try:
        linear.cholesky(matrix)
    except linear.Dependent:
        return False
    return True


def _trace(matrix: FloatArray) -> float:
    return float(linear.total(np.diag(matrix)))
