"""Suppression in a table of pooled counts: small cells, then as few more as keep the margins from telling them.

Simple version: along every axis, the hidden cells of a line are at least two and hold at least the floor together,
since line totals are often known (a group's size). It guards each line by itself, not combinations of lines.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isthmus.summary import FloatArray


def gate_table(values: FloatArray, small: NDArray[np.bool_], floor: int) -> FloatArray:
    """`values` with NaN where a cell is small, or hidden so that no total gives a small one back.

    Args:
        values: any shape; a line runs along each axis.
        small: cells that must not be shown.
        floor: the least that hidden cells of one line hold together.
    """
    hidden = small.copy()
    changed = bool(hidden.any())
    while changed:
        changed = False
        for axis in range(values.ndim):
            lines = np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis])
            masks = np.moveaxis(hidden, axis, -1)
            flat = masks.reshape(-1, values.shape[axis]).copy()
            for line, mask in zip(lines, flat, strict=True):
                changed |= _protect(line, mask, floor)
            hidden = np.moveaxis(flat.reshape(masks.shape), -1, axis).copy()
    return np.where(hidden, np.nan, values)


def _protect(line: FloatArray, hidden: NDArray[np.bool_], floor: int) -> bool:
    """Hide the smallest further cells of one line until its hidden ones protect each other; whether any was."""
    changed = False
    while hidden.any() and not hidden.all() and _derivable(line, hidden, floor):
        candidates = np.where(hidden, np.inf, line)
        filled = np.where(candidates > 0, candidates, np.inf)  # a zero hides nothing
        hidden[int(np.argmin(filled if np.isfinite(filled).any() else candidates))] = True
        changed = True
    return changed


def _derivable(line: FloatArray, hidden: NDArray[np.bool_], floor: int) -> bool:
    return int(hidden.sum()) == 1 or float(line[hidden].sum()) < floor
