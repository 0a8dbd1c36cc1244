"""Where a generalized linear model starts: its coordinates, and what a gaussian outcome is measured about and in.

An outcome far from 0 loses digits as a column does. So where an intercept takes the constant up, it enters as
(y - about) / unit: first by the codebook's range, from the first pooled sums on by its mean and standard deviation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from isthmus.statistics import coordinates, linear
from isthmus.statistics.coordinates import Coordinates
from isthmus.statistics.glm_model import Model
from isthmus.summary import FloatArray

LOST = 2.0**-40  # share of the mean square that rounding may leave of a variance


@dataclass(frozen=True, slots=True)
class Start:
    """After the first round: coordinates, coefficients there, and the pooled sums of the outcome, (y - `about`) / `unit`.

    `penalty` (p,): weights of the squares of the coefficients, where there is a ridge penalty; half of it is taken from the
    log-likelihood.
    """

    place: Coordinates
    coefficients: FloatArray
    unit: float
    sums: dict[str, float]
    marks: FloatArray
    about: float | None = None
    penalty: FloatArray | None = None

    def penalised(self, coefficients: FloatArray) -> float:
        """What a ridge penalty adds to the deviance."""
        return 0.0 if self.penalty is None else float(linear.total(self.penalty * np.square(coefficients)))

    def response(self) -> dict[str, float]:
        """As parameters of a round: the outcome's scale, and what it is measured about where the model allows it."""
        return response_params(self.about, self.unit)

    def raw(self, coefficients: FloatArray) -> FloatArray:
        """Coefficients of the columns and the outcome as they are."""
        made = self.place.raw(coefficients) * self.unit
        if self.about is not None and self.place.intercept:
            made[0] += self.about
        return made


def outcome_place(model: Model) -> tuple[float | None, float]:
    """What a gaussian outcome is first measured about (None: not allowed) and its scale, as the codebook declares."""
    if model.family.base != "gaussian":
        return None, 1.0
    centre, unit = coordinates.variable_scale(model.outcome, model.dictionary)
    if not model.about:
        return None, max(unit, coordinates.power_of_two(abs(centre))) if centre else unit
    return 0.0 if model.offset else centre, unit


def response_params(about: float | None, unit: float) -> dict[str, float]:
    """As parameters of a round."""
    return {"response_scale": unit} | ({} if about is None else {"response_centre": about})


def rescaled(start: Start, model: Model) -> Start:
    """Gaussian: measure the outcome about its mean, in a power of two near its standard deviation, from now on."""
    if model.family.base != "gaussian":
        return start
    weight, about, first = start.sums["weight"], start.about, start.coefficients.copy()
    mean, square = start.sums["response"] / weight, start.sums["square"] / weight
    if about is not None:
        mean, variance = mean_variance(start)
        about = coordinates.coarse(
            about + mean * start.unit, start.unit * coordinates.power_of_two(math.sqrt(variance))
        )
        moved = (about - (start.about or 0.0)) / start.unit
        mean, square = mean - moved, variance + (mean - moved) ** 2
        if start.place.intercept:
            first[0] -= moved if start.place.rotation is None else moved / float(start.place.rotation[0, 0])
    unit = start.unit * coordinates.power_of_two(math.sqrt(square))
    change = start.unit / unit
    sums = {**start.sums, "response": weight * mean * change, "square": weight * square * change**2}
    return replace(start, unit=unit, coefficients=first * change, sums=sums, about=about)


def mean_variance(start: Start) -> tuple[float, float]:
    """Mean and variance of the outcome as `start` measures it; a variance lost in the mean's square is a share of it."""
    sums = start.sums
    mean, square = sums["response"] / sums["weight"], sums["square"] / sums["weight"]
    return mean, max(square - mean * mean, LOST * square)
