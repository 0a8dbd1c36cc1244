"""Draws of multiple imputation: of parameters, equal at every party, and of missing values, known to their site alone.

Parameters come from the posterior of a pooled fit (Rubin 1987, sections 5.3 and 5.4: sigma^2 from a scaled inverse
chi-square, coefficients normal given sigma; for a logistic model normal), by uniforms that the study's seed decides. A row's noise comes from BLAKE2b of its secret key,
so that no other party can know it, and neither the order of rows nor where they lie changes it.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from isthmus.model.errors import Invalid
from isthmus.statistics import linear
from isthmus.statistics.contract import Estimate
from isthmus.statistics.imputation_models import Method
from isthmus.summary import FloatArray

BITS = 53  # of a float64's fraction


@dataclass(frozen=True, slots=True)
class Draw:
    """Parameters of one imputation of one variable: coefficients (p,), and the residual sd of a linear model."""

    coefficients: FloatArray
    sigma: float


def posterior(estimate: Estimate, target: str, seed: str) -> Draw:
    """A draw of a fitted model's parameters.

    Raises:
        Invalid: E-IMPUTE, the model leaves nothing to draw from.
    """
    found, fit = estimate.values["estimates"], estimate.values["fit"]
    try:
        lower = linear.cholesky(estimate.values["vcov"])
    except linear.Dependent as error:
        message = f"the imputation model of {target!r} fits perfectly, or its terms determine each other"
        raise Invalid(
            "E-IMPUTE", message, "leave a variable out of `with`, or derive fewer from the same column"
        ) from error
    z = special.ndtri(uniforms(seed, len(found) + 1))
    spread = 1.0
    if fit["link"] == "identity":
        df = float(estimate.values["df_residual"])
        chi = float(special.chdtri(df, float(uniforms(seed, len(found) + 1)[-1])))
        spread = math.sqrt(df / chi)
    sigma = math.sqrt(float(fit["dispersion"])) * spread
    return Draw(found + linear.product(lower, z[:-1]) * spread, sigma)


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


def values(method: Method, linear_predictor: FloatArray, sigma: float, uniform: FloatArray) -> FloatArray:
    """Missing values: normal about the predictor, or 1 with its probability."""
    if method == "linear":
        made: FloatArray = linear_predictor + sigma * special.ndtri(uniform)
        return made
    return (uniform < special.expit(linear_predictor)).astype(np.float64)


def _unit(words: NDArray[np.uint64]) -> FloatArray:
    return ((words >> np.uint64(64 - BITS)).astype(np.float64) + 0.5) / 2.0**BITS
