"""Which theta the next round of a linear mixed model asks: derivatives at one, and deviances at others that may be better.

Everything here runs at every party between two rounds: `linear.py` and elementwise operations only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from isthmus.statistics import linear, mixed_balance, mixed_start, mixed_steps
from isthmus.statistics.mixed_plan import DIRECTIONS, SIZES, Begun, Plan, profile
from isthmus.statistics.mixed_profile import Profile
from isthmus.statistics.mixed_steps import Known
from isthmus.statistics.newton import must_halve
from isthmus.summary import FloatArray

SHORT = 1.0  # standard errors: a step of L that is no longer is Newton's first
SURE = 0.1  # and one that is no longer is Newton's alone
SMALL = 0.3  # a variance whose deviance is nearer to a parabola of the variance than of its root
HOLD, FIRMER = 0.003, 16.0  # a group, at first; and the factor of more
LEAST_HELD = 0.05  # after a loss
ENOUGH = 0.6  # of the best deviance's gain: with so much the first, whose derivatives are known, is gone on from
FARTHER = 4.0  # times the last step, once more
ON = (2.0, 8.0)  # times a step that was better than the first
BACK = (1 / 16, 1 / 4), (1 / 1024, 1 / 64)  # of a first step that was a loss; where more than two were, of that
ZERO = 1e-6  # a root of such a ratio that is rounding: the variance is 0
ALIKE = 1e-3  # of the first step: values of theta that are one


@dataclass(frozen=True, slots=True)
class Try:
    """L (q, q), and how much the step to it is held."""

    factor: FloatArray
    hold: float


@dataclass(frozen=True, slots=True)
class Here:
    """What a round tells where it asks for derivatives: by the entries of S, and `sums` and `found` by those of L, Newton's step of L (m,) and errors."""

    at: Try
    known: Known
    sums: tuple[FloatArray, FloatArray]
    found: Profile
    newton: FloatArray
    errors: FloatArray | None


@dataclass(frozen=True, slots=True)
class Way:
    """The last place whose derivatives are known, the least deviance so far, and whether it was looked for beside a singular end."""

    base: Here
    least: float
    looked: bool = False

    def goes(self, here: Here | None, values: Sequence[float]) -> bool:
        """Whether the steps go on from `here`, the first of a round with deviances `values`."""
        best = min(values)
        enough = not must_halve(values[0], best) or self.least - values[0] >= ENOUGH * (self.least - best)
        return here is not None and enough and not must_halve(values[0], self.least)


def first(factor: FloatArray) -> list[Try]:
    """Of the first round."""
    return [Try(factor, HOLD)]


def newton(plan: Plan, begun: Begun, here: Here) -> FloatArray:
    """Newton's step of L (m,), or the model's of a small variance alone."""
    if not small(plan, here):
        return here.newton
    return mixed_steps.entries(_modelled(plan, begun, here, 0.0) - here.at.factor)


def after(plan: Plan, here: Here) -> FloatArray:
    """L after Newton's step; what is 0 but for rounding is 0."""
    return mixed_steps.settled(here.at.factor + mixed_steps.lower(here.newton, plan.random), ZERO)


def small(plan: Plan, here: Here) -> bool:
    """Whether the only variance is."""
    return plan.random == 1 and abs(float(here.at.factor[0, 0])) < SMALL


def onward(plan: Plan, begun: Begun, way: Way | None, here: Here) -> tuple[Way, list[Try]]:
    """From `here`, which the steps go on from."""
    now, hold = here.at.factor, here.at.hold
    made = Way(here, here.found.deviance, way is not None and way.looked)
    step = Try(now + mixed_steps.lower(here.newton, plan.random), hold)
    ratio = math.inf if here.errors is None else float(np.max(np.abs(here.newton) / here.errors))
    if ratio < SURE:
        if ends(plan, made, after(plan, here)):
            return made, [step]
        return replace(made, looked=True), [step, *_beside(step)]
    tries = [step] if ratio < SHORT else []
    tries += [Try(_modelled(plan, begun, here, hold), hold)]
    if plan.tried > 1:
        tries.append(Try(_balanced(plan, begun, here), hold))
        tries += [step] if SHORT <= ratio < math.inf else []
        other = hold / FIRMER if hold > HOLD else hold * FIRMER
        tries.append(Try(_modelled(plan, begun, here, other), other))
        tries += [] if way is None else [Try(now + FARTHER * (now - way.base.at.factor), hold)]
    return made, _different(now, tries)[: plan.tried]


def ends(plan: Plan, way: Way | None, factor: FloatArray) -> bool:
    """Whether the steps may end at L: one that is singular has to be looked beside, with one slope."""
    return plan.random != 2 or bool(np.all(np.diag(factor) != 0.0)) or (way is not None and way.looked)


def again(plan: Plan, begun: Begun, way: Way, tries: list[Try], values: Sequence[float]) -> tuple[Way, list[Try]]:
    """After a round whose first is not gone on from: at the best of the others, or nearer to the base."""
    base, best = way.base, min(range(len(values)), key=lambda k: values[k])
    now, least = base.at.factor, values[best]
    if must_halve(least, way.least) or not must_halve(way.least, least):
        hold = FIRMER * max(base.at.hold, LEAST_HELD)
        firm = [Try(_modelled(plan, begun, base, share * hold), share * hold) for share in (1.0, FIRMER, FIRMER**2)]
        back = [Try(now + share * (tries[0].factor - now), hold) for share in BACK[len(tries) > 2]]
        held = replace(base, at=replace(base.at, hold=hold))
        return replace(way, base=held), _different(now, firm + back)[: plan.tried]
    found = tries[best]
    made = [found, *(replace(found, factor=now + share * (found.factor - now)) for share in ON)]
    made += [Try(_modelled(plan, begun, base, hold), hold) for hold in (found.hold / FIRMER, found.hold * FIRMER)]
    return replace(way, least=least), _different(now, made)[: plan.tried]


def _beside(ended: Try) -> list[Try]:
    """Of one slope, other singular L about as large as a singular one: another minimum may lie in another direction."""
    size = math.sqrt(float(linear.total(linear.total(ended.factor**2))))
    angles = ((np.arange(DIRECTIONS) + 0.5) / DIRECTIONS - 0.5) * math.pi
    ways = np.column_stack([mixed_start.coarse(np.cos(angles)), mixed_start.coarse(np.sin(angles))])
    return [Try(share * size * np.column_stack([way, np.zeros(2)]), ended.hold) for share in SIZES for way in ways]


def _different(now: FloatArray, tries: list[Try]) -> list[Try]:
    made: list[Try] = []
    for one in tries:
        near = ALIKE * float(np.max(np.abs(one.factor - now)))
        if not any(bool(np.all(np.abs(one.factor - other.factor) <= near)) for other in made):
            made.append(one)
    return made


def _modelled(plan: Plan, begun: Begun, base: Here, hold: float) -> FloatArray:
    """L where the model about `base` is least; a model in coordinates of the mean group there, of slopes."""
    known, turn = mixed_balance.typical(base.known, begun.groups) if plan.random > 1 else (base.known, np.eye(1))
    found = profile(plan, begun, known.logs, known.grams)
    return linear.product(turn, mixed_steps.onward(mixed_steps.model(known, found, begun.groups, hold)))


def _balanced(plan: Plan, begun: Begun, base: Here) -> FloatArray:
    known, turn = mixed_balance.typical(base.known, begun.groups)
    found = profile(plan, begun, known.logs, known.grams)
    return linear.product(turn, mixed_balance.balanced(known, found, begun.groups, plan.degrees(begun.n)))
