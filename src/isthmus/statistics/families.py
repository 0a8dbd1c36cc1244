"""Exponential families with their canonical links: what one piece of rows contributes.

With a canonical link the score of a row is w (y - mu) x and its information w V(mu) x x', w the prior weight, so
expected and observed information agree and scoring converges quadratically.
Reference: McCullagh & Nelder (1989), chapter 2. Starting values are those of R's `family()$initialize`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from isthmus.summary import FloatArray

# exp(23) = 1e10 expected events in one row: beyond any count, and rows times this squared stay inside Z_2^128
LARGEST_ETA = 23.0


@dataclass(frozen=True, slots=True)
class Work:
    """Reused arrays of one piece: filled with `residual` y - mu and `weight` V(mu); `spare` is scratch."""

    residual: FloatArray
    weight: FloatArray
    spare: FloatArray

    def head(self, rows: int) -> Work:
        """The first `rows` of each."""
        return Work(self.residual[:rows], self.weight[:rows], self.spare[:rows])


@dataclass(frozen=True, slots=True)
class Family:
    """One family.

    Attributes:
        estimated: the dispersion is estimated (t tests, one more parameter in `aic`).
        start: (y, prior or 1) -> (eta, mu, V(mu)) to begin scoring from.
        evaluate: (eta, y, prior, work) -> deviance; fills `work`, may overwrite eta.
        constant: (y, prior or 1) -> log-likelihood of the saturated model, as R's `aic` counts it.
    """

    name: str
    link: str
    estimated: bool
    start: Callable[[FloatArray, FloatArray | float], tuple[FloatArray, FloatArray, FloatArray]]
    evaluate: Callable[[FloatArray, FloatArray, FloatArray | None, Work], float]
    constant: Callable[[FloatArray, FloatArray | float], float]


def _sum(values: FloatArray, prior: FloatArray | None) -> float:
    return float(values.sum() if prior is None else values @ prior)


def _gaussian_start(y: FloatArray, prior: FloatArray | float) -> tuple[FloatArray, FloatArray, FloatArray]:
    return y, y, np.ones_like(y)


def _gaussian(eta: FloatArray, y: FloatArray, prior: FloatArray | None, work: Work) -> float:
    np.subtract(y, eta, out=work.residual)
    work.weight.fill(1.0)
    np.multiply(work.residual, work.residual, out=work.spare)
    return _sum(work.spare, prior)


def _nothing(y: FloatArray, prior: FloatArray | float) -> float:
    return 0.0


def _binomial_start(y: FloatArray, prior: FloatArray | float) -> tuple[FloatArray, FloatArray, FloatArray]:
    mu = (prior * y + 0.5) / (prior + 1.0)
    return special.logit(mu), mu, mu * (1.0 - mu)


def _binomial(eta: FloatArray, y: FloatArray, prior: FloatArray | None, work: Work) -> float:
    """2 sum w (log(1 + exp(-|eta|)) + max(eta, 0) - y eta), from one exponential."""
    power, root, spare = work.weight, work.residual, work.spare
    np.abs(eta, out=power)
    np.negative(power, out=power)
    np.exp(power, out=power)
    np.add(power, 1.0, out=spare)
    np.divide(1.0, spare, out=root)  # 1 / (1 + exp(-|eta|))
    np.multiply(power, root, out=power)
    np.multiply(power, root, out=power)  # V(mu)
    np.log(spare, out=spare)
    deviance = _sum(spare, prior)
    np.maximum(eta, 0.0, out=spare)
    deviance += _sum(spare, prior)
    np.multiply(y, eta, out=spare)
    deviance -= _sum(spare, prior)
    np.subtract(root, 0.5, out=root)
    np.copysign(root, eta, out=root)  # mu - 1/2
    np.subtract(y, root, out=root)
    np.subtract(root, 0.5, out=root)
    return 2.0 * deviance


def _poisson_start(y: FloatArray, prior: FloatArray | float) -> tuple[FloatArray, FloatArray, FloatArray]:
    mu = y + 0.1
    return np.log(mu), mu, mu


def _poisson(eta: FloatArray, y: FloatArray, prior: FloatArray | None, work: Work) -> float:
    """2 sum w (y (log y - eta) - (y - mu)); the difference of logs first, so that large counts keep their digits."""
    mean, spare = work.weight, work.spare
    np.minimum(eta, LARGEST_ETA, out=eta)
    np.exp(eta, out=mean)
    np.subtract(y, mean, out=work.residual)
    np.maximum(y, 1.0, out=spare)
    np.log(spare, out=spare)
    np.subtract(spare, eta, out=spare)
    np.multiply(spare, y, out=spare)
    np.subtract(spare, work.residual, out=spare)
    return 2.0 * _sum(spare, prior)


def _poisson_constant(y: FloatArray, prior: FloatArray | float) -> float:
    return float(np.sum(prior * (special.xlogy(y, y) - y - special.gammaln(y + 1.0))))


FAMILIES = {
    "gaussian": Family("gaussian", "identity", True, _gaussian_start, _gaussian, _nothing),
    "binomial": Family("binomial", "logit", False, _binomial_start, _binomial, _nothing),
    "poisson": Family("poisson", "log", False, _poisson_start, _poisson, _poisson_constant),
}


def null_deviance(family: str, total: float, responses: float, saturated: float) -> float:
    """Deviance of the common mean, from pooled sums.

    `total` is the sum of prior weights w, `responses` of w y, `saturated` (poisson) of w (y log y - y).
    """
    mean = responses / total
    if family == "binomial":
        rest = total - responses
        return -2.0 * (responses * math.log(mean) + rest * math.log1p(-mean))
    return 2.0 * (saturated - (responses * math.log(mean) - responses))
