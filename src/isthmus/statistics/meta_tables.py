"""Fourfold tables of several studies: effect of each, and the Mantel-Haenszel and Peto methods, as R's `metafor` (3.8).

A table is (2, 2): [[a, b], [c, d]] with the treated first and the event first. To the tables of studies with an empty
cell 0.5 is added for their own effect (`escalc`, and `Q` of `rma.mh`), never for the pooled Mantel-Haenszel estimate.

References: Mantel & Haenszel (1959), JNCI 22:719; Robins, Breslow & Greenland (1986), Biometrics 42:311; Greenland &
Robins (1985), Biometrics 41:55; Sato, Greenland & Robins (1989), Biometrics 45:1323; Yusuf et al. (1985), Prog Cardiovasc Dis 27:335.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from isthmus.model.errors import Invalid
from isthmus.statistics.inference import chi_square_p
from isthmus.summary import FloatArray

Measure = Literal["OR", "RR", "RD"]


@dataclass(frozen=True, slots=True)
class Combined:
    """A pooled effect without a model of each study.

    Attributes:
        estimate, error: log odds or risk ratio, or risk difference, and its standard error.
        weights: (k,) shares of the studies, up to a factor.
        q, q_p: heterogeneity about it and its p value on k - 1 degrees of freedom.
    """

    estimate: float
    error: float
    weights: FloatArray
    q: float
    q_p: float


def effects(tables: FloatArray, measure: Measure) -> tuple[FloatArray, FloatArray]:
    """(k,) effects and variances of (k, 2, 2) tables: log odds ratio, log risk ratio or risk difference."""
    empty = (tables == 0.0).any(axis=(1, 2))
    (a, b), (c, d) = np.moveaxis(tables + 0.5 * empty[:, None, None], 0, -1)
    first, second = a + b, c + d
    if measure == "OR":
        return np.log(a * d) - np.log(b * c), 1.0 / a + 1.0 / b + 1.0 / c + 1.0 / d
    if measure == "RR":
        return np.log(a / first) - np.log(c / second), 1.0 / a - 1.0 / first + 1.0 / c - 1.0 / second
    return a / first - c / second, a * b / first**3 + c * d / second**3


def mantel_haenszel(tables: FloatArray, measure: Measure) -> Combined:
    """The Mantel-Haenszel odds or risk ratio with the error of Robins and others, or risk difference with Sato's.

    Raises:
        Invalid: E-META, no event on one side in all studies; of differences no event in any, or nothing else.
    """
    if measure == "RD":
        return _difference(tables)
    (a, b), (c, d) = np.moveaxis(tables, 0, -1)
    n = a + b + c + d
    if measure == "OR":
        above, below = a * d / n, b * c / n
    else:
        above, below = a * (c + d) / n, c * (a + b) / n
    r, s = _total(above), _total(below)
    if not (r > 0.0 and s > 0.0):
        raise Invalid("E-META", "no event in one of the arms of all studies together", "ask for `measure: RD`")
    if measure == "OR":
        p, q = (a + d) / n, (b + c) / n
        variance = _total(p * above) / (r * r) + _total(p * below + q * above) / (r * s) + _total(q * below) / (s * s)
        variance /= 2.0
    else:
        variance = _total((a + b) / n * ((c + d) / n) * (a + c) - a * c / n) / (r * s)
    estimate = math.log(r / s)
    y, v = effects(tables, measure)
    return _combined(estimate, math.sqrt(variance), below, (y - estimate) ** 2 / v)


def _difference(tables: FloatArray) -> Combined:
    """Risk difference, each study by treated x untreated / all."""
    (a, b), (c, d) = np.moveaxis(tables, 0, -1)
    n, first, second = a + b + c + d, a + b, c + d
    weights = first * second / n
    mass = _total(weights)
    estimate = _total(a * second / n - c * first / n) / mass
    p = _total(c * (first / n) ** 2 - a * (second / n) ** 2 + weights / n * (second - first) / 2.0)
    q = _total((a * d + c * b) / n) / 2.0
    variance = (estimate * p + q) / mass**2
    if not variance > 0.0:
        raise Invalid("E-META", "no study has an event, or none is without: a difference has no error", "pool a rate")
    y, v = effects(tables, "RD")
    return _combined(estimate, math.sqrt(variance), weights, (y - estimate) ** 2 / v)


def peto(tables: FloatArray) -> Combined:
    """Peto's odds ratio: observed less expected events over their hypergeometric variance.

    Raises:
        Invalid: E-META, no event, or nothing else, in any study.
    """
    y, v = peto_effects(tables)
    weights = np.where(np.isfinite(v), 1.0 / v, 0.0)
    mass = _total(weights)
    if not mass > 0.0:
        raise Invalid("E-META", "no study has events and others without in both arms together")
    estimate = _total(weights * y) / mass
    return _combined(estimate, math.sqrt(1.0 / mass), weights, weights * (y - estimate) ** 2)


def peto_effects(tables: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(k,) log odds ratios and variances; 0 and infinity for a study without events, or with nothing else."""
    (a, b), (c, d) = np.moveaxis(tables, 0, -1)
    n, treated, events = a + b + c + d, a + b, a + c
    variance = treated * (c + d) * events * (b + d) / (n * n * (n - 1.0))
    told = variance > 0.0
    safe = np.where(told, variance, 1.0)
    return np.where(told, (a - treated * events / n) / safe, 0.0), np.where(told, 1.0 / safe, np.inf)


def _combined(estimate: float, error: float, weights: FloatArray, squares: FloatArray) -> Combined:
    q = _total(squares)
    return Combined(estimate, error, weights, q, chi_square_p(q, len(squares) - 1))


def _total(values: FloatArray) -> float:
    return math.fsum(values.tolist())
