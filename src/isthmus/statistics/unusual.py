"""How many rows stand behind what a number column adds to a sum: a value that one row alone has comes out of it.

Effective rows of deviations z are (sum z^2)^2 / sum z^4, Kish's formula: n / 3 for a normal variable, k when k rows are
far off and the rest near zero, whatever noise hides that. Because long tails of honest laboratory values cost most of
the fourth power, that is allowed a factor, and the same formula of |z|^1.5 must hold too, so that k rows stay k.
About the median and about the mean; the smaller counts. A site's own rows only; what comes out stays there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isthmus.statistics.chunks import CHUNK, pieces
from isthmus.summary import FloatArray, IntArray

# A group of evenly spread or normal values has (sum |z|)^2 / sum z^2 near 2/3 of its rows: times this, about all.
SMOOTH = 1.5
SLACK = 1e-9
SAMPLE = (
    1024  # where fewer than a quarter as many rows differ from the usual value, the median of a sample is that value
)
ENOUGH = 256  # rows of a sample, beyond which nobody counts
NEAR = 0.02  # of the largest deviation: who is nearer is noise around the usual value and makes no sum


def middle(values: FloatArray) -> float:
    """The upper median, always one of the values: the modal value where more than half of the rows have it."""
    half = values.size // 2
    return float(np.partition(values, half)[half])


def spread(values: FloatArray, weights: FloatArray | None = None) -> int:
    """Effective rows of the deviations of `values` (rows,), weighted; 0 for a constant column or none."""
    if not values.size:
        return 0
    low, high = float(values.min()), float(values.max())
    if low == high:
        return 0
    mean = float(values.mean()) if weights is None else float(values @ weights) / float(weights.sum())
    return min(_effective(values, weights, c, max(high - c, c - low)) for c in (middle(values), mean))


def away(values: FloatArray) -> int:
    """Rows whose value is not the middle one."""
    return int(np.count_nonzero(values != middle(values))) if values.size else 0


def makers(values: FloatArray, weights: FloatArray | None = None) -> IntArray:
    """(2,) rows away from the usual value, and those that make up a sum of deviations from it: 0 for a constant.

    The latter at most the rows that are not near, so that k equal rows remain k, whatever noise the rest has.
    The usual value is the median of a sample, so it is what all but a few rows have wherever few rows differ.
    """
    if not values.size:
        return np.zeros(2, dtype=np.int64)
    step = 1 + values.size // SAMPLE
    z = values - middle(values[::step])
    np.abs(z, out=z)
    apart = _above(z, step, 0.0)
    if weights is not None:
        z *= weights
    top = float(z.max())
    if not top > 0.0:
        return np.array([apart, min(apart, 1)], dtype=np.int64)
    z /= top
    made = SMOOTH * float(z.sum()) ** 2 / float(z @ z)
    return np.array([apart, min(_above(z, step, NEAR), int(made * (1.0 + SLACK)))], dtype=np.int64)


def _above(z: FloatArray, step: int, limit: float) -> int:
    """Rows above `limit`: in a sample where these are enough for any floor, else in all."""
    found = int(np.count_nonzero(z[::step] > limit))
    return found if step == 1 or found >= ENOUGH else int(np.count_nonzero(z > limit))


def nearly_two(values: FloatArray) -> NDArray[np.bool_] | None:
    """Rows near the larger end of a column whose values are all near its two ends; None of any other."""
    if not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    for part in (values[:64], values):  # most columns are done after a few rows
        if np.any(np.minimum(part - low, high - part) > NEAR * (high - low)):
            return None
    upper: NDArray[np.bool_] = values - low > high - values
    return upper


def effective(weights: FloatArray) -> int:
    """Kish's effective rows (sum w)^2 / sum w^2 of weights that are not negative."""
    top = float(weights.max(initial=0.0))
    if not top > 0.0:
        return 0
    w = weights / top
    return int(float(w.sum()) ** 2 / float(w @ w) * (1.0 + SLACK))


def unusual(values: FloatArray, weights: FloatArray | None = None) -> IntArray:
    """(2,) rows away from the modal value, and effective rows: each is 0 only where nothing varies."""
    return np.array([away(values), spread(values, weights)], dtype=np.int64)


def two_values(values: FloatArray) -> tuple[float, float] | None:
    """(low, high) of a column that takes two values, 0 or 1 alone included; None of any other."""
    if not values.size:
        return None
    head = values[:64]
    if np.count_nonzero(head != head[0]) and len(np.unique(head)) > 2:
        return None
    low, high = float(values.min()), float(values.max())
    if low == high:
        return (0.0, 1.0) if high in {0.0, 1.0} else None
    return (low, high) if bool(np.all((values == high) | (values == low))) else None


def _effective(values: FloatArray, weights: FloatArray | None, centre: float, top: float) -> int:
    """About `centre`, in units of `top`: SMOOTH (sum z^2)^2 / sum z^4, or (sum |z|^1.5)^2 / sum |z|^3 if smaller."""
    first, second = np.empty((2, min(CHUNK, values.size)))
    sums = np.zeros(4)
    for piece in pieces(values.size):
        z, half = (buffer[: piece.stop - piece.start] for buffer in (first, second))
        np.subtract(values[piece], centre, out=z)
        np.abs(z, out=z)
        np.divide(z, top, out=z)
        np.sqrt(z, out=half)
        np.multiply(half, z, out=half)
        np.multiply(z, z, out=z)
        if weights is not None:
            np.multiply(z, weights[piece], out=z)
            np.multiply(half, weights[piece], out=half)
        sums += (z.sum(), z @ z, half.sum(), half @ half)
    if not (sums[1] > 0.0 and sums[3] > 0.0):
        return 0
    found = min(SMOOTH * float(sums[0]) ** 2 / float(sums[1]), float(sums[2]) ** 2 / float(sums[3]))
    return min(values.size, int(found * (1.0 + SLACK)))
