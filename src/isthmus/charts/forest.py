"""A forest plot -> SVG: one picture with its table, as journals print it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.charts import axis, palette, svg

if TYPE_CHECKING:
    from isthmus.charts.figure import ForestFigure, ForestRow

WIDTH = 820.0
ROW = 22.0
WIDEST = 400.0
GAP = 22.0
SQUARE, LARGEST, SMALLEST = 8.0, 14.0, 3.0  # sides: of one size; of the largest and the smallest weight


@dataclass(frozen=True, slots=True)
class _Scale:
    """Data to user units along the plot."""

    left: float
    width: float
    low: float
    high: float
    log: bool

    def x(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        a, b, v = (math.log(k) for k in (self.low, self.high, inside)) if self.log else (self.low, self.high, inside)
        return self.left + self.width * (v - a) / (b - a)


def draw(figure: ForestFigure) -> str:
    """The figure as a standalone SVG document; equal figures give equal bytes."""
    top = 92.0 if figure.subtitle else 74.0
    columns = _columns(figure)
    scale = _scale(figure, columns[0], columns[1] - columns[0])
    bottom = top + ROW * len(figure.rows)
    parts = [*_heading(figure, top, columns), *_reference(figure, scale, top, bottom)]
    most = max((row.weight for row in figure.rows if row.weight is not None), default=1.0)
    for index, row in enumerate(figure.rows):
        parts += _row(row, _side(row.weight, most), top + ROW * (index + 0.5), scale, columns)
    parts += _axis(figure, scale, bottom)
    notes, height = _notes(figure, bottom + (62 if figure.favours else 46))
    return svg.document((WIDTH, height), figure.title, describe(figure), [*parts, *notes])


def describe(figure: ForestFigure) -> str:
    """The figure in words."""
    told = [
        f"{row.label}: {row.estimate:.3g} ({row.low:.3g} to {row.high:.3g})"
        for row in figure.rows
        if row.estimate is not None and row.low is not None and row.high is not None
    ]
    return f"{figure.measure} with confidence intervals. " + "; ".join(told) + "."


def _columns(figure: ForestFigure) -> list[float]:
    """Left and right of the plot, then the right end of each text column."""
    longest = max((svg.text_width(row.label, 12) for row in figure.rows), default=80.0)
    widths = [
        max([svg.text_width(heading, 11.5)] + [svg.text_width(r.columns[k], 12) for r in figure.rows if r.columns])
        for k, heading in enumerate(figure.headings)
    ]
    right = WIDTH - 24
    ends: list[float] = []
    for width in reversed(widths):
        ends.insert(0, right)
        right -= width + GAP
    left = min(24 + longest + GAP, right - 120)
    spare = max(0.0, right - left - WIDEST) / 2
    return [left + spare, right - spare, *ends]


def _scale(figure: ForestFigure, left: float, width: float) -> _Scale:
    known = [v for r in figure.rows for v in (r.low, r.high, r.estimate) if v is not None]
    null = 1.0 if figure.log else 0.0
    low, high = min([*known, null]), max([*known, null])
    if figure.log:
        low, high = max(low, 0.05), min(high, 20.0)
        return _Scale(left, width, low / 1.12, high * 1.12, log=True)
    margin = (high - low) * 0.06 or 1.0
    return _Scale(left, width, low - margin, high + margin, log=False)


def _heading(figure: ForestFigure, top: float, columns: list[float]) -> list[str]:
    parts = [svg.label(24, 30, figure.title, font_size=17.0, font_weight="600")]
    if figure.subtitle:
        parts.append(svg.label(24, 50, figure.subtitle, font_size=12.5, fill=palette.SOFT))
    for heading, x in zip(figure.headings, columns[2:], strict=True):
        parts.append(svg.label(x, top - 10, heading, text_anchor="end", font_size=11.5, font_weight="600"))
    parts.append(svg.label(24, top - 10, "Term", font_size=11.5, font_weight="600"))
    return [*parts, svg.line((24, top - 2), (WIDTH - 24, top - 2), palette.RULE)]


def _reference(figure: ForestFigure, scale: _Scale, top: float, bottom: float) -> list[str]:
    x = scale.x(1.0 if figure.log else 0.0)
    return [svg.line((x, top), (x, bottom), palette.SOFT, 1.0)]


def _side(weight: float | None, most: float) -> float:
    """Of a square whose area is as its weight."""
    return SQUARE if weight is None else round(max(LARGEST * math.sqrt(weight / most), SMALLEST), 2)


def _row(row: ForestRow, side: float, y: float, scale: _Scale, columns: list[float]) -> list[str]:
    heavy = row.style in {"heading", "subtotal"}
    parts = [svg.label(24, y + 4, row.label, font_weight="600" if heavy else "400")]
    for text, x in zip(row.columns, columns[2:], strict=False):
        parts.append(svg.label(x, y + 4, text, text_anchor="end", font_weight="600" if heavy else "400"))
    if row.estimate is None or row.low is None or row.high is None:
        return parts
    low, middle, high = scale.x(row.low), scale.x(row.estimate), scale.x(row.high)
    colour = palette.pen(0).colour
    if row.style == "subtotal":
        diamond = svg.points([(low, y), (middle, y - 6), (high, y), (middle, y + 6)]) + "Z"
        return [*parts, svg.element("path", {"d": diamond, "fill": palette.INK})]
    whisker = svg.line((low, y), (high, y), colour, 1.6)
    return [*parts, whisker, svg.rectangle((middle - side / 2, y - side / 2), (side, side), colour)]


def _axis(figure: ForestFigure, scale: _Scale, bottom: float) -> list[str]:
    parts = [svg.line((scale.left, bottom + 4), (scale.left + scale.width, bottom + 4), palette.SOFT)]
    if figure.log:
        marks = axis.log_ticks(scale.low, scale.high)
    else:
        marks = axis.ticks(scale.low, scale.high, axis.decimal_step(scale.high - scale.low, 5))
    for value in marks:
        x = scale.x(value)
        parts.append(svg.line((x, bottom + 4), (x, bottom + 9), palette.SOFT))
        shown = f"{value:g}"
        parts.append(svg.label(x, bottom + 22, shown, text_anchor="middle", font_size=11.0, fill=palette.SOFT))
    middle = scale.left + scale.width / 2
    name = figure.measure + (", log scale" if figure.log else "")
    parts.append(svg.label(middle, bottom + 38, name, text_anchor="middle", font_size=11.0, fill=palette.SOFT))
    if figure.favours:
        null = scale.x(1.0 if figure.log else 0.0)
        for text, anchor, x in (
            (f"← {figure.favours[0]}", "end", null - 8),
            (f"{figure.favours[1]} →", "start", null + 8),
        ):
            parts.append(svg.label(x, bottom + 54, text, text_anchor=anchor, font_size=11.0, fill=palette.SOFT))
    return parts


def _notes(figure: ForestFigure, bottom: float) -> tuple[list[str], float]:
    parts, y = [], bottom
    if figure.notes:
        parts.append(svg.line((24, y + 4), (WIDTH - 24, y + 4), palette.RULE))
        y += 6
    for text in svg.wrap(" ".join(figure.notes), WIDTH - 48, 11) if figure.notes else []:
        y += 16
        parts.append(svg.label(24, y, text, font_size=11.0, fill=palette.SOFT))
    return parts, y + 14
