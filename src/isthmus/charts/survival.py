"""A Kaplan-Meier figure -> SVG, with confidence bands and the table of numbers at risk."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from isthmus.charts import axis, palette, svg

if TYPE_CHECKING:
    from isthmus.charts.figure import Curve, SurvivalFigure

WIDTH = 760.0
PLOT_HEIGHT = 270.0
RIGHT = 26.0
ROW = 17.0
ROOM = 26.0  # between a name and the first number at risk


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where data land: x in [0, end] to [left, right], y in [floor, 1] to [bottom, top]."""

    left: float
    top: float
    end: float
    floor: float
    straight: bool

    @property
    def right(self) -> float:
        return WIDTH - RIGHT

    @property
    def bottom(self) -> float:
        return self.top + PLOT_HEIGHT

    def x(self, time: float) -> float:
        return self.left + (self.right - self.left) * time / self.end

    def y(self, value: float) -> float:
        clipped = max(value, self.floor)
        return self.bottom - PLOT_HEIGHT * (clipped - self.floor) / (1.0 - self.floor)


def draw(figure: SurvivalFigure) -> str:
    """The figure as a standalone SVG document; equal figures give equal bytes."""
    heading, top = _heading(figure)
    frame = _frame(figure, top)
    marks = time_marks(figure, 8)
    parts = [*heading, *_legend(figure, top - 14), *_grid(frame, marks), *_axis_names(figure, frame)]
    for index, curve in enumerate(figure.curves):
        parts += _band(frame, curve, palette.pen(index))
    for index, curve in enumerate(figure.curves):
        parts += _steps(frame, curve, palette.pen(index))
    table, bottom = _risk_table(figure, frame, marks)
    notes, height = _notes(figure, bottom)
    return svg.document((WIDTH, height), figure.title, describe(figure), [*parts, *table, *notes])


def describe(figure: SurvivalFigure) -> str:
    """The figure in words: each curve's end and median."""
    told = [
        f"{curve.label}: {curve.survival[-1]:.1%} at {axis.short(curve.time[-1])} {figure.unit}s"
        for curve in figure.curves
        if curve.time
    ]
    return f"{figure.subtitle}. {figure.y_label} by group. " + "; ".join(told) + "."


def at_risk(curve: Curve, time: float, stepped: bool) -> float | None:
    """Number at risk when the step that holds `time` begins, or just before a recorded time; None past the end."""
    begin = 0.0
    for end, count in zip(curve.time, curve.at_risk, strict=True):
        if stepped and begin <= time < end:
            return count
        if not stepped and end >= time:
            return count
        begin = end
    return None


def time_marks(figure: SurvivalFigure, at_most: int) -> list[float]:
    """Ticks of the time axis: where steps of a coarse grid begin and end, else regular ones."""
    ends = sorted({time for curve in figure.curves for time in curve.time})
    if not ends:
        return [0.0]
    steps = [0.0, *ends]
    if figure.stepped and len(steps) <= at_most + 1 and min(b - a for a, b in pairwise(steps)) * 2 * at_most > ends[-1]:
        return steps
    return axis.ticks(0.0, ends[-1], axis.time_step(ends[-1], figure.unit, at_most))


def _frame(figure: SurvivalFigure, top: float) -> _Frame:
    end = max((curve.time[-1] for curve in figure.curves if curve.time), default=1.0)
    lowest = min((v for c in figure.curves for v in (*c.low, *c.survival) if v is not None), default=0.0)
    floor = 0.0 if lowest < 0.45 else min(0.1 * int(lowest * 10), 0.9)
    longest = max((svg.text_width(c.label, 12.2) for c in figure.curves), default=0.0)
    return _Frame(
        left=max(96.0, min(longest + 24 + ROOM, 280.0)), top=top, end=end, floor=floor, straight=figure.stepped
    )


def _heading(figure: SurvivalFigure) -> tuple[list[str], float]:
    parts, y = [], 30.0
    for text in svg.wrap(figure.title, WIDTH - 48, 17):
        parts.append(svg.label(24, y, text, font_size=17.0, font_weight="600"))
        y += 21
    for text in svg.wrap(figure.subtitle, WIDTH - 48, 12.5):
        parts.append(svg.label(24, y - 1, text, font_size=12.5, fill=palette.SOFT))
        y += 17
    return parts, y + 16 + 18 * _legend_rows(figure)


def _legend_width(curve: Curve) -> float:
    return 32 + svg.text_width(curve.label, 12.5) + 22


def _legend_rows(figure: SurvivalFigure) -> int:
    rows, x = 1, 24.0
    for curve in figure.curves:
        width = _legend_width(curve)
        if x + width > WIDTH and x > 24:
            rows, x = rows + 1, 24.0
        x += width
    return rows


def _legend(figure: SurvivalFigure, bottom: float) -> list[str]:
    parts, x, y = [], 24.0, bottom - 18 * (_legend_rows(figure) - 1)
    for index, curve in enumerate(figure.curves):
        ink = palette.pen(index)
        width = _legend_width(curve)
        if x + width > WIDTH and x > 24:
            x, y = 24.0, y + 18
        parts.append(svg.line((x, y - 4), (x + 26, y - 4), ink.colour, 2.2, ink.dash))
        parts.append(svg.label(x + 32, y, curve.label, fill=ink.colour, font_weight="600"))
        x += width
    return parts


def _grid(frame: _Frame, marks: list[float]) -> list[str]:
    parts = []
    for value in axis.ticks(frame.floor, 1.0, axis.decimal_step(1.0 - frame.floor, 5)):
        y = frame.y(value)
        parts.append(svg.line((frame.left, y), (frame.right, y), palette.FAINT))
        shown = f"{value * 100:.0f}%"
        parts.append(svg.label(frame.left - 8, y + 4, shown, text_anchor="end", font_size=11.0, fill=palette.SOFT))
    parts.append(svg.line((frame.left, frame.bottom), (frame.right, frame.bottom), palette.SOFT))
    for time in marks:
        x = frame.x(time)
        parts.append(svg.line((x, frame.bottom), (x, frame.bottom + 5), palette.SOFT))
        shown = axis.short(time)
        parts.append(svg.label(x, frame.bottom + 19, shown, text_anchor="middle", font_size=11.0, fill=palette.SOFT))
    return parts


def _axis_names(figure: SurvivalFigure, frame: _Frame) -> list[str]:
    middle = (frame.top + frame.bottom) / 2
    x = frame.left - 46
    names = [
        svg.label(
            x,
            middle,
            figure.y_label,
            text_anchor="middle",
            font_size=11.5,
            fill=palette.SOFT,
            transform=f"rotate(-90 {svg.number(x)} {svg.number(middle)})",
        ),
        svg.label(
            (frame.left + frame.right) / 2,
            frame.bottom + 37,
            figure.x_label,
            text_anchor="middle",
            font_size=11.5,
            fill=palette.SOFT,
        ),
    ]
    if frame.floor > 0:
        shown = f"axis starts at {frame.floor * 100:.0f}%"
        names.append(svg.label(frame.left + 8, frame.bottom - 7, shown, font_size=10.5, fill=palette.SOFT))
    return names


def _path(frame: _Frame, times: tuple[float, ...], values: tuple[float | None, ...]) -> list[tuple[float, float]]:
    """Corners of a line from (0, 1): steps at recorded times, straight between the times of a grid."""
    corners = [(frame.x(0.0), frame.y(1.0))]
    for time, value in zip(times, values, strict=True):
        if value is not None:
            x = frame.x(time)
            corners += [(x, frame.y(value))] if frame.straight else [(x, corners[-1][1]), (x, frame.y(value))]
    return corners


def _steps(frame: _Frame, curve: Curve, ink: palette.Pen) -> list[str]:
    known = (curve.time, curve.survival) if frame.straight else ((), ())
    shown: dict[str, str | float] = {
        "d": svg.points(_path(frame, curve.time, curve.survival)),
        "fill": "none",
        "stroke": ink.colour,
        "stroke_width": 2.0,
        "stroke_linejoin": "round",
    }
    line = svg.element("path", shown | ({"stroke_dasharray": ink.dash} if ink.dash else {}))
    return [line, *(_dot(frame, time, value, ink) for time, value in zip(*known, strict=True))]


def _dot(frame: _Frame, time: float, value: float, ink: palette.Pen) -> str:
    return svg.element("circle", {"cx": frame.x(time), "cy": frame.y(value), "r": 3.0, "fill": ink.colour})


def _band(frame: _Frame, curve: Curve, ink: palette.Pen) -> list[str]:
    upper = _path(frame, curve.time, curve.high)
    lower = _path(frame, curve.time, curve.low)
    if len(upper) < 2 or len(lower) < 2:
        return []
    return [svg.element("path", {"d": svg.points([*upper, *lower[::-1]]) + "Z", "fill": ink.colour, "opacity": 0.1})]


def _risk_table(figure: SurvivalFigure, frame: _Frame, marks: list[float]) -> tuple[list[str], float]:
    y = frame.bottom + 64
    parts = [
        svg.label(
            24,
            y,
            "Number at risk when each step begins" if figure.stepped else "Number at risk",
            font_size=11.5,
            font_weight="600",
        )
    ]
    for index, curve in enumerate(figure.curves):
        y += ROW
        ink = palette.pen(index)
        parts.append(svg.label(24, y, curve.label, font_size=11.5, font_weight="600", fill=ink.colour))
        for time in marks:
            count = at_risk(curve, time, figure.stepped)
            shown = "" if count is None else f"{count:,.0f}"
            parts.append(svg.label(frame.x(time), y, shown, text_anchor="middle", font_size=11.5))
    return parts, y


def _notes(figure: SurvivalFigure, bottom: float) -> tuple[list[str], float]:
    if not figure.notes:
        return [], bottom + 18
    y = bottom + 16
    parts = [svg.line((24, y), (WIDTH - 24, y), palette.RULE)]
    for text in svg.wrap(" ".join(figure.notes), WIDTH - 48, 11):
        y += 16
        parts.append(svg.label(24, y, text, font_size=11.0, fill=palette.SOFT))
    return parts, y + 14
