"""Areas under a ROC curve and their errors, from counts of both classes by cell of the marker.

Cells run from least to most suggestive of the condition. A pair in one cell counts one half; where the cell stands for
several values its pairs may have been ordered either way, which `bound` adds up. Whole numbers are summed exactly.

Reference: DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44:837.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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
        shift: (2,) nor the placements of the positive and of the negative rows, root of the sum of squares over n - 1.
    """

    auc: float
    variance: float
    spread: tuple[float, float]
    positive: FloatArray
    negative: FloatArray
    bound: float
    shift: tuple[float, float]

    def turned(self) -> Area:
        """Its placements by cell from the other end."""
        return replace(self, positive=self.positive[::-1], negative=self.negative[::-1])


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
    variance, bound = spread[0] / n_pos + spread[1] / n_neg, mixed / (2 * n_pos * n_neg)
    inside = np.where(exact, 0, counts).astype(np.float64)
    shift = (_variance(pos, inside[0] / (2.0 * n_neg), 0.0), _variance(neg, inside[1] / (2.0 * n_pos), 0.0))
    return Area(auc, variance, spread, positive, negative, bound, (math.sqrt(shift[0]), math.sqrt(shift[1])))


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


def partial_bound(counts: IntArray, exact: NDArray[np.bool_], low: float, high: float) -> float:
    """No order of the rows inside cells moves the partial area by more: all positive rows of a cell first, or all negative."""
    found, alone = partial(counts, low, high), np.zeros_like(counts)
    orders = []
    for first in (0, 1):
        one, other = counts.copy(), alone.copy()
        other[first, ~exact], one[first, ~exact] = counts[first, ~exact], 0
        orders.append(np.stack([one, other], axis=2).reshape(2, -1))
    return max(abs(partial(order, low, high) - found) for order in orders)


def difference_bound(error: float, first: Area, second: Area, sizes: tuple[int, int]) -> float | None:
    """How far the statistic of two areas may lie from that of the rows' own order; None where the error may be 0.

    The error is the length of placements' differences, so it moves by no more than the length of what they move by.
    `sizes`: negative and positive rows.
    """
    moved = [(a + b) ** 2 / n for a, b, n in zip(first.shift, second.shift, sizes[::-1], strict=True)]
    step, reach, apart = math.sqrt(sum(moved)), first.bound + second.bound, first.auc - second.auc
    if not error > step:
        return None
    ends = [(apart + a) / (error + e) for a in (-reach, reach) for e in (-step, step)]
    return max(abs(end - apart / error) for end in ends)


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
