"""Steps of a linear mixed model that are right at once where groups are alike.

With K = (I + D)^-1 in the coordinates in which every group's random columns are orthonormal, the residual sum of squares is w + <B, K> and log det V is
-G log det K: the least deviance is at I + D = (B / G) / (w / (n - qG)), the moments of a balanced design, with D cut off where it would be
negative. Groups that are not alike have such coordinates too, those of a mean group at the D where their sums are known.
Everything here runs at every party between two rounds: `linear.py` and elementwise operations only.
"""

from __future__ import annotations

import math

import numpy as np

from isthmus.statistics import linear, mixed_steps
from isthmus.statistics.mixed_profile import Profile
from isthmus.statistics.mixed_steps import Known
from isthmus.summary import FloatArray

LEAST = 1e-6  # of I + D: the inverse of a mean group's Z'Z, where groups know nothing more of a direction
PASSES = 60  # of the residual sum of squares to rest; they cost no round
STILL = 1e-12  # relative change of it
FARTHEST = 4.0  # factor of it in a pass
KEPT = 0.1  # of the groups, which the terms leave for variances at least
NOTHING = 1e-13  # of a diagonal entry: rounding


def typical(known: Known, groups: int) -> tuple[Known, FloatArray]:
    """`known` in the coordinates in which the mean group is I, and R (q, q) lower, which turns factors there into factors here.

    The mean group G at D is the one whose slope of log det V, (G^-1 + D)^-1, is the groups' mean.
    """
    size = len(known.factor)
    grown = mixed_steps.root(known.factor)
    mean = _matrix(known.logs[1 : 1 + size * (size + 1) // 2], size) / groups
    inner = linear.forward(grown, np.eye(size))
    values, vectors = linear.eigen(mean)
    apart = linear.congruence(vectors, np.diag(1.0 / np.maximum(values, LEAST))) - np.eye(size)
    values, vectors = linear.eigen(apart + linear.product(inner, inner.T))
    spread = np.minimum(np.maximum(values, LEAST), 1.0 / LEAST)
    turn = linear.product(grown, lower_root(linear.congruence(vectors, np.diag(spread))))
    factor: FloatArray = np.tril(linear.forward(turn, known.factor))
    between = linear.forward(grown, linear.product(turn, mixed_steps.root(factor)))
    return Known(factor, *mixed_steps.reframed(known, between)), turn


def balanced(known: Known, found: Profile, groups: int, degrees: int) -> FloatArray:
    """L (q, q) of least deviance, were all groups as `typical`; `found` with derivatives by the entries of S."""
    size = len(known.factor)
    falls = -_matrix(found.falls, size)
    terms = found.gradient - known.logs[1 : 1 + len(found.gradient)] - degrees * found.falls / found.rest
    values, vectors = linear.eigen(groups * np.eye(size) + _matrix(terms, size))
    half = linear.congruence(vectors, np.diag(1.0 / np.sqrt(np.maximum(values, KEPT * groups))))
    grown = mixed_steps.root(known.factor)
    values, vectors = linear.eigen(linear.congruence(linear.product(grown, half), falls))
    shares = np.diag(linear.congruence(linear.product(vectors.T, grown), falls))
    fixed, rest = found.rest - linear.trace(falls), found.rest
    larger = np.ones(size)
    for _ in range(PASSES):
        larger = np.maximum(values * degrees / rest, 1.0)
        before = rest
        rest = min(max(fixed + float(linear.total(shares / larger)), before / FARTHEST), before * FARTHEST)
        if abs(rest - before) < STILL * before:
            break
    return lower_root(linear.congruence(vectors, np.diag(larger - 1.0)))


def lower_root(matrix: FloatArray) -> FloatArray:
    """L lower with L L' = `matrix`, no entry of it negative but for rounding; a column is 0 where nothing is left."""
    made, rest = np.zeros_like(matrix), matrix.copy()
    for j in range(len(matrix)):
        if float(rest[j, j]) > NOTHING * float(matrix[j, j]):
            made[j:, j] = rest[j:, j] / math.sqrt(float(rest[j, j]))
            rest = rest - made[:, j][:, None] * made[:, j][None]
    return made


def _matrix(slopes: FloatArray, size: int) -> FloatArray:
    """(q, q) of a function's slopes by the entries of a symmetric matrix's triangle: an entry beside the diagonal is there twice."""
    made = mixed_steps.lower(slopes, size)
    return (made + made.T) / 2.0
