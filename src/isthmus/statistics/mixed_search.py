"""Where the steps of a linear mixed model begin: one or two rounds of few values of theta, without derivatives."""

from __future__ import annotations

import math
from functools import partial
from itertools import product

import numpy as np

from isthmus.statistics import linear, mixed_asked, mixed_profile, mixed_start, mixed_steps
from isthmus.statistics.contract import Round
from isthmus.statistics.mixed_asked import Asked
from isthmus.statistics.mixed_plan import (
    FINER,
    GRIDS,
    NODES,
    Begun,
    Plan,
    Pooled,
    check_slopes,
    explained,
    profile,
    slope_fields,
    sums_layout,
)
from isthmus.statistics.mixed_start import Curve, Range
from isthmus.summary import Field, FloatArray

SURE = 0.001  # relative change of a root with half of the nodes, below which a second round would tell nothing more


def begin(plan: Plan, begun: Begun, place: FloatArray) -> Pooled:
    """L (q, q) near where the deviance is least, and rounds.

    Raises:
        Invalid: E-COLLINEAR, a slope column varies in one row alone; E-OUTCOME, the groups explain everything.
    """
    return (yield from (_crossed if plan.slopes else _along)(plan, begun, place))


def _along(plan: Plan, begun: Begun, place: FloatArray) -> Pooled:
    """Of an intercept alone: one round, or two where one leaves doubt."""
    evaluate = partial(mixed_profile.profile, n=begun.n, reml=plan.reml)
    curve, values = yield from _curve(plan, begun, place, Range(0.0, math.inf), None)
    best, used = mixed_start.least(curve, values, evaluate), 1
    other = mixed_start.least(curve.every_other(), values[::2], evaluate)
    if not (best.found and other.found and abs(best.root - other.root) <= SURE * best.root):
        curve, values = yield from _curve(plan, begun, place, best.about, curve)
        best, used = mixed_start.least(curve, values, evaluate), 2
    if math.isinf(best.root):
        raise explained(plan)
    return best.root * np.eye(1), used


def _curve(plan: Plan, begun: Begun, place: FloatArray, over: Range, known: Curve | None) -> Pooled:
    """(`Curve`, deviances); `known` is the one before."""
    roots = over.nodes(FINER if known else NODES)
    each = [Asked(place, root * np.eye(1)) for root in roots.tolist()]
    logs, between, within = yield from _tried(plan, begun, each, known.within if known else None)
    made = Curve(over, roots, logs, between, within, float(begun.groups))
    return made, np.array([profile(plan, begun, *made.node(k)).deviance for k in range(len(roots))])


def _crossed(plan: Plan, begun: Begun, place: FloatArray) -> Pooled:
    """The best of two grids of standard deviations and correlations, the second about the best of the first."""
    (roots, signs), (about, shares) = GRIDS[plan.random]
    first = [
        mixed_steps.correlated(np.array(one), share) for one in product(roots, repeat=plan.random) for share in signs
    ]
    best, within = yield from _best(plan, begun, place, first, None)
    sizes = np.sqrt(linear.total(best**2))
    spreads = [sizes * np.array(one) for one in product(about, repeat=plan.random)]
    second = [mixed_steps.correlated(spread, share) for spread in spreads for share in shares]
    best, _ = yield from _best(plan, begun, place, second, within)
    return best, 2


def _best(plan: Plan, begun: Begun, place: FloatArray, factors: list[FloatArray], within: FloatArray | None) -> Pooled:
    each = [Asked(place, factor) for factor in factors]
    logs, between, within = yield from _tried(plan, begun, each, within)
    lift = np.array([one.lift for one in each])
    logs = logs + plan.random * begun.groups * np.log(lift)
    grams = within + between / lift[:, None, None]
    values = [_deviance(plan, begun, log[None], gram[None]) for log, gram in zip(logs, grams, strict=True)]
    best = int(np.argmin(values))
    if math.isinf(values[best]):
        profile(plan, begun, logs[best : best + 1], grams[best : best + 1])  # raises
    return factors[best], within


def _deviance(plan: Plan, begun: Begun, logs: FloatArray, grams: FloatArray) -> float:
    try:
        return mixed_profile.profile(logs, grams, begun.n, plan.reml).deviance
    except (mixed_profile.Explained, linear.Dependent):  # an extreme theta
        return math.inf


def _tried(plan: Plan, begun: Begun, each: list[Asked], within: FloatArray | None) -> Pooled:
    """One round: `logs` and `grams` as sites send them, and what is inside groups, which is asked once."""
    width = plan.model.size + 1
    first = (Field(name="within", shape=(width, width), kind="gram"), *slope_fields(plan)) if within is None else ()
    told = {"step": "grid", **mixed_asked.params(each), **begun.params}
    pooled = yield Round(sums_layout(plan, len(each), *first), told)
    if within is None:
        check_slopes(plan, pooled)
        within = pooled["within"]
    return pooled["logs"], pooled["grams"], within
