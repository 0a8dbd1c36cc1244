"""Least squares with an elastic-net penalty, from sums: coordinate descent to the sign pattern, then its exact solution.

Elementwise numpy only, so that every party finds the same bits. The answer meets the Karush-Kuhn-Tucker conditions to
rounding: it is not a point where a tolerance stopped a descent.
Reference: Friedman, Hastie & Tibshirani (2010), J Stat Softw 33(1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from isthmus.model.errors import Invalid
from isthmus.statistics import linear
from isthmus.statistics.newton import WORSE
from isthmus.summary import FloatArray

M = TypeVar("M")

ROUNDS = 10  # of Newton steps; the guard on what a path tells of the rows counts so many, and each that comes after
MOST_ROUNDS = 40  # a separated outcome with a small penalty takes some twenty
LEAST_ALPHA = 1e-3  # of lasso in the largest penalty of a path, as glmnet
STEP = 1e-10  # largest move of a standardised coefficient; the next would be its square
RUNNING = 4.0  # a standardised coefficient beyond it multiplies odds or hazard by 50 for each standard deviation

SWEEPS = 20_000  # of the coordinates; the pattern of a path of ten columns is there after some tens
SLACK = 1e-11  # of the penalty: by how much rounding may carry the slope of a coefficient that is 0 beyond it
SIGNIFICANT = 6  # digits that public penalties are rounded to, so that no party's last bit differs
ABOVE = 1.0 + 1e-5  # the first penalty is rounded up: a term that barely enters is rounding


@dataclass(frozen=True, slots=True)
class Path(Generic[M]):
    """Public facts: the model, the share of lasso, the stated penalties, or how many and down to what share."""

    model: M
    alpha: float
    stated: tuple[float, ...]
    points: int
    smallest: float

    def chosen(self, steepest: float) -> tuple[float, ...]:
        """The penalties. `steepest`: the largest slope of the loss where every coefficient is 0; glmnet takes it for the
        largest penalty, over the share of lasso, that of ridge alone being infinite."""
        return self.stated or penalties(steepest / max(self.alpha, LEAST_ALPHA), self.points, self.smallest)


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


@dataclass(frozen=True, slots=True)
class Point:
    """One penalty under way: standardised coefficients now and before, objective before."""

    penalty: Penalty
    now: FloatArray
    before: FloatArray | None = None
    objective: float = math.inf
    deviance: float = math.nan
    done: bool = False


def moved(point: Point, found: tuple[FloatArray, FloatArray], deviance: float, n: float) -> Point:
    """One step of a point, or half of the last where that made the objective worse.

    `found`: score (p,) and information (p, p) over n, standardised; `deviance`: of all rows, up to a constant.
    """
    score, gram = found
    objective = deviance / n / 2.0 + point.penalty.of(point.now)
    worse = not objective <= point.objective + WORSE * (abs(point.objective) + 1.0)
    if point.before is not None and worse:
        return replace(point, now=(point.now + point.before) / 2.0)
    try:
        best = minimise(gram, score + linear.product(gram, point.now), point.penalty, point.now)
    except linear.Dependent as error:
        raise Invalid("E-CONVERGENCE", "the path has no end", "use larger penalties or fewer terms") from error
    done = bool(np.max(np.abs(best - point.now)) < STEP)
    return replace(point, now=best, before=point.now, objective=objective, deviance=deviance, done=done)


def unsettled(points: Sequence[Point], names: Sequence[str], outcome: str) -> Invalid:
    """The error for points that still move: names the columns that run away."""
    farthest = np.max([np.abs(point.now) for point in points if not point.done], axis=0)
    running = [name for name, far in zip(names, farthest.tolist(), strict=True) if far > RUNNING and name[0] != "("]
    if running:
        listed = ", ".join(repr(name) for name in running)
        text = f"{outcome!r} is separated by {listed}, and the penalties are too small to hold it"
        return Invalid("E-SEPARATED", text, "use larger penalties, or leave the column out")
    hint = "use larger penalties or fewer terms"
    return Invalid("E-CONVERGENCE", f"no convergence of {outcome!r} in {MOST_ROUNDS} rounds", hint)
