"""Kaplan-Meier curves (kind `kaplan_meier`), as R's `survfit`: Greenwood's error, interval `log` unless stated.

Result keys: `curves`: per group `group`, `n`, `time`, `at_risk`, `events`, `censored`, `survival`, `std_error` (of the
survival), `cumulative_hazard` (Nelson-Aalen), `conf_low`, `conf_high`, `median`, and where `at` asks `survival_at` (rows of `time`, `at_risk`,
`survival`, `std_error`, `conf_low`, `conf_high`); `n`, `events`, `conf_level`, `conf_type`; where `exactness` is `grid` also `grid`, `bound`:
no survival differs by more from the curve with all censoring of a step before its events, and of each curve `median_within`, the times
between which the median of the recorded times lies.

All rates follow from the gated counts. A step whose counts are suppressed is null on a grid, and left out where times
are recorded ones; its people count at the next step shown. The median is the midpoint where the curve is flat at one
half, as `survfit`.

Reference: Kaplan & Meier (1958), JASA 53:457; Aalen (1978), Ann Stat 6:701.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.statistics import survival
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.inference import quantile
from isthmus.statistics.show import counts, head, number, numbers, size
from isthmus.statistics.survival import GridWish
from isthmus.summary import Field, FloatArray, IntArray, Layout, Summary

FLAT = 2.0**-26  # survfit's tolerance for "exactly one half"


@record
class KaplanMeier:
    """Arguments of `kaplan_meier`. `event` is 0/1; `by` makes a curve per level; `at` asks for survival at times."""

    time: str
    event: str
    by: str | None = None
    grid: GridWish | None = None
    at: tuple[float, ...] | None = None
    conf_type: Literal["log", "log-log", "plain"] = "log"


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's rows."""

    time: FloatArray
    event: FloatArray
    group: Any


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve at its steps: all (steps,) with NaN where a step is not shown."""

    time: FloatArray
    survival: FloatArray
    error: FloatArray
    low: FloatArray
    high: FloatArray


def _needs(question: KaplanMeier) -> Needs:
    by = () if question.by is None else (question.by,)
    survival.check_asked(question.at or ())
    return Needs(numbers=(question.time, question.event), categories=by, times=(question.time,))


def _rungs(question: KaplanMeier, dictionary: Codebook) -> tuple[Grid, ...]:
    return survival.rungs(question.time, question.grid, dictionary, cut=True)


def _levels(question: KaplanMeier, setting: Setting) -> tuple[str, ...]:
    return ("",) if question.by is None else setting.levels[question.by]


def _prepare(question: KaplanMeier, setting: Setting, inputs: Inputs) -> Rows:
    time, event = inputs.numbers[question.time], inputs.numbers[question.event]
    survival.check_times((question.time, question.event), time, event)
    if question.by is None:
        return Rows(time, event, np.zeros(inputs.rows, dtype=np.intp))
    levels = _levels(question, setting)
    return Rows(time, event, survival.group_code(levels, question.by, inputs.codes[question.by]))


def _grid(setting: Setting) -> Grid:
    if setting.grid is None:
        raise Invalid("E-NO-GRID", "the question has no time grid yet")
    return setting.grid


def _layout(question: KaplanMeier, setting: Setting) -> Layout:
    shape = (len(_levels(question, setting)), len(_grid(setting).edges))
    return Layout(
        fields=(
            Field(name="events", shape=shape, kind="histogram"),
            Field(name="censored", shape=shape, kind="histogram"),
            Field(name="beyond", shape=shape[:1], kind="count"),
        )
    )


def _tables(question: KaplanMeier, setting: Setting, rows: Rows) -> dict[str, IntArray]:
    grid = _grid(setting)
    steps = survival.grid_steps(question.time, rows.time, grid)
    groups, length = len(_levels(question, setting)), len(grid.edges)
    inside, event = steps < length, rows.event > 0.0
    shape = (groups, length + 1)
    return {
        "events": survival.tally(steps, event & inside, shape, rows.group)[:, :length],
        "censored": survival.tally(steps, ~event & inside, shape, rows.group)[:, :length],
        "beyond": np.bincount(rows.group[~inside], minlength=groups).astype(np.int64),
    }


def _evidence(question: KaplanMeier, setting: Setting, prepared: Rows) -> Evidence:
    tables, levels = _tables(question, setting, prepared), _levels(question, setting)
    sizes = np.bincount(prepared.group, minlength=len(levels)).astype(np.int64)
    cells = {f"{name} {level}".strip(): tables[name][i] for i, level in enumerate(levels) for name in tables}
    return Evidence(
        rows=int(prepared.time.size),
        groups={} if question.by is None else {question.by: sizes},
        cells={name: np.atleast_1d(values) for name, values in cells.items()},
    )


def _flow(question: KaplanMeier, setting: Setting) -> Flow:
    pooled = yield Round(_layout(question, setting), {"step": "curve"})
    grid = _grid(setting)
    events, censored = pooled["events"], pooled["censored"]
    risk = survival.at_risk(events + censored, pooled["beyond"])
    if not risk.size or not float(risk[:, 0].sum()) > 0.0:
        raise Invalid("E-NO-ROWS", "no row has all variables of this question", "look at `excluded`")
    totals, times = risk[:, 0], {}
    found = {"n": Counts("size", np.array([int(totals.sum())]))}
    found["events"] = Counts("cells", np.array([int(events.sum())]), of=np.array([int(totals.sum())]))
    for i in range(len(events)):
        shown = events[i] + censored[i] > 0.0 if grid.recorded else np.ones(len(grid.edges), dtype=bool)
        table = np.array([risk[i], events[i], censored[i]])[:, shown]
        found[f"n:{i}"] = Counts("size", np.array([int(totals[i])]))
        found[f"curve:{i}"] = Counts("survival", table.astype(np.int64))
        times[f"time:{i}"] = np.array(grid.edges)[shown]
    return Estimate(
        kind="kaplan_meier",
        exactness="exact" if grid.recorded else "grid",
        n=int(totals.sum()),
        rounds=1,
        counts=found,
        values=times,
    )


def _summarise(question: KaplanMeier, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    return Answer(Summary(asked.layout, _tables(question, setting, prepared)))


def _report(question: KaplanMeier, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    levels = _levels(question, setting)
    body: dict[str, Any] = {
        **head(estimate),
        "events": size(estimate.counts["events"]),
        "conf_level": setting.conf_level,
        "conf_type": question.conf_type,
        "curves": [_curve_body(question, setting, estimate, i) for i in range(len(levels))],
    }
    if estimate.exactness == "grid":
        body["grid"] = {"edges": list(_grid(setting).edges)}
        tables = [estimate.counts[f"curve:{i}"].values for i in range(len(levels))]
        body["bound"] = max((bound(np.asarray(table, dtype=np.float64)) for table in tables), default=0.0)
    return body


def _curve_body(question: KaplanMeier, setting: Setting, estimate: Estimate, i: int) -> dict[str, Any]:
    table = np.asarray(estimate.counts[f"curve:{i}"].values, dtype=np.float64)
    time = estimate.values[f"time:{i}"]
    if estimate.exactness == "exact":
        shown = np.all(np.isfinite(table), axis=0)
        time, table = time[shown], table[:, shown]
    curve = fitted(time, table, setting.conf_level, question.conf_type)
    body: dict[str, Any] = {
        "group": {} if question.by is None else {question.by: setting.levels[question.by][i]},
        "n": size(estimate.counts[f"n:{i}"]),
        "time": curve.time.tolist(),
        "at_risk": counts(table[0]),
        "events": counts(table[1]),
        "censored": counts(table[2]),
        "survival": numbers(curve.survival),
        "std_error": numbers(curve.error),
        "cumulative_hazard": numbers(nelson_aalen(table)),
        "conf_low": numbers(curve.low),
        "conf_high": numbers(curve.high),
        "median": median(curve.time, curve.survival),
    }
    if estimate.exactness == "grid":
        body["median_within"] = median_within(time, table)
    if question.at is not None:
        body["survival_at"] = [_at(curve, table[0], time) for time in question.at]
    return body


def fitted(time: FloatArray, table: FloatArray, conf_level: float, conf_type: str) -> Curve:
    """The curve of a (3, steps) table of at risk, events and censored; NaN steps are passed over.

    Reference: Kalbfleisch & Prentice (2002), section 1.4; intervals as survfit's `conf.type`.
    """
    risk, events, _ = table
    shown = np.isfinite(risk) & np.isfinite(events) & (risk > 0.0)
    d, n = np.where(shown, np.minimum(events, risk), 0.0), np.where(shown, risk, 1.0)
    alive = np.multiply.accumulate(1.0 - d / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.add.accumulate(d / (n * (n - d)))
        log_error = np.where(alive > 0.0, np.sqrt(variance), np.inf)
        low, high = interval(alive, log_error, quantile(conf_level), conf_type)
        error = alive * log_error
    blank = [np.where(shown, column, np.nan) for column in (alive, error, low, high)]
    return Curve(time, *blank)


def nelson_aalen(table: FloatArray) -> FloatArray:
    """Cumulative hazard (steps,) of a (3, steps) table: the sum of events over at risk; NaN where not shown."""
    risk, events, _ = table
    shown = np.isfinite(risk) & np.isfinite(events) & (risk > 0.0)
    added = np.add.accumulate(np.where(shown, np.minimum(events, risk) / np.where(shown, risk, 1.0), 0.0))
    return np.where(shown, added, np.nan)


def median(time: FloatArray, alive: FloatArray) -> float | None:
    """Smallest time with survival at most one half; the midpoint of the flat part where it is one half exactly."""
    shown = np.isfinite(alive)
    x, s = time[shown], alive[shown]
    reached = np.flatnonzero(s <= 0.5 + FLAT)
    if not reached.size:
        return None
    first = int(reached[0])
    below = np.flatnonzero(s < 0.5 - FLAT)
    if abs(s[first] - 0.5) > FLAT:
        return float(x[first])
    last = float(x[below[0]]) if below.size else float(x[-1])
    return (float(x[first]) + last) / 2.0


def median_within(time: FloatArray, table: FloatArray) -> list[float | None] | None:
    """Times between which the median of the recorded times lies, from a (3, steps) table on the grid edges `time` (steps,).

    A step's survival is largest with all its events before its censoring, least with all after. None in place of an end
    that is not reached. A step that is not shown is part of the next.
    """
    shown = np.all(np.isfinite(table), axis=0)
    time, table = time[shown], table[:, shown]
    if not time.size:
        return None
    most, least = _ends(table)
    early, late = np.flatnonzero(least <= 0.5 + FLAT), np.flatnonzero(most < 0.5 - FLAT)
    if not early.size:
        return [float(time[-1]), None]
    start = 0.0 if early[0] == 0 else float(time[early[0] - 1])
    return [start, float(time[late[0]]) if late.size else None]


def interval(alive: FloatArray, log_error: FloatArray, z: float, conf_type: str) -> tuple[FloatArray, FloatArray]:
    """Limits (steps,) of a curve from the standard error of its logarithm, as survfit's `conf.type`."""
    nothing = alive <= 0.0
    if conf_type == "plain":
        reach = z * np.where(nothing, np.nan, alive * log_error)
        return np.maximum(alive - reach, 0.0), np.minimum(alive + reach, 1.0)
    safe = np.where(nothing, 0.5, alive)
    if conf_type == "log":
        low, high = safe * np.exp(-z * log_error), np.minimum(safe * np.exp(z * log_error), 1.0)
    else:
        whole = alive >= 1.0
        log_alive = np.log(np.where(whole, 0.5, safe))
        shift = z * log_error / log_alive
        low = np.where(whole, 1.0, np.exp(log_alive * np.exp(-shift)))
        high = np.where(whole, 1.0, np.exp(log_alive * np.exp(shift)))
    return np.where(nothing, np.nan, low), np.where(nothing, np.nan, high)


def _at(curve: Curve, risk: FloatArray, time: float) -> dict[str, Any]:
    """Survival at `time`: that of the last shown step not after it, 1 before the first; null beyond the last."""
    shown = np.flatnonzero(np.isfinite(curve.survival))
    before = shown[curve.time[shown] <= time]
    later = shown[curve.time[shown] >= time]
    keys = ("at_risk", "survival", "std_error", "conf_low", "conf_high")
    if not later.size:
        return {"time": time, **dict.fromkeys(keys)}
    people = counts(risk[later[:1]])[0]
    if not before.size:
        return {"time": time, **dict(zip(keys, (people, 1.0, 0.0, 1.0, 1.0), strict=True))}
    i = int(before[-1])
    shape = (number(float(a[i])) for a in (curve.survival, curve.error, curve.low, curve.high))
    return {"time": time, **dict(zip(keys, (people, *shape), strict=True))}


def bound(table: FloatArray) -> float:
    """Largest difference to the curve with each step's censoring before its events."""
    most, least = _ends(table)
    found = float(np.max(np.abs(most - least), initial=0.0))
    return found if math.isfinite(found) else 1.0


def _ends(table: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Survival (steps,) with each step's events before its censoring, and after it."""
    risk, events, censored = (np.where(np.isfinite(row), row, 0.0) for row in table)
    usual = np.where(risk > 0.0, np.minimum(events / np.maximum(risk, 1.0), 1.0), 0.0)
    left = np.maximum(risk - censored, events)
    early = np.where(left > 0.0, events / np.maximum(left, 1.0), 0.0)
    return np.multiply.accumulate(1.0 - usual), np.multiply.accumulate(1.0 - early)


STATISTIC = Statistic(
    kind="kaplan_meier",
    question=KaplanMeier,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
