"""Evidence about a design: who stands behind each indicator, each pair, each outcome cell; the largest leverage.

A number column that takes two values at this site is an indicator too: a numeric 0/1 column holding a single 1 gives
away that person's outcome (vantage6#2017), whatever its declared type. A number that one person alone has within a level
is that person's: its sum over the rows of the level leaves in X'X and X'y.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.evidence import Evidence
from isthmus.model.formula import Design, DesignColumn
from isthmus.statistics.chunks import CHUNK, pieces
from isthmus.statistics.unusual import SLACK, makers, nearly_two, spread, two_values
from isthmus.summary import FloatArray, IntArray

BoolArray = NDArray[np.bool_]
Groups = Iterable[tuple[str, BoolArray]]
NEGLIGIBLE = 1e-12  # share of a column's squares below which it adds no direction at this site


@dataclass(frozen=True, slots=True)
class _Marks:
    """Indicators at this site as rows of 0 and 1: names, (k, rows) array, and the design parts behind each."""

    names: list[str]
    rows: FloatArray
    parts: list[frozenset[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class _Joint:
    """Of k indicators: `sums` (1 or 3, k, k) over rows with both, and `whole` (1 or 3,) over all rows."""

    sums: FloatArray
    whole: FloatArray


def design_evidence(
    design: Design,
    columns: FloatArray,
    outcome: tuple[str, FloatArray] | None,
    largest: float,
    weights: FloatArray | None = None,
    response: tuple[str, FloatArray] | None = None,
) -> Evidence:
    """Facts about one site's design `columns` (p, rows).

    `outcome` is the name and (rows,) values 0 or 1 of a binary outcome or event, else None; `largest` the leverage;
    `weights` (rows,), all positive: then a count is of effective rows, so that light rows hide nobody;
    `response` the name and values of an outcome that is a number.
    """
    marks = _marks(design, columns)
    size = columns.shape[1]
    joint = _joint(marks.rows if outcome is None else np.vstack([marks.rows, outcome[1]]), weights)
    last = len(marks.names)
    supports = {name: _table(joint, i, i)[[0, 3]] for i, name in enumerate(marks.names)}
    supports |= _references(design, marks, joint)
    numbers = _numbers(design, columns, marks)
    supports |= {f"spread of {n}": np.array([spread(v, weights)], dtype=np.int64) for n, v in numbers.items()}
    numbers |= {} if response is None else {response[0]: response[1]}
    sides = _within(chain(_level_rows(design, marks), _nearly(numbers)), numbers, weights)
    cells = {}
    if outcome is not None:
        sides |= _within(_both(*outcome), numbers, weights)
        cells[outcome[0]] = _table(joint, last, last)[[0, 3]]
        for i, name in enumerate(marks.names):
            cells[f"{name} x {outcome[0]}"] = _table(joint, i, last)
    return Evidence(
        rows=size,
        supports=supports,
        pairs=_pairs(marks, joint),
        sides=sides,
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
    found = two_values(values)
    return None if found is None else (values == found[1]).astype(np.float64)


def _numbers(design: Design, columns: FloatArray, marks: _Marks) -> dict[str, FloatArray]:
    """Columns with more than two values, those of a number within a level included."""
    found, marked = {}, set(marks.names)
    for column, values in zip(design.columns, columns, strict=True):
        crossed = any(level is not None for _, level, _ in column.parts)
        if column.parts and not column.indicator and (crossed or column.name not in marked):
            found[column.name] = values
    return found


def _within(groups: Groups, numbers: dict[str, FloatArray], weights: FloatArray | None) -> dict[str, IntArray]:
    """Who makes up the sum of each number within each group of rows: X'X and X'y give these sums away."""
    found = {}
    for group, mark in groups if numbers else ():
        at = np.flatnonzero(mark)
        light = None if weights is None else weights[at]
        for name, values in numbers.items():
            found[f"{name} within {group}"] = makers(values[at], light)
    return found


def _level_rows(design: Design, marks: _Marks) -> Groups:
    """Rows with each mark, and without it; of a category the reference stands for those without."""
    levels = {i for variable, _ in design.reference for i in _levels_of(design, marks, variable)}
    for i, (name, mark) in enumerate(zip(marks.names, marks.rows, strict=True)):
        yield from ((name, mark != 0.0),) if i in levels else _both(name, mark)
    for variable, reference in design.reference:
        mine = _levels_of(design, marks, variable)
        if mine:
            yield f"{variable}[{reference}]", ~np.any(marks.rows[mine] != 0.0, axis=0)


def _nearly(numbers: dict[str, FloatArray]) -> Groups:
    """Rows near either end of a number that is two values and noise."""
    for name, values in numbers.items():
        upper = nearly_two(values)
        if upper is not None:
            yield from _both(name, upper)


def _both(name: str, mark: NDArray[Any]) -> Groups:
    yield name, mark != 0
    yield f"not {name}", mark == 0


def _levels(column: DesignColumn) -> frozenset[tuple[str, str]]:
    return frozenset((f.label, level or "") for f, level, _ in column.parts)


def _joint(rows: FloatArray, weights: FloatArray | None) -> _Joint:
    """Joint counts (k, k) of rows of 0 and 1; with weights also sums of w and of w**2."""
    size, kinds = rows.shape[1], 1 if weights is None else 3
    total = np.zeros((kinds, len(rows), len(rows)))
    for piece in pieces(size):
        part = rows[:, piece]
        total[0] += part @ part.T
        if weights is not None:
            w = weights[piece]
            total[1] += (part * w) @ part.T
            total[2] += (part * (w * w)) @ part.T
    whole = [float(size)] if weights is None else [float(size), float(weights.sum()), float(weights @ weights)]
    return _Joint(total, np.array(whole))


def _table(joint: _Joint, i: int, j: int) -> IntArray:
    """Rows with both, first only, second only, neither."""
    both, first, second = joint.sums[:, i, j], joint.sums[:, i, i], joint.sums[:, j, j]
    return effective_rows(np.array([both, first - both, second - both, joint.whole - first - second + both]).T)


def effective_rows(sums: FloatArray) -> IntArray:
    """Rows (cells,) from `sums` (1 or 3, cells): the count, with weights at most the effective rows."""
    counts = np.rint(sums[0])
    if len(sums) > 1:
        with np.errstate(divide="ignore", invalid="ignore"):
            kish = np.where(sums[2] > 0.0, np.square(sums[1]) / sums[2], counts)
        counts = np.minimum(counts, np.where(counts > 0.0, np.maximum(np.floor(kish + SLACK), 1.0), 0.0))
    found: IntArray = counts.astype(np.int64)
    return found


def _pairs(marks: _Marks, joint: _Joint) -> dict[str, IntArray]:
    """Joint cells of two indicators, without those that are empty by construction.

    Levels of one factor need no pair (their supports say all); `a:b` never stands without `a`.
    """
    found = {}
    for i, (name, mine) in enumerate(zip(marks.names, marks.parts, strict=True)):
        for j in range(i + 1, len(marks.names)):
            other = marks.parts[j]
            if not _exclude(mine, other):
                possible = np.array([True, not mine >= other, not other >= mine, True])
                found[f"{name} x {marks.names[j]}"] = _table(joint, i, j)[possible]
    return found


def _exclude(mine: frozenset[tuple[str, str]], other: frozenset[tuple[str, str]]) -> bool:
    """Whether two indicators ask the same factor for different levels."""
    levels = dict(mine)
    return any(levels.get(label, level) != level for label, level in other)


def _references(design: Design, marks: _Marks, joint: _Joint) -> dict[str, IntArray]:
    """Support of each reference level: the rows no main-effect column of the category marks."""
    found = {}
    for variable, reference in design.reference:
        mine = _levels_of(design, marks, variable)
        if mine:
            others = np.sum([joint.sums[:, i, i] for i in mine], axis=0)
            found[f"{variable}[{reference}]"] = effective_rows(np.array([joint.whole - others, others]).T)
    return found


def _levels_of(design: Design, marks: _Marks, variable: str) -> list[int]:
    return [i for i, part in enumerate(marks.parts) if len(part) == 1 and _is_level_of(design, marks, i, variable)]


def _is_level_of(design: Design, marks: _Marks, i: int, variable: str) -> bool:
    column = next(c for c in design.columns if c.name == marks.names[i])
    factor, level, _ = column.parts[0]
    return level is not None and factor.name == variable
