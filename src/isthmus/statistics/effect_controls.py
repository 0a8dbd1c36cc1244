"""Negative controls: outcomes that the treatment cannot change, and what their estimates say of an estimate's error.

Log ratios t_i of the controls with errors s_i are taken as draws from N(mean, sd**2 + s_i**2), fitted by maximum
likelihood; an estimate is then moved by the mean and its variance widened by sd**2 (R: `EmpiricalCalibration`, `fitNull`,
`calibrateP`, and `calibrateConfidenceInterval` for errors that do not depend on the effect).
Reference: Schuemie et al. (2014), Stat Med 33:209; (2018), PNAS 115:2571.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from isthmus.statistics import linear
from isthmus.statistics.inference import quantile, two_sided
from isthmus.statistics.show import number
from isthmus.summary import FloatArray

FEWEST = 3  # controls: with fewer there is no distribution to speak of
HALVINGS = 200  # of the interval that holds the variance: below the last bit


def fit_null(estimates: FloatArray, errors: FloatArray) -> tuple[float, float]:
    """Mean and standard deviation (maximum likelihood) of the controls' own effects; the latter may be 0."""

    def slope(variance: float) -> float:
        """Twice the derivative of the profile likelihood by the variance."""
        weight = 1.0 / (variance + np.square(errors))
        gap = estimates - linear.dot(weight, estimates) / float(linear.total(weight))
        return float(linear.total(np.square(weight * gap) - weight))

    low, high = 0.0, float(np.square(estimates - estimates.mean()).max()) + float(np.square(errors).max())
    while slope(high) > 0.0:
        high *= 2.0
    if slope(0.0) <= 0.0:
        high = 0.0
    for _ in range(HALVINGS if high > 0.0 else 0):
        middle = (low + high) / 2.0
        low, high = (middle, high) if slope(middle) > 0.0 else (low, middle)
    weight = 1.0 / (high + np.square(errors))
    return linear.dot(weight, estimates) / float(linear.total(weight)), math.sqrt(high)


def calibrated(
    estimate: tuple[float, float], controls: Sequence[tuple[str, float, float]], conf_level: float
) -> dict[str, Any]:
    """The log ratio `estimate` (value, error) in the light of the `controls` (name, value, error)."""
    values, errors = (np.array([control[i] for control in controls]) for i in (1, 2))
    mean, sd = fit_null(values, errors)
    moved, error = estimate[0] - mean, math.hypot(estimate[1], sd)
    reach = quantile(conf_level) * error
    return {
        "mean": mean,
        "sd": sd,
        "estimate": moved,
        "std_error": error,
        "conf_low": moved - reach,
        "conf_high": moved + reach,
        "p_value": number(two_sided(moved / error)) if error > 0.0 else None,
        "controls": [{"outcome": name, "estimate": value, "std_error": s} for name, value, s in controls],
    }
