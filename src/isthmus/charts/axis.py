"""Round numbers for axes."""

from __future__ import annotations

import math

_CALENDAR = {"day": (1, 2, 7, 14, 28, 91, 182, 365, 730, 1826, 3652), "week": (1, 2, 4, 13, 26, 52, 104, 260, 520)}
_CALENDAR["month"] = (1, 2, 3, 6, 12, 24, 60, 120)


def decimal_step(span: float, at_most: int) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that cuts `span` into at most `at_most` parts."""
    rough = span / at_most
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power * at_most >= span * (1 - 1e-9))


def time_step(span: float, unit: str, at_most: int) -> float:
    """A step people use for the unit: weeks, quarters and years for days; a decimal step else."""
    for step in _CALENDAR.get(unit, ()):
        if step * at_most >= span and step * 2 <= max(span, step * 2):
            return float(step)
    return decimal_step(span, at_most)


def ticks(start: float, stop: float, step: float) -> list[float]:
    """Multiples of `step` in [start, stop], both ends included up to rounding."""
    first, last = math.ceil(start / step - 1e-9), math.floor(stop / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Readable ratios in [low, high]: 0.1 0.2 0.5 0.7 1 1.5 2 3 5 10, and powers of ten beyond."""
    inside = [t for t in (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0, 5.0, 10.0) if low <= t <= high]
    return inside or [1.0]


def short(value: float) -> str:
    """A tick's text: no trailing zeros, thousands by comma."""
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"
