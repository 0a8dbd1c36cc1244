"""A Kaplan-Meier drawing for a terminal: braille dots, one cell at most one series, colours left to the caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.charts import axis
from isthmus.charts.survival import at_risk, time_marks

if TYPE_CHECKING:
    from isthmus.charts.figure import Curve, SurvivalFigure

# Bit of a braille cell (U+2800 + bits) for dot (column 0-1, row 0-3).
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
PLAIN = -1


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of one series (`series` = -1: axis or label)."""

    text: str
    series: int


def draw(figure: SurvivalFigure, width: int = 78, height: int = 14) -> list[list[Piece]]:
    """Lines of pieces: the plot, its axis and the numbers at risk, at most `width` characters wide."""
    left = max(7, max((len(c.label) for c in figure.curves), default=0) + 2)
    columns = max(20, width - left - 4)
    end = max((c.time[-1] for c in figure.curves if c.time), default=1.0)
    floor = _floor(figure)
    cells = _plot(figure, (columns, height), end, floor)
    marks = time_marks(figure, 7)
    lines = [_plot_line(row, cells, (left, columns, height), floor) for row in range(height)]
    lines.append([Piece(" " * (left - 1) + "└" + "─" * columns, PLAIN)])
    lines.append([Piece(_spread("", [(t, axis.short(t)) for t in marks], left, columns, end), PLAIN)])
    lines.append([Piece(" " * left + figure.x_label, PLAIN)])
    lines.append([Piece("Number at risk when each step begins" if figure.stepped else "Number at risk", PLAIN)])
    for index, curve in enumerate(figure.curves):
        known = [(t, at_risk(curve, t, figure.stepped)) for t in marks]
        shown = [(t, f"{n:.0f}") for t, n in known if n is not None]
        text = _spread(curve.label, shown, left, columns, end)
        lines.append([Piece(text, index)])
    return lines


def _floor(figure: SurvivalFigure) -> float:
    lowest = min((v for c in figure.curves for v in c.survival), default=0.0)
    return 0.0 if lowest < 0.4 else 0.1 * int(lowest * 10)


def _plot(
    figure: SurvivalFigure, size: tuple[int, int], end: float, floor: float
) -> dict[tuple[int, int], tuple[int, int]]:
    """(row, column) -> (dots, series); where curves meet, the later series has the cell."""
    columns, height = size
    cells: dict[tuple[int, int], tuple[int, int]] = {}
    for index, curve in enumerate(figure.curves):
        previous: int | None = None
        for x in range(columns * 2):
            value = _value(curve, end * x / (columns * 2 - 1), straight=figure.stepped)
            if value is None:
                break
            y = round((1.0 - value) / (1.0 - floor) * (height * 4 - 1))
            for dot in range(y if previous is None else min(previous, y), y + 1):
                key = (dot // 4, x // 2)
                bits, owner = cells.get(key, (0, index))
                cells[key] = ((bits if owner == index else 0) | _DOTS[x % 2][dot % 4], index)
            previous = y
    return cells


def _value(curve: Curve, time: float, *, straight: bool) -> float | None:
    begin, value = 0.0, 1.0
    for end, survival in zip(curve.time, curve.survival, strict=True):
        if end > time * (1 + 1e-12):
            return value + (survival - value) * (time - begin) / (end - begin) if straight else value
        begin, value = end, survival
    return value if curve.time and time <= curve.time[-1] * (1 + 1e-12) else None


def _plot_line(
    row: int, cells: dict[tuple[int, int], tuple[int, int]], size: tuple[int, int, int], floor: float
) -> list[Piece]:
    left, columns, height = size
    tick = _tick(row, height, floor)
    pieces = [Piece(f"{tick:>{left - 2}} " + ("┤" if tick else "│"), PLAIN)]
    for column in range(columns):
        bits, series = cells.get((row, column), (0, PLAIN))
        text = chr(0x2800 + bits) if bits else " "
        if pieces[-1].series == series:
            pieces[-1] = Piece(pieces[-1].text + text, series)
        else:
            pieces.append(Piece(text, series))
    return pieces


def _tick(row: int, height: int, floor: float) -> str:
    for value in axis.ticks(floor, 1.0, axis.decimal_step(1.0 - floor, 5)):
        if round((1.0 - value) / (1.0 - floor) * (height - 1)) == row:
            return f"{value * 100:.0f}%"
    return ""


def _spread(name: str, marks: list[tuple[float, str]], left: int, columns: int, end: float) -> str:
    line = list(name.ljust(left + columns + 4))
    for time, text in marks:
        middle = left + round(time / end * (columns - 1))
        start = min(max(middle - len(text) // 2, left), len(line) - len(text))
        line[start : start + len(text)] = text
    return "".join(line).rstrip()
