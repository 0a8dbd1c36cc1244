"""A ridge penalty on the coefficients of a `glm`, in the convention of R's `glmnet` with `alpha = 0`.

Minimised is half the mean deviance + lambda / 2 sum s_j**2 b_j**2, s_j the population standard deviation of column j (under the
prior weights), the intercept free. Of a gaussian outcome the penalty is divided by the standard deviation of the
outcome less its offset, which glmnet scales to 1.

Two rounds or three give the standard deviations, then each scoring round adds the penalty P (n lambda s_j**2 on the diagonal) to
the information I. Errors are those of the estimate about its own mean, not about the truth that it is drawn away from:
(I + P)**-1 I (I + P)**-1, or the sandwich with (I + P)**-1 outside; leverage is of the penalised fit, and tr(I (I + P)**-1) is what
degrees of freedom count.
References: Friedman, Hastie & Tibshirani (2010), J Stat Softw 33(1); le Cessie & van Houwelingen (1992), Appl Stat 41:191.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from isthmus.model.errors import Invalid
from isthmus.model.formula import Formula
from isthmus.statistics import glm_flow, linear
from isthmus.statistics.contract import Flow
from isthmus.statistics.glm_model import Model
from isthmus.statistics.glm_moments import Moments, moments
from isthmus.statistics.glm_start import mean_variance, rescaled
from isthmus.summary import FloatArray


def check(ridge: float, formula: Formula, strata: tuple[str, ...]) -> None:
    """Whether a model can have this penalty.

    Raises:
        Invalid: E-PENALTY, E-FORMULA.
    """
    if not (math.isfinite(ridge) and ridge > 0.0):
        raise Invalid("E-PENALTY", "a ridge penalty is a number above 0", "leave `ridge` out for none")
    if strata:
        raise Invalid("E-FORMULA", "a ridge model has no term `site` and no strata", "take `country` as a term")
    if not formula.intercept or not formula.terms:
        raise Invalid("E-FORMULA", "a ridge model has an intercept and terms", "write `outcome ~ terms`")


def fit(model: Model) -> Flow:
    """The flow of a glm with the penalty."""
    return (yield from glm_flow.fit(model, begin))


def begin(model: Model) -> glm_flow.Pooled:
    """The first two or three rounds: (`Start` with the penalty, rounds)."""
    found = yield from moments(model)
    start, penalty = found.start, _penalty(model, found)
    try:
        lower = linear.cholesky(found.gram + np.diag(penalty))
    except linear.Dependent as error:
        raise linear.collinear(error, model.design.names) from error
    gaussian = model.family.base == "gaussian"
    first = linear.solve(lower, found.right) if gaussian else glm_flow.at_mean(model, start.place, start.sums)
    return rescaled(replace(start, coefficients=first, penalty=penalty), model), found.rounds


def _penalty(model: Model, found: Moments) -> FloatArray:
    """(p,) on the squares of the coefficients in the coordinates of the start."""
    start, unit = found.start, 1.0
    if model.family.base == "gaussian":
        unit = start.unit * math.sqrt(mean_variance(start)[1])
        if not unit > 0.0:
            raise Invalid("E-OUTCOME", f"outcome {model.outcome!r} has one value only", "nothing can be fitted to it")
    return found.variance * (start.sums["weight"] * float(model.ridge or 0.0) / unit)
