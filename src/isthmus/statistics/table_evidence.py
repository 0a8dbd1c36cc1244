"""What a site's rows of a table are, and the evidence about them; numbers with two values are counted as such.

The mean of a number with two values is a count, and its standard deviation too: where the number takes
the ends of its declared range only, the table follows from the counts of each as the gate leaves them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.evidence import Evidence
from isthmus.model.codebook import Codebook
from isthmus.statistics import coordinates, unusual
from isthmus.summary import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Variables:
    """The design's columns as a table reads them: number variables and, per category, its levels (reference first)."""

    numbers: tuple[tuple[str, int], ...]
    categories: tuple[tuple[str, tuple[str, ...], tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's rows: `columns` (p, rows), group codes."""

    columns: FloatArray
    group: Any


def tallies(variables: Variables, rows: Rows, groups: int) -> dict[str, IntArray]:
    """Counts (levels, groups) of each category."""
    sizes = np.bincount(rows.group, minlength=groups)
    found = {}
    for name, levels, columns in variables.categories:
        table = np.zeros((len(levels), groups), dtype=np.int64)
        for i, j in enumerate(columns):
            table[i + 1] = np.bincount(rows.group[rows.columns[j] != 0.0], minlength=groups)
        table[0] = sizes - table[1:].sum(axis=0)
        found[name] = table
    return found


def table_evidence(variables: Variables, rows: Rows, by: str | None, names: tuple[str, ...]) -> Evidence:
    """Facts about one site's rows: cells of categories and two-valued numbers, else who makes up each mean."""
    sizes = np.bincount(rows.group, minlength=len(names)).astype(np.int64)
    cells = {name: table.reshape(-1) for name, table in tallies(variables, rows, len(names)).items()}
    sides: dict[str, IntArray] = {}
    sums: dict[str, FloatArray] = {}
    for name, j in variables.numbers:
        values = rows.columns[j]
        found = unusual.two_values(values)
        if found is not None:
            cells[name] = _marked(values == found[1], rows.group, sizes).reshape(-1)
        for g, level in enumerate(names):
            part, label = values[rows.group == g] if by is not None else values, f"{name} {level}".strip()
            sums[label] = part
            if part.size and found is None:
                sides[f"signs of {label}"] = np.array([(part < 0.0).sum(), (part > 0.0).sum()], dtype=np.int64)
                far = np.abs(part - unusual.middle(part))
                sums |= {f"{label} deviations": far, f"{label} squares": far * far}
                sides[label] = unusual.makers(part)
    groups = {} if by is None else {by: sizes}
    number = 1 if variables.numbers else 0  # a standard deviation needs degrees of freedom
    return Evidence(rows=int(rows.group.size), groups=groups, cells=cells, sums=sums, sides=sides, parameters=number)


def ranges(variables: Variables, dictionary: Codebook) -> list[tuple[float, float]]:
    """(low, width) that takes each number to 0..1 by its declared range; 0 and 1 where none is declared."""
    return [coordinates.unit_range(name, dictionary) for name, _ in variables.numbers]


def marks(variables: Variables, rows: Rows, bounds: list[tuple[float, float]], groups: int) -> FloatArray:
    """(2, numbers, groups): sums of u and u**2, u the number moved to 0..1; equal only where each u is 0 or 1."""
    found = np.zeros((2, len(variables.numbers), groups))
    for i, ((_, j), (low, width)) in enumerate(zip(variables.numbers, bounds, strict=True)):
        u = coordinates.in_units(rows.columns[j], low, width)
        found[0, i] = np.bincount(rows.group, weights=u, minlength=groups)
        found[1, i] = np.bincount(rows.group, weights=u * u, minlength=groups)
    return found


def pooled_marks(
    variables: Variables, bounds: list[tuple[float, float]], n: FloatArray, sums: FloatArray
) -> dict[str, tuple[IntArray, float, float]]:
    """Per number that takes the ends of its range only: its (2, groups) counts of high and low, low and high."""
    found = {}
    for i, ((name, _), (low, width)) in enumerate(zip(variables.numbers, bounds, strict=True)):
        if np.array_equal(sums[0, i], sums[1, i]):
            found[name] = (np.rint(np.array([sums[0, i], n - sums[0, i]])).astype(np.int64), low, low + width)
    return found


def moments_of_marks(table: FloatArray, low: float, high: float) -> FloatArray:
    """(2, 1 + groups) mean and sd, over all rows first, from the counts (2, groups) of the larger value and the rest."""
    whole = np.column_stack([table.sum(axis=1), table])
    size = whole.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = whole[0] / size
        sd = (high - low) * np.sqrt(share * (1.0 - share) * size / (size - 1.0))
    return np.array([low + (high - low) * share, np.where(size > 1.0, sd, np.nan)])


def _marked(mark: Any, group: Any, sizes: IntArray) -> IntArray:
    counts = np.bincount(group[mark], minlength=len(sizes)).astype(np.int64)
    return np.array([counts, sizes - counts])
