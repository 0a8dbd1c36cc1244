"""B-spline bases with agreed knots, equal to R's `splines::bs` and `splines::ns`.

Reference: de Boor (2001), A Practical Guide to Splines, chapters IX and X.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isthmus.summary import FloatArray


def bs(x: FloatArray, knots: Sequence[float], boundary: tuple[float, float], degree: int = 3) -> FloatArray:
    """(len(knots) + degree, n): the basis without its first function; the end pieces continue outside the boundary."""
    return _basis(x, _padded(knots, boundary, degree), degree)[1:]


def ns(x: FloatArray, knots: Sequence[float], boundary: tuple[float, float]) -> FloatArray:
    """(len(knots) + 1, n): natural cubic splines, linear outside the boundary."""
    padded = _padded(knots, boundary, 3)
    ends = np.asarray(boundary)
    curvature = _derivative(ends, padded, 3, 2)[1:]
    rotation = np.linalg.qr(curvature, mode="complete").Q[:, 2:]
    values = _basis(np.clip(x, *boundary), padded, 3)[1:]
    slopes = _derivative(ends, padded, 3, 1)[1:]
    values += slopes[:, :1] * np.minimum(x - ends[0], 0.0) + slopes[:, 1:] * np.maximum(x - ends[1], 0.0)
    natural: FloatArray = rotation.T @ values
    return natural


def _padded(knots: Sequence[float], boundary: tuple[float, float], degree: int) -> FloatArray:
    low, high = boundary
    return np.array([low] * (degree + 1) + list(knots) + [high] * (degree + 1), dtype=np.float64)


def _basis(x: FloatArray, padded: FloatArray, degree: int) -> FloatArray:
    """(functions, n), by the triangle of the functions that are not zero on each x's interval."""
    functions = len(padded) - degree - 1
    last = len(padded) - 1 - np.argmax(padded[::-1] < padded[-1])  # the last interval that is not empty
    first = int(np.searchsorted(padded, padded[0], side="right")) - 1
    interval = np.clip(np.searchsorted(padded, x, side="right") - 1, first, last)
    local = np.ones((degree + 1, len(x)))
    for order in range(1, degree + 1):
        carried = np.zeros(len(x))
        for j in range(order):
            right, left = padded[interval + j + 1], padded[interval + j + 1 - order]
            share = local[j] / (right - left)
            local[j] = carried + (right - x) * share
            carried = (x - left) * share
        local[order] = carried
    values = np.zeros((functions, len(x)))
    rows = interval - degree + np.arange(degree + 1)[:, None]
    values[rows, np.arange(len(x))] = local
    return values


def _derivative(x: FloatArray, padded: FloatArray, degree: int, order: int) -> FloatArray:
    """(functions, n): derivatives of the basis functions inside the boundary."""
    if order == 0:
        return _basis(x, padded, degree)
    # the lower degree has one function less at each end, on the same knots less one at each end
    lower = _derivative(x, padded[1:-1], degree - 1, order - 1)
    width = padded[degree + 1 : -1] - padded[1 : -degree - 1]
    scaled = degree * lower / width[:, None]
    values: FloatArray = np.zeros((len(lower) + 1, len(x)))
    values[1:] += scaled
    values[:-1] -= scaled
    return values
