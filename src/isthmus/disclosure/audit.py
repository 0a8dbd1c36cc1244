"""What a reader can work out about the hidden cells of a table, by linear programmes: the check on `suppression`.

For people who examine a table and for tests. No decision of a run rests on it: its numbers are floating point.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isthmus.model.errors import Invalid
from isthmus.summary import FloatArray, IntArray


def audit(counts: IntArray, hidden: NDArray[np.bool_], least: int) -> tuple[FloatArray, FloatArray]:
    """Least and largest value of every cell, given the cells shown and the exact total of every line.

    In one and two dimensions the bounds are those of whole numbers; with more they may be wider.

    Args:
        counts: the true table, any shape; a line runs along each axis longer than 1.
        hidden: cells that are not shown.
        least: what a reader knows of every hidden cell: 0, or 1 where no zero can be among them.

    Raises:
        Invalid: E-RANGE, a hidden cell below `least`, which no reader could then assume.
    """
    from scipy.optimize import linprog  # slow to import, and only here

    if hidden.any() and int(counts[hidden].min()) < least:
        raise Invalid("E-RANGE", "a hidden cell is below what the reader is taken to know", "audit with least = 0")
    low, high = counts.astype(np.float64), counts.astype(np.float64)
    where = np.flatnonzero(hidden)
    lines = _lines(counts.shape)[:, where]
    totals = lines @ counts.reshape(-1)[where]
    for at, cell in enumerate(where):
        aim = np.zeros(where.size)
        for sign, bound in ((1.0, low), (-1.0, high)):
            aim[at] = sign
            found = linprog(aim, A_eq=lines, b_eq=totals, bounds=(least, None), method="highs")
            reached = found.fun if found.success else None
            bound.reshape(-1)[cell] = sign * (-np.inf if reached is None else reached)  # without a line, without bound
    return low, high


def _lines(shape: tuple[int, ...]) -> FloatArray:
    """(lines, cells): 1 where a cell is on a line. A table of one cell has none."""
    cells = np.arange(int(np.prod(shape))).reshape(shape)
    found = []
    for axis, length in enumerate(shape):
        if length > 1:
            found += np.moveaxis(cells, axis, -1).reshape(-1, length).tolist()
    marks = np.zeros((len(found), cells.size))
    for i, line in enumerate(found):
        marks[i, line] = 1.0
    return marks
