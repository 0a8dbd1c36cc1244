"""Grids of numbers: bins [edge[k], edge[k+1]), open below the first edge and from the last one on.

Edges are public: from the study, from the codebook's ladder, or at multiples of 1, 2 or 5 times a power of ten over
the declared range. A grid of recorded values (rehearsals under open rules) has one cell per value instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid
from isthmus.statistics.contract import Grid
from isthmus.statistics.survival import MAX_EDGES, GridWish, checked, parted, spaced
from isthmus.summary import FloatArray, IntArray

NICE = (1, 2, 5)
Cells = NDArray[np.intp]


def rungs(name: str, wish: GridWish | None, dictionary: Codebook, most: int) -> tuple[Grid, ...]:
    """The study's grid; else the codebook's ladder; else round edges over the declared range, at most `most` bins.

    Raises:
        Invalid: E-GRID, E-VARIABLE; E-NO-GRID, neither study nor codebook gives edges or a range.
    """
    if wish is not None:
        return (Grid(_edges(wish), recorded=False),)
    variable = declared(name, dictionary)
    if variable.grid is not None:
        return tuple(Grid(checked(edges), recorded=False) for edges in variable.grid)
    if variable.range is None:
        raise Invalid(
            "E-NO-GRID", f"no grid for {name!r}", "state `grid` in the study, or grid or range in the codebook"
        )
    low, high = variable.range
    return tuple(Grid(edges, recorded=False) for edges in _round_edges(low, high, most, variable.type == "integer"))


def recorded(name: str, dictionary: Codebook) -> tuple[Grid, ...]:
    """The rung of recorded values, known in a rehearsal without a codebook only; a floor above 1 strikes it out."""
    values = declared(name, dictionary).recorded
    return () if not values else (Grid(tuple(sorted(values)), recorded=True),)


def declared(name: str, dictionary: Codebook) -> Variable:
    """The variable's declaration.

    Raises:
        Invalid: E-VARIABLE.
    """
    if name not in dictionary.variables:
        raise Invalid("E-VARIABLE", f"{name!r} is not a variable of the codebook or of `derive`")
    return dictionary.variables[name]


def cells(name: str, values: FloatArray, grid: Grid) -> Cells:
    """Cell (rows,) of each value: 0 below the first edge, k from edge k - 1 up to edge k.

    Raises:
        Invalid: E-GRID, a value is not among the recorded ones.
    """
    edges = np.array(grid.edges)
    found = np.searchsorted(edges, values, side="right")
    if grid.recorded and not (bool(np.all(found > 0)) and bool(np.all(edges[found - 1] == values))):
        raise Invalid("E-GRID", f"a value of {name!r} is not among the recorded ones", "infer the codebook again")
    return found


def tally(cell: Cells, size: int, group: Cells, groups: int) -> IntArray:
    """Counts (groups, size) of rows by group and cell."""
    flat = np.bincount(group * size + cell, minlength=groups * size)
    return flat.reshape(groups, size).astype(np.int64)


def _edges(wish: GridWish) -> tuple[float, ...]:
    """`{edges}`, `{every, to}` (from 0 unless `from` says) or `{from, to, bins}`."""
    start = 0.0 if wish.from_ is None else wish.from_
    if wish.coarser:
        raise Invalid("E-GRID", "`coarser` is for grids of times", "leave `grid` out: cuts are then searched for")
    if wish.edges is not None and wish.every is wish.to is wish.from_ is wish.bins is None:
        return checked(wish.edges)
    if wish.edges is None and wish.to is not None and wish.to > start:
        if wish.every is not None and wish.every > 0 and wish.bins is None:
            steps = _count((wish.to - start) / wish.every)
            return checked(spaced(start, wish.every, range(steps + 1)))
        if wish.bins is not None and wish.every is None and wish.from_ is not None:
            return checked(parted(start, wish.to, _count(wish.bins)))
    raise Invalid("E-GRID", "a grid is {every, to}, {edges} or {from, to, bins}")


def _count(steps: float) -> int:
    if not 1 <= steps * (1 + 1e-9) <= MAX_EDGES:
        raise Invalid("E-GRID", f"a grid has 1 to {MAX_EDGES} steps", "use a wider step")
    return int(steps * (1 + 1e-9))


def _round_edges(low: float, high: float, most: int, whole: bool) -> Iterator[tuple[float, ...]]:
    """Ladders of round widths, finest first, each with 2 to `most` bins; one bin where the range is a point."""
    if not high > low:
        yield (low, low + 1.0)
        return
    exponent = math.floor(math.log10((high - low) / most)) if not whole else 0
    while True:
        for digit in NICE:
            up, down = (digit * 10**exponent, 1) if exponent >= 0 else (digit, 10**-exponent)
            first, last = math.floor(low * down / up), math.floor(high * down / up)
            if last - first + 1 <= most:
                yield tuple(k * up / down for k in range(first, last + 2))
            if last - first < 2:  # two bins: no coarser one says anything
                return
        exponent += 1
