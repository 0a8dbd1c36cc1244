"""A forest plot for a terminal: a line per study, its interval as a rule, the pooled estimate as a lozenge."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.charts.figure import ForestFigure, ForestRow

LEAST = 20  # characters of the plot
FARTHEST = (0.05, 20.0)  # ratios beyond are cut, with an arrow


def draw(figure: ForestFigure, width: int = 78) -> list[str]:
    """Lines of at most `width` characters: label, plot, first column. A line of no effect runs through."""
    left = max((len(row.label) for row in figure.rows), default=0) + 2
    texts = [row.columns[0] if row.columns else "" for row in figure.rows]
    right = max((len(text) for text in (*texts, figure.headings[0])), default=0) + 2
    columns = max(LEAST, width - left - right)
    low, high = _range(figure)
    null = _place(0.0, low, high, columns)
    heading = " " * (left + columns) + figure.headings[0].rjust(right)
    lines = [
        row.label.ljust(left) + _line(row, figure.log, (low, high), columns, null) + text.rjust(right)
        for row, text in zip(figure.rows, texts, strict=True)
    ]
    ends = [f"{math.exp(end) if figure.log else end:.2g}" for end in (low, high)]
    axis = ends[0] + ("1" if figure.log else "0").rjust(null + 1 - len(ends[0])).ljust(columns - len(ends[0]))
    scale = (axis[: columns - len(ends[1])] + ends[1])[:columns]
    return [heading.rstrip(), *(line.rstrip() for line in lines), (" " * left + scale).rstrip()]


def _value(value: float, log: bool) -> float:
    return math.log(min(max(value, FARTHEST[0]), FARTHEST[1])) if log else value


def _range(figure: ForestFigure) -> tuple[float, float]:
    """Ends of the plot, no effect among them."""
    known = [v for row in figure.rows for v in (row.low, row.high, row.estimate) if v is not None]
    placed = [0.0, *(_value(v, figure.log) for v in known)]
    low, high = min(placed), max(placed)
    return (low, high) if high > low else (low - 1.0, high + 1.0)


def _place(value: float, low: float, high: float, columns: int) -> int:
    return min(max(round((value - low) / (high - low) * (columns - 1)), 0), columns - 1)


def _line(row: ForestRow, log: bool, ends: tuple[float, float], columns: int, null: int) -> str:
    cells = [" "] * columns
    cells[null] = "│"
    if row.estimate is None or row.low is None or row.high is None:
        return "".join(cells)
    first, middle, last = (_place(_value(v, log), *ends, columns) for v in (row.low, row.estimate, row.high))
    for at in range(first, last + 1):
        cells[at] = "┼" if at == null else "─"
    if log and row.low < FARTHEST[0]:
        cells[first] = "←"
    if log and row.high > FARTHEST[1]:
        cells[last] = "→"
    cells[middle] = "◆" if row.style == "subtotal" else "■"
    return "".join(cells)
