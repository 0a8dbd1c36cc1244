"""Ranks of rows counted on the cells of a public grid: every row of a cell takes the mean rank of the cell."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from isthmus.statistics import linear
from isthmus.statistics.contract import Grid
from isthmus.statistics.cutting import Counted
from isthmus.summary import FloatArray, IntArray


def mid(counts: IntArray) -> FloatArray:
    """(cells,) mean rank, from 1, of the rows of each cell, of counts (cells,)."""
    return (2 * (np.add.accumulate(counts) - counts) + counts + 1) / 2.0


def single(grid: Grid, whole: bool) -> NDArray[np.bool_]:
    """(cells,) whether a cell stands for one value: recorded ones, a single whole number, or one floating-point number."""
    if grid.recorded:
        return np.ones(len(grid.edges) + 1, dtype=np.bool_)
    ends = np.array([-math.inf, *grid.edges, math.inf])
    held = np.ceil(ends[1:]) - np.ceil(ends[:-1]) <= 1.0 if whole else np.nextafter(ends[:-1], math.inf) >= ends[1:]
    return np.asarray(held, dtype=np.bool_)


def several(counts: IntArray) -> list[int]:
    """Cells whose rows could be told apart: two rows or more, of counts (groups, cells)."""
    return np.flatnonzero(counts.sum(axis=0) > 1).tolist()


def between(counts: IntArray, scores: FloatArray) -> float:
    """Sum of squares of the rows' ranks about their mean, tied within cells."""
    away = scores - (float(counts.sum()) + 1.0) / 2.0
    return linear.dot(counts.astype(np.float64), away * away)


def within(at: Counted, one: NDArray[np.bool_]) -> float:
    """The most that the order of rows inside cells that are not `one` value adds to it: (m**3 - m) / 12 a cell."""
    m = np.where(one, 0, at.counts.sum(axis=0)).astype(np.float64)
    return float(np.add.accumulate((m * m * m - m) / 12.0)[-1])
