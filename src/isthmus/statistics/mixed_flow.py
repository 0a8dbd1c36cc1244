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
from isthmus.statistics import (
    glm_flow,
    linear,
    mixed_asked,
    mixed_df,
    mixed_plan,
    mixed_profile,
    mixed_search,
    mixed_steps,
    mixed_way,
)
from isthmus.statistics.contract import Estimate, Flow, Round
from isthmus.statistics.mixed_asked import Asked
from isthmus.statistics.mixed_plan import Begun, Plan, Pooled, profile
from isthmus.statistics.mixed_profile import Profile
from isthmus.statistics.mixed_steps import Known
from isthmus.statistics.mixed_way import Here, Try, Way
from isthmus.summary import FloatArray

RELATIVE = 1e-4  # of a standard deviation: Newton's step squares it
LOOSE = 1e-3  # the same of a small one, where the model's step does better


def fit(plan: Plan) -> Flow:
    """The whole flow."""
    begun, rounds = yield from mixed_plan.begin(plan)
    place = mixed_steps.turn(begun.average)
    now, used = yield from mixed_search.begin(plan, begun, place)
    way: Way | None = None
    rounds, tries = rounds + used, mixed_way.first(now)
    for _ in range(plan.most):
        here, values = yield from _asked(plan, begun, place, tries)
        rounds += 1
        if way is not None and not way.goes(here, values):
            way, tries = mixed_way.again(plan, begun, way, tries, values)
            continue
        if _near(plan, here) and mixed_way.ends(plan, way, mixed_way.after(plan, here)):
            ended = _end(plan, begun, place, here)
            freedom = mixed_df.slopes(here.found, here.sums[1]) if plan.satterthwaite else None
            return _estimate(plan, begun, replace(ended, freedom=freedom), rounds)
        way, tries = mixed_way.onward(plan, begun, way, here)
    names = plan.model.design.names
    told = "".join(f", or {names[k]!r} varies inside few of them" for k in plan.slopes)
    message = (
        f"no convergence in {plan.most} rounds for outcome {plan.model.outcome!r}: "
        f"groups of {plan.group!r} tell too little of their variances"
    )
    hint = f"one group has nearly all rows{told}, or the outcome does not vary inside groups; use fewer random slopes"
    raise Invalid("E-CONVERGENCE", message, hint)


def _asked(plan: Plan, begun: Begun, place: FloatArray, tries: list[Try]) -> Pooled:
    """One round: what is known at the first (`Here`; None where nothing is), and the deviances at all."""
    each, kept = [Asked(place, one.factor) for one in tries], plan.kept
    told = {"step": "newton", **mixed_asked.params(each), "frame": each[0].frame, **begun.params}
    pooled = yield Round(mixed_plan.sums_layout(plan, kept + len(each) - 1), told)
    logs, grams = pooled["logs"], pooled["grams"]
    others = [one.known(logs[k : k + 1], grams[k : k + 1], begun.groups) for k, one in enumerate(each[1:], start=kept)]
    values = [_deviance(plan, begun, one) for one in others]
    known = each[0].known(logs[:kept], grams[:kept], begun.groups)
    first = _deviance(plan, begun, known)
    if math.isinf(first) and len(tries) > 1:
        return None, [first, *values]
    sums = mixed_steps.by_factor(known)
    found = profile(plan, begun, *sums)
    newton, errors = mixed_profile.descend(found.gradient, found.curvature)
    here = Here(tries[0], known, sums, found, newton, errors)
    return replace(here, newton=mixed_way.newton(plan, begun, here)), [first, *values]


def _deviance(plan: Plan, begun: Begun, known: Known) -> float:
    try:
        return mixed_profile.profile(known.logs[:1], known.grams[:1], begun.n, plan.reml).deviance
    except (mixed_profile.Explained, linear.Dependent):  # an extreme theta
        return math.inf


def _near(plan: Plan, here: Here) -> bool:
    """Whether Newton's step of L leaves nothing: in standard errors, and, since those grow without end towards 0, by size."""
    if here.errors is None:
        return False
    now, relative = here.at.factor, LOOSE if mixed_way.small(plan, here) else RELATIVE
    own = np.diag(mixed_steps.lower(here.newton, plan.random))
    still = np.abs(own) < np.maximum(relative * np.abs(np.diag(now)), mixed_way.ZERO)
    return bool(np.all(np.abs(here.newton) < plan.near * here.errors)) and bool(np.all(still))


@dataclass(frozen=True, slots=True)
class _Ended:
    """theta and everything there, and where asked what Satterthwaite's degrees of freedom follow from."""

    theta: FloatArray
    here: Profile
    freedom: tuple[FloatArray, FloatArray] | None = None


def _end(plan: Plan, begun: Begun, place: FloatArray, here: Here) -> _Ended:
    """After the last step, from derivatives."""
    now, after = here.at.factor, mixed_way.after(plan, here)
    final = mixed_steps.entries(linear.product(place, after))
    logs, grams = mixed_profile.moved(*here.sums, mixed_steps.entries(after - now))
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
