"""Generalized mixed models: Newton's method on the pooled log-likelihood of quadrature, or of Laplace's approximation.

Coefficients and theta, the lower triangle of L with L L' the covariance of the random effects, move together. The
log-likelihood is even in a column of L, so a variance of 0 is an ordinary maximum. Errors are those of the joint second derivatives, as `glmer`'s.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from isthmus.evidence import Counts
from isthmus.model.errors import Invalid
from isthmus.statistics import glm_flow, linear, mixed_flow, mixed_plan, mixed_profile, mixed_steps
from isthmus.statistics.contract import Estimate, Flow, Round
from isthmus.statistics.glm_start import Start
from isthmus.statistics.mixed_plan import Begun, Plan
from isthmus.statistics.newton import ABSURD, diverged, must_halve
from isthmus.summary import Field, FloatArray, Layout

MOST = (20, 40)  # rounds of Newton's method: for an intercept alone, and beside random slopes
FLAT, NUDGE = 0.1, 0.3  # a diagonal entry of L so near 0, where the likelihood rises to both sides, goes so far
NEAR = 1e-7  # standard errors: after a step this small the next would be below 1e-13
FIRST = 0.5  # diagonal of L to begin at, of log odds or log rates
SLOW = 0.01  # of -2 log-likelihood: a step that gains less crawls
FARTHEST = 1.0  # largest change of a standardised coefficient, or of theta, in one step
ENDLESS = 5.0  # of L, where no end was found: log odds that differ by 20 between ordinary groups
ZERO = 1e-5  # theta that is 0 but for rounding


def layout(plan: Plan, *more: Field) -> Layout:
    """Log-likelihood and its derivatives by coefficients and theta."""
    size = plan.model.size + plan.angles
    return Layout(
        fields=(
            Field(name="loglik", shape=(1,), kind="sum"),
            Field(name="score", shape=(size,), kind="score"),
            Field(name="bend", shape=(size, size), kind="gram"),
            *more,
        )
    )


def numbers(plan: Plan) -> int:
    """Most numbers that leave about the groups."""
    size = plan.model.size + plan.angles
    return MOST[plan.random > 1] * (1 + size + size * (size + 1) // 2) + 2 * len(plan.slopes)


def fit(plan: Plan, points: int) -> Flow:
    """The whole flow."""
    begun, rounds = yield from mixed_plan.begin(plan)
    place, names = begun.start.place, plan.model.design.names
    size, more = plan.model.size, mixed_plan.slope_fields(plan)
    now = before = np.append(begun.start.coefficients, mixed_steps.entries(FIRST * np.eye(plan.random)))
    last, rotated = math.inf, False
    for _ in range(MOST[plan.random > 1]):
        asked: dict[str, Any] = {
            "step": "quadrature",
            "coefficients": now[:size],
            "theta": now[size:],
            "points": points,
        }
        pooled = yield Round(layout(plan, *more), {**asked, **begun.params})
        rounds += 1
        if more:
            mixed_plan.check_slopes(plan, pooled)
            more = ()
        minus2 = -2.0 * float(pooled["loglik"][0])
        if must_halve(minus2, last):
            now = (now + before) / 2.0
            continue
        move, errors = mixed_profile.descend(-2.0 * pooled["score"], -2.0 * pooled["bend"], FARTHEST)
        if errors is not None and bool(np.all(np.abs(move) < NEAR * errors)):
            return _estimate(plan, begun, now + move, -pooled["bend"], (minus2, rounds, points))
        slow = last - minus2 < SLOW
        before, last, now = now, minus2, now + np.clip(move, -FARTHEST, FARTHEST)
        for k in _saddles(plan, before, pooled["bend"]):
            now[k] = math.copysign(NUDGE, before[k])
        if slow and not rotated and abs(float(now[size])) < FLAT:
            now[size:], rotated = _rotated(plan, now[size:]), True
        if bool(np.any(np.abs(place.raw(now[:size]) * place.scale)[1:] > ABSURD)):
            break
    raise _no_end(plan, begun.start, now, before, names)


def _saddles(plan: Plan, here: FloatArray, bend: FloatArray) -> list[int]:
    """Positions of diagonal entries of L near 0 to both sides of which the likelihood rises."""
    rows, columns = np.tril_indices(plan.random)
    at = plan.model.size + np.flatnonzero(rows == columns)
    return [int(k) for k in at if abs(float(here[k])) < FLAT and float(bend[k, k]) > 0.0]


def _rotated(plan: Plan, theta: FloatArray) -> FloatArray:
    """The same standard deviations with slopes along the intercept: beside an intercept of 0 nothing tells L's columns apart."""
    factor = mixed_steps.lower(theta, plan.random)
    for row in factor[1:]:
        row[0], row[1:] = math.copysign(float(np.sqrt(linear.total(row**2))), row[0]), 0.0
    return mixed_steps.entries(factor)


def _no_end(plan: Plan, start: Start, now: FloatArray, before: FloatArray, names: tuple[str, ...]) -> Invalid:
    size = plan.model.size
    if bool(np.any(np.abs(now[size:]) > ENDLESS)):
        message = (
            f"outcome {plan.model.outcome!r} hardly varies inside {plan.group!r}: the variance has no finite value"
        )
        return Invalid("E-CONVERGENCE", message, "use glm, or larger groups")
    return diverged(start.place, (now - before)[:size], now[:size], names, f"outcome {plan.model.outcome!r}")


def _estimate(
    plan: Plan, begun: Begun, found: FloatArray, information: FloatArray, told: tuple[float, int, int]
) -> Estimate:
    minus2, rounds, points = told
    place, size, n = begun.start.place, plan.model.size, begun.n
    inverse = linear.inverse(linear.cholesky(information))
    factor = mixed_steps.settled(mixed_steps.lower(found[size:], plan.random), ZERO)
    relative = mixed_flow.raw_factor(plan, begun, factor)
    values: dict[str, Any] = {
        "estimates": place.raw(found[:size]),
        "vcov": place.covariance(inverse[:size, :size]),
        "random": linear.product(relative, relative.T),
        "sigma2": None,
        "loglik": -minus2 / 2.0,
        "singular": bool(np.any(np.diag(factor) == 0.0)),
        "parameters": size + plan.angles,
        "points": points,
        "ended": {"theta": mixed_steps.entries(factor), "coefficients": found[:size], **begun.params},
    }
    counts = glm_flow.counts(plan.model, begun.start, n) | {"groups": Counts("cells", np.array([begun.groups]))}
    return Estimate("mixed", "exact", n, rounds, counts, values, size + plan.angles)
