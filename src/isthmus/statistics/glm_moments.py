"""Plain first and second moments of columns and outcome, asked twice: about what the codebook declares, then about the means.

Once more where the first means were too far off for the second to be near: a column with a tiny spread beside its size.
For models that are measured by the standard deviations of their columns, whatever their family.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np

from isthmus.statistics import coordinates, glm_flow, glm_model
from isthmus.statistics.contract import Round
from isthmus.statistics.coordinates import Coordinates
from isthmus.statistics.families import FAMILIES
from isthmus.statistics.glm_model import Model
from isthmus.statistics.glm_start import Start, outcome_place, response_params
from isthmus.summary import FloatArray, Summary

PLAIN = FAMILIES["gaussian", "identity"]  # whose working weights are the prior ones
ROUNDS = 3
FAR = 2.0**-10  # of a column's mean square, or of its unit: a variance below this loses digits


@dataclass(frozen=True, slots=True)
class Moments:
    """Where to start from, coefficients 0; X'WX (p, p) and X'Wy (p,) there, W the prior weights; rounds used."""

    start: Start
    gram: FloatArray
    right: FloatArray
    rounds: int

    @property
    def variance(self) -> FloatArray:
        """(p,) of the columns (population); of the intercept 0."""
        weight = self.start.sums["weight"]
        found: FloatArray = np.diag(self.gram) / weight - np.square(self.gram[0] / weight)
        found[0] = 0.0
        return np.maximum(found, 0.0)


def moments(model: Model) -> Generator[Round, Summary, Moments]:
    """The rounds.

    Raises:
        Invalid: as `glm_flow.check_pooled`.
    """
    fixed = np.array([column.indicator for column in model.design.columns])
    place = coordinates.declared(model.design, model.dictionary)
    about, unit = outcome_place(model)
    found = yield from _asked(model, place, (about, unit), 1)
    sums = found.start.sums
    glm_flow.check_pooled(model, sums)
    if about is not None:
        about = coordinates.coarse(about + sums["response"] / sums["weight"] * unit, unit)
    for rounds in range(2, ROUNDS + 1):
        place = coordinates.recentred(place, found.gram, fixed)
        found = yield from _asked(model, place, (about, unit), rounds)
        size = np.maximum(np.diag(found.gram) / sums["weight"], 1.0)
        if not bool(np.any((found.variance < FAR * size)[1:] & ~fixed[1:])):
            break
    return found


def _asked(
    model: Model, place: Coordinates, response: tuple[float | None, float], rounds: int
) -> Generator[Round, Summary, Moments]:
    about, unit = response
    params = {"step": "start", **response_params(about, unit), **place.params()}
    pooled = yield Round(glm_model.start_layout(replace(model, family=PLAIN)), params)
    sums = {name: float(pooled[name][0]) for name in glm_flow.SCALARS}
    start = Start(place, np.zeros(model.size), unit, sums, pooled["marks"], about)
    return Moments(start, pooled["gram"], pooled["right"], rounds)
