"""Linear mixed models from pooled sums: a start, a grid of theta, then steps down the profiled deviance.

theta holds the lower triangle of L, the covariance of the random effects relative to the residual variance: the
deviance is smooth and even in it, so a variance of 0 is an ordinary minimum. Few values of theta are asked, because
each tells the sums of the groups in another mixture (`mixed_guard`).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from isthmus.evidence import Counts
from isthmus.model.errors import Invalid
from isthmus.statistics import (
    coordinates,
    glm_flow,
    linear,
    mixed_df,
    mixed_profile,
    mixed_start,
    mixed_steps,
)
from isthmus.statistics.contract import Estimate, Flow, Round
from isthmus.statistics.coordinates import Coordinates
from isthmus.statistics.glm_flow import Start
from isthmus.statistics.glm_model import Model
from isthmus.statistics.mixed_asked import Asked
from isthmus.statistics.mixed_profile import Profile, profile
from isthmus.statistics.mixed_start import Curve, Range
from isthmus.statistics.mixed_steps import Turn
from isthmus.statistics.newton import must_halve
from isthmus.summary import Field, FloatArray, Layout, Summary

NODES = (20, 9)  # values of theta in the grid round: for an intercept alone, and beside random slopes
FINER = 11  # in a second one
SURE = 0.01  # relative change of a root with half of the nodes, below which a second round would tell nothing more
MOST = (4, 15)  # Newton rounds: for an intercept alone, and beside random slopes
NEAR = 1e-5  # standard errors of theta: from here the sums follow from their derivatives, to 1e-15
NEARER = 1e-8  # the same for second derivatives, which nothing carries on
ZERO = 1e-6  # a root of such a ratio that is rounding: the variance is 0
FEWEST = 5  # groups; a variance of fewer values tells next to nothing
ALONE = 0.9  # of a slope column's fourth powers over its squares' square: one row has all there is of it
Pooled = Generator[Round, Summary, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """Public facts: the model of the means, random columns beside the intercept, REML or ML, whether few groups may be."""

    model: Model
    slopes: tuple[int, ...]
    reml: bool
    few_allowed: bool
    group: str
    satterthwaite: bool = False

    @property
    def random(self) -> int:
        """q."""
        return 1 + len(self.slopes)

    @property
    def angles(self) -> int:
        """m, entries of theta."""
        return self.random * (self.random + 1) // 2

    def degrees(self, n: int) -> int:
        """Of freedom of the residual variance."""
        return n - self.model.size if self.reml else n

    @property
    def near(self) -> float:
        """Standard errors of theta, the last step."""
        return NEARER if self.satterthwaite else NEAR

    @property
    def nodes(self) -> int:
        """Values of theta in the grid round."""
        return NODES[self.random > 1]

    @property
    def most(self) -> int:
        """Newton rounds."""
        return MOST[self.random > 1]

    @property
    def kept(self) -> int:
        """Values of each sum in a Newton round: itself, first and second derivatives."""
        return 1 + self.angles + self.angles * (self.angles + 1) // 2

    @property
    def numbers(self) -> int:
        """Most numbers that leave about the groups."""
        width = self.model.size + 1
        finer = 0 if self.slopes else FINER
        return (1 + self.nodes + finer + self.most * self.kept) * (width * (width + 1) // 2 + 1) + 2 * len(self.slopes)


def sums_layout(plan: Plan, count: int, *more: Field) -> Layout:
    """`count` values of log det V and of [X y]'V^-1[X y]."""
    width = plan.model.size + 1
    return Layout(
        fields=(
            Field(name="logs", shape=(count,), kind="sum"),
            Field(name="grams", shape=(count, width, width), kind="gram"),
            *more,
        )
    )


@dataclass(frozen=True, slots=True)
class Begun:
    """After the start: the glm's, rows, groups, parameters of every later round, the average group's Z'Z (q, q)."""

    start: Start
    n: int
    groups: int
    params: dict[str, Any]
    average: FloatArray


def fit(plan: Plan) -> Flow:
    """The whole flow."""
    begun, rounds = yield from begin(plan)
    place = mixed_steps.turn(begun.average)
    now, used = yield from _searched(plan, begun, place)
    rounds, before, last, jumps = rounds + used, now, math.inf, 0 if plan.slopes else -1
    for _ in range(plan.most):
        asked = Asked(place, now)
        pooled = yield Round(sums_layout(plan, plan.kept), {"step": "newton", **asked.params(), **begun.params})
        rounds += 1
        logs, grams = asked.plain(pooled, begun.groups)
        found = _profile(plan, begun, logs, grams)
        if must_halve(found.deviance, last):
            now, jumps = (now + before) / 2.0, -1
            continue
        move = mixed_steps.onward(mixed_steps.here(found, now, place), begun.groups, plan.degrees(begun.n), jumps)
        if move.errors is not None and bool(np.all(np.abs(move.newton) < plan.near * move.errors)):
            ended = _end(plan, begun, (place, now, move.newton), (logs, grams))
            freedom = mixed_df.slopes(found, grams) if plan.satterthwaite else None
            return _estimate(plan, begun, replace(ended, freedom=freedom), rounds)
        before, last, now, jumps = now, found.deviance, move.factor, jumps + (jumps >= 0 and move.jumped)
    hint = "does the outcome vary inside groups? use fewer random slopes or simpler terms"
    message = f"no convergence in {plan.most} rounds for outcome {plan.model.outcome!r} by {plan.group!r}"
    raise Invalid("E-CONVERGENCE", message, hint)


def begin(plan: Plan) -> Pooled:
    """The glm's first round or two, with the number of groups."""
    flow = glm_flow.begin(plan.model)
    asked = next(flow)
    while True:
        layout = Layout(fields=(*asked.layout.fields, Field(name="groups", shape=(1,), kind="count")))
        told = asked.params
        pooled = yield Round(layout, told)
        groups, n = int(pooled["groups"][0]), int(pooled["n"][0])
        try:
            asked = flow.send(pooled)
        except StopIteration as stop:
            start, used = stop.value
            _check(plan, n, groups)
            params = {"response_scale": start.unit, **start.place.params()}
            return Begun(start, n, groups, params, _average(plan, start.place, pooled["gram"], told) / groups), used


def _check(plan: Plan, n: int, groups: int) -> None:
    group = repr(plan.group)
    if groups < 2:
        raise Invalid("E-GROUPS", f"all rows are in one group of {group}", "leave the grouping out: use glm")
    if groups < FEWEST and not plan.few_allowed:
        message = f"fewer than {FEWEST} groups of {group}: their variance would be guesswork, and the sums their own"
        hint = "use glm with the group as a term, or meta; of sites, `release: [site_results]` where the agreement allows it"
        raise Invalid("E-GROUPS", message, hint)
    if groups == n and plan.model.family.base == "gaussian":
        raise Invalid("E-GROUPS", f"every row is a group of its own in {group}", "the grouping repeats nobody: use glm")
    if n - plan.model.size - plan.angles < 1:
        raise Invalid("E-TOO-MANY-TERMS", "there are at least as many terms as rows", "use fewer terms")


def _profile(plan: Plan, begun: Begun, logs: FloatArray, grams: FloatArray) -> Profile:
    try:
        return profile(logs, grams, begun.n, plan.reml)
    except mixed_profile.Explained as error:
        raise _explained(plan) from error
    except linear.Dependent as error:
        names = plan.model.design.names
        if error.pivot == 0 or not error.others:
            message = f"column {names[error.pivot]!r} does not vary inside groups of {plan.group!r}"
            raise Invalid("E-COLLINEAR", f"{message}, which explain everything else", "leave it out") from error
        raise linear.collinear(error, names) from error


def _explained(plan: Plan) -> Invalid:
    message = f"the terms and the groups of {plan.group!r} leave nothing of {plan.model.outcome!r} unexplained"
    return Invalid("E-OUTCOME", message, "leave the grouping out, or a term that repeats the outcome")


def _average(plan: Plan, place: Coordinates, gram: FloatArray, told: Mapping[str, Any]) -> FloatArray:
    """Z'Z (q, q) of all rows in the coordinates of the fit, from X'X in those of the start."""
    old = Coordinates(np.asarray(told["centre"]), np.asarray(told["scale"]), place.intercept)
    plain = coordinates.turned(gram, old, Coordinates(place.centre, place.scale, place.intercept))
    at = [0, *plan.slopes]
    made = plain[np.ix_(at, at)].copy()
    if not place.intercept:  # sums of the columns are not known: any will do, at the price of a step
        made[0, :] = made[:, 0] = 0.0
        made[0, 0] = plain[at[-1], at[-1]]
    return made


def _searched(plan: Plan, begun: Begun, place: Turn) -> Pooled:
    """L (q, q), the same variance in every direction, where the deviance is least, and rounds: one, or two where one leaves doubt.

    Raises:
        Invalid: E-COLLINEAR, a slope column varies in one row alone; E-OUTCOME, the groups explain everything.
    """
    evaluate = partial(profile, n=begun.n, reml=plan.reml)
    curve, values = yield from _curve(plan, begun, place, Range(0.0, math.inf))
    best, used = mixed_start.least(curve, values, evaluate), 1
    if not plan.slopes:
        other = mixed_start.least(curve.every_other(), values[::2], evaluate)
        if not (best.found and other.found and abs(best.root - other.root) <= SURE * best.root):
            curve, values = yield from _curve(plan, begun, place, best.about, curve)
            best, used = mixed_start.least(curve, values, evaluate), 2
    if math.isinf(best.root):
        raise _explained(plan)
    return max(best.root, mixed_steps.NUDGE if plan.slopes else 0.0) * np.eye(plan.random), used


def _curve(plan: Plan, begun: Begun, place: Turn, over: Range, known: Curve | None = None) -> Pooled:
    """(`Curve`, deviances) of one round; `known` is the one before."""
    roots = over.nodes(FINER if known else plan.nodes)
    each = [Asked(place, root * np.eye(plan.random)) for root in roots.tolist()]
    lift = np.array([one.lift for one in each])
    told: dict[str, Any] = {"step": "grid", "theta": np.array([place.theta(one.factor) for one in each]), "lift": lift}
    width = plan.model.size + 1
    more = () if known else (Field(name="within", shape=(width, width), kind="gram"), *slope_fields(plan))
    pooled = yield Round(sums_layout(plan, len(roots), *more), {**told, **begun.params})
    if not known:
        check_slopes(plan, pooled)
    made = Curve(
        over,
        roots,
        pooled["logs"],
        pooled["grams"],
        known.within if known else pooled["within"],
        float(plan.random * begun.groups),
    )
    return made, np.array([_profile(plan, begun, *made.node(k)).deviance for k in range(len(roots))])


def slope_fields(plan: Plan) -> tuple[Field, ...]:
    """Sums of the slope columns' squares and of their fourth powers."""
    return (Field(name="powers", shape=(2, len(plan.slopes)), kind="sum"),) if plan.slopes else ()


def check_slopes(plan: Plan, pooled: Summary) -> None:
    """Hold each slope column to more than one row that makes it.

    Raises:
        Invalid: E-COLLINEAR, naming the column.
    """
    for k, j in enumerate(plan.slopes):
        if float(pooled["powers"][1, k]) > ALONE * float(pooled["powers"][0, k]) ** 2:
            message = (
                f"column {plan.model.design.names[j]!r} differs in hardly more than one row, which no slope follows"
            )
            raise Invalid("E-COLLINEAR", message, "is its value absurd? exclude it, or take the column from `slopes`")


@dataclass(frozen=True, slots=True)
class _Ended:
    """theta and everything there, and where asked what Satterthwaite's degrees of freedom follow from."""

    theta: FloatArray
    here: Profile
    freedom: tuple[FloatArray, FloatArray] | None = None


def _end(
    plan: Plan, begun: Begun, last: tuple[Turn, FloatArray, FloatArray], sums: tuple[FloatArray, FloatArray]
) -> _Ended:
    """After the last step, from derivatives; what is 0 but for rounding is 0."""
    place, now, newton = last
    after = now + mixed_steps.lower(newton, plan.random)
    after = np.where((np.abs(after) < ZERO) & np.eye(plan.random, dtype=bool), 0.0, after)
    theta, final = place.theta(now), place.theta(after)
    logs, grams = mixed_profile.moved(*sums, final - theta)
    return _Ended(final, _profile(plan, begun, logs, grams))


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
        "estimates": place.raw(here.coefficients) * unit,
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
