"""Rounding of counts that people see. Curves are rounded on their cumulative counts, so that errors do not add up."""

from __future__ import annotations

import numpy as np

from isthmus.evidence import Counts
from isthmus.summary import FloatArray


def round_counts(counts: Counts, step: int) -> FloatArray:
    """Counts to the nearest multiple of `step`, halves up; NaN stays. A `survival` array stays consistent."""
    values = np.asarray(counts.values, dtype=np.float64)
    if step == 1 or counts.kind == "implied":
        return values
    return _round_curve(values, step) if counts.kind == "survival" else _nearest(values, step)


def _nearest(values: FloatArray, step: int) -> FloatArray:
    rounded: FloatArray = np.floor(values / step + 0.5) * step
    return rounded


def _round_curve(values: FloatArray, step: int) -> FloatArray:
    """Running totals of events and of censored are rounded and differenced: off by half a step at any time.

    A step whose rounded number at risk is 0 ends the curve; events never exceed those at risk.
    """
    kept = np.flatnonzero(~np.isnan(values[0]))
    rounded = np.full(values.shape, np.nan)
    at_risk = _nearest(values[0, kept], step)
    until = int(np.argmax(at_risk == 0)) if np.any(at_risk == 0) else kept.size
    kept, at_risk = kept[:until], at_risk[:until]
    rounded[0, kept] = at_risk
    for line in range(1, len(values)):
        running = _nearest(np.cumsum(values[line, kept]), step)
        rounded[line, kept] = np.minimum(np.diff(running, prepend=0.0), at_risk)
    return rounded
