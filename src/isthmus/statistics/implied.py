"""The 2 x 2 cells behind the indicators of a model of a two-valued outcome: estimates give them away."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.evidence import Counts
from isthmus.model.codebook import Codebook
from isthmus.model.formula import Design
from isthmus.statistics import coordinates
from isthmus.statistics.chunks import pieces
from isthmus.summary import FloatArray

SNAP = 1e-9  # of a column's declared width: centring moves a 0 or 1 by less


def terms(design: Design) -> tuple[int, ...]:
    """Columns that may be indicators: declared ones, numbers, what I() makes of them and products."""
    return tuple(j for j, column in enumerate(design.columns) if column.parts)


def marks(
    design: Design, dictionary: Codebook, columns: FloatArray, outcome: NDArray[Any], centre: FloatArray | None = None
) -> FloatArray:
    """(3, k): sums over rows of u, u**2 and u v, u each column of `terms` moved to 0..1 by its range, v `outcome`, 0 or 1.

    `columns` (p, n) may have been moved to `centre` (p,).
    Over all sites, sum u equals sum u**2 exactly when every u is 0 or 1: then they are counts.
    """
    chosen = terms(design)
    found = np.zeros((3, len(chosen)))
    for at, j in enumerate(chosen):
        column = design.columns[j]
        declared = None if column.indicator else coordinates.column_range(column, dictionary.variables)
        low, width = coordinates.low_width(declared)
        for piece in pieces(columns.shape[1]):
            values = columns[j, piece]
            u = (values - low if centre is None else values + centre[j] - low) / width
            near = np.rint(u)
            u = np.where(np.abs(u - near) <= SNAP, near, u)
            found[:, at] += (u.sum(), u @ u, u @ outcome[piece])
    return found


def implied_cells(design: Design, sums: FloatArray, whole: tuple[int, int]) -> dict[str, Counts]:
    """Cells of each column that is an indicator, and of each reference level.

    `sums` (3, k or more): pooled `marks`; `whole`: rows, and rows with the outcome.
    """
    count, events = whole
    found, levels = {}, dict.fromkeys((name for name, _ in design.reference), np.array([count, events]))
    for at, j in enumerate(terms(design)):
        column = design.columns[j]
        total, squares, with_events = sums[:, at].tolist()
        if total != squares:
            continue
        marked, hit = round(total), round(with_events)
        found[f"implied:{column.name}"] = _cells(count, events, marked, hit)
        factor, level, _ = column.parts[0]
        if len(column.parts) == 1 and level is not None and factor.name in levels:
            levels[factor.name] = levels[factor.name] - np.array([marked, hit])
    for name, level in design.reference:
        rest, hit = levels[name].tolist()
        found[f"implied:{name}[{level}]"] = _cells(count, events, rest, hit)
    return found


def _cells(count: int, events: int, marked: int, hit: int) -> Counts:
    rest, missed = count - marked, events - hit
    return Counts("implied", np.array([hit, marked - hit, missed, rest - missed]))
