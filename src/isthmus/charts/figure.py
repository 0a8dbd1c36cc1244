"""Figures as plain data: what is drawn, never how. One figure serves notebook, terminal, report and bundle."""

from __future__ import annotations

from isthmus.model.record import record


@record
class Curve:
    """One step curve.

    Attributes:
        label: the group as people read it.
        time: right ends of the steps, increasing; the curve is 1 before the first, and ends with the last.
        survival: value from `time[i]` on, in [0, 1].
        low: lower confidence limit, like `survival`.
        high: upper confidence limit, like `survival`.
        at_risk: at risk when step i begins; None where suppressed.
        median: first time with survival at or below one half.
    """

    label: str
    time: tuple[float, ...]
    survival: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    at_risk: tuple[float | None, ...]
    median: float | None = None


@record
class SurvivalFigure:
    """A Kaplan-Meier figure with its table of numbers at risk.

    `stepped`: True when each step covers an interval of a public grid: survival is known at its end only (drawn as a dot,
    joined by straight lines) and the number at risk at its start; False when steps are recorded times.
    """

    title: str
    subtitle: str
    curves: tuple[Curve, ...]
    x_label: str
    y_label: str
    unit: str
    stepped: bool
    notes: tuple[str, ...] = ()


@record
class ForestRow:
    """One line of a forest plot; `style` is a study's square, a subtotal's diamond or a heading without numbers.

    `weight`: a study's share of the pooled estimate, above 0, by which the area of its square is drawn; None for one size.
    """

    label: str
    style: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    columns: tuple[str, ...] = ()
    weight: float | None = None


@record
class ForestFigure:
    """A forest plot in line with its table. `log`: ratios on a log axis with 1 as no effect, else differences and 0."""

    title: str
    subtitle: str
    rows: tuple[ForestRow, ...]
    headings: tuple[str, ...]
    measure: str
    log: bool
    favours: tuple[str, str] | None = None
    notes: tuple[str, ...] = ()
