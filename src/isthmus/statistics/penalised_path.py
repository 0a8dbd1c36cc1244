"""Least squares with an elastic-net penalty, from sums: coordinate descent to the sign pattern, then its exact solution.

Elementwise numpy only, so that every party finds the same bits. The answer meets the Karush-Kuhn-Tucker conditions to
rounding: it is not a point where a tolerance stopped a descent. Columns may depend on each other: ridge has one answer, and of
the minima of a lasso one whose columns are independent is taken. A constant column has the coefficient 0.
Reference: Friedman, Hastie & Tibshirani (2010), J Stat Softw 33(1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

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

SWEEPS = 100  # of the coordinates at most; the pattern of a path of ten columns is mostly there after ten
EVEN = 1e-8  # shares of the penalty that differ by less are the same
PATTERNS = 10_000  # of signs; some tens are usual
SLACK = 1e-11  # of the penalty: by how much rounding may carry the slope of a coefficient that is 0 beyond it
ROUNDING = 2.0**-46  # of the terms of that slope: a column that follows from others has the slope of the penalty itself
LEAST_SPREAD = 1e-6  # in the units of the pooled deviations: what lies below is taken from it, and constant
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
    """A b (p,) that minimises b' gram b / 2 - target' b + penalty, gram (p, p) positive semidefinite.

    Some sweeps of coordinate descent find most signs. From there it goes to the minimum of a pattern of signs, or to where
    the first coefficient on the way is 0, which is then left out; at a minimum the column that breaks the conditions most
    comes in. The objective falls at every step (Lee, Battle, Raina & Ng 2007, NIPS 19: feature-sign search).

    Raises:
        Invalid: E-CONVERGENCE.
    """
    now = _swept(gram, target, penalty, first)
    signs, bound = np.sign(now), penalty.lasso > 0.0
    for _ in range(PATTERNS):
        goal, way = _way(gram, target, penalty, now, signs)
        shrinks = bound & (signs * way < 0.0)
        lengths = np.where(shrinks, np.abs(now) / np.where(shrinks, np.abs(way), 1.0), np.inf)
        k = int(np.argmin(lengths))
        if goal is not None and not lengths[k] < 1.0:
            now, over = goal, _over(gram, target, penalty, goal)
            most = float(np.max(over))
            if not most > SLACK:
                return now
            j = int(
                np.argmax(over > max(most - EVEN, SLACK))
            )  # of columns that are alike the first, whatever the rounding
            signs[j] = np.sign(target[j] - float(linear.total(gram[j] * now)))
        elif shrinks[k]:
            now = now + lengths[k] * way
            now[k] = signs[k] = 0.0
        else:
            break
    text = "columns depend on each other, or nearly, and the penalty is too small to share between them"
    raise Invalid("E-CONVERGENCE", text, "use larger penalties or fewer terms")


def _swept(gram: FloatArray, target: FloatArray, penalty: Penalty, first: FloatArray) -> FloatArray:
    """Coordinate descent until a sweep leaves the signs as they are."""
    now = first.copy()
    for _ in range(SWEEPS):
        before = np.sign(now)
        for j in range(len(now)):
            left = target[j] - float(linear.total(gram[j] * now)) + gram[j, j] * now[j]
            size = max(abs(left) - penalty.lasso[j], 0.0)
            now[j] = np.copysign(size, left) / (gram[j, j] + penalty.ridge[j])
        if np.array_equal(np.sign(now), before):
            break
    return now


def _way(
    gram: FloatArray, target: FloatArray, penalty: Penalty, now: FloatArray, signs: FloatArray
) -> tuple[FloatArray | None, FloatArray]:
    """The minimum of these signs (an unpenalised coefficient may have any) and the way there, (p,) each.

    Where columns depend on each other, no minimum but what lessens the penalty and changes no predictor.
    """
    at, way, goal = np.flatnonzero((signs != 0.0) | (penalty.lasso == 0.0)), np.zeros(len(now)), np.zeros(len(now))
    inner = gram[np.ix_(at, at)] + np.diag(penalty.ridge[at])
    try:
        if at.size:
            goal[at] = linear.solve(linear.cholesky(inner), target[at] - penalty.lasso[at] * signs[at])
        return goal, goal - now
    except linear.Dependent as error:
        before = slice(error.pivot)
        along = np.append(-linear.solve(linear.cholesky(inner[before, before]), inner[before, error.pivot]), 1.0)
        along[np.abs(along) < linear.INVOLVED] = 0.0
        way[at[: error.pivot + 1]] = along
        slopes = penalty.lasso * signs * way
        gain, last = float(linear.total(slopes)), signs[at[error.pivot]]
        even = abs(gain) <= EVEN * float(linear.total(np.abs(slopes)))
        return None, -way if (last > 0.0 if even else gain > 0.0) else way  # the last of columns that are alike goes


def _over(gram: FloatArray, target: FloatArray, penalty: Penalty, found: FloatArray) -> FloatArray:
    """(p,) by how much each coefficient that is 0 breaks the conditions, relative to the penalty."""
    slope = np.abs(target - linear.product(gram, found))
    slope = slope - ROUNDING * (np.abs(target) + linear.product(np.abs(gram), np.abs(found)))
    out = (found == 0.0) & (penalty.lasso > 0.0)
    return np.where(out, (slope - penalty.lasso) / np.where(out, penalty.lasso, 1.0), -np.inf)


def constant(spread: FloatArray, square: FloatArray) -> Any:
    """Which columns (p,) are constant: their variance is rounding beside the mean of their squares."""
    return ~(spread > linear.COLLINEAR * np.maximum(square, LEAST_SPREAD))


def without(still: Any, score: FloatArray, gram: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Score (p,) and information (p, p) in which the coefficients of constant columns stay 0."""
    both = still[:, None] | still
    return np.where(still, 0.0, score), np.where(both, np.eye(len(still)), gram)


def warnings(still: Any, names: Sequence[str], within: str = "") -> tuple[str, ...]:
    """What is said of constant columns; `within` what they do not vary.

    Raises:
        Invalid: E-COLLINEAR, all columns are constant.
    """
    named = [name for name, out in zip(names, still.tolist(), strict=True) if out]
    if len(named) == sum(name != "(Intercept)" for name in names):
        raise linear.collinear(linear.Dependent(0, ()), named, within)
    return tuple(f"column {name!r} is constant{within}: its coefficient is 0" for name in named)


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
    best = minimise(gram, score + linear.product(gram, point.now), point.penalty, point.now)
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
