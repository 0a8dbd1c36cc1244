"""Public grids and the noise on them: derived from the study, the agreement and the roster alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, isqrt
from typing import Any

import numpy as np

from isthmus.model.errors import Invalid
from isthmus.model.privacy import LEAST_VARIANCE, Allowance, FieldNoise, Noise
from isthmus.statistics.contract import Setting
from isthmus.summary import FloatArray, IntArray

FINE = 1 << 24  # a site's variance in grid units where values are rounded: what rounding adds is small beside it


@dataclass(frozen=True, slots=True)
class Bounded:
    """How far one row moves a field.

    Attributes:
        sensitivity2: square of the L2 distance, in units of the value.
        part: of the question's rho.
        values: how many values of one row are rounded to the grid; 0 for whole numbers.
    """

    sensitivity2: Fraction
    part: Fraction
    values: int = 0


def allowance(setting: Setting) -> Allowance:
    """The question's allowance.

    Raises:
        Invalid: E-PRIVACY, a noisy variant asked for without one.
    """
    if setting.privacy is None:
        raise Invalid("E-PRIVACY", "an answer with noise needs privacy: {rho: ...}", "state it in the analysis")
    return setting.privacy


def noise(setting: Setting, fields: Mapping[str, Bounded]) -> Noise:
    """The noise of a round whose fields are bounded so."""
    allowed = allowance(setting)
    made = {name: _field(bound, allowed) for name, bound in fields.items()}
    rho = allowed.share(sum((bound.part for bound in fields.values()), Fraction(0)))
    return Noise(fields=made, honest=allowed.honest, rho=(rho.numerator, rho.denominator))


def _field(bound: Bounded, allowed: Allowance) -> FieldNoise:
    per = 2 * allowed.honest * allowed.share(bound.part)
    variance, least, bits = bound.sensitivity2 / per, FINE if bound.values else LEAST_VARIANCE, 0
    while variance * 4**bits < least:
        bits += 1
    moved = ceil(bound.sensitivity2 * 4**bits)
    if bound.values:  # every value is rounded by at most half a unit: L2 sqrt(values) / 2, and as much again for floats
        moved = (isqrt(moved) + 1 + isqrt(bound.values) + 1) ** 2
    return FieldNoise(variance=ceil(moved / per), sensitivity2=moved, bits=bits)


def counted(counts: IntArray, noise: FieldNoise) -> IntArray:
    """Whole numbers in grid units."""
    return np.asarray(counts, dtype=np.int64) << noise.bits


def quantised(values: FloatArray, noise: FieldNoise) -> IntArray:
    """Each value of each row in grid units; add up afterwards, so that every site's sum is exact."""
    return np.rint(values * 2.0**noise.bits).astype(np.int64)


def unquantised(pooled: Any, noise: FieldNoise) -> FloatArray:
    """Values from a pooled sum in grid units."""
    return np.asarray(pooled, dtype=np.float64) / 2.0**noise.bits


def variance(setting: Setting, noise: FieldNoise) -> float:
    """Variance of the noise of all sites in a value: what intervals must include."""
    return setting.sites * noise.variance / 4.0**noise.bits


def whole(pooled: FloatArray) -> IntArray:
    """Counts as people can read them: whole, and none below zero."""
    return np.maximum(np.rint(pooled), 0.0).astype(np.int64)


def sigmas(setting: Setting, *rounds: Noise) -> dict[str, float]:
    """Standard deviation of the noise in each field of a result, in units of the value."""
    return {name: variance(setting, f) ** 0.5 for noise in rounds for name, f in noise.fields.items()}
