"""Cumulative incidence with competing causes (kind `cumulative_incidence`), Aalen-Johansen, with Gray's test.

`cause` is a variable of codes; `causes` names them ({1: relapse, 2: death}); code 0 is censored. Result keys: `curves`,
one per group and cause: `group`, `cause`, `n`, `time`, `at_risk`, `events`, `censored`, `incidence`, `std_error`,
`conf_low`, `conf_high` (F ** exp(+-z se / (F log F)); null where F is 1), and `incidence_at` where `at` asks; `tests` ({cause:
statistic, df, p_value}) where `by` makes groups; `n`, `events` ({cause: count}); `grid` as `kaplan_meier`. On a grid no order of
what happens inside its steps moves an incidence by more than `bound`, nor Gray's statistic by more than the `bound` of its test
(null where the steps are too wide to say).

Estimates and errors are those of R's `cmprsk::cuminc`. Curves follow from gated counts; on a grid the step's censoring
comes after its events.

References: Aalen & Johansen (1978), Scand J Stat 5:141; Gray (1988), Ann Stat 16:1141.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.statistics import survival
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.gray import gray, incidences
from isthmus.statistics.gray_reach import Steps, gray_bound, incidence_reach
from isthmus.statistics.inference import chi_square_p, quantile
from isthmus.statistics.show import counts, head, number, numbers, size
from isthmus.statistics.survival import GridWish
from isthmus.summary import Field, FloatArray, IntArray, Layout, Summary

CENSORED = "0"


@record
class CumulativeIncidence:
    """Arguments of `cumulative_incidence`. `by` makes curves per level and Gray's test; `at` asks for times."""

    time: str
    cause: str
    causes: Mapping[str, str]
    by: str | None = None
    grid: GridWish | None = None
    at: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Test:
    """Gray's test of one cause; `bound` on a grid."""

    statistic: float
    df: int
    bound: float | None


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's rows; `cause` is the position among the causes, -1 for censored."""

    time: FloatArray
    cause: Any
    group: Any


def _needs(question: CumulativeIncidence) -> Needs:
    by = () if question.by is None else (question.by,)
    survival.check_asked(question.at or ())
    return Needs(numbers=(question.time,), categories=(question.cause, *by), times=(question.time,))


def _rungs(question: CumulativeIncidence, dictionary: Codebook) -> tuple[Grid, ...]:
    return survival.rungs(question.time, question.grid, dictionary, cut=True)


def _codes(question: CumulativeIncidence, setting: Setting) -> tuple[str, ...]:
    return named_causes(question.causes, question.cause, setting)


def named_causes(causes: Mapping[str, str], variable: str, setting: Setting) -> tuple[str, ...]:
    """Codes of the causes, in the study's order. A codebook inferred from the rows lacks a cause that nobody has.

    Raises:
        Invalid: E-CAUSE, a code that the codebook lacks, or one of the codebook that has no name here.
    """
    named, known = tuple(str(code) for code in causes), setting.levels[variable]
    nobody = setting.dictionary.inferred
    strange = [code for code in named if (code not in known and not nobody) or code == CENSORED]
    nameless = [level for level in known if level not in named and level != CENSORED]
    if strange or nameless or not named:
        which = ", ".join(repr(code) for code in strange or nameless) or "none"
        hint = f"levels of {variable!r}: " + ", ".join(known) + "; 0 is censored and has no name"
        raise Invalid("E-CAUSE", f"`causes` names every code of {variable!r} but 0; not so: {which}", hint)
    return named


def _groups(question: CumulativeIncidence, setting: Setting) -> tuple[str, ...]:
    return ("",) if question.by is None else setting.levels[question.by]


def _prepare(question: CumulativeIncidence, setting: Setting, inputs: Inputs) -> Rows:
    time = inputs.numbers[question.time]
    survival.check_times((question.time, question.cause), time, np.zeros(inputs.rows))
    levels, codes = setting.levels[question.cause], _codes(question, setting)
    place = np.array([codes.index(level) if level in codes else -1 for level in levels], dtype=np.intp)
    cause = place[survival.group_code(levels, question.cause, inputs.codes[question.cause])]
    if question.by is None:
        return Rows(time, cause, np.zeros(inputs.rows, dtype=np.intp))
    group = survival.group_code(_groups(question, setting), question.by, inputs.codes[question.by])
    return Rows(time, cause, group)


def _grid(setting: Setting) -> Grid:
    if setting.grid is None:
        raise Invalid("E-NO-GRID", "the question has no time grid yet")
    return setting.grid


def _layout(question: CumulativeIncidence, setting: Setting) -> Layout:
    groups, length = len(_groups(question, setting)), len(_grid(setting).edges)
    return Layout(
        fields=(
            Field(name="events", shape=(len(question.causes), groups, length), kind="histogram"),
            Field(name="censored", shape=(groups, length), kind="histogram"),
            Field(name="beyond", shape=(groups,), kind="count"),
        )
    )


def _tables(question: CumulativeIncidence, setting: Setting, rows: Rows) -> dict[str, IntArray]:
    grid, groups = _grid(setting), len(_groups(question, setting))
    steps = survival.grid_steps(question.time, rows.time, grid)
    length = len(grid.edges)
    shape = (len(question.causes), groups, length + 1)
    hit = rows.cause >= 0
    events = survival.tally(steps, hit, shape, np.maximum(rows.cause, 0), rows.group)
    censored = survival.tally(steps, ~hit, shape[1:], rows.group)
    return {
        "events": np.ascontiguousarray(events[..., :length]),
        "censored": np.ascontiguousarray(censored[..., :length]),
        "beyond": events[..., length].sum(axis=0) + censored[..., length],
    }


def _evidence(question: CumulativeIncidence, setting: Setting, prepared: Rows) -> Evidence:
    tables, levels = _tables(question, setting, prepared), _groups(question, setting)
    sizes = np.bincount(prepared.group, minlength=len(levels)).astype(np.int64)
    cells = {name: table.reshape(-1) for name, table in tables.items()}
    groups = {} if question.by is None else {question.by: sizes}
    return Evidence(rows=int(prepared.time.size), groups=groups, cells=cells)


def _flow(question: CumulativeIncidence, setting: Setting) -> Flow:
    codes = _codes(question, setting)
    pooled = yield Round(_layout(question, setting), {"step": "incidence"})
    grid, events, censored = _grid(setting), pooled["events"], pooled["censored"]
    leaving = events.sum(axis=0) + censored
    risk = survival.at_risk(leaving, pooled["beyond"])
    n = int(risk[:, 0].sum())
    if n == 0:
        raise Invalid("E-NO-ROWS", "no row has all variables of this question", "look at `excluded`")
    found = {"n": Counts("size", np.array([n]))}
    found |= {
        f"events:{k}": Counts("cells", np.array([int(events[k].sum())]), of=np.array([n])) for k in range(len(codes))
    }
    values: dict[str, Any] = {"tests": _tests(question, risk, events, None if grid.recorded else censored)}
    for i in range(len(risk)):
        shown = leaving[i] > 0.0 if grid.recorded else np.ones(len(grid.edges), dtype=bool)
        table = np.vstack([risk[i], *events[:, i], censored[i]])[:, shown]
        found[f"n:{i}"] = Counts("size", np.array([int(risk[i, 0])]))
        found[f"curve:{i}"] = Counts("survival", table.astype(np.int64))
        values[f"time:{i}"] = np.array(grid.edges)[shown]
    exactness = "exact" if grid.recorded else "grid"
    return Estimate("cumulative_incidence", exactness, n, 1, counts=found, values=values)  # type: ignore[arg-type]


def _tests(
    question: CumulativeIncidence, risk: FloatArray, events: FloatArray, censored: FloatArray | None
) -> list[Test]:
    """Gray's test of each cause over the groups that have rows; `censored` on a grid alone, for the bound."""
    there = risk[:, 0] > 0.0
    if question.by is None or int(there.sum()) < 2:
        return []
    whole = events.sum(axis=0)
    return [
        _test(risk[there], one[there], (whole - one)[there], None if censored is None else censored[there])
        for one in events
    ]


def _test(risk: FloatArray, events: FloatArray, others: FloatArray, censored: FloatArray | None) -> Test:
    if not float(events.sum()) > 0.0:
        return Test(0.0, 0, None)
    found = gray(risk, events, others)
    statistic = found.statistic()
    far = None if censored is None else gray_bound(Steps(risk, events, others, censored), found)
    return Test(statistic, found.df, far)


def _summarise(question: CumulativeIncidence, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    return Answer(Summary(asked.layout, _tables(question, setting, prepared)))


def _report(question: CumulativeIncidence, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    names, groups = list(question.causes.values()), range(len(_groups(question, setting)))
    tests = {
        name: {"statistic": test.statistic, "df": test.df, "p_value": number(chi_square_p(test.statistic, test.df))}
        | ({"bound": test.bound} if estimate.exactness == "grid" else {})
        for name, test in zip(names, estimate.values["tests"], strict=bool(estimate.values["tests"]))
    }
    body: dict[str, Any] = {
        **head(estimate),
        "events": {name: size(estimate.counts[f"events:{k}"]) for k, name in enumerate(names)},
        "conf_level": setting.conf_level,
        "curves": [curve for i in groups for curve in _curves(question, setting, estimate, i)],
        "tests": tests,
    }
    if estimate.exactness == "grid":
        body["grid"] = {"edges": list(_grid(setting).edges)}
        tables = [np.asarray(estimate.counts[f"curve:{i}"].values, dtype=np.float64) for i in groups]
        body["bound"] = max(bound(table) for table in tables)
    return body


def _curves(question: CumulativeIncidence, setting: Setting, estimate: Estimate, i: int) -> list[dict[str, Any]]:
    table = np.asarray(estimate.counts[f"curve:{i}"].values, dtype=np.float64)
    time = estimate.values[f"time:{i}"]
    shown = np.all(np.isfinite(table), axis=0) & (table[0] > 0.0)
    if estimate.exactness == "exact":
        time, table, shown = time[shown], table[:, shown], shown[shown]
    made = incidences(table[0, shown], table[1:-1, shown])
    z = quantile(setting.conf_level)
    curves = []
    for k, (name, curve) in enumerate(zip(question.causes.values(), made, strict=True)):
        low, high = _interval(curve.incidence, curve.error, z)
        spread = [_placed(shown, values) for values in (curve.incidence, curve.error, low, high)]
        keys = ("incidence", "std_error", "conf_low", "conf_high")
        body: dict[str, Any] = {
            "group": {} if question.by is None else {question.by: setting.levels[question.by][i]},
            "cause": name,
            "n": size(estimate.counts[f"n:{i}"]),
            "time": time.tolist(),
            "at_risk": counts(table[0]),
            "events": counts(table[1 + k]),
            "censored": counts(table[-1]),
            **dict(zip(keys, map(numbers, spread), strict=True)),
        }
        if question.at is not None:
            body["incidence_at"] = [_at(time, spread, keys, asked) for asked in question.at]
        curves.append(body)
    return curves


def _placed(shown: Any, values: FloatArray) -> FloatArray:
    made = np.full(shown.size, np.nan)
    made[shown] = values
    return made


def _interval(found: FloatArray, error: FloatArray, z: float) -> tuple[FloatArray, FloatArray]:
    """F ** exp(+-z se / (F log F)), Kalbfleisch & Prentice; 0 where F is 0, none where it is 1."""
    inside = (found > 0.0) & (found < 1.0)
    f = np.where(inside, found, 0.5)
    turn = z * error / (f * np.log(f))
    ends = np.exp(np.log(f) * np.exp(-turn)), np.exp(np.log(f) * np.exp(turn))
    low, high = (np.where(inside, end, np.where(found < 1.0, found, np.nan)) for end in ends)
    return low, high


def _at(time: FloatArray, spread: list[FloatArray], keys: tuple[str, ...], asked: float) -> dict[str, Any]:
    """At the last shown step not after a time; 0 before the first, null beyond the last."""
    shown = np.flatnonzero(np.isfinite(spread[0]))
    before, later = shown[time[shown] <= asked], shown[time[shown] >= asked]
    if not later.size:
        return {"time": asked, **dict.fromkeys(keys)}
    if not before.size:
        return {"time": asked, **dict.fromkeys(keys, 0.0)}
    return {"time": asked, **{key: number(float(v[before[-1]])) for key, v in zip(keys, spread, strict=True)}}


def bound(table: FloatArray) -> float:
    """Largest difference to the curves of the recorded times, whatever their order inside the steps."""
    shown = np.all(np.isfinite(table), axis=0) & (table[0] > 0.0)
    risk, events, censored = table[0, shown], table[1:-1, shown], table[-1, shown]
    every, gaps = events.sum(axis=0), [0.0]
    for one, usual in zip(events, incidences(risk, events), strict=True):
        low, high = incidence_reach(Steps(risk, one, every - one, censored))
        gaps.append(float(np.maximum(high - usual.incidence, usual.incidence - low).max(initial=0.0)))
    return max(gaps)


STATISTIC = Statistic(
    kind="cumulative_incidence",
    question=CumulativeIncidence,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
