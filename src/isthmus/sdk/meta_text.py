"""A meta-analysis as tables: studies and the pooled effect, subgroups, and what leaving one out does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.sdk import frames, tables
from isthmus.sdk.tables import Table

_FIT = (("tau2", "tau2"), ("i2", "I2 %"), ("q", "Q"), ("q_df", "df"))


def pooled(name: str, body: Mapping[str, Any]) -> list[Table]:
    """The tables of a `meta` result."""
    made = [_effects(tables.title(name, body), body, body["terms"], facts(body))]
    if body.get("subgroups"):
        test = body["tests"]["subgroups"]
        words = f"difference: {test['statistic']:.4g} on {test['df']} df, p = {tables.p_value(test['p_value'])}"
        made.append(_effects("Subgroups", body, body["subgroups"], (words,)))
    if body.get("leave_one_out"):
        made.append(_effects("Pooled without", body, body["leave_one_out"], ()))
    return made


def _effects(title: str, body: Mapping[str, Any], rows: list[Mapping[str, Any]], notes: tuple[str, ...]) -> Table:
    ratio, weighed = frames.ratio(body), "weight" in rows[0]
    shown = (ratio,) if ratio else ()
    extra = ("Weight %",) if weighed else ()
    headings = ("Study" if weighed else "", *shown, f"{tables.percent(body)} CI", "Estimate", "SE", "p", *extra)
    return Table(title=title, headings=headings, rows=tuple(_row(row, ratio, weighed) for row in rows), notes=notes)


def _row(row: Mapping[str, Any], ratio: str | None, weighed: bool) -> tuple[str, ...]:
    limits = " to ".join(tables.effect(row.get(k), ratio) for k in ("conf_low", "conf_high"))
    first = (tables.effect(row["estimate"], ratio),) if ratio else ()
    numbers = [tables.significant(row.get(k)) for k in ("estimate", "std_error")]
    share = (f"{row['weight']:.1f}",) if weighed else ()
    return (str(row["term"]), *first, limits, *numbers, tables.p_value(row.get("p_value")), *share)


def facts(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Method, heterogeneity, prediction interval, and what was left out."""
    fit, ratio = body["fit"], frames.ratio(body)
    found = [f"{word} = {tables.significant(fit[key])}" for key, word in _FIT if fit.get(key) is not None]
    told = [f"{fit['method']}; " + ", ".join(found) + f", p = {tables.p_value(fit['q_p_value'])}"]
    if fit.get("pi_low") is not None:
        ends = " to ".join(tables.effect(fit[k], ratio) for k in ("pi_low", "pi_high"))
        told.append(f"prediction interval {ends}; interval {fit['interval']}")
    left = body.get("left_out") or {}
    if left:
        told.append("left out: " + ", ".join(f"{level} ({why})" for level, why in left.items()))
    return tuple(told)
