"""Suppression in a table of pooled counts: small cells, then as few more as keep the rest from telling them.

Whoever reads the table is taken to know every cell shown, the exact total of every line (both margins of a table of
two dimensions, the total of a list), the floor, and that counts are whole and not negative; where zeros are allowed
also that no zero is hidden, as long as the table can be protected without hiding one. A hidden cell then lies in an
interval. It must be at least `floor` wide, so that nobody can tell that the count is below the floor; where the
margins alone leave less, all that they leave. Where zeros are barred a small cell's interval must also reach 0.

In two dimensions the interval is exact: how far a cell can rise or fall is a maximum flow between its row and its
column, over hidden cells that rise without bound and fall to the least. Whole numbers alone decide, in a fixed order:
every party hides the same cells. With more than two dimensions each line is guarded by itself: its hidden cells are
at least two and hold the floor together; combinations of lines are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from isthmus.summary import FloatArray, IntArray

BoolArray = NDArray[np.bool_]
Cell = tuple[int, int]
SHOWN = 1 << 20  # hops a new hidden cell weighs more than; paths are shorter


def gate_table(values: FloatArray, small: BoolArray, floor: int, bars_zero: bool) -> FloatArray:
    """`values` with NaN where a cell is small, or hidden so that no margin gives a small one back.

    Args:
        values: whole numbers of any shape; a line runs along each axis longer than 1.
        small: cells that must not be shown.
        floor: the least width of a hidden cell's interval.
        bars_zero: zeros are barred, so that a hidden cell may be one.
    """
    if not small.any():
        return values
    counts, first = np.squeeze(np.rint(values).astype(np.int64)), np.squeeze(small)
    hidden = _by_line(counts, first, floor) if counts.ndim > 2 else _by_interval(counts, first, floor, bars_zero)
    return np.where(hidden.reshape(values.shape), np.nan, values)


def intervals(counts: IntArray, hidden: BoolArray, least: int) -> tuple[IntArray, IntArray]:
    """Least and largest value of every cell, exactly, given those shown and the total of every line.

    Args:
        counts: one or two dimensions.
        hidden: cells that are not shown.
        least: what a reader knows of hidden cells: 0, or 1 where no zero can be among them.
    """
    table, most = _table(counts, hidden), int(counts.sum())
    low, high = np.atleast_2d(counts.copy()), np.atleast_2d(counts.copy())
    for cell in table.targets():
        low[cell] -= _move(table, _Move(cell, least, "fall"), most)
        high[cell] += _move(table, _Move(cell, least, "rise"), most)
    return low.reshape(counts.shape), high.reshape(counts.shape)


@dataclass(slots=True)
class _Table:
    """Counts in rows and which are hidden. Under a list lies a row that takes up any change, never shown."""

    counts: list[list[int]]
    hidden: list[list[bool]]
    rows: int  # that are the table's own
    whole: int

    def targets(self) -> list[Cell]:
        """Hidden cells of the table, row by row."""
        width = range(len(self.counts[0]))
        return [(i, j) for i in range(self.rows) for j in width if self.hidden[i][j]]


@dataclass(frozen=True, slots=True)
class _Move:
    """A hidden cell rises or falls while every line keeps its total; no hidden cell falls below `least`.

    `opens`: cells of at least this count may be hidden on the way; None: none may.
    """

    cell: Cell
    least: int
    way: Literal["rise", "fall"]
    opens: int | None = None


def _table(counts: IntArray, hidden: BoolArray) -> _Table:
    rows, masks, whole = np.atleast_2d(counts).tolist(), np.atleast_2d(hidden).tolist(), int(counts.sum()) + 1
    if counts.ndim == 2:
        return _Table(rows, masks, len(rows), whole)
    width = len(rows[0])
    return _Table([*rows, [whole] * width], [*masks, [width > 1] * width], 1, whole)


def _by_interval(counts: IntArray, small: BoolArray, floor: int, bars_zero: bool) -> BoolArray:
    """Each hidden cell in turn, those hidden on its behalf later; what protects one cell stays hidden."""
    table = _table(counts, small)
    done: set[Cell] = set()
    while waiting := [cell for cell in table.targets() if cell not in done]:
        for cell in waiting:
            _protect(table, cell, floor, bars_zero)
        done |= set(waiting)
    return np.array(table.hidden)[: table.rows].reshape(counts.shape)


def _protect(table: _Table, cell: Cell, floor: int, bars_zero: bool) -> None:
    i, j = cell
    count = table.counts[i][j]
    if not bars_zero and count and _widen(table, cell, (floor, 0), (1, 1)):
        return
    low, high = _range(table, cell)
    below = count - low if bars_zero and count < floor else 0
    _widen(table, cell, (min(floor, high - low), below), (0, 0))


def _widen(table: _Table, cell: Cell, need: tuple[int, int], floors: tuple[int, int]) -> bool:
    """Hide cells until `cell` has its width and falls as far as it must; whether it does. Else nothing is hidden.

    Args:
        table: changed.
        cell: hidden.
        need: width, and fall.
        floors: least value of a hidden cell, and of a cell that may be hidden for this one.
    """
    (width, below), (least, opens) = need, floors
    before = [list(row) for row in table.hidden]
    rise = _move(table, _Move(cell, least, "rise"), width)
    fall = _move(table, _Move(cell, least, "fall"), max(width - rise, below))
    if fall < below:
        fall = _move(table, _Move(cell, least, "fall", opens), below)
    if fall + rise < width:
        rise = _move(table, _Move(cell, least, "rise", opens), width - fall)
    if fall + rise < width:
        fall = _move(table, _Move(cell, least, "fall", opens), width - rise)
    if fall + rise >= width and fall >= below:
        return True
    table.hidden = before
    return False


def _range(table: _Table, cell: Cell) -> tuple[int, int]:
    """What the margins alone say of a cell. Reference: the bounds of Frechet."""
    row = sum(table.counts[cell[0]])
    column = sum(line[cell[1]] for line in table.counts)
    return max(0, row + column - sum(map(sum, table.counts))), min(row, column)


def _move(table: _Table, move: _Move, most: int) -> int:
    """How far the cell can move, at most `most`: a maximum flow by cheapest paths."""
    i, j = move.cell
    counts = [list(row) for row in table.counts]
    if move.way == "fall":
        most = min(most, counts[i][j] - move.least)
    moved, phases = 0, list(_PHASES if move.opens is not None else _PHASES[:1])
    while moved < most and phases:
        opens, wide = phases[0]
        path = _path(table, counts, replace(move, opens=move.opens if opens else None), most - moved if wide else 1)
        if path is None:
            phases.pop(0)
            continue
        by = min([most - moved, *(counts[a][b] - move.least for a, b, sign in path if sign < 0)])
        for a, b, sign in path:
            counts[a][b] += sign * by
            table.hidden[a][b] = True
        moved += by
    return moved


# Hidden cells first; then others, such that one path is enough; then several paths: (may hide, one path takes all).
_PHASES = ((False, False), (True, True), (True, False))


def _path(table: _Table, counts: list[list[int]], move: _Move, need: int) -> list[tuple[int, int, int]] | None:
    """(row, column, +1 or -1) of cells that change by turns so that the moving cell may, or None.

    Rows are nodes, columns too; a cell leads from its row to its column by rising, back by falling, and falls by `need`
    at least. Of hidden cells alone the shortest path; else the cheapest (Dijkstra). Ties by the number of the node.
    """
    rows = len(counts)
    ends = (rows + move.cell[1], move.cell[0]) if move.way == "rise" else (move.cell[0], rows + move.cell[1])
    before = (
        _shortest(table, counts, move, need, ends) if move.opens is None else _cheapest(table, counts, move, need, ends)
    )
    if ends[1] not in before:
        return None
    found, node = [], ends[1]
    while node != ends[0]:
        last = before[node]
        found.append((last, node - rows, 1) if last < rows else (node, last - rows, -1))
        node = last
    return found


def _shortest(table: _Table, counts: list[list[int]], move: _Move, need: int, ends: tuple[int, int]) -> dict[int, int]:
    """Node -> the one before it, over hidden cells."""
    rows, (start, end), (i, j) = len(counts), ends, move.cell
    fresh = [k for k in range(rows + len(counts[0])) if k != start]
    before: dict[int, int] = {}
    layer = [start]
    while layer and end not in before:
        node = layer.pop(0)
        if node < rows:
            line = table.hidden[node]
            new = [k for k in fresh if k >= rows and line[k - rows] and (node != i or k - rows != j)]
        else:
            b, bar = node - rows, need + move.least
            new = [k for k in fresh if k < rows and table.hidden[k][b] and counts[k][b] >= bar and (k != i or b != j)]
        before |= dict.fromkeys(new, node)
        layer += new
        fresh = [k for k in fresh if k not in before] if new else fresh
    return before


def _cheapest(table: _Table, counts: list[list[int]], move: _Move, need: int, ends: tuple[int, int]) -> dict[int, int]:
    """Node -> the one before it, over hidden cells at the price of a step and those that may be hidden at theirs."""
    start, end = ends
    cost, before, settled = {start: 0}, {}, set()
    queue = [(0, start)]
    while queue and end not in settled:
        so_far, node = heappop(queue)
        if node in settled:
            continue
        settled.add(node)
        for other, price in _arcs(table, counts, move, (node, need)):
            if other not in cost or so_far + price < cost[other]:
                cost[other], before[other] = so_far + price, node
                heappush(queue, (so_far + price, other))
    return before


def _arcs(table: _Table, counts: list[list[int]], move: _Move, at: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """(node, price) of each step from a node that can be made by `need`."""
    (node, need), rows = at, len(counts)
    rising = node < rows
    for k in range(len(counts[0]) if rising else rows):
        a, b = (node, k) if rising else (k, node - rows)
        if (a, b) == move.cell or not (rising or counts[a][b] - move.least >= need):
            continue
        if table.hidden[a][b]:
            yield (rows + b if rising else a), 1
        elif move.opens is not None and table.counts[a][b] >= move.opens:
            yield (rows + b if rising else a), SHOWN * (table.whole + table.counts[a][b])


def _by_line(counts: IntArray, small: BoolArray, floor: int) -> BoolArray:
    """More than two dimensions: the hidden cells of each line are two or more and hold the floor together."""
    hidden = small.copy()
    changed = True
    while changed:
        changed = False
        for axis in range(counts.ndim):
            lines = np.moveaxis(counts, axis, -1).reshape(-1, counts.shape[axis])
            masks = np.moveaxis(hidden, axis, -1)
            flat = masks.reshape(-1, counts.shape[axis]).copy()
            for line, mask in zip(lines, flat, strict=True):
                changed |= _fill(line, mask, floor)
            hidden = np.moveaxis(flat.reshape(masks.shape), -1, axis).copy()
    return hidden


def _fill(line: IntArray, hidden: BoolArray, floor: int) -> bool:
    """Hide the smallest further cells of one line until its hidden ones protect each other; whether any was."""
    changed = False
    while hidden.any() and not hidden.all() and (int(hidden.sum()) == 1 or int(line[hidden].sum()) < floor):
        free = ~hidden & ((line > 0) | ~np.any(~hidden & (line > 0)))  # a zero hides nothing
        hidden[np.flatnonzero(free)[np.argmin(line[free])]] = True
        changed = True
    return changed
