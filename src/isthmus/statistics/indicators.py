"""Evidence about a design: who stands behind each indicator, each pair, each outcome cell; the largest leverage.

A number column that takes two values at this site is an indicator too: a numeric 0/1 column holding a single 1 gives
away that person's outcome (vantage6#2017), whatever its declared type.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.evidence import Evidence
from isthmus.model.formula import Design, DesignColumn
from isthmus.statistics.chunks import CHUNK, pieces
from isthmus.summary import FloatArray, IntArray

BoolArray = NDArray[np.bool_]
NEGLIGIBLE = 1e-12  # share of a column's squares below which it adds no direction at this site


@dataclass(frozen=True, slots=True)
class _Marks:
    """Indicators at this site as rows of 0 and 1: names, (k, rows) array, and the design parts behind each."""

    names: list[str]
    rows: FloatArray
    parts: list[frozenset[tuple[str, str]]]


def design_evidence(
    design: Design,
    columns: FloatArray,
    outcome: tuple[str, FloatArray] | None,
    largest: float,
) -> Evidence:
    """Facts about one site's design `columns` (p, rows).

    `outcome` is the name and (rows,) values 0 or 1 of a binary outcome or event, else None; `largest` the leverage.
    """
    marks = _marks(design, columns)
    size = columns.shape[1]
    joint = _joint(marks.rows if outcome is None else np.vstack([marks.rows, outcome[1]]))
    single = np.diag(joint)
    last = len(marks.names)
    supports = {name: np.array([single[i], size - single[i]]) for i, name in enumerate(marks.names)}
    supports |= _references(design, marks, single, size)
    cells = {}
    if outcome is not None:
        cells[outcome[0]] = np.array([single[last], size - single[last]])
        for i, name in enumerate(marks.names):
            cells[f"{name} x {outcome[0]}"] = _table(joint, i, last, size)
    return Evidence(
        rows=size,
        supports=supports,
        pairs=_pairs(marks, joint, size),
        cells=cells,
        parameters=len(columns),
        leverage=largest,
    )


def marked(design: Design, columns: FloatArray) -> list[tuple[str, FloatArray]]:
    """Name and (rows,) 0/1 values of every indicator of the design at this site, implicit ones included."""
    marks = _marks(design, columns)
    return list(zip(marks.names, marks.rows, strict=True))


def leverage(columns: FloatArray) -> float:
    """Largest diagonal of X (X'X)^- X' over this site's rows, for `columns` (p, rows); 0 without rows."""
    if columns.shape[1] == 0 or columns.shape[0] == 0:
        return 0.0
    centre = _local_centre(columns)
    gram = np.zeros((len(columns), len(columns)))
    buffer = np.empty((len(columns), min(CHUNK, columns.shape[1])))
    for piece in pieces(columns.shape[1]):
        z = np.subtract(columns[:, piece], centre, out=buffer[:, : piece.stop - piece.start])
        gram += z @ z.T
    scale = np.sqrt(np.diag(gram))
    scale[scale == 0.0] = 1.0
    values, vectors = np.linalg.eigh(gram / np.outer(scale, scale))  # at the site only: no party repeats this
    kept = values > NEGLIGIBLE * values[-1]
    half = (vectors[:, kept] / np.sqrt(values[kept])).T / scale
    largest = 0.0
    for piece in pieces(columns.shape[1]):
        z = np.subtract(columns[:, piece], centre, out=buffer[:, : piece.stop - piece.start])
        turned = half @ z
        np.multiply(turned, turned, out=turned)
        largest = max(largest, float(turned.sum(axis=0).max()))
    return min(largest, 1.0)


def _local_centre(columns: FloatArray) -> FloatArray:
    """Row means (p, 1) where a column of ones makes centring free, else zeros; the ones stay."""
    centre = np.zeros((len(columns), 1))
    if bool(np.all(columns[0] == 1.0)):
        centre[1:, 0] = columns[1:].mean(axis=1)
    return centre


def _marks(design: Design, columns: FloatArray) -> _Marks:
    names, rows, parts = [], [], []
    for column, values in zip(design.columns, columns, strict=True):
        if not column.parts or not values.size:
            marked = None if not column.parts else values
        elif column.indicator:
            marked = values
        elif any(level is not None for _, level, _ in column.parts):
            marked = (values != 0.0).astype(np.float64)
        else:
            marked = _two_valued(values)
        if marked is not None:
            names.append(column.name)
            rows.append(marked)
            parts.append(_levels(column))
    made = np.array(rows) if rows else np.zeros((0, columns.shape[1]))
    return _Marks(names, made, parts)


def _two_valued(values: FloatArray) -> FloatArray | None:
    """The indicator of the larger of two values, or None when there are more; constants other than 0 and 1 are none."""
    head = values[:64]
    if np.count_nonzero(head != head[0]) and len(np.unique(head)) > 2:
        return None
    low, high = float(values.min()), float(values.max())
    top = values == high
    if low == high:
        return top.astype(np.float64) if high == 1.0 else (np.zeros_like(values) if high == 0.0 else None)
    return top.astype(np.float64) if bool(np.all(top | (values == low))) else None


def _levels(column: DesignColumn) -> frozenset[tuple[str, str]]:
    return frozenset((f.label, level or "") for f, level, _ in column.parts)


def _joint(rows: FloatArray) -> IntArray:
    """Joint counts (k, k) of rows of 0 and 1."""
    total = np.zeros((len(rows), len(rows)))
    for piece in pieces(rows.shape[1]):
        part = rows[:, piece]
        total += part @ part.T
    return np.rint(total).astype(np.int64)


def _table(joint: IntArray, i: int, j: int, size: int) -> IntArray:
    """Rows with both, first only, second only, neither."""
    both, first, second = joint[i, j], joint[i, i], joint[j, j]
    return np.array([both, first - both, second - both, size - first - second + both])


def _pairs(marks: _Marks, joint: IntArray, size: int) -> dict[str, IntArray]:
    """Joint cells of two indicators, without those that are empty by construction.

    Levels of one factor need no pair (their supports say all); `a:b` never stands without `a`.
    """
    found = {}
    for i, (name, mine) in enumerate(zip(marks.names, marks.parts, strict=True)):
        for j in range(i + 1, len(marks.names)):
            other = marks.parts[j]
            if not _exclude(mine, other):
                possible = np.array([True, not mine >= other, not other >= mine, True])
                found[f"{name} x {marks.names[j]}"] = _table(joint, i, j, size)[possible]
    return found


def _exclude(mine: frozenset[tuple[str, str]], other: frozenset[tuple[str, str]]) -> bool:
    """Whether two indicators ask the same factor for different levels."""
    levels = dict(mine)
    return any(levels.get(label, level) != level for label, level in other)


def _references(design: Design, marks: _Marks, single: IntArray, size: int) -> dict[str, IntArray]:
    """Support of each reference level: the rows no main-effect column of the category marks."""
    found = {}
    for variable, reference in design.reference:
        mine = [i for i, part in enumerate(marks.parts) if len(part) == 1 and _is_level_of(design, marks, i, variable)]
        if mine:
            rest = size - int(sum(int(single[i]) for i in mine))
            found[f"{variable}[{reference}]"] = np.array([rest, size - rest])
    return found


def _is_level_of(design: Design, marks: _Marks, i: int, variable: str) -> bool:
    column = next(c for c in design.columns if c.name == marks.names[i])
    factor, level, _ = column.parts[0]
    return level is not None and factor.name == variable
