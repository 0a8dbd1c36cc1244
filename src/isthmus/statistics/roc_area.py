"""Areas under a ROC curve and their errors, from counts of both classes by cell of the marker.

Cells run from least to most suggestive of the condition. A pair in one cell counts one half; where the cell stands for
several values its pairs may have been ordered either way, which `bound` adds up. Whole numbers are summed exactly.

Reference: DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44:837.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.statistics import linear
from isthmus.summary import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Area:
    """AUC with what its errors need.

    Attributes:
        auc: area.
        variance: DeLong's, n - 1.
        spread: (2,) variances of the placements of the positive and of the negative rows.
        positive: (cells,) share of negative rows below a positive row of the cell, ties half.
        negative: (cells,) share of positive rows above a negative row of the cell.
        bound: no order of the rows inside cells moves the area by more.
    """

    auc: float
    variance: float
    spread: tuple[float, float]
    positive: FloatArray
    negative: FloatArray
    bound: float


def area(counts: IntArray, exact: NDArray[np.bool_]) -> Area:
    """Of the counts (2, cells) of negative and positive rows, at least one each; `exact` cells stand for one value."""
    neg, pos = counts
    n_neg, n_pos = int(neg.sum()), int(pos.sum())
    below = 2 * (np.add.accumulate(neg) - neg) + neg  # twice the negative rows below
    above = 2 * (n_pos - np.add.accumulate(pos)) + pos
    pairs = sum(int(p) * int(b) for p, b in zip(pos.tolist(), below.tolist(), strict=True))
    auc = pairs / (2 * n_pos * n_neg)
    positive, negative = below / (2.0 * n_neg), above / (2.0 * n_pos)
    spread = (_variance(pos, positive, auc), _variance(neg, negative, auc))
    mixed = sum(int(a) * int(b) for a, b in zip(neg[~exact].tolist(), pos[~exact].tolist(), strict=True))
    return Area(auc, spread[0] / n_pos + spread[1] / n_neg, spread, positive, negative, mixed / (2 * n_pos * n_neg))


def covariance(products: FloatArray, first: Area, second: Area, sizes: tuple[int, int]) -> float:
    """Of two areas on the same rows. `products` (2,): sums over positive and negative rows of both placements."""
    found = 0.0
    for total, n in zip(products.tolist(), (sizes[1], sizes[0]), strict=True):
        found += (total - n * first.auc * second.auc) / (n - 1) / n if n > 1 else math.nan
    return found


def partial(counts: IntArray, low: float, high: float) -> float:
    """Area under the curve, drawn straight between its points, where the specificity lies from `low` to `high`."""
    neg, pos = counts
    x = np.concatenate([[0.0], np.add.accumulate(neg[::-1]) / float(neg.sum())])  # 1 - specificity
    y = np.concatenate([[0.0], np.add.accumulate(pos[::-1]) / float(pos.sum())])
    inside = (x > 1.0 - high) & (x < 1.0 - low)
    start, stop = _height(x, y, 1.0 - high, "right"), _height(x, y, 1.0 - low, "left")
    xs = np.concatenate([[1.0 - high], x[inside], [1.0 - low]])
    ys = np.concatenate([[start], y[inside], [stop]])
    return linear.dot(np.diff(xs), (ys[1:] + ys[:-1]) / 2.0)


def _height(x: FloatArray, y: FloatArray, at: float, side: str) -> float:
    """Height at `at`; where the curve rises there, its upper end looking right, its lower end looking left."""
    k = int(np.searchsorted(x, at, side="right")) if side == "right" else int(np.searchsorted(x, at, side="left"))
    if side == "right":
        before = k - 1
        if x[before] == at or k == x.size:
            return float(y[before])
        return float(y[before] + (y[k] - y[before]) * (at - x[before]) / (x[k] - x[before]))
    if x[k] == at or k == 0:
        return float(y[k])
    return float(y[k - 1] + (y[k] - y[k - 1]) * (at - x[k - 1]) / (x[k] - x[k - 1]))


def _variance(counts: IntArray, placed: FloatArray, auc: float) -> float:
    n = int(counts.sum())
    if n < 2:
        return math.nan
    away = placed - auc
    return linear.dot(counts.astype(np.float64), away * away) / (n - 1)
