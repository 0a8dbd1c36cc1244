"""Restricted mean survival time (kind `rmst`): the area under each Kaplan-Meier curve up to `tau`, and differences.

Result keys: `cells`: per group the category, `n`, `rmst`, `std_error`, `conf_low`, `conf_high`; `terms`: each other group
less the first, as a model's terms; `fit` (`tau`); `n`, `events`, `conf_level`, `test` (`z`); `grid` and
`bound` where `exactness` is `grid`: no mean differs by more than `bound` from that of the recorded times.

The rounds and the gate are those of `kaplan_meier`; everything follows from gated counts. Variances are Greenwood-type
sums, as `survRM2::rmst2` and `survfit`'s `rmean` give them. A curve that ends before `tau`, by the rules or its follow-up, has no mean: `warnings` names it.

Reference: Royston & Parmar (2013), BMC Med Res Methodol 13:152; Klein & Moeschberger (2003), section 4.5.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from isthmus.evidence import Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.statistics import kaplan_meier
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.inference import quantile, term_rows
from isthmus.statistics.kaplan_meier import KaplanMeier, Rows
from isthmus.statistics.show import head, number, size
from isthmus.statistics.survival import GridWish
from isthmus.summary import FloatArray

CURVES = kaplan_meier.STATISTIC


@record
class Rmst:
    """Arguments of `rmst`. `event` is 0/1; `tau` the end of follow-up that counts; `by` makes a mean per level."""

    time: str
    event: str
    tau: float
    by: str | None = None
    grid: GridWish | None = None


def _curves(question: Rmst) -> KaplanMeier:
    if not question.tau > 0.0:
        raise Invalid("E-TIME", "tau must be above 0", "state the end of follow-up that counts")
    return KaplanMeier(time=question.time, event=question.event, by=question.by, grid=question.grid)


def _needs(question: Rmst) -> Needs:
    return CURVES.needs(_curves(question))


def _rungs(question: Rmst, dictionary: Codebook) -> tuple[Grid, ...]:
    return CURVES.rungs(_curves(question), dictionary)


def _prepare(question: Rmst, setting: Setting, inputs: Inputs) -> Rows:
    made: Rows = CURVES.prepare(_curves(question), setting, inputs)
    return made


def _evidence(question: Rmst, setting: Setting, prepared: Rows) -> Evidence:
    return CURVES.evidence(_curves(question), setting, prepared)


def _flow(question: Rmst, setting: Setting) -> Flow:
    curves = yield from CURVES.flow(_curves(question), setting)
    return Estimate("rmst", curves.exactness, curves.n, curves.rounds, curves.counts, curves.values)


def _summarise(question: Rmst, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    return CURVES.summarise(_curves(question), setting, prepared, asked)


def area(time: FloatArray, table: FloatArray, tau: float) -> tuple[float, float, float]:
    """(mean, its variance, reach) up to `tau` of a (3, steps) table of at risk, events and censored at `time`.

    `reach` is how far the mean can fall when every event lies where its step begins. NaN where the curve ends earlier.
    """
    shown = np.isfinite(table).all(axis=0) & (table[0] > 0.0)
    risk, events, _ = table[:, shown]
    at = time[shown]
    whole = bool(at.size) and (at[-1] >= tau or risk[-1] == events[-1])  # the curve reaches tau, or 0 before it
    if not whole or not shown[: int(np.searchsorted(time, tau))].all():
        return math.nan, math.nan, math.nan
    before = at <= tau
    every = np.concatenate([[1.0], np.multiply.accumulate(1.0 - np.minimum(events, risk) / risk)])
    x, n, d = at[before], risk[before], np.minimum(events, risk)[before]
    alive = every[: x.size + 1]
    widths = np.diff(np.concatenate([[0.0], x, [tau]]))
    parts = alive * widths
    later = np.add.accumulate(parts[::-1])[::-1][1:]  # area after each step
    left = np.where(n > d, n * (n - d), 1.0)
    variance = float(np.add.accumulate(np.where(n > d, d * later**2 / left, 0.0))[-1]) if x.size else 0.0
    falls = (alive - np.append(every[1:], 0.0)[: alive.size]) * widths
    return float(np.add.accumulate(parts)[-1]), variance, float(falls.sum())


def _report(question: Rmst, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    levels = ("",) if question.by is None else setting.levels[question.by]
    tables = [np.asarray(estimate.counts[f"curve:{i}"].values, dtype=np.float64) for i in range(len(levels))]
    times = [estimate.values[f"time:{i}"] for i in range(len(levels))]
    if estimate.exactness == "exact":
        kept = [np.all(np.isfinite(table), axis=0) for table in tables]
        tables = [table[:, k] for table, k in zip(tables, kept, strict=True)]
        times = [time[k] for time, k in zip(times, kept, strict=True)]
    areas = [area(time, table, question.tau) for time, table in zip(times, tables, strict=True)]
    reach = quantile(setting.conf_level)
    cells = []
    for i, (level, (mean, variance, _)) in enumerate(zip(levels, areas, strict=True)):
        error = math.sqrt(variance)
        shown = (mean, error, mean - reach * error, mean + reach * error)
        keys = ("rmst", "std_error", "conf_low", "conf_high")
        named = {} if question.by is None else {question.by: level}
        values = dict(zip(keys, map(number, shown), strict=True))
        cells.append({**named, "n": size(estimate.counts[f"n:{i}"]), **values})
    body: dict[str, Any] = {
        **head(estimate),
        "events": size(estimate.counts["events"]),
        "conf_level": setting.conf_level,
        "test": "z",
        "cells": cells,
        "terms": _differences(question, setting, areas),
        "fit": {"tau": question.tau},
    }
    short = [level or "all" for level, (mean, _, _) in zip(levels, areas, strict=True) if math.isnan(mean)]
    if short:
        body["warnings"] = [f"no mean of {', '.join(short)}: the curve shown ends before tau = {question.tau:g}"]
    if estimate.exactness == "grid" and setting.grid is not None:
        body["grid"] = {"edges": list(setting.grid.edges)}
        bounds = [a[2] + question.tau * kaplan_meier.bound(t) for a, t in zip(areas, tables, strict=True)]
        body["bound"] = number(max(bounds))
    return body


def _differences(question: Rmst, setting: Setting, areas: list[tuple[float, float, float]]) -> list[dict[str, Any]]:
    """Each group less the first: term, estimate and error as a model's."""
    if question.by is None:
        return []
    names = [f"{question.by}[{level}]" for level in setting.levels[question.by][1:]]
    gaps = np.array([a[0] - areas[0][0] for a in areas[1:]])
    errors = np.sqrt(np.array([a[1] + areas[0][1] for a in areas[1:]]))
    return term_rows(names, gaps, errors, setting.conf_level, None)


STATISTIC = Statistic(
    kind="rmst",
    question=Rmst,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
