"""Least squares with an elastic-net penalty, from sums: coordinate descent to the sign pattern, then its exact solution.

Elementwise numpy only, so that every party finds the same bits. The answer meets the Karush-Kuhn-Tucker conditions to
rounding: it is not a point where a tolerance stopped a descent.
Reference: Friedman, Hastie & Tibshirani (2010), J Stat Softw 33(1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isthmus.model.errors import Invalid
from isthmus.statistics import linear
from isthmus.summary import FloatArray

SWEEPS = 20_000  # of the coordinates; the pattern of a path of ten columns is there after some tens
SLACK = 1e-11  # of the penalty: by how much rounding may carry the slope of a coefficient that is 0 beyond it
SIGNIFICANT = 6  # digits that public penalties are rounded to, so that no party's last bit differs
ABOVE = 1.0 + 1e-5  # the first penalty is rounded up: a term that barely enters is rounding


@dataclass(frozen=True, slots=True)
class Penalty:
    """Per coefficient (p,): `lasso` times its size, and `ridge` / 2 times its square; 0 for the intercept."""

    lasso: FloatArray
    ridge: FloatArray

    def of(self, coefficients: FloatArray) -> float:
        """What it adds to the objective."""
        return float(linear.total(self.lasso * np.abs(coefficients) + self.ridge * np.square(coefficients) / 2.0))


def minimise(gram: FloatArray, target: FloatArray, penalty: Penalty, first: FloatArray) -> FloatArray:
    """The b (p,) that minimises b' gram b / 2 - target' b + penalty, gram (p, p) positive definite.

    Raises:
        Invalid: E-CONVERGENCE.
    """
    now, before = first.copy(), np.full(len(first), np.nan)
    for _ in range(SWEEPS):
        for j in range(len(now)):
            left = target[j] - float(linear.total(gram[j] * now)) + gram[j, j] * now[j]
            size = max(abs(left) - penalty.lasso[j], 0.0)
            now[j] = np.copysign(size, left) / (gram[j, j] + penalty.ridge[j])
        signs = np.sign(now)
        if np.array_equal(signs, before):
            exact = _exact(gram, target, penalty, signs)
            if exact is not None:
                return exact
        before = signs
    raise Invalid("E-CONVERGENCE", "the path did not settle", "use larger penalties or fewer terms")


def _exact(gram: FloatArray, target: FloatArray, penalty: Penalty, signs: FloatArray) -> FloatArray | None:
    """The minimum if it has these signs (an unpenalised coefficient may have any), else None."""
    free = (signs != 0.0) | (penalty.lasso == 0.0)
    at = np.flatnonzero(free)
    inner = gram[np.ix_(at, at)] + np.diag(penalty.ridge[at])
    found = np.zeros(len(signs))
    if at.size:
        found[at] = linear.solve(linear.cholesky(inner), target[at] - penalty.lasso[at] * signs[at])
    alike = bool(np.all((np.sign(found) == signs) | (penalty.lasso == 0.0)))
    return found if alike and kkt(gram, target, penalty, found) <= SLACK else None


def kkt(gram: FloatArray, target: FloatArray, penalty: Penalty, found: FloatArray) -> float:
    """By how much coefficients that are 0 break the conditions, relative to the penalty."""
    slope = np.abs(target - linear.product(gram, found))
    out = (found == 0.0) & (penalty.lasso > 0.0)
    return float(np.max((slope[out] - penalty.lasso[out]) / penalty.lasso[out], initial=-np.inf))


def penalties(largest: float, points: int, smallest: float) -> tuple[float, ...]:
    """`points` penalties from `largest` down to `smallest` times it, evenly on the log scale, rounded."""
    ratio = smallest ** (1.0 / (points - 1)) if points > 1 else 1.0
    return tuple(float(f"{ABOVE * largest * ratio**k:.{SIGNIFICANT - 1}e}") for k in range(points))
