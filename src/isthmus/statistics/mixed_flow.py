"""Linear mixed models from pooled sums: a start, grids of theta, then steps down the profiled deviance.

theta holds the lower triangle of L, the covariance of the random effects relative to the residual variance: the
deviance is smooth and even in it, so a variance of 0 is an ordinary minimum. Few values of theta are asked, because
each tells the sums of the groups in another mixture (`mixed_guard`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isthmus.evidence import Counts
from isthmus.model.errors import Invalid
from isthmus.statistics import glm_flow, linear, mixed_df, mixed_plan, mixed_profile, mixed_search, mixed_steps
from isthmus.statistics.contract import Estimate, Flow, Round
from isthmus.statistics.mixed_asked import Asked
from isthmus.statistics.mixed_plan import Begun, Plan, profile
from isthmus.statistics.mixed_profile import Profile
from isthmus.statistics.mixed_steps import Known
from isthmus.statistics.newton import must_halve
from isthmus.summary import FloatArray

SHORT = 1.0  # standard errors: a step of L that is no longer is Newton's
SMALL = 0.3  # a variance whose deviance is nearer to a parabola of the variance than of its root
POOR, GOOD = 0.25, 0.75  # shares of what a step was to gain: below the one the next is held, above the other less so
HOLD, FIRMER = 0.05, 4.0  # a group, at first; and the factor of more
RELATIVE = 1e-4  # of a standard deviation: Newton's step squares it
LOOSE = 1e-3  # the same of a small one, where the model's step does better
ZERO = 1e-6  # a root of such a ratio that is rounding: the variance is 0


def fit(plan: Plan) -> Flow:
    """The whole flow."""
    begun, rounds = yield from mixed_plan.begin(plan)
    place = mixed_steps.turn(begun.average)
    now, used = yield from mixed_search.begin(plan, begun, place)
    rounds, way = rounds + used, _Way()
    for _ in range(plan.most):
        asked = Asked(place, now)
        told = {"step": "newton", **asked.params(), **begun.params}
        pooled = yield Round(mixed_plan.sums_layout(plan, plan.kept), told)
        rounds += 1
        here = asked.known(pooled, begun.groups)
        sums = mixed_steps.by_factor(here)
        found = profile(plan, begun, *sums)
        newton, errors = mixed_profile.descend(found.gradient, found.curvature)
        small = plan.random == 1 and abs(float(now[0, 0])) < SMALL
        if small:
            newton = mixed_steps.entries(_onward(plan, begun, here, 0.0)[0] - now)
        if must_halve(found.deviance, way.least):
            way = replace(way, hold=max(FIRMER * way.hold, HOLD))
        elif errors is not None and _near(plan, now, (newton, errors), LOOSE if small else RELATIVE):
            ended = _end(plan, begun, (place, now, newton), sums)
            freedom = mixed_df.slopes(found, sums[1]) if plan.satterthwaite else None
            return _estimate(plan, begun, replace(ended, freedom=freedom), rounds)
        else:
            way = way.gone(here, found.deviance)
            if errors is not None and bool(np.all(np.abs(newton) < SHORT * errors)):
                now, way = now + mixed_steps.lower(newton, plan.random), replace(way, hoped=0.0)
                continue
        now, hoped = _onward(plan, begun, way.base or here, way.hold)
        way = replace(way, hoped=hoped)
    hint = "does the outcome vary inside groups? use fewer random slopes or simpler terms"
    message = f"no convergence in {plan.most} rounds for outcome {plan.model.outcome!r} by {plan.group!r}"
    raise Invalid("E-CONVERGENCE", message, hint)


def _onward(plan: Plan, begun: Begun, base: Known, hold: float) -> tuple[FloatArray, float]:
    """The next L, and what the step to it is to gain."""
    found = profile(plan, begun, base.logs, base.grams)
    return mixed_steps.onward(mixed_steps.model(base, found, begun.groups, hold))


def _near(plan: Plan, now: FloatArray, step: tuple[FloatArray, FloatArray], relative: float) -> bool:
    """Whether Newton's step of L leaves nothing: in standard errors, and, since those grow without end towards 0, by size."""
    newton, errors = step
    own = np.diag(mixed_steps.lower(newton, plan.random))
    small = np.abs(own) < np.maximum(relative * np.abs(np.diag(now)), ZERO)
    return bool(np.all(np.abs(newton) < plan.near * errors)) and bool(np.all(small))


@dataclass(frozen=True, slots=True)
class _Way:
    """The best so far: what is known there and its deviance; what the last step was to gain, and how much it is held."""

    base: Known | None = None
    least: float = math.inf
    hoped: float = 0.0
    hold: float = HOLD

    def gone(self, here: Known, deviance: float) -> _Way:
        """After a step that was no loss."""
        share = (self.least - deviance) / self.hoped if self.hoped > 0.0 else 1.0
        hold = max(FIRMER * self.hold, HOLD) if share < POOR else self.hold / FIRMER if share > GOOD else self.hold
        return _Way(here, deviance, 0.0, hold)


@dataclass(frozen=True, slots=True)
class _Ended:
    """theta and everything there, and where asked what Satterthwaite's degrees of freedom follow from."""

    theta: FloatArray
    here: Profile
    freedom: tuple[FloatArray, FloatArray] | None = None


def _end(
    plan: Plan, begun: Begun, last: tuple[FloatArray, FloatArray, FloatArray], sums: tuple[FloatArray, FloatArray]
) -> _Ended:
    """After the last step, from derivatives; what is 0 but for rounding is 0."""
    place, now, newton = last
    after = mixed_steps.settled(now + mixed_steps.lower(newton, plan.random), ZERO)
    final = mixed_steps.entries(linear.product(place, after))
    logs, grams = mixed_profile.moved(*sums, mixed_steps.entries(after - now))
    return _Ended(final, profile(plan, begun, logs, grams))


def _estimate(plan: Plan, begun: Begun, ended: _Ended, rounds: int) -> Estimate:
    model, here, place = plan.model, ended.here, begun.start.place
    unit, n, p = begun.start.unit, begun.n, plan.model.size
    degrees = plan.degrees(n)
    residual = here.rest / degrees * unit**2
    factor = mixed_steps.lower(ended.theta, plan.random)
    relative = raw_factor(plan, begun, factor)
    logs = here.logs
    if plan.reml:  # the determinant is that of the columns as written
        turned = 1.0 if place.rotation is None else np.diag(place.rotation)
        logs += 2.0 * float(linear.total(np.log(place.scale / turned)))
    loglik = -0.5 * (logs + degrees * (1.0 + math.log(2.0 * math.pi * residual)))
    parameters = p + plan.angles + 1
    values: dict[str, Any] = {
        "estimates": begun.start.raw(here.coefficients),
        "vcov": place.covariance(here.inverse) * residual,
        "random": linear.product(relative, relative.T) * residual,
        "sigma2": residual,
        "loglik": loglik,
        "singular": bool(np.any(np.diag(factor) == 0.0)),
        "parameters": parameters,
        "ended": {"theta": ended.theta, "coefficients": here.coefficients, **begun.params},
    }
    if ended.freedom is not None:
        leans = np.array([place.covariance(one) for one in ended.freedom[0]]) * residual
        values["spread"] = mixed_df.Spread(values["vcov"], leans, ended.freedom[1], float(degrees))
    counts = glm_flow.counts(model, begun.start, n) | {"groups": Counts("cells", np.array([begun.groups]))}
    return Estimate("mixed", "exact", n, rounds, counts, values, p + plan.angles)


def raw_factor(plan: Plan, begun: Begun, factor: FloatArray) -> FloatArray:
    """L of the random columns as written: a slope of (x - c) / s is one of x, and moves the intercept."""
    place, made = begun.start.place, factor.copy()
    for k, j in enumerate(plan.slopes, start=1):
        made[k] = factor[k] / place.scale[j]
        made[0] -= made[k] * place.centre[j]
    return made
