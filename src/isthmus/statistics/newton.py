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


def diverged(place: Coordinates, move: FloatArray, total: FloatArray, names: Sequence[str]) -> Invalid:
    """The error for coefficients that run away: names the columns that separate the outcomes.

    `move` (p,) is the last step and `total` (p,) the coefficients, both in the coordinates `place`.
    """
    size = np.abs(place.raw(move) * place.scale)  # change of the linear predictor per standard deviation
    reach = np.abs(place.raw(total) * place.scale)
    running = (size > MOVING) | (reach > ABSURD)
    shown = [name for name, runs in zip(names, running.tolist(), strict=True) if runs and name != "(Intercept)"]
    if not shown:
        fastest = size >= STILL * float(np.max(size))
        terms = ", ".join(repr(name) for name, moves in zip(names, fastest.tolist(), strict=True) if moves)
        hint = "look for absurd values in it, or use fewer or simpler terms"
        return Invalid("E-CONVERGENCE", f"no convergence in {MAX_ROUNDS} rounds: {terms} still moves", hint)
    listed = ", ".join(repr(name) for name in shown)
    hint = "merge rare levels, look for absurd values, or leave the column out"
    return Invalid("E-SEPARATED", f"the outcome is separated by {listed}: the coefficients have no finite value", hint)
