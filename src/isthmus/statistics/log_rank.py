"""Log-rank test (kind `log_rank`), plain, stratified or of Fleming and Harrington's family, as R's `survdiff`.

`rho` and `gamma` weigh each event time by S(t-)**rho (1 - S(t-))**gamma, S the Kaplan-Meier curve of all groups of its
stratum: 0 and 0 are the log-rank test; rho 1 is Peto and Peto's modification of Gehan and Wilcoxon's, which looks more at early
times; gamma 1 looks more at late ones, both 1 at the middle. `survdiff` has rho alone.

With `site` among the strata each site's observed minus expected and variance are summed: exact whatever the floor.
Else counts per stratum, group and step of the agreed grid are pooled.

Result keys: `fit`: `statistic` (chi-square), `df`, `p_value`, `observed` and `expected` (per group, in the order of
`groups`), `groups`, `rho`, and `gamma` above 0; `n`, `events`; `grid` and `bound` where `exactness` is `grid` (no order of events and censoring
inside the steps moves the statistic by more; null where the steps are too wide to say). `observed` are counts; with
rho or gamma above 0 `expected` is weighted, and so is `weighted_observed` (null where rules restrict: small powers would give
the counts that were rounded). Where rules round, `events` are the sum of the rounded `observed`, and `expected` is scaled to add up to them.

Reference: Harrington & Fleming (1982), Biometrika 69:553; Fleming & Harrington (1991), Counting processes and survival analysis, section 7.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.evidence import Counts, Evidence, Weights
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.statistics import linear, survival
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.inference import chi_square_p
from isthmus.statistics.log_rank_reach import Powers, Reach, Tables, farthest, reach, weights_at
from isthmus.statistics.show import counts, head, number, numbers, size
from isthmus.statistics.survival import GridWish
from isthmus.summary import Field, FloatArray, IntArray, Layout, Summary

FAINT = 1e-9  # a variance below it has few digits in the masked sums


@record
class LogRank:
    """Arguments of `log_rank`. `event` is 0/1; `by` names the groups; `strata` may hold `site`; `rho`, `gamma`: 0 or above."""

    time: str
    event: str
    by: str
    strata: tuple[str, ...] = ()
    rho: float = 0.0
    gamma: float = 0.0
    grid: GridWish | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's rows; `stratum` numbers the combinations of the categories among the strata."""

    time: FloatArray
    event: FloatArray
    group: Any
    stratum: Any


def _needs(question: LogRank) -> Needs:
    for name, at, which in (("rho", question.rho, "early"), ("gamma", question.gamma, "late")):
        if not (at >= 0.0 and math.isfinite(at)):
            raise Invalid("E-WEIGHTS", f"{name} is 0 or above", f"0 is the log-rank test, 1 weighs {which} times more")
    named = tuple(dict.fromkeys((question.by, *(s for s in question.strata if s != "site"))))
    times = () if "site" in question.strata else (question.time,)
    return Needs(numbers=(question.time, question.event), categories=named, times=times)


def _rungs(question: LogRank, dictionary: Codebook) -> tuple[Grid, ...]:
    if "site" in question.strata and question.grid is None:
        return ()
    return survival.rungs(question.time, question.grid, dictionary)


def _shape(question: LogRank, setting: Setting) -> tuple[int, int]:
    """(strata, groups)."""
    return survival.strata_count(question.strata, setting.levels), len(setting.levels[question.by])


def _prepare(question: LogRank, setting: Setting, inputs: Inputs) -> Rows:
    time, event = inputs.numbers[question.time], inputs.numbers[question.event]
    survival.check_times((question.time, question.event), time, event)
    group = survival.group_code(setting.levels[question.by], question.by, inputs.codes[question.by])
    stratum = survival.strata_codes(question.strata, setting.levels, inputs.codes, inputs.rows)
    return Rows(time, event, group, stratum)


def _tables(question: LogRank, setting: Setting, rows: Rows, grid: Grid) -> dict[str, IntArray]:
    """Counts (strata, groups, steps) of events and censored, and (strata, groups) beyond."""
    steps = survival.grid_steps(question.time, rows.time, grid, _near(question, setting))
    shape = (*_shape(question, setting), len(grid.edges) + 1)
    event = rows.event > 0.0
    events = survival.tally(steps, event, shape, rows.stratum, rows.group)
    censored = survival.tally(steps, ~event, shape, rows.stratum, rows.group)
    return {
        "events": np.ascontiguousarray(events[..., :-1]),
        "censored": np.ascontiguousarray(censored[..., :-1]),
        "beyond": events[..., -1] + censored[..., -1],
    }


def _near(question: LogRank, setting: Setting) -> float | None:
    return survival.tolerance((question.time,), setting.dictionary)


def _local_grid(question: LogRank, rows: Rows, setting: Setting) -> Grid:
    """This site's own distinct times, where sites are strata and no grid is asked for."""
    if setting.grid is not None:
        return setting.grid
    return Grid(tuple(survival.tie_cuts(np.unique(rows.time), _near(question, setting)).tolist()), recorded=True)


def _pooled_grid(setting: Setting) -> Grid:
    if setting.grid is None:
        raise Invalid("E-NO-GRID", "the question has no time grid yet")
    return setting.grid


def _evidence(question: LogRank, setting: Setting, prepared: Rows) -> Evidence:
    groups = _shape(question, setting)[1]
    sizes = np.bincount(prepared.group, minlength=groups).astype(np.int64)
    event = prepared.event > 0.0
    events = np.bincount(prepared.group[event], minlength=groups).astype(np.int64)
    name = f"{question.event} by {question.by}"
    cells = {name: events, f"no {name}": sizes - events}  # who did not have the event is a cell as well
    if "site" not in question.strata:
        cells |= _tables(question, setting, prepared, _pooled_grid(setting))
    strata = (prepared.stratum, _shape(question, setting)[0])
    by_group = survival.crossed(*strata, prepared.group, groups)
    sides = {} if strata[1] == 1 else {"strata": by_group.sum(axis=1), f"strata x {question.by}": by_group.reshape(-1)}
    if strata[1] > 1:
        cells[f"strata x {question.event}"] = survival.crossed(*strata, event.astype(np.intp), 2).reshape(-1)
    return Evidence(rows=int(prepared.time.size), groups={question.by: sizes}, cells=cells, sides=sides)


def _layout(question: LogRank, setting: Setting) -> Layout:
    strata, groups = _shape(question, setting)
    if "site" in question.strata:
        return Layout(
            fields=(
                Field(name="n", shape=(groups,), kind="count"),
                Field(name="observed", shape=(groups,), kind="count"),
                Field(name="expected", shape=(groups,), kind="sum"),
                Field(name="variance", shape=(groups, groups), kind="sum"),
                *([Field(name="weighted", shape=(groups,), kind="sum")] if any(_powers(question)) else []),
            )
        )
    shape = (strata, groups, len(_pooled_grid(setting).edges))
    return Layout(
        fields=(
            Field(name="events", shape=shape, kind="histogram"),
            Field(name="censored", shape=shape, kind="histogram"),
            Field(name="beyond", shape=shape[:2], kind="count"),
        )
    )


def _summarise(question: LogRank, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    grid = _local_grid(question, prepared, setting)
    tables = _tables(question, setting, prepared, grid)
    if "site" not in question.strata:
        return Answer(Summary(asked.layout, tables))
    events, censored = tables["events"].astype(np.float64), tables["censored"].astype(np.float64)
    risk = survival.at_risk(events + censored, tables["beyond"].astype(np.float64))
    weight = weighing(events, risk, _powers(question))
    expected, variance = compared(events, risk, weight)
    groups = len(expected)
    values: dict[str, Any] = {
        "n": np.bincount(prepared.group, minlength=groups).astype(np.int64),
        "observed": tables["events"].sum(axis=(0, 2)),
        "expected": expected,
        "variance": variance,
    }
    if not any(_powers(question)):
        return Answer(Summary(asked.layout, values))
    values["weighted"] = _weighted(events, weight)
    return Answer(Summary(asked.layout, values), _guard(events.sum(axis=1), weight, groups - 1))


def _guard(events: FloatArray, weight: FloatArray, df: int) -> Weights | None:
    """Of the events (strata, steps) at this site: large powers let one speak for all. None without any that counts."""
    if not (events * weight).any():
        return None
    return Weights(
        float(np.sum(events * weight)), float(np.sum(events * weight**2)), float(np.max(weight[events > 0.0])), df
    )


def _powers(question: LogRank) -> Powers:
    return question.rho, question.gamma


def weighing(events: FloatArray, risk: FloatArray, powers: Powers) -> FloatArray:
    """S(t-)**rho (1 - S(t-))**gamma (strata, steps) from (strata, groups, steps) counts, S of all groups together."""
    curve = np.multiply.accumulate(1.0 - events.sum(axis=1) / np.maximum(risk.sum(axis=1), 1.0), axis=-1)
    before: FloatArray = np.concatenate([np.ones((len(curve), 1)), curve[:, :-1]], axis=1)
    return weights_at(before, powers)


def _weighted(events: FloatArray, weight: FloatArray) -> FloatArray:
    """Weighted events (groups,)."""
    return linear.total((events * weight[:, None, :]).transpose(1, 0, 2).reshape(events.shape[1], -1))


def compared(events: FloatArray, risk: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Expected events (groups,) and their variance (groups, groups), from (strata, groups, steps) counts.

    `weight` (strata, steps). Reference: Kalbfleisch & Prentice (2002), section 1.5.
    """
    groups = events.shape[1]
    d, n = events.sum(axis=1), risk.sum(axis=1)  # whole numbers: exact in any order
    share = risk / np.maximum(n, 1.0)[:, None, :]
    expected = linear.total((share * (weight * d)[:, None, :]).transpose(1, 0, 2).reshape(groups, -1))
    factor = weight * weight * np.where(n > 1.0, d * (n - d) / np.maximum(n - 1.0, 1.0), 0.0)
    variance = np.zeros((groups, groups))
    for g in range(groups):
        spread = -share[:, g, None, :] * share
        spread[:, g] += share[:, g]
        variance[g] = linear.total((spread * factor[:, None, :]).transpose(1, 0, 2).reshape(groups, -1))
    return expected, (variance + variance.T) / 2.0


def chi_square(gap: FloatArray, expected: FloatArray, variance: FloatArray) -> tuple[float, int]:
    """(statistic, df) over the groups that expect events; `gap` (groups,) is observed less expected."""
    used = np.flatnonzero(expected > 0.0)[:-1]
    if not used.size:
        return 0.0, 0
    try:
        lower = linear.cholesky(variance[np.ix_(used, used)])
    except linear.Dependent as error:
        raise Invalid("E-COLLINEAR", "the groups share no time at risk", "compare groups that overlap") from error
    half = linear.forward(lower, gap[used])
    return linear.dot(half, half), int(used.size)


@dataclass(frozen=True, slots=True)
class _Pooled:
    """Sums over sites: per group (groups,), variance (groups, groups); `reach` over a grid. All weighted but the counts."""

    rows: FloatArray
    observed: FloatArray
    weighted: FloatArray
    expected: FloatArray
    variance: FloatArray
    reach: Reach | None

    @property
    def gap(self) -> FloatArray:
        """Observed less expected."""
        return self.weighted - self.expected


def _over_sites(pooled: Summary) -> _Pooled:
    weighted = pooled["weighted"] if "weighted" in pooled.values else pooled["observed"]
    return _Pooled(pooled["n"], pooled["observed"], weighted, pooled["expected"], pooled["variance"], None)


def _over_steps(pooled: Summary, powers: Powers) -> _Pooled:
    events, censored, beyond = pooled["events"], pooled["censored"], pooled["beyond"]
    risk = survival.at_risk(events + censored, beyond)
    rows = (events + censored).sum(axis=(0, 2)) + beyond.sum(axis=0)
    weight = weighing(events, risk, powers)
    weighted, (expected, variance) = _weighted(events, weight), compared(events, risk, weight)
    far = reach(Tables(events, censored, risk, powers), weighted - expected, variance)
    return _Pooled(rows, events.sum(axis=(0, 2)), weighted, expected, variance, far)


def _flow(question: LogRank, setting: Setting) -> Flow:
    answer = yield Round(_layout(question, setting), {"step": "counts"})
    pooled = _over_sites(answer) if "site" in question.strata else _over_steps(answer, _powers(question))
    if not pooled.rows.sum() > 0:
        raise Invalid("E-NO-ROWS", "no row has all variables of this question", "look at `excluded`")
    if not pooled.observed.sum() > 0:
        raise Invalid("E-NO-EVENTS", f"{question.event!r} is 0 in every row", "there is nothing to compare")
    if question.gamma and not linear.trace(pooled.variance) > FAINT:
        raise Invalid(
            "E-WEIGHTS", "no event has a weight to speak of", "gamma weighs by the share that had the event before"
        )
    statistic, df = chi_square(pooled.gap, pooled.expected, pooled.variance)
    if df == 0:
        raise Invalid("E-ONE-GROUP", f"only one group of {question.by!r} has rows", "compare two groups")
    exact = setting.grid is None or setting.grid.recorded
    bound = (
        None if pooled.reach is None or exact else farthest(pooled.gap, pooled.expected, pooled.variance, pooled.reach)
    )
    n, events = int(pooled.rows.sum()), int(pooled.observed.sum())
    found = {
        "n": Counts("size", np.array([n])),
        "events": Counts("cells", np.array([events]), of=np.array([n])),
        "observed": Counts("cells", pooled.observed.astype(np.int64), of=pooled.rows.astype(np.int64)),
        "groups": Counts("size", pooled.rows.astype(np.int64)),
    }
    values = {"statistic": statistic, "df": df, "expected": pooled.expected, "bound": bound}
    values |= {"weighted": pooled.weighted, "total": events}
    return Estimate(kind="log_rank", exactness="exact" if exact else "grid", n=n, rounds=1, counts=found, values=values)


def _report(question: LogRank, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    found, observed = estimate.values, np.asarray(estimate.counts["observed"].values)
    hidden = not bool(np.all(np.isfinite(observed)))  # the test and what it expects would give the lost cell back
    statistic = math.nan if hidden else found["statistic"]
    events = math.nan if hidden else float(observed.sum())  # of the groups as they are shown, each of which was rounded
    scale = 1.0 if events == found["total"] else events / found["total"]  # the expected add up to them
    expected = np.full(observed.size, math.nan) if hidden else found["expected"] * scale
    body: dict[str, Any] = {
        **head(estimate),
        "events": size(estimate.counts["events"]) if hidden else int(events),
        "fit": {
            "statistic": number(statistic),
            "df": found["df"],
            "p_value": number(math.nan if hidden else chi_square_p(statistic, found["df"])),
            "groups": list(setting.levels[question.by]),
            "observed": counts(observed),
            "expected": numbers(expected.tolist()),
            "rho": question.rho,
        },
    }
    if question.gamma:
        body["fit"]["gamma"] = question.gamma
    if any(_powers(question)):
        told = setting.open_rules and not hidden
        body["fit"]["weighted_observed"] = numbers(found["weighted"].tolist()) if told else None
    if estimate.exactness == "grid":
        body["grid"] = {"edges": list(_pooled_grid(setting).edges)}
        body["bound"] = None if hidden or found["bound"] is None else number(found["bound"])
    return body


STATISTIC = Statistic(
    kind="log_rank",
    question=LogRank,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
