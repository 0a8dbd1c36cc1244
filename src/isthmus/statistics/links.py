"""Link functions of generalized linear models: mean, its derivatives and where the linear predictor may lie.

Reference: McCullagh & Nelder (1989), sections 2.2.4 and 4.3; clamps near 0 and 1 are those of R's `make.link`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from isthmus.summary import FloatArray

TINY = 2.0**-52
PROBIT_END = 8.125890664701906  # -qnorm(2**-52), as R's probit link
LOG_END = 700.0  # exp stays finite
SQRT_2_PI = math.sqrt(2.0 * math.pi)


@dataclass(frozen=True, slots=True)
class Mean:
    """At each linear predictor: the mean, one minus it (for shares), and its first and second derivative."""

    mean: FloatArray
    rest: FloatArray
    first: FloatArray
    second: FloatArray


@dataclass(frozen=True, slots=True)
class Link:
    """One link.

    Attributes:
        mean: eta (rows,) -> `Mean`.
        eta: mean (rows,) -> linear predictor.
        low, high: the linear predictors evaluated at; beyond them the ends are used.
        bounded: predictors beyond `low` and `high` have no mean at all, so that a step there must be halved.
    """

    name: str
    mean: Callable[[FloatArray], Mean]
    eta: Callable[[FloatArray], FloatArray]
    low: float
    high: float
    bounded: bool


def _identity(eta: FloatArray) -> Mean:
    return Mean(eta, 1.0 - eta, np.ones_like(eta), np.zeros_like(eta))


def _log(eta: FloatArray) -> Mean:
    mean = np.exp(eta)
    return Mean(mean, -np.expm1(eta), mean, mean)


def _logit(eta: FloatArray) -> Mean:
    mean, rest = special.expit(eta), special.expit(-eta)
    slope = mean * rest
    return Mean(mean, rest, slope, slope * (rest - mean))


def _probit(eta: FloatArray) -> Mean:
    density = np.maximum(np.exp(-0.5 * eta * eta) / SQRT_2_PI, TINY)
    return Mean(special.ndtr(eta), special.ndtr(-eta), density, -eta * density)


def _cloglog(eta: FloatArray) -> Mean:
    hazard = np.exp(eta)
    rest = np.exp(-hazard)
    slope = hazard * rest
    return Mean(-np.expm1(-hazard), rest, slope, slope * (1.0 - hazard))


def _cloglog_eta(mean: FloatArray) -> FloatArray:
    found: FloatArray = np.log(-np.log1p(-mean))
    return found


def _inverse(eta: FloatArray) -> Mean:
    mean = 1.0 / eta
    return Mean(mean, 1.0 - mean, -mean * mean, 2.0 * mean**3)


def _inverse_square(eta: FloatArray) -> Mean:
    mean = 1.0 / np.sqrt(eta)
    return Mean(mean, 1.0 - mean, -0.5 * mean**3, 0.75 * mean**5)


IDENTITY = Link("identity", _identity, lambda mean: mean, -math.inf, math.inf, False)
POSITIVE = Link("identity", _identity, lambda mean: mean, 1e-8, math.inf, True)
SHARE = Link("identity", _identity, lambda mean: mean, 1e-8, 1.0 - 1e-8, True)
LOG = Link("log", _log, np.log, -LOG_END, LOG_END, False)
LOG_SHARE = Link("log", _log, np.log, -LOG_END, -1e-8, True)
LOGIT = Link("logit", _logit, special.logit, -36.0, 36.0, False)
PROBIT = Link("probit", _probit, special.ndtri, -PROBIT_END, PROBIT_END, False)
CLOGLOG = Link("cloglog", _cloglog, _cloglog_eta, -36.0, 3.58, False)  # beyond: 1 - mean < 2**-52
INVERSE = Link("inverse", _inverse, lambda mean: 1.0 / mean, 1e-12, math.inf, True)
INVERSE_SQUARE = Link("1/mu^2", _inverse_square, lambda mean: mean**-2.0, 1e-24, math.inf, True)
