"""Where the search of a linear mixed model begins: few values of theta, and the deviance between them.

As a function of the ratio rho of an average group's variance to that of its mean's error, the sums have their poles on
the negative axis. With t the root of rho, x = (t - 1) / (t + 1) takes all of 0 to infinity to -1 to 1 and the poles to
the unit circle, so that a polynomial through Chebyshev's nodes in x is close everywhere (Trefethen 2013, chapter 8).
"""

from __future__ import annotations

import math

import numpy as np

from isthmus.summary import FloatArray

DIGITS = 13  # binary, of theta at the start: the last bits of cos and log differ between machines
TRIED = 1_001  # values of x between the nodes


def nodes(count: int) -> FloatArray:
    """(count,) roots of rho, falling."""
    x = np.cos((2.0 * np.arange(count) + 1.0) * math.pi / (2.0 * count))
    return coarse((1.0 + x) / (1.0 - x))


def least(roots: FloatArray, values: FloatArray, grows: float) -> float:
    """The root of rho where a deviance with `values` at `roots` is least; it grows by `grows` log(1 + rho).

    The rest of it is interpolated (Berrut & Trefethen 2004).
    """
    smooth = values - grows * np.log1p(roots**2)
    at = (roots - 1.0) / (roots + 1.0)
    apart = at[:, None] - at[None]
    weights = np.array([1.0 / np.prod(np.delete(row, k)) for k, row in enumerate(apart)])
    x = np.linspace(-1.0, float(at.max()), TRIED)
    gap = x[:, None] - at
    share = weights / np.where(gap == 0.0, 1e-300, gap)
    tried = (1.0 + x) / (1.0 - x)
    found = (share @ (smooth - smooth.min())) / share.sum(axis=1) + grows * np.log1p(tried**2)
    best = int(np.argmin(found))
    if 0 < best < TRIED - 1:
        before, here, after = found[best - 1 : best + 2]
        x_best = x[best] + (x[1] - x[0]) * 0.5 * (before - after) / (before - 2.0 * here + after)
        return float(coarse(np.array([(1.0 + x_best) / (1.0 - x_best)]))[0])
    return float(coarse(tried[best : best + 1])[0])


def coarse(values: FloatArray) -> FloatArray:
    """To few binary digits."""
    fraction, exponent = np.frexp(values)
    made: FloatArray = np.ldexp(np.rint(fraction * 2.0**DIGITS) / 2.0**DIGITS, exponent)
    return made
