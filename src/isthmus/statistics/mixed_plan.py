"""What a linear mixed model's rounds share: its public facts, how it begins, and the errors of its sums."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.model.errors import Invalid
from isthmus.statistics import coordinates, glm_flow, linear, mixed_profile
from isthmus.statistics.contract import Round
from isthmus.statistics.coordinates import Coordinates
from isthmus.statistics.glm_model import Model
from isthmus.statistics.glm_start import Start
from isthmus.statistics.mixed_profile import Profile
from isthmus.summary import Field, FloatArray, Layout, Summary

NEAR = 1e-5  # standard errors of theta: from here the sums follow from their derivatives, to 1e-15
NEARER = 1e-8  # the same for second derivatives, which nothing carries on
FEWEST = 5  # groups; a variance of fewer values tells next to nothing
ALONE = 0.9  # of a slope column's fourth powers over its squares' square: one row has all there is of it
MOST = (4, 24)  # rounds of steps: for an intercept alone, and beside random slopes
TRIED = (1, 5)  # values of theta in each, of which the first has derivatives
NODES, FINER = 20, 11  # values of theta in a first and a second grid round, for an intercept alone
Grid = tuple[tuple[float, ...], tuple[float, ...]]
GRIDS: dict[
    int, tuple[Grid, Grid]
] = {  # beside slopes, by random columns: roots of each variance and correlations, then factors of the best roots
    2: (
        ((0.05, 0.2, 0.8, 3.0, 15.0, 120.0, 3000.0), (0.0, -1.0, 1.0)),
        ((0.45, 1.0, 2.2), (-1.0, -0.9998, -0.98, -0.75, 0.0, 0.75, 0.98, 0.9998, 1.0)),
    ),
    3: (((0.15, 1.5, 20.0, 3000.0), (0.0,)), ((0.5, 2.0), (-1.0, -0.98, -0.75, 0.0, 0.75, 0.98, 1.0))),
}
SIZES, DIRECTIONS = (0.7, 1.0, 1.4), 16  # of other singular L that a singular end beside one slope is held against
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
    def most(self) -> int:
        """Rounds of steps."""
        return MOST[self.random > 1]

    @property
    def tried(self) -> int:
        """Values of theta in such a round."""
        return TRIED[self.random > 1]

    @property
    def kept(self) -> int:
        """Values of each sum in a Newton round: itself, first and second derivatives."""
        return 1 + self.angles + self.angles * (self.angles + 1) // 2

    @property
    def numbers(self) -> int:
        """Most numbers that leave about the groups."""
        width = self.model.size + 1
        grids = NODES + FINER
        if self.slopes:
            grids = sum(len(roots) ** self.random * len(shares) for roots, shares in GRIDS[self.random])
        steps = self.most * (self.kept + self.tried - 1) + (len(SIZES) * DIRECTIONS if self.random == 2 else 0)
        return (1 + grids + steps) * (width * (width + 1) // 2 + 1) + 2 * len(self.slopes)


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
            params = {**start.response(), **start.place.params()}
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


def profile(plan: Plan, begun: Begun, logs: FloatArray, grams: FloatArray) -> Profile:
    """The profiled deviance at one theta.

    Raises:
        Invalid: E-OUTCOME, nothing is left of the outcome; E-COLLINEAR, naming the column.
    """
    try:
        return mixed_profile.profile(logs, grams, begun.n, plan.reml)
    except mixed_profile.Explained as error:
        raise explained(plan) from error
    except linear.Dependent as error:
        names = plan.model.design.names
        if error.pivot == 0 or not error.others:
            message = f"column {names[error.pivot]!r} does not vary inside groups of {plan.group!r}"
            raise Invalid("E-COLLINEAR", f"{message}, which explain everything else", "leave it out") from error
        raise linear.collinear(error, names) from error


def explained(plan: Plan) -> Invalid:
    """The error where a residual variance of 0 is best."""
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
