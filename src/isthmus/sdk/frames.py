"""Result JSON -> Arrow tables."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isthmus.model.errors import Invalid

if TYPE_CHECKING:
    import pyarrow as pa

RATIOS = {  # link or kind -> as people call it
    "cox": "HR",
    "fine_gray": "SHR",
    "log": "RR",
    "rate": "RR",
    **dict.fromkeys(("logit", "conditional_logistic", "multinomial", "ordinal"), "OR"),
}
# The order of columns, whatever order the result's JSON has (a bundle's keys are sorted); others come first.
_ORDER = (
    *("n", "count", "percent", "row_percent", "column_percent", "missing", "mean", "sd"),
    *("estimate", "std_error", "statistic", "df", "p_value"),
    *("time", "at_risk", "events", "censored", "survival", "incidence", "cumulative_hazard", "person_time", "rate"),
    *("conf_low", "conf_high", "standardised", "standardised_low", "standardised_high"),
)
LARGEST = math.log(sys.float_info.max)
_EXPONENTIATED = ("estimate", "conf_low", "conf_high")
_COUNTS = ("time", "at_risk", "events", "censored")
_STEPS = (*_COUNTS, "survival", "incidence", "std_error", "cumulative_hazard", "conf_low", "conf_high")


def tidy(body: Mapping[str, Any], *, exponentiate: bool) -> pa.Table:
    """Terms, steps of curves, cells, steps of a ROC curve, groups of a log-rank test, or the figures of a test, one per row."""
    if "terms" in body:
        return _table([_exponential(t) for t in body["terms"]] if exponentiate else body["terms"])
    if "curves" in body:
        return _table(curve_rows(body["curves"]))
    if "cells" in body:
        return _table(body["cells"])
    if "curve" in body:
        return _table(_zipped(body["curve"]))
    if body["kind"] == "log_rank" and body["fit"].get("groups"):
        return _table(group_rows(body["fit"]))
    return glance(body)


def glance(body: Mapping[str, Any]) -> pa.Table:
    """One row of scalars: n, events, and those of `fit`."""
    scalars = {k: v for k, v in body.items() if _scalar(v) and k not in {"kind", "status"}}
    return _table([scalars | {k: v for k, v in body.get("fit", {}).items() if _scalar(v)}])


def at_risk(body: Mapping[str, Any]) -> pa.Table:
    """Group, time, at risk, events, censored.

    Raises:
        Invalid: E-KIND, when there are no curves.
    """
    if "curves" not in body:
        raise Invalid("E-KIND", "only survival curves have numbers at risk")
    rows = curve_rows(body["curves"])
    return _table([{k: v for k, v in r.items() if k in _COUNTS or k not in _STEPS} for r in rows])


def curve_rows(curves: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per group (and cause) and step."""
    rows: list[dict[str, Any]] = []
    for curve in curves:
        known = [name for name in _STEPS if isinstance(curve.get(name), list)]
        cause = {"cause": curve["cause"]} if "cause" in curve else {}
        rows.extend(
            {**curve.get("group", {}), **cause, **dict(zip(known, values, strict=True))}
            for values in zip(*(curve[name] for name in known), strict=True)
        )
    return rows


def group_rows(fit: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per group of a log-rank test: events observed and expected, and weighted where the test weighs and they are told."""
    told = {key: fit[key] for key in ("observed", "expected", "weighted_observed") if fit.get(key) is not None}
    return _zipped({"group": fit["groups"], **told})


def _zipped(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def ratio(body: Mapping[str, Any]) -> str | None:
    """What exp(estimate) is called: OR, RR, HR; None where it means nothing."""
    measure = body.get("fit", {}).get("measure")  # of a meta-analysis
    if measure is not None:
        return str(measure) if measure in RATIOS.values() else None
    return RATIOS.get(str(body.get("fit", {}).get("link", body["kind"])))


def thresholds(body: Mapping[str, Any]) -> int:
    """Terms that come first and are no effects: the cut points of an ordinal outcome."""
    return len(body["levels"]) - 1 if body["kind"] == "ordinal" else 0


def _exponential(term: Mapping[str, Any]) -> dict[str, Any]:
    return {k: exponential(v) if k in _EXPONENTIATED and v is not None else v for k, v in term.items()}


def exponential(value: float) -> float:
    """exp of it; infinite where no number is so large, as of an intercept far from the data."""
    return math.exp(value) if value < LARGEST else math.inf


def _scalar(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    import pyarrow as pa  # imported where used: 0.3 s

    found = dict.fromkeys(name for row in rows for name in row)
    names = [*(n for n in found if n not in _ORDER), *(n for n in _ORDER if n in found)]
    if "term" in found:
        names = ["term", *(n for n in names if n != "term")]
    return pa.table({name: _column([row.get(name) for row in rows]) for name in names})


def _column(values: list[Any]) -> Any:
    """Values of one type as they are; numbers of mixed types as floats; anything else mixed as text."""
    kinds = {type(v) for v in values if v is not None}
    if kinds == {int, float}:
        return [None if v is None else float(v) for v in values]
    return values if len(kinds) <= 1 else [None if v is None else str(v) for v in values]
