"""Newton steps that end the same way at every party: the one convergence rule, halving, and failure that explains itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.model.errors import Invalid
from isthmus.statistics import linear
from isthmus.statistics.coordinates import Coordinates
from isthmus.summary import FloatArray

MAX_ROUNDS = 25  # as R's glm.control; a separated model moves by about one unit a round and shows long before
STEP = 1e-10  # largest step, in standard errors (STATISTICS.md)
WORSE = 1e-8  # relative rise of the deviance that is not rounding
ABSURD = 15.0  # a standard deviation of the column that multiplies odds or hazard by exp(15)
STILL = 1e-3  # share of the largest step below which a column is at rest
MOVING = 0.05  # a column whose last step still moved the linear predictor this much per standard deviation diverges
ONWARD = 1e-3  # so does one that still goes further out by this share: of a few rows it moves little per deviation
AFOOT = 1e-6  # of a standard deviation: a smaller step, beside a coefficient of 0, is the end of a fit
SHARE = 0.2  # of the fastest: a column that moves less follows what runs away, and does not separate by itself


@dataclass(frozen=True, slots=True)
class Step:
    """`move` (p,) and the inverse information (p, p), in the coordinates of the fit."""

    move: FloatArray
    inverse: FloatArray


def newton_step(information: FloatArray, score: FloatArray) -> Step:
    """The step from pooled sums.

    Raises:
        Dependent: the information is singular.
    """
    lower = linear.cholesky(information)
    return Step(linear.solve(lower, score), linear.inverse(lower))


def largest_step(step: Step, place: Coordinates, dispersion: float) -> float:
    """The largest change of a raw coefficient, in its standard errors."""
    move = np.abs(place.raw(step.move))
    errors = np.sqrt(np.diag(place.covariance(step.inverse)) * dispersion)
    if bool(np.any(~(errors > 0.0))):
        return 0.0 if bool(np.all(move == 0.0)) else np.inf
    return float(np.max(move / errors))


def must_halve(now: float, before: float) -> bool:
    """Whether a step made the deviance (or -2 log-likelihood) worse than rounding explains."""
    return not now <= before + WORSE * (abs(before) + 1.0)


def diverged(place: Coordinates, move: FloatArray, total: FloatArray, names: Sequence[str], outcome: str) -> Invalid:
    """The error for coefficients that run away: names the columns that separate the outcomes.

    `move` (p,) is the last step and `total` (p,) the coefficients, both in the coordinates `place`; `outcome`: what is
    modelled, `event 'died'`.
    """
    step = place.raw(move) * place.scale  # change of the linear predictor per standard deviation
    shown = running(step, place.raw(total) * place.scale, names)
    if shown:
        return separated(shown, outcome)
    size = np.abs(step)
    fastest = size >= STILL * float(np.max(size))
    terms = ", ".join(repr(name) for name, moves in zip(names, fastest.tolist(), strict=True) if moves)
    hint = "look for absurd values in it, or use fewer or simpler terms"
    return Invalid("E-CONVERGENCE", f"{outcome}: no convergence in {MAX_ROUNDS} rounds, {terms} still moves", hint)


def running(move: FloatArray, total: FloatArray, names: Sequence[str]) -> list[str]:
    """Columns that run away, of the last step `move` (p,) and the coefficients `total` (p,), per standard deviation.

    Those that still move as the fastest do, or where none moves, that are absurdly far. What settled beside them, or
    follows them slowly, does not separate anything. The intercept, and a name that is empty, is no column.
    """
    column = np.array([name not in {"", "(Intercept)"} for name in names])
    size, reach = np.abs(move), np.abs(total)
    onward = (move * total > 0.0) & (size >= np.maximum(ONWARD * reach, AFOOT))
    for told, runs in ((size, (size > MOVING) | onward), (reach, reach > ABSURD)):
        most = float(told[column & runs].max(initial=0.0))
        if most > 0.0:
            far = column & (told >= SHARE * most)
            return list(dict.fromkeys(name for name, runs in zip(names, far.tolist(), strict=True) if runs))
    return []


def separated(columns: Sequence[str], outcome: str) -> Invalid:
    """The error for an outcome that columns tell apart."""
    listed = ", ".join(repr(name) for name in columns)
    one = len(columns) == 1
    end = "its coefficient has no finite value" if one else "their coefficients have no finite values"
    hint = "merge rare levels, look for absurd values, or leave the column out"
    return Invalid("E-SEPARATED", f"{outcome} is separated by {listed}{'' if one else ' together'}: {end}", hint)
