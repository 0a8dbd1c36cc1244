"""Generalized mixed models with a random intercept: Newton's method on the pooled log-likelihood of quadrature.

Coefficients and theta, the standard deviation of the intercepts, move together. The log-likelihood is even in theta, so
a variance of 0 is an ordinary maximum. Errors are those of the joint second derivatives, as `glmer`'s.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from isthmus.evidence import Counts
from isthmus.model.errors import Invalid
from isthmus.statistics import glm_flow, linear, mixed_flow, mixed_profile
from isthmus.statistics.contract import Estimate, Flow, Round
from isthmus.statistics.glm_flow import Start
from isthmus.statistics.mixed_flow import Begun, Plan
from isthmus.statistics.newton import ABSURD, diverged, must_halve
from isthmus.summary import Field, FloatArray, Layout

MOST = 20  # rounds of Newton's method
NEAR = 1e-7  # standard errors: after a step this small the next would be below 1e-13
FIRST = 0.5  # theta to begin at, of log odds or log rates
FARTHEST = 2.0  # largest change of a standardised coefficient, or of theta, in one step
ZERO = 1e-5  # theta that is 0 but for rounding


def layout(plan: Plan) -> Layout:
    """Log-likelihood and its derivatives by coefficients and theta."""
    size = plan.model.size + 1
    return Layout(
        fields=(
            Field(name="loglik", shape=(1,), kind="sum"),
            Field(name="score", shape=(size,), kind="score"),
            Field(name="bend", shape=(size, size), kind="gram"),
        )
    )


def numbers(plan: Plan) -> int:
    """Most numbers that leave about the groups."""
    size = plan.model.size + 1
    return MOST * (1 + size + size * (size + 1) // 2)


def fit(plan: Plan, points: int) -> Flow:
    """The whole flow."""
    begun, rounds = yield from mixed_flow.begin(plan)
    place, names = begun.start.place, plan.model.design.names
    now = before = np.append(begun.start.coefficients, FIRST)
    last = math.inf
    for _ in range(MOST):
        asked: dict[str, Any] = {
            "step": "quadrature",
            "coefficients": now[:-1],
            "theta": float(now[-1]),
            "points": points,
        }
        pooled = yield Round(layout(plan), {**asked, **begun.params})
        rounds += 1
        minus2 = -2.0 * float(pooled["loglik"][0])
        if must_halve(minus2, last):
            now = (now + before) / 2.0
            continue
        move, errors = mixed_profile.descend(-2.0 * pooled["score"], -2.0 * pooled["bend"])
        if errors is not None and bool(np.all(np.abs(move) < NEAR * errors)):
            return _estimate(plan, begun, now + move, -pooled["bend"], (minus2, rounds, points))
        before, last, now = now, minus2, now + np.clip(move, -FARTHEST, FARTHEST)
        if bool(np.any(np.abs(place.raw(now[:-1]) * place.scale)[1:] > ABSURD)):
            break
    raise _no_end(plan, begun.start, now, before, names)


def _no_end(plan: Plan, start: Start, now: FloatArray, before: FloatArray, names: tuple[str, ...]) -> Invalid:
    if abs(float(now[-1])) > ABSURD:
        message = (
            f"outcome {plan.model.outcome!r} hardly varies inside {plan.group!r}: the variance has no finite value"
        )
        return Invalid("E-CONVERGENCE", message, "use glm, or larger groups")
    return diverged(start.place, (now - before)[:-1], now[:-1], names)


def _estimate(
    plan: Plan, begun: Begun, found: FloatArray, information: FloatArray, told: tuple[float, int, int]
) -> Estimate:
    minus2, rounds, points = told
    place, size, n = begun.start.place, plan.model.size, begun.n
    inverse = linear.inverse(linear.cholesky(information))
    theta = float(found[-1])
    between = 0.0 if abs(theta) < ZERO else theta**2
    values: dict[str, Any] = {
        "estimates": place.raw(found[:-1]),
        "vcov": place.covariance(inverse[:size, :size]),
        "random": np.array([[between]]),
        "sigma2": None,
        "loglik": -minus2 / 2.0,
        "singular": between == 0.0,
        "parameters": size + 1,
        "points": points,
        "ended": {"theta": math.sqrt(between), "coefficients": found[:-1], **begun.params},
    }
    counts = glm_flow.counts(plan.model, begun.start, n) | {"groups": Counts("cells", np.array([begun.groups]))}
    return Estimate("mixed", "exact", n, rounds, counts, values, size + 1)
