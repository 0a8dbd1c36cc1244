"""Draws of multiple imputation: of parameters, equal at every party, and of missing values, known to their site alone.

Parameters come from the posterior of a pooled fit (Rubin 1987, sections 5.3 and 5.4: sigma^2 from a scaled inverse
chi-square, coefficients normal given sigma; for logistic and multinomial models normal), by uniforms that the study's
seed decides. The variance between sites, where a model has one, is drawn from a scaled inverse chi-square with one
degree of freedom less than sites have values (as mice's `2l.norm`, its prior aside). A row's noise comes from BLAKE2b of
its secret key, so that no other party can know it, and neither the order of rows nor where they lie changes it.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from isthmus.model.errors import Invalid
from isthmus.statistics import linear
from isthmus.statistics.contract import Estimate
from isthmus.statistics.imputation_models import Model
from isthmus.summary import FloatArray

BITS = 53  # of a float64's fraction
STEPS = 50  # of Newton's method to a site's intercept
TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Draw:
    """Parameters of one imputation of one variable: coefficients (p,), predictor by predictor where there are several;
    the residual sd of a linear model; the sd of the sites' intercepts, 0 where the model has none.
    """

    coefficients: FloatArray
    sigma: float = 1.0
    between: float = 0.0

    def told(self) -> FloatArray:
        """As a parameter of a round."""
        return np.array([*self.coefficients.tolist(), self.sigma, self.between])


def read(told: Any) -> Draw:
    """From a parameter of a round."""
    found = np.asarray(told, dtype=np.float64)
    return Draw(found[:-2], float(found[-2]), float(found[-1]))


def posterior(estimate: Estimate, model: Model, seed: str) -> Draw:
    """A draw of a fitted model's parameters.

    Raises:
        Invalid: E-IMPUTE, the model leaves nothing to draw from.
    """
    found = estimate.values["estimates"]
    try:
        lower = linear.cholesky(estimate.values["vcov"])
    except linear.Dependent as error:
        message = f"the imputation model of {model.target!r} fits perfectly, or its terms determine each other"
        raise Invalid(
            "E-IMPUTE", message, "leave a variable out of `with`, or derive fewer from the same column"
        ) from error
    uniform = uniforms(seed, len(found) + 2)
    z, spread, sigma, between = special.ndtri(uniform[:-2]), 1.0, 1.0, 0.0
    if model.method == "linear":
        variance, df = _residual(estimate, model)
        spread = math.sqrt(df / float(special.chdtri(df, float(uniform[-2]))))
        sigma = math.sqrt(variance) * spread
    if model.effects:
        df = max(float(estimate.counts["groups"].values[0]) - 1.0, 1.0)
        chi = float(special.chdtri(df, float(uniform[-1])))
        between = math.sqrt(float(estimate.values["random"][0, 0]) * df / chi)
    return Draw(found + linear.product(lower, z) * spread, sigma, between)


def _residual(estimate: Estimate, model: Model) -> tuple[float, float]:
    """Residual variance and its degrees of freedom."""
    if model.effects:
        return float(estimate.values["sigma2"]), float(estimate.n - len(estimate.values["estimates"]))
    return float(estimate.values["fit"]["dispersion"]), float(estimate.values["df_residual"])


def uniforms(seed: str, count: int) -> FloatArray:
    """(count,) numbers in (0, 1) that `seed` alone decides."""
    words = [hashlib.sha256(f"{seed} {i}".encode()).digest() for i in range(count)]
    return _unit(np.array([int.from_bytes(word[:8], "big") for word in words], dtype=np.uint64))


def noise(keys: NDArray[np.uint64], seed: str) -> FloatArray:
    """(n,) numbers in (0, 1), one for each row key; a row's number depends on its key and `seed` alone."""
    tag = hashlib.sha256(seed.encode()).digest()
    raw = memoryview(np.ascontiguousarray(keys).tobytes())
    made = (hashlib.blake2b(raw[at : at + 8], digest_size=8, key=tag).digest() for at in range(0, len(raw), 8))
    return _unit(np.fromiter((int.from_bytes(word, "big") for word in made), dtype=np.uint64, count=len(keys)))


def site_key(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """(1,) key of a site, of all its rows' keys."""
    word = hashlib.blake2b(np.sort(keys).tobytes(), digest_size=8).digest()
    return np.array([int.from_bytes(word, "big")], dtype=np.uint64)


def site_effect(model: Model, draw: Draw, seen: tuple[FloatArray, FloatArray], uniform: float) -> float:
    """A draw of a site's intercept, given the parameters and the rows `seen` (values, linear predictors) there.

    A site without any has its whole distribution.
    """
    if draw.between == 0.0:
        return 0.0
    y, eta = seen
    prior, found = draw.between**-2, 0.0
    weight = np.zeros(0)
    for _ in range(STEPS):
        if model.method == "linear":
            weight, gap = np.full(y.size, draw.sigma**-2), (y - eta - found) * draw.sigma**-2
        else:
            mean = special.expit(eta + found)
            weight, gap = mean * (1.0 - mean), y - mean
        precision = prior + float(weight.sum())
        step = (float(gap.sum()) - prior * found) / precision
        found += step
        if abs(step) < TINY * draw.between:
            break
    return found + float(special.ndtri(uniform)) / math.sqrt(prior + float(weight.sum()))


def values(model: Model, predictors: FloatArray, draw: Draw, uniform: FloatArray) -> FloatArray:
    """Missing values from predictors (k, n): normal, 1 with its probability, or a level with its own."""
    if model.method == "linear":
        made: FloatArray = predictors[0] + draw.sigma * special.ndtri(uniform)
        return made
    if model.method == "logistic":
        one: FloatArray = (uniform < special.expit(predictors[0])).astype(np.float64)
        return one
    logs = np.vstack([np.zeros((1, predictors.shape[1])), predictors])
    below = np.cumsum(special.softmax(logs, axis=0), axis=0)[:-1]
    level: FloatArray = (uniform >= below).sum(axis=0).astype(np.float64)
    return level


def _unit(words: NDArray[np.uint64]) -> FloatArray:
    return ((words >> np.uint64(64 - BITS)).astype(np.float64) + 0.5) / 2.0**BITS
