"""The profiled deviance of a linear mixed model and its derivatives, from pooled sums at one theta.

Everything here runs at every party between two rounds: `linear.py` and elementwise operations only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from isthmus.statistics import linear
from isthmus.summary import FloatArray

RIDGES = (0.0, 1e-3, 1e-2, 0.1, 1.0, 2.0, 4.0, 20.0, 100.0)  # tried in turn until the second derivatives are positive
PERFECT = 1e-11  # residual over outcome, sums of squares: below this nothing is left to divide


class Explained(Exception):
    """Internal: the terms and the groups leave nothing of the outcome to a residual variance."""


@dataclass(frozen=True, slots=True)
class Profile:
    """At one theta: `deviance` (-2 log-likelihood without constants), slopes and curvature by theta where known.

    `falls` are the slopes of `rest`. `coefficients` (p,) and `inverse` (p, p) of X'V^-1X in the coordinates of the fit; `rest` the weighted sum of
    squares; `logs` the terms of the deviance but the residual's.
    """

    deviance: float
    coefficients: FloatArray
    inverse: FloatArray
    rest: float
    logs: float
    gradient: FloatArray
    curvature: FloatArray
    falls: FloatArray


def profile(logs: FloatArray, grams: FloatArray, n: int, reml: bool) -> Profile:
    """From log det V (k,) and [X y]'V^-1[X y] (k, P, P): values, then first and second derivatives where k > 1.

    Raises:
        Explained: nothing is left of the outcome.
        Dependent: columns determine each other at this theta.
    """
    p = grams.shape[1] - 1
    lower = linear.cholesky(grams[0, :p, :p])
    half = linear.forward(lower, grams[0, :p, p])
    rest = float(grams[0, p, p]) - linear.dot(half, half)
    if not rest > PERFECT * float(grams[0, p, p]):
        raise Explained
    coefficients, inverse = linear.solve(lower, grams[0, :p, p]), linear.inverse(lower)
    degrees = n - p if reml else n
    other = float(logs[0]) + (2.0 * float(linear.total(np.log(np.diag(lower)))) if reml else 0.0)
    deviance = other + degrees * math.log(rest)
    size = round((math.sqrt(8 * len(logs) + 1) - 3) / 2)
    found = Profile(
        deviance, coefficients, inverse, rest, other, np.zeros(size), np.zeros((size, size)), np.zeros(size)
    )
    if size:
        _differentiate(found, logs, grams, degrees, reml)
    return found


def _differentiate(found: Profile, logs: FloatArray, grams: FloatArray, degrees: int, reml: bool) -> None:
    """Fill gradient and curvature."""
    p, size = len(found.coefficients), len(found.gradient)
    away = np.append(-found.coefficients, 1.0)
    residual = [linear.product(g, away) for g in grams[1 : size + 1]]
    turned = [linear.product(found.inverse, g[:p, :p]) for g in grams[1 : size + 1]]
    first = [linear.dot(away, r) for r in residual]
    at = size
    for i in range(size):
        own = linear.trace(turned[i]) if reml else 0.0
        found.falls[i] = first[i]
        found.gradient[i] = float(logs[1 + i]) + own + degrees * first[i] / found.rest
        for j in range(i + 1):
            at += 1
            bend = linear.dot(away, linear.product(grams[at], away))
            bend -= 2.0 * linear.dot(residual[i][:p], linear.product(found.inverse, residual[j][:p]))
            value = float(logs[at]) + degrees * (bend / found.rest - first[i] * first[j] / found.rest**2)
            if reml:
                value += linear.trace(linear.product(found.inverse, grams[at, :p, :p]))
                value -= linear.trace(linear.product(turned[i], turned[j]))
            found.curvature[i, j] = found.curvature[j, i] = value


def descend(
    gradient: FloatArray, curvature: FloatArray, farthest: float = math.inf
) -> tuple[FloatArray, FloatArray | None]:
    """A descending step (m,) of a deviance and standard errors, None where its `curvature` (m, m) is not positive.

    Steps of which an entry passes `farthest` are damped (Levenberg & Marquardt).
    """
    size = np.abs(np.diag(curvature))
    size = np.where(size > 0.0, size, 1.0)
    errors, move = None, -gradient / (RIDGES[-1] * size)
    for ridge in RIDGES:
        try:
            lower = linear.cholesky(curvature + np.diag(ridge * size))
        except linear.Dependent:
            continue
        move = -linear.solve(lower, gradient)
        errors = errors if ridge else np.sqrt(2.0 * np.diag(linear.inverse(lower)))
        if bool(np.all(np.abs(move) <= farthest)):
            break
    return move, errors


def moved(logs: FloatArray, grams: FloatArray, by: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Values at theta + `by` from those at theta and their derivatives, to third order."""
    size, at = len(by), len(by)
    log, gram = float(logs[0]), grams[0].copy()
    for i in range(size):
        log += float(logs[1 + i]) * float(by[i])
        gram += grams[1 + i] * by[i]
    for i in range(size):
        for j in range(i + 1):
            at += 1
            weight = float(by[i] * by[j]) * (0.5 if i == j else 1.0)
            log += float(logs[at]) * weight
            gram += grams[at] * weight
    return np.array([log]), gram[None]
