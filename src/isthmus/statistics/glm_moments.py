"""Plain first and second moments of columns and outcome, asked twice: about what the codebook declares, then about the means.

For models that are measured by the standard deviations of their columns, whatever their family.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np

from isthmus.statistics import coordinates, glm_flow, glm_model
from isthmus.statistics.contract import Round
from isthmus.statistics.coordinates import Coordinates
from isthmus.statistics.families import FAMILIES
from isthmus.statistics.glm_model import Model
from isthmus.statistics.glm_start import Start, outcome_place, response_params
from isthmus.summary import FloatArray, Summary

PLAIN = FAMILIES["gaussian", "identity"]  # whose working weights are the prior ones
ROUNDS = 2


def moments(model: Model) -> Generator[Round, Summary, tuple[Start, FloatArray, FloatArray]]:
    """Where to start from, coefficients 0; X'WX (p, p) and X'Wy (p,) there, W the prior weights.

    Raises:
        Invalid: as `glm_flow.check_pooled`.
    """
    fixed = np.array([column.indicator for column in model.design.columns])
    place = coordinates.declared(model.design, model.dictionary)
    about, unit = outcome_place(model)
    pooled = yield _asked(model, place, about, unit)
    sums = {name: float(pooled[name][0]) for name in glm_flow.SCALARS}
    glm_flow.check_pooled(model, sums)
    if about is not None:
        about = coordinates.coarse(about + sums["response"] / sums["weight"] * unit, unit)
    place = coordinates.recentred(place, pooled["gram"], fixed)
    pooled = yield _asked(model, place, about, unit)
    sums = {name: float(pooled[name][0]) for name in glm_flow.SCALARS}
    start = Start(place, np.zeros(model.size), unit, sums, pooled["marks"], about)
    return start, pooled["gram"], pooled["right"]


def _asked(model: Model, place: Coordinates, about: float | None, unit: float) -> Round:
    params = {"step": "start", **response_params(about, unit), **place.params()}
    return Round(glm_model.start_layout(replace(model, family=PLAIN)), params)
