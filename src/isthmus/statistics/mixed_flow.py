"""Linear mixed models from pooled sums: a start, a grid of theta, then Newton's method on the profiled deviance.

theta holds the lower triangle of L, the covariance of the random effects relative to the residual variance: the
deviance is smooth and even in it, so a variance of 0 is an ordinary minimum. Few values of theta are asked, because
each tells the sums of the groups in another mixture (`mixed_guard`).
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.evidence import Counts
from isthmus.model.errors import Invalid
from isthmus.statistics import glm_flow, linear, mixed_profile
from isthmus.statistics.contract import Estimate, Flow, Round
from isthmus.statistics.glm_flow import Start
from isthmus.statistics.glm_model import Model
from isthmus.statistics.mixed_profile import Profile, profile
from isthmus.statistics.newton import must_halve
from isthmus.summary import Field, FloatArray, Layout, Summary

NODES = 20  # values of theta in the grid round: Chebyshev nodes of its log; the deviance between is interpolated
LOW, HIGH = 1e-2, 1e4  # of the grid, of the ratio of an average group's variance to that of its mean's error
LARGEST = 100.0  # of the grid at least, of the ratio of a group's variance to the residual's
STARTS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)  # roots of these ratios, with a random slope; every third with two
FINE = 4096.0  # theta are multiples of 1 / FINE at the start: the last bits of exp differ between machines
NEAR = 1e-5  # standard errors of theta: from here the sums follow from their derivatives, to 1e-15
SMALL = 0.5  # of the root of such a ratio: below it steps are of theta itself
FARTHEST = 5.0  # theta changes by this factor at most in one step
ZERO = 1e-6  # a root of such a ratio that is rounding: the variance is 0
FEWEST = 5  # groups; a variance of fewer values tells next to nothing
Pooled = Generator[Round, Summary, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """Public facts: the model of the means, random columns beside the intercept, REML or ML, whether few groups may be."""

    model: Model
    slopes: tuple[int, ...]
    reml: bool
    few_allowed: bool
    group: str

    @property
    def random(self) -> int:
        """q."""
        return 1 + len(self.slopes)

    @property
    def angles(self) -> int:
        """m, entries of theta."""
        return self.random * (self.random + 1) // 2

    @property
    def nodes(self) -> int:
        """Values of theta in the grid round."""
        return NODES if self.random == 1 else len(_starts(self.random)) ** self.random

    @property
    def most(self) -> int:
        """Newton rounds."""
        return 8 if self.random == 1 else 12

    @property
    def kept(self) -> int:
        """Values of each sum in a Newton round: itself, first and second derivatives."""
        return 1 + self.angles + self.angles * (self.angles + 1) // 2

    @property
    def numbers(self) -> int:
        """Most numbers that leave about the groups."""
        width = self.model.size + 1
        return (self.nodes + self.most * self.kept) * (width * (width + 1) // 2 + 1)


def sums_layout(plan: Plan, count: int) -> Layout:
    """`count` values of log det V and of [X y]'V^-1[X y]."""
    width = plan.model.size + 1
    return Layout(
        fields=(
            Field(name="logs", shape=(count,), kind="sum"),
            Field(name="grams", shape=(count, width, width), kind="gram"),
        )
    )


@dataclass(frozen=True, slots=True)
class Begun:
    """After the start: the glm's, rows, groups, and the parameters of every later round."""

    start: Start
    n: int
    groups: int
    params: dict[str, Any]

    @property
    def unit(self) -> float:
        """theta per root of the ratio of an average group."""
        return 1.0 / math.sqrt(self.n / self.groups)


def fit(plan: Plan) -> Flow:
    """The whole flow."""
    begun, rounds = yield from begin(plan)
    theta = yield from _first(plan, begun)
    rounds, before, last, ended = rounds + 1, theta, math.inf, None
    for _ in range(plan.most):
        pooled = yield Round(sums_layout(plan, plan.kept), {"step": "newton", "theta": theta, **begun.params})
        rounds += 1
        here = _profile(plan, begun, pooled["logs"], pooled["grams"])
        if must_halve(here.deviance, last):
            theta = (theta + before) / 2.0
            continue
        move, errors = mixed_profile.descend(here.gradient, here.curvature)
        if plan.random == 1 and float(theta[0]) > SMALL * begun.unit:
            move = _inverted(here, float(theta[0]))
        before, last = theta, here.deviance
        if errors is not None and bool(np.all(np.abs(move) < NEAR * errors)):
            ended = _end(plan, begun, theta, move, pooled)
            break
        theta = theta + move
    if ended is None:
        hint = "does the outcome vary inside groups? use fewer random slopes or simpler terms"
        message = f"no convergence in {plan.most} rounds for outcome {plan.model.outcome!r} by {plan.group!r}"
        raise Invalid("E-CONVERGENCE", message, hint)
    return _estimate(plan, begun, ended, rounds)


def _inverted(here: Profile, theta: float) -> FloatArray:
    """Newton's step of 1 / theta, as a change of theta: far above 0 the deviance is nearly quadratic in that."""
    slope = -(theta**2) * float(here.gradient[0])
    bend = theta**4 * float(here.curvature[0, 0]) + 2.0 * theta**3 * float(here.gradient[0])
    change = 1.0 - theta * slope / bend if bend > 0.0 else (0.0 if slope > 0.0 else FARTHEST)
    return np.array([theta / min(max(change, 1.0 / FARTHEST), FARTHEST) - theta])


def begin(plan: Plan) -> Pooled:
    """The glm's first round or two, with the number of groups."""
    flow = glm_flow.begin(plan.model)
    asked = next(flow)
    while True:
        layout = Layout(fields=(*asked.layout.fields, Field(name="groups", shape=(1,), kind="count")))
        pooled = yield Round(layout, asked.params)
        groups, n = int(pooled["groups"][0]), int(pooled["n"][0])
        try:
            asked = flow.send(pooled)
        except StopIteration as stop:
            start, used = stop.value
            _check(plan, n, groups)
            params = {"response_scale": start.unit, **start.place.params()}
            return Begun(start, n, groups, params), used


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
        message = f"the terms and the groups of {plan.group!r} leave nothing of {plan.model.outcome!r} unexplained"
        raise Invalid("E-OUTCOME", message, "leave the grouping out, or a term that repeats the outcome") from error
    except linear.Dependent as error:
        names = plan.model.design.names
        if error.pivot == 0 or not error.others:
            message = f"column {names[error.pivot]!r} does not vary inside groups of {plan.group!r}"
            raise Invalid("E-COLLINEAR", f"{message}, which explain everything else", "leave it out") from error
        raise linear.collinear(error, names) from error


def _first(plan: Plan, begun: Begun) -> Pooled:
    """theta (m,) to begin at: where the deviance at the grid's values, or interpolated between them, is least."""
    roots = _nodes(max(HIGH, LARGEST * begun.n / begun.groups)) if plan.random == 1 else _crossed(plan.random)
    grid = roots * begun.unit
    pooled = yield Round(sums_layout(plan, len(grid)), {"step": "grid", "theta": grid, **begun.params})
    found = np.array(
        [
            _profile(plan, begun, logs[None], gram[None]).deviance
            for logs, gram in zip(pooled["logs"], pooled["grams"], strict=True)
        ]
    )
    if plan.random > 1:
        return grid[int(np.argmin(found))]
    return np.array([_between(roots[:, 0], found) * begun.unit])


def _nodes(high: float) -> FloatArray:
    """(NODES, 1) roots of ratios from `high` down to LOW."""
    middle, reach = math.log(LOW * high) / 4.0, math.log(high / LOW) / 4.0
    turns = np.cos((2.0 * np.arange(NODES) + 1.0) * math.pi / (2.0 * NODES))
    return _coarse(np.exp(middle + reach * turns))[:, None]


def _starts(random: int) -> tuple[float, ...]:
    return STARTS if random == 2 else STARTS[::3]


def _crossed(random: int) -> FloatArray:
    """(k, m) diagonal starts, every combination."""
    tri = np.tril_indices(random)
    grids = np.meshgrid(*([_starts(random)] * random), indexing="ij")
    roots = np.array([g.reshape(-1) for g in grids]).T
    made = np.zeros((len(roots), len(tri[0])))
    made[:, tri[0] == tri[1]] = roots
    return made


def _between(roots: FloatArray, values: FloatArray) -> float:
    """Root where the polynomial through the values, in the log, is least (Berrut & Trefethen 2004)."""
    at = np.log(roots)
    apart = at[:, None] - at[None]
    weights = np.array([1.0 / np.prod(np.delete(row, k)) for k, row in enumerate(apart)])
    tried = np.linspace(at[-1], at[0], 1_001)[1:-1]
    share = weights / np.where((gap := tried[:, None] - at) == 0.0, 1e-300, gap)
    smooth = (share @ (values - values.min())) / share.sum(axis=1)
    best = int(np.argmin(smooth))
    return float(_coarse(np.exp(tried[best : best + 1]))[0])


def _coarse(values: FloatArray) -> FloatArray:
    made: FloatArray = np.rint(values * FINE) / FINE
    return made


@dataclass(frozen=True, slots=True)
class _Ended:
    """theta and everything there."""

    theta: FloatArray
    here: Profile


def _end(plan: Plan, begun: Begun, theta: FloatArray, move: FloatArray, pooled: Summary) -> _Ended:
    """After the last step, from derivatives; what is 0 but for rounding is 0."""
    diagonal = np.array([r == c for r, c in zip(*np.tril_indices(plan.random), strict=True)])
    after = theta + move
    after = np.where(diagonal & (np.abs(after) < ZERO * begun.unit), 0.0, after)
    logs, grams = mixed_profile.moved(pooled["logs"], pooled["grams"], after - theta)
    return _Ended(after, _profile(plan, begun, logs, grams))


def _estimate(plan: Plan, begun: Begun, ended: _Ended, rounds: int) -> Estimate:
    model, here, place = plan.model, ended.here, begun.start.place
    unit, n, p = begun.start.unit, begun.n, plan.model.size
    degrees = n - p if plan.reml else n
    residual = here.rest / degrees * unit**2
    factor = np.zeros((plan.random, plan.random))
    factor[np.tril_indices(plan.random)] = ended.theta
    relative = _raw(plan, begun, factor)
    logs = here.logs
    if plan.reml:  # the determinant is that of the columns as written
        turned = 1.0 if place.rotation is None else np.diag(place.rotation)
        logs += 2.0 * float(linear.total(np.log(place.scale / turned)))
    loglik = -0.5 * (logs + degrees * (1.0 + math.log(2.0 * math.pi * residual)))
    parameters = p + plan.angles + 1
    values = {
        "estimates": place.raw(here.coefficients) * unit,
        "vcov": place.covariance(here.inverse) * residual,
        "random": linear.product(relative, relative.T) * residual,
        "sigma2": residual,
        "loglik": loglik,
        "singular": bool(np.any(np.diag(factor) == 0.0)),
        "parameters": parameters,
        "ended": {"theta": ended.theta, "coefficients": here.coefficients, **begun.params},
    }
    counts = glm_flow.counts(model, begun.start, n) | {"groups": Counts("cells", np.array([begun.groups]))}
    return Estimate("mixed", "exact", n, rounds, counts, values, p + plan.angles)


def _raw(plan: Plan, begun: Begun, factor: FloatArray) -> FloatArray:
    """L of the random columns as written: a slope of (x - c) / s is one of x, and moves the intercept."""
    place, made = begun.start.place, factor.copy()
    for k, j in enumerate(plan.slopes, start=1):
        made[k] = factor[k] / place.scale[j]
        made[0] -= made[k] * place.centre[j]
    return made
