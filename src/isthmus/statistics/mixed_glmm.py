"""Generalized mixed models: Newton's method on the pooled log-likelihood of quadrature, or of Laplace's approximation.

Coefficients and theta, the lower triangle of L with L L' the covariance of the random effects, move together. The
log-likelihood is even in a column of L, so a variance of 0 is an ordinary maximum. Errors are those of the joint second derivatives, as `glmer`'s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.evidence import Counts
from isthmus.model.errors import Invalid
from isthmus.statistics import glm_flow, linear, mixed_flow, mixed_plan, mixed_profile, mixed_steps
from isthmus.statistics.contract import Estimate, Flow, Round
from isthmus.statistics.glm_start import Start
from isthmus.statistics.mixed_plan import Begun, Plan, Pooled
from isthmus.statistics.newton import ABSURD, diverged, must_halve
from isthmus.summary import Field, FloatArray, Layout

MOST = (20, 40)  # rounds of steps: for an intercept alone, and beside random slopes
TRIED = 5  # places in each, of which the first has derivatives
SHARES = (1 / 4, 1 / 16, 1 / 64)  # of Newton's step, tried beside it
BACK = (1 / 256, 1 / 1024, 1 / 4096, 1 / 65536)  # where none of them gained
ON = (2.0, 4.0, 0.5)  # times a step that was better than the first
ENOUGH = 0.6  # of the best gain: with so much the first, whose derivatives are known, is gone on from
ALMOST = 1e-3  # of -2 log-likelihood without variances: with more to gain, the coefficients alone move
STEEP = 1e-2  # of a parameter's own second derivative, at least, along every direction
SURE = 0.3  # standard errors: a step that is no longer is Newton's alone
FLAT, NUDGE = 0.1, 0.3  # a diagonal entry of L so near 0, where the likelihood rises to both sides, goes so far
NEAR = 1e-7  # standard errors: after a step this small the next would be below 1e-13
FIRST = (0.5, 0.1, 1.5, 3.0)  # diagonals of L to begin at the best of, of log odds or log rates
SLOW = 0.01  # of -2 log-likelihood: a step that gains less crawls
FARTHEST = 1.0  # largest change of a standardised coefficient, or of theta, in one step
ENDLESS = 5.0  # of L, where no end was found: log odds that differ by 20 between ordinary groups
ZERO = 1e-5  # theta that is 0 but for rounding


def layout(plan: Plan, *more: Field, others: int = 0) -> Layout:
    """Log-likelihood and its derivatives by coefficients and theta, and the log-likelihood at `others`."""
    size = plan.model.size + plan.angles
    return Layout(
        fields=(
            Field(name="loglik", shape=(1,), kind="sum"),
            Field(name="score", shape=(size,), kind="score"),
            Field(name="bend", shape=(size, size), kind="gram"),
            *((Field(name="tried", shape=(others,), kind="sum"),) if others else ()),
            *more,
        )
    )


def numbers(plan: Plan) -> int:
    """Most numbers that leave about the groups."""
    size = plan.model.size + plan.angles
    return MOST[plan.random > 1] * (TRIED + size + size * (size + 1) // 2) + 2 * len(plan.slopes)


@dataclass(frozen=True, slots=True)
class _Ended:
    """At coefficients and theta: -2 log-likelihood and the information."""

    place: FloatArray
    minus2: float
    information: FloatArray


def fit(plan: Plan, points: int) -> Flow:
    """The whole flow: a climb from the best of a few variances; where it ends with one, and none may be likelier, another from none."""
    begun, rounds = yield from mixed_plan.begin(plan)
    size, eye = plan.model.size, np.eye(plan.random)
    spread = [np.append(begun.start.coefficients, mixed_steps.entries(one * eye)) for one in FIRST]
    found, used = yield from _climbed(plan, begun, points, spread, 0)
    if isinstance(found, Invalid):
        raise found
    if bool(np.any(np.abs(found.place[size:]) > ZERO)):
        none, used = yield from _none(plan, begun, points, used, found.minus2)
        if none is not None:
            other, used = yield from _climbed(plan, begun, points, [none], used)
            higher = isinstance(other, _Ended) and must_halve(found.minus2, other.minus2)
            found = other if higher else found
    return _estimate(plan, begun, found, (rounds + used, points))


def _climbed(plan: Plan, begun: Begun, points: int, tries: list[FloatArray], used: int) -> Pooled:
    """(`_Ended`, or why there is no end; rounds) from the best of `tries`, after `used` rounds."""
    place, names, size = begun.start.place, plan.model.design.names, plan.model.size
    before, last, rotated, step = tries[0], math.inf, False, np.zeros(len(tries[0]))
    while used < MOST[plan.random > 1]:
        pooled, values = yield from _asked(plan, begun, points, tries, used)
        used += 1
        if otherwise := _otherwise(tries, values, before, step, last):
            tries, step, last = otherwise
            continue
        now, minus2 = tries[0], values[0]
        move, errors = mixed_profile.descend(-2.0 * pooled["score"], -2.0 * pooled["bend"], FARTHEST)
        if errors is not None and bool(np.all(np.abs(move) < NEAR * errors)):
            return _Ended(now + move, minus2, -pooled["bend"]), used
        move = move if errors is not None or plan.slopes else _around(-2.0 * pooled["score"], -2.0 * pooled["bend"])
        slow, step = last - minus2 < SLOW, move * min(1.0, FARTHEST / max(float(np.max(np.abs(move))), FARTHEST))
        before, last, ahead = now, minus2, now + step
        sure = errors is not None and bool(np.all(np.abs(move) < SURE * errors))
        tries = [ahead] if sure else _tries(plan, now, step, pooled["bend"])
        if slow and not rotated and abs(float(ahead[size])) < FLAT:
            tries, rotated = [np.append(ahead[:size], _rotated(plan, ahead[size:])), *tries][:TRIED], True
        if bool(np.any(np.abs(place.raw(ahead[:size]) * place.scale)[1:] > ABSURD)):
            break
    return _no_end(plan, begun.start, tries[0], before, names), used


def _none(plan: Plan, begun: Begun, points: int, used: int, bar: float) -> Pooled:
    """(The likeliest place without variances, rounds); None in its place where its -2 log-likelihood is above `bar`."""
    size = plan.model.size
    now = before = np.append(begun.start.coefficients, np.zeros(plan.angles))
    last, step = math.inf, np.zeros(len(now))
    while used < MOST[plan.random > 1]:
        pooled, (minus2, *_) = yield from _asked(plan, begun, points, [now], used)
        used += 1
        if must_halve(minus2, last):
            step /= 2.0
            now = before + step
            continue
        score, step = pooled["score"][:size], np.zeros(len(now))
        try:
            step[:size] = linear.solve(linear.cholesky(-pooled["bend"][:size, :size]), score)
        except linear.Dependent:
            break
        promised = linear.dot(score, step[:size])
        if minus2 - 2.0 * promised > bar:
            break
        before, last, now = now, minus2, now + step
        if promised < ALMOST:
            return now, used
    return None, used


def _otherwise(
    tries: list[FloatArray], values: list[float], before: FloatArray, step: FloatArray, last: float
) -> tuple[list[FloatArray], FloatArray, float] | None:
    """Tries, Newton's step and least deviance of the next round, where the first of this one is not gone on from."""
    best = min(range(len(values)), key=values.__getitem__)
    if must_halve(values[best], last) or (best > 0 and not must_halve(last, values[best])):
        shares = SHARES if len(tries) == 1 else BACK
        return [before + share * step for share in shares], shares[-1] * step, last
    if must_halve(values[0], values[best]) and not last - values[0] >= ENOUGH * (last - values[best]):
        far = tries[best] - before
        return [tries[best], *(before + share * far for share in ON)], step, values[best]
    return None


def _asked(plan: Plan, begun: Begun, points: int, tries: list[FloatArray], used: int) -> Pooled:
    """(Pooled sums at the first of `tries`, -2 log-likelihoods at all) by one round, after `used`."""
    first, others = tries[0], tries[1:]
    told: dict[str, Any] = {"step": "quadrature", "points": points, **begun.params}
    told |= {"coefficients": first[: plan.model.size], "theta": first[plan.model.size :]}
    told |= {"others": np.array(others)} if others else {}
    more = () if used else mixed_plan.slope_fields(plan)
    pooled = yield Round(layout(plan, *more, others=len(others)), told)
    if more:
        mixed_plan.check_slopes(plan, pooled)
    return pooled, [-2.0 * float(pooled["loglik"][0]), *(-2.0 * pooled.values["tried"] if others else ())]


def _tries(plan: Plan, now: FloatArray, step: FloatArray, bend: FloatArray) -> list[FloatArray]:
    """A step and parts of it, and first, where the likelihood rises to both sides of an entry of L, steps off it."""
    made = [now + step, *(now + share * step for share in SHARES)]
    if saddles := _saddles(plan, now, bend):
        made = [*(_nudged(now + step, now, saddles, size) for size in (NUDGE, NUDGE / 10.0)), *made]
    return made[:TRIED]


def _around(gradient: FloatArray, curvature: FloatArray) -> FloatArray:
    """A step down where second derivatives are not positive: Newton's with their eigenvalues' sizes, of parameters at one scale."""
    size = np.sqrt(np.abs(np.diag(curvature)))
    size = np.where(size > 0.0, size, 1.0)
    values, vectors = linear.eigen(curvature / size[:, None] / size[None])
    turned = linear.congruence(vectors, np.diag(1.0 / np.maximum(np.abs(values), STEEP)))
    return -linear.product(turned, gradient / size) / size


def _nudged(ahead: FloatArray, now: FloatArray, at: list[int], size: float) -> FloatArray:
    made = ahead.copy()
    for k in at:
        made[k] = math.copysign(size, now[k])
    return made


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


def _estimate(plan: Plan, begun: Begun, ended: _Ended, told: tuple[int, int]) -> Estimate:
    (rounds, points), found = told, ended.place
    place, size, n = begun.start.place, plan.model.size, begun.n
    inverse = linear.inverse(linear.cholesky(ended.information))
    factor = mixed_steps.settled(mixed_steps.lower(found[size:], plan.random), ZERO)
    relative = mixed_flow.raw_factor(plan, begun, factor)
    values: dict[str, Any] = {
        "estimates": place.raw(found[:size]),
        "vcov": place.covariance(inverse[:size, :size]),
        "random": linear.product(relative, relative.T),
        "sigma2": None,
        "loglik": -ended.minus2 / 2.0,
        "singular": bool(np.any(np.diag(factor) == 0.0)),
        "parameters": size + plan.angles,
        "points": points,
        "ended": {"theta": mixed_steps.entries(factor), "coefficients": found[:size], **begun.params},
    }
    counts = glm_flow.counts(plan.model, begun.start, n) | {"groups": Counts("cells", np.array([begun.groups]))}
    return Estimate("mixed", "exact", n, rounds, counts, values, size + plan.angles)
