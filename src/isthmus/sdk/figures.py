"""Result JSON -> figures as plain data -> SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from isthmus.charts import forest, survival
from isthmus.charts.figure import Curve, ForestFigure, ForestRow, SurvivalFigure
from isthmus.model.errors import Invalid
from isthmus.sdk import frames, tables

_MEASURES = {"OR": "Odds ratio", "RR": "Rate ratio", "HR": "Hazard ratio", "SHR": "Subdistribution hazard ratio"}


def draw(name: str, body: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    """The figure of one analysis as SVG.

    Raises:
        Invalid: E-PLOT, when the kind has no figure.
    """
    if has_survival(body):
        return survival.draw(survival_figure(name, body, context))
    if "terms" in body:
        return forest.draw(forest_figure(name, body, context))
    raise Invalid("E-PLOT", f"a {body['kind']} has no figure", "survival curves and models have one", name)


def has_survival(body: Mapping[str, Any]) -> bool:
    """Whether there are curves of survival; incidences of several causes have no figure."""
    return "curves" in body and all(tables.followed(curve) == "survival" for curve in body["curves"])


def survival_figure(name: str, body: Mapping[str, Any], context: Mapping[str, Any]) -> SurvivalFigure:
    """Curves of a Kaplan-Meier result."""
    unit = str(body.get("time_unit") or "day")
    return SurvivalFigure(
        title=str(context.get("title", name)),
        subtitle=f"{_curve_name(body)} with {tables.percent(body)} intervals, {_sites(context)}",
        curves=tuple(_curve(curve) for curve in body["curves"]),
        x_label=f"{unit.capitalize()}s since start",
        y_label="Event-free",
        unit=unit,
        stepped=body.get("exactness") != "exact",
        notes=(*_size(body), *_rounding(body)),
    )


def _curve_name(body: Mapping[str, Any]) -> str:
    return "Kaplan-Meier" if body["kind"] == "kaplan_meier" else "Kaplan-Meier, weighted by propensity,"


def forest_figure(name: str, body: Mapping[str, Any], context: Mapping[str, Any]) -> ForestFigure:
    """Terms of a model but its intercepts and thresholds, which are no effects."""
    ratio = frames.ratio(body)
    rows = [t for t in body["terms"][frames.thresholds(body) :] if not str(t["term"]).endswith("(Intercept)")]
    pooled = body["kind"] == "meta"
    return ForestFigure(
        title=tables.title(name, body),
        subtitle=f"{context.get('title', '')}, {_sites(context)}" if context.get("sites") else "",
        rows=tuple(_forest_row(term, ratio) for term in rows),
        headings=(f"{ratio or 'Estimate'} ({tables.percent(body)} CI)", *(("Weight %",) if pooled else ()), "p"),
        measure="Risk ratio" if pooled and ratio == "RR" else _MEASURES.get(ratio or "", "Coefficient"),
        log=ratio is not None,
        notes=(*_size(body), *(f"{note}." for note in _pooling(body))),
    )


def _pooling(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Method, heterogeneity and prediction interval of a meta-analysis."""
    from isthmus.sdk.meta_text import facts

    return facts(body) if body["kind"] == "meta" else ()


def _curve(curve: Mapping[str, Any]) -> Curve:
    shown = tables.shown_steps(curve)
    return Curve(
        label=tables.group(curve),
        median=curve.get("median"),
        time=tuple(float(curve["time"][i]) for i in shown),
        survival=tuple(curve["survival"][i] for i in shown),
        low=tuple(curve["conf_low"][i] for i in shown),
        high=tuple(curve["conf_high"][i] for i in shown),
        at_risk=tuple(curve["at_risk"][i] for i in shown),
    )


def _size(body: Mapping[str, Any]) -> tuple[str, ...]:
    """How many rows entered, where that is known: published figures come without."""
    return () if body.get("n") is None else (f"n = {tables.significant(body['n'])}.",)


def _forest_row(term: Mapping[str, Any], ratio: str | None) -> ForestRow:
    numbers = [term.get(k) for k in ("estimate", "conf_low", "conf_high")]
    middle, low, high = (math.exp(v) if ratio and v is not None else v for v in numbers)
    texts = [tables.effect(value, ratio) for value in numbers]
    shown = f"{texts[0]} ({texts[1]} to {texts[2]})"
    share = (f"{term['weight']:.1f}",) if "weight" in term else ()
    columns = (shown, *share, tables.p_value(term.get("p_value")))
    style = "subtotal" if term.get("type") == "pooled" else "square"
    weight = None if style == "subtotal" else term.get("weight") or None
    return ForestRow(
        label=str(term["term"]), style=style, estimate=middle, low=low, high=high, columns=columns, weight=weight
    )


def _sites(context: Mapping[str, Any]) -> str:
    return f"{len(context.get('sites', []))} sites"


def _rounding(body: Mapping[str, Any]) -> tuple[str, ...]:
    if body.get("exactness") != "grid":
        return ()
    return (
        "Known at the marked times of the agreed public grid, joined by straight lines; counts gated and rounded as "
        "the rules say.",
    )
