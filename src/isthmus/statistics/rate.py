"""Events over person-time (kind `rate`): rates with exact intervals, rate ratios, directly standardised rates.

Result keys: `cells`, one per group (`n`, `events`, `person_time`, `rate`, `conf_low`, `conf_high`, and where asked
`standardised`, `standardised_low`, `standardised_high`); `terms`: log rate ratios of each other group to the first
(`rate ratio[B]`), of standardised rates too (`standardised ratio[B]`); `fit.per`; `n`, `conf_level`, `test` (`z`).
Events are counts as the gate left them, and all rates follow from them. A ratio to or of a group without events is null,
and `warnings` says so.

Interval of a rate: Garwood's exact Poisson (R: `poisson.test`). Ratio: its logarithm with variance 1/a + 1/b (`epitools`'
`rateratio.wald`). Direct standardisation: sum of w r, with the gamma interval of Fay and Feuer (`epitools`'
`ageadjust.direct`); the ratio of two takes the delta method. References: Garwood (1936), Biometrika 28:437; Fay & Feuer (1997), Stat Med 16:791.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.statistics import coordinates, unusual
from isthmus.statistics.accuracy import binary
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.histogram import group, levels
from isthmus.statistics.inference import term_rows
from isthmus.statistics.show import count, head, number
from isthmus.statistics.summaries import filled
from isthmus.summary import Field, FloatArray, IntArray, Layout


@record
class Standard:
    """A category and the standard population's size, or share, in each of its levels."""

    by: str
    weights: Mapping[str, float]


@record
class Rate:
    """Arguments of `rate`.

    `event`: 0 or 1; `time`: person-time, above 0; `by`: groups; `standardise`: to a standard population; `per`: the
    person-time that rates are given for, such as 1000.
    """

    event: str
    time: str
    by: str | None = None
    standardise: Standard | None = None
    per: float = 1.0


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's rows; `cell` numbers group and stratum, the stratum fastest."""

    event: FloatArray
    time: FloatArray
    cell: Any


def _stratum(question: Rate) -> str | None:
    return None if question.standardise is None else question.standardise.by


def _needs(question: Rate) -> Needs:
    categories = tuple(name for name in (question.by, _stratum(question)) if name is not None)
    if len({question.event, question.time, *categories}) < 2 + len(categories):
        raise Invalid("E-VARIABLE", "event, time, groups and strata are different variables")
    if not (math.isfinite(question.per) and question.per > 0.0):
        raise Invalid("E-TIME", "`per` is an amount of person-time above 0", "1000 for example")
    return Needs(numbers=(question.event, question.time), categories=categories)


def _rungs(question: Rate, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _shape(question: Rate, setting: Setting) -> tuple[int, int]:
    return len(levels(question.by, setting)), len(levels(_stratum(question), setting))


def _weights(question: Rate, setting: Setting) -> FloatArray:
    """Shares (strata,) of the standard population.

    Raises:
        Invalid: E-WEIGHTS.
    """
    names, standard = levels(_stratum(question), setting), question.standardise
    stated = {"": 1.0} if standard is None else dict(standard.weights)
    if set(stated) != set(names) or not all(math.isfinite(w) and w >= 0.0 for w in stated.values()):
        hint = "levels: " + ", ".join(names)
        raise Invalid("E-WEIGHTS", f"a standard population has a number for each level of {_stratum(question)!r}", hint)
    found = np.array([stated[name] for name in names])
    if not found.sum() > 0.0:
        raise Invalid("E-WEIGHTS", "a standard population has people", "state a number above 0")
    made: FloatArray = found / found.sum()
    return made


def _prepare(question: Rate, setting: Setting, inputs: Inputs) -> Rows:
    time = inputs.numbers[question.time]
    if not bool(np.all(time > 0.0)):
        raise Invalid("E-TIME", f"person-time {question.time!r} must be above 0", "leave rows without any out")
    strata = group(_stratum(question), setting, inputs)
    cell = group(question.by, setting, inputs) * _shape(question, setting)[1] + strata
    return Rows(binary(question.event, inputs.numbers[question.event]), time, cell)


def _tables(question: Rate, setting: Setting, rows: Rows) -> tuple[IntArray, IntArray]:
    """Rows and events (groups, strata)."""
    shape = _shape(question, setting)
    n = np.bincount(rows.cell, minlength=shape[0] * shape[1])
    events = np.bincount(rows.cell[rows.event == 1.0], minlength=shape[0] * shape[1])
    return n.astype(np.int64).reshape(shape), events.astype(np.int64).reshape(shape)


def _evidence(question: Rate, setting: Setting, prepared: Rows) -> Evidence:
    """Cells with and without the event; who makes up each sum of person-time, and each of those with the event."""
    n, events = _tables(question, setting, prepared)
    sums, sides = {}, {}
    for cell in np.unique(prepared.cell).tolist():
        part = prepared.time[prepared.cell == cell]
        sums[f"time {cell}"] = part
        sides[f"time {cell}"] = unusual.makers(part)
    groups = {} if question.by is None else {question.by: n.sum(axis=1)}
    cells = {"events": events.reshape(-1), "without": (n - events).reshape(-1)}
    return Evidence(rows=int(prepared.time.size), groups=groups, cells=cells, sums=sums, sides=sides)


def _flow(question: Rate, setting: Setting) -> Flow:
    _weights(question, setting)
    shape = _shape(question, setting)
    unit = coordinates.variable_scale(question.time, setting.dictionary)[1]
    layout = Layout(
        fields=(
            Field(name="n", shape=shape, kind="histogram"),
            Field(name="events", shape=shape, kind="histogram"),
            Field(name="time", shape=shape, kind="sum"),
        )
    )
    pooled = yield Round(layout, {"step": "sums", "unit": unit})
    n, events = (pooled[name].astype(np.int64) for name in ("n", "events"))
    if not n.sum():
        raise Invalid("E-NO-ROWS", "no row has all variables of this question", "look at `excluded`")
    counts = {
        "n": Counts("size", np.array([int(n.sum())])),
        "rows": Counts("cells", n),
        "events": Counts("cells", events, of=n),
    }
    return Estimate("rate", "exact", int(n.sum()), rounds=1, counts=counts, values={"time": pooled["time"] * unit})


def _summarise(question: Rate, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    n, events = _tables(question, setting, prepared)
    time = np.bincount(prepared.cell, weights=prepared.time / float(asked.params["unit"]), minlength=n.size)
    return Answer(filled(asked.layout, {"n": n, "events": events, "time": time}))


def _crude(events: float, time: float, tail: float) -> tuple[float, float, float]:
    """Rate and Garwood's limits; NaN where the count was suppressed or there is no time."""
    if not math.isfinite(events) or not time > 0.0:
        return math.nan, math.nan, math.nan
    low = 0.0 if events == 0.0 else float(special.gammaincinv(events, tail)) / time
    return events / time, low, float(special.gammaincinv(events + 1.0, 1.0 - tail)) / time


def _direct(events: FloatArray, time: FloatArray, weights: FloatArray, tail: float) -> tuple[float, ...]:
    """Standardised rate, Fay and Feuer's limits, and its variance."""
    used = weights > 0.0
    d, t, w = events[used], time[used], weights[used]
    if not bool(np.all(np.isfinite(d) & (t > 0.0))):
        return math.nan, math.nan, math.nan, math.nan
    rate, variance, most = float((w * d / t).sum()), float((w * w * d / t**2).sum()), float((w / t).max())
    low = 0.0 if rate == 0.0 else float(special.gammaincinv(rate**2 / variance, tail)) * variance / rate
    above, wide = rate + most, variance + most**2
    return rate, low, float(special.gammaincinv(above**2 / wide, 1.0 - tail)) * wide / above, variance


def _report(question: Rate, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    names, time, weights = levels(question.by, setting), estimate.values["time"], _weights(question, setting)
    rows, events = (np.asarray(estimate.counts[name].values, dtype=np.float64) for name in ("rows", "events"))
    tail, per = (1.0 - setting.conf_level) / 2.0, question.per
    cells, adjusted = list[dict[str, Any]](), list[tuple[float, ...]]()
    for i, name in enumerate(names):
        d, t = float(events[i].sum()), float(time[i].sum())
        shown = [number(value * per) for value in _crude(d, t, tail)]
        cell: dict[str, Any] = {} if question.by is None else {question.by: name}
        cell |= {"n": count(float(rows[i].sum())), "events": count(d), "person_time": number(t)}
        cell |= dict(zip(("rate", "conf_low", "conf_high"), shown, strict=True))
        if question.standardise is not None:
            adjusted.append(_direct(events[i], time[i], weights, tail))
            keys = ("standardised", "standardised_low", "standardised_high")
            cell |= dict(zip(keys, (number(value * per) for value in adjusted[-1][:3]), strict=True))
        cells.append(cell)
    return {
        **head(estimate),
        "cells": cells,
        "terms": _ratios(names, events.sum(axis=1), time.sum(axis=1), adjusted, setting.conf_level),
        "fit": {"per": per},
        "conf_level": setting.conf_level,
        "test": "z",
    }


def _ratios(
    names: tuple[str, ...], d: FloatArray, t: FloatArray, adjusted: list[tuple[float, ...]], conf_level: float
) -> list[dict[str, Any]]:
    """Logarithms of the ratios to the first group; null without an event in either."""
    found = list[tuple[str, float, float]]()
    for i in range(1, len(names)):
        sound = min(d[0], d[i], t[0], t[i]) > 0.0
        log = math.log(d[i] / t[i] / (d[0] / t[0])) if sound else math.nan
        found.append((f"rate ratio[{names[i]}]", log, math.sqrt(1.0 / d[0] + 1.0 / d[i]) if sound else math.nan))
    for i in range(1, len(adjusted)):
        (first, _, _, v0), (rate, _, _, v1) = adjusted[0], adjusted[i]
        sound = first > 0.0 and rate > 0.0
        error = math.sqrt(v0 / first**2 + v1 / rate**2) if sound else math.nan
        found.append((f"standardised ratio[{names[i]}]", math.log(rate / first) if sound else math.nan, error))
    if not found:
        return []
    labels, logs, errors = zip(*found, strict=True)
    return term_rows(labels, np.array(logs), np.array(errors), conf_level, None)


STATISTIC = Statistic(
    kind="rate",
    question=Rate,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
