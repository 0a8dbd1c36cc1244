"""The model with the intercept alone, fitted in the scoring rounds of a generalized linear model."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isthmus.statistics.families import null_deviance
from isthmus.statistics.glm_kernel import Params, Rows, null_sums
from isthmus.statistics.glm_model import Model
from isthmus.statistics.glm_start import Start
from isthmus.statistics.newton import STEP
from isthmus.summary import Summary


def null_part(model: Model, rows: Rows, params: Params) -> dict[str, Any]:
    """A site's part of the null model in a scoring round: score, information, deviance."""
    unit = float(params["response_scale"])
    if "null" not in params:
        return {}
    score, information, deviance = null_sums(model.family, rows, float(params["null"]) * unit)
    return {"null": np.array([score / unit, information, deviance / unit**2])}


@dataclass(frozen=True, slots=True)
class NullModel:
    """The model with the intercept alone, in the same rounds where it has no closed form.

    `free`: the intercept is fitted (else it is 0); `exact_after`: evaluations after which a quadratic is exact;
    `rate`: a Poisson model, whose intercept is the log of a ratio of sums, so that one step from anywhere ends it.
    """

    closed: bool
    free: bool
    intercept: float
    deviance: float
    settled: bool
    exact_after: float
    rate: bool = False

    @classmethod
    def begin(cls, model: Model, start: Start) -> NullModel:
        """Closed form, or the first intercept to evaluate."""
        sums, gaussian = start.sums, model.family.base == "gaussian"
        if not model.null_needs_rounds and not gaussian:
            found = null_deviance(model.family, sums["weight"], sums["response"], sums["saturated"])
            return cls(True, False, 0.0, found, True, 0.0)
        free = model.intercept
        mean = sums["response"] / sums["weight"]
        first = (mean if gaussian or model.family.bounded else 0.0) if free else 0.0
        first = model.family.predictor(first) if model.family.bounded and free else first
        exact_after = (2.0 if model.offset else 1.0) if gaussian else math.inf
        rate = model.family.base == "poisson" and model.family.canonical
        return cls(False, free, first, math.nan, False, exact_after, rate=rate)

    def params(self) -> dict[str, Any]:
        """The intercept to evaluate at."""
        return {} if self.closed else {"null": self.intercept}

    def moved(self, pooled: Summary) -> NullModel:
        """One scoring step."""
        if self.closed:
            return self
        score, information, deviance = pooled["null"].tolist()
        if not self.free or not information > 0.0:
            return replace(self, deviance=deviance, settled=True)
        step, left = score / information, self.exact_after - 1.0
        if self.rate and step > -1.0:  # information is sum(w mu), and score + information sum(w y)
            step = math.log1p(step)
        settled = abs(step) * math.sqrt(information) < STEP or left < 0.5
        return replace(self, intercept=self.intercept + step, deviance=deviance, settled=settled, exact_after=left)


NO_NULL = NullModel(True, False, 0.0, math.nan, True, 0.0)
