"""Effect of a treatment on survival, from weighted counts: curves of both arms, hazard ratio, survival and means at times.

A row weighs by its propensity. One round sums weights and their squares by arm, step, and event or censoring; curves and
the Cox model of the treatment (Efron's ties) follow. The influence of a row on each estimate depends on its arm, step and
event alone: a table of influences goes back, each site adds up what it makes of its rows, and the errors follow, with the
weights taken as known (`survfit` and `coxph` with `robust = TRUE`) or with the propensity model stacked beneath.
References: Cole & Hernan (2004), Comput Methods Programs Biomed 75:45; Lin & Wei (1989), JASA 84:1074; Hajage et al.
(2018), Biom J 60:1151, for the stacked errors.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.model.errors import Invalid
from isthmus.statistics import cox_robust, linear
from isthmus.statistics.contract import Round
from isthmus.statistics.cox_ties import TieSums, tie_index, tie_sums
from isthmus.statistics.newton import ABSURD, MAX_ROUNDS, STEP
from isthmus.summary import Field, FloatArray, Layout, Summary

WHOLE = 1.0 - 1e-12  # a hazard of 1, but for rounding
EVENT, CENSORED = 0, 1


@dataclass(frozen=True, slots=True)
class Wish:
    """What is estimated on a grid of `edges`: survival of both arms `at` times, and its mean up to `tau`."""

    edges: tuple[float, ...]
    at: tuple[float, ...]
    tau: float | None

    @property
    def targets(self) -> int:
        """Log hazard ratio; survival of treated and control at each time; both means."""
        return 1 + 2 * len(self.at) + (0 if self.tau is None else 2)


@dataclass(frozen=True, slots=True)
class Curves:
    """By arm (treated first) and step, (2, K): weighted `events` and `risk`, `alive`, `hazard`, and `deaths` counted.

    `spent`, `own`: what the influence on a curve is made of: cumulated h / (Y (1 - h)), and 1 / (Y (1 - h)).
    """

    events: FloatArray
    risk: FloatArray
    deaths: FloatArray
    alive: FloatArray
    spent: FloatArray
    own: FloatArray


@dataclass(frozen=True, slots=True)
class Found:
    """Estimates of the targets (T,), their covariance (T, T); curves with their errors (2, K); pooled counts; weight beyond the grid (2,)."""

    estimates: FloatArray
    covariance: FloatArray
    curves: Curves
    errors: FloatArray
    people: FloatArray
    beyond: FloatArray
    outlasting: FloatArray
    rounds: int


def cell_layout(steps: int) -> Layout:
    """By arm, event or censoring, and step (the last is beyond the grid, where nobody's event is seen)."""
    shape = (2, 2, steps)
    return Layout(
        fields=(
            Field(name="people", shape=shape, kind="histogram"),
            Field(name="beyond", shape=(2,), kind="count"),
            Field(name="weights", shape=(2, 2, steps + 1), kind="risk_set"),
            Field(name="squares", shape=(2, 2, steps + 1), kind="risk_set"),
        )
    )


def run(wish: Wish, size: int, base: Mapping[str, Any], stacked: str) -> Generator[Round, Summary, Found]:
    """The rounds after the propensity model of `size` columns; `stacked`: `no`, `common` or `site`."""
    pooled = yield Round(cell_layout(len(wish.edges)), {"step": "cells", **base})
    curves = weighted(pooled)
    estimates, table = _estimates(wish, curves)
    squares, rounds = pooled["squares"].reshape(-1), 1
    flat = table.reshape(len(table), -1)
    covariance = linear.product(flat * squares, flat.T)
    if stacked != "no":
        asked: dict[str, Any] = {"step": "spread", "table": table, **base}
        if stacked == "common":
            bends = Layout(fields=(Field(name="bends", shape=(len(table), size), kind="score"),))
            asked["turns"] = (yield Round(bends, {**asked, "step": "bends"}))["bends"]
            asked["turns"] = linear.product(asked["turns"], base["ps inverse"])
            rounds += 1
        spread = Layout(fields=(Field(name="spread", shape=(len(table), len(table)), kind="gram"),))
        covariance = (yield Round(spread, asked))["spread"]
        rounds += 1
    errors = np.sqrt(_known(curves, pooled["squares"]))
    outlasting = pooled["weights"][:, CENSORED, -1]
    return Found(estimates, covariance, curves, errors, pooled["people"], pooled["beyond"], outlasting, rounds)


def weighted(pooled: Summary) -> Curves:
    """Weighted Kaplan-Meier curves of both arms.

    Raises:
        Invalid: E-NO-EVENTS, an arm without any.
    """
    weights, steps = pooled["weights"], pooled["weights"].shape[2] - 1
    leaving = weights[:, EVENT] + weights[:, CENSORED]
    risk = np.add.accumulate(leaving[:, ::-1], axis=1)[:, ::-1][:, :steps]
    events, deaths = weights[:, EVENT, :steps], pooled["people"][:, EVENT]
    if not bool(np.all(deaths.sum(axis=1) > 0.0)):
        raise Invalid("E-NO-EVENTS", "an arm has no event", "ask for another outcome, or wider steps")
    there = risk > 0.0
    hazard = np.where(there, np.minimum(events / np.where(there, risk, 1.0), 1.0), 0.0)
    over = hazard >= WHOLE
    alive = np.multiply.accumulate(np.where(over, 0.0, 1.0 - hazard), axis=1)
    own = np.where(there & ~over, 1.0 / (np.where(there, risk, 1.0) * np.where(over, 1.0, 1.0 - hazard)), 0.0)
    return Curves(events, risk, deaths, alive, np.add.accumulate(hazard * own, axis=1), own)


def last_step(edges: tuple[float, ...], time: float) -> int:
    """Of the steps that lie at `time` or before it; -1 where none does."""
    return int(np.searchsorted(np.array(edges), time * (1.0 + 1e-12), side="right")) - 1


def _estimates(wish: Wish, curves: Curves) -> tuple[FloatArray, FloatArray]:
    """The targets (T,) and the influence of a row of weight 1 on each, (T, 2, 2, K + 1) by arm, event and step."""
    ratio, first = _hazard_ratio(curves)
    estimates, tables = [ratio], [first]
    for time in wish.at:
        k = last_step(wish.edges, time)
        for arm in (0, 1):
            share = np.zeros(len(wish.edges))
            if k >= 0:
                share[k] = 1.0
            estimates.append(float(curves.alive[arm, k]) if k >= 0 else 1.0)
            tables.append(_influence(curves, arm, share))
    if wish.tau is not None:
        k = last_step(wish.edges, wish.tau)
        ends = np.array([*wish.edges[: k + 1], wish.tau])
        widths = np.zeros(len(wish.edges))
        widths[: k + 1] = np.diff(ends)
        for arm in (0, 1):
            estimates.append(float(ends[0]) + linear.dot(curves.alive[arm], widths))
            tables.append(_influence(curves, arm, widths))
    return np.array(estimates), np.array(tables)


def _influence(curves: Curves, arm: int, share: FloatArray) -> FloatArray:
    """(2, 2, K + 1) on the sum of survival times `share` (K,): what a row's event took, less what was expected of it."""
    steps = len(share)
    alive, spent, own = curves.alive[arm] * share, curves.spent[arm], curves.own[arm]
    after = np.append(np.add.accumulate(alive[::-1])[::-1], 0.0)  # of this step and all later
    before = np.append(0.0, np.add.accumulate(alive * spent))  # of all steps earlier, up to this one
    found = np.zeros((2, 2, steps + 1))
    for s in range(steps + 1):
        base = before[s] + (spent[s] * after[s] if s < steps else 0.0)
        found[arm, :, s] = base
        if s < steps:
            found[arm, EVENT, s] -= own[s] * after[s]
    return found


def _known(curves: Curves, squares: FloatArray) -> FloatArray:
    """Variances (2, K) of the curves with the weights taken as known; NaN where nobody is left."""
    steps = curves.alive.shape[1]
    leaving = squares[:, EVENT] + squares[:, CENSORED]
    made = np.zeros((2, steps))
    for arm in (0, 1):
        spent, own = curves.spent[arm], curves.own[arm]
        later = np.add.accumulate(leaving[arm, ::-1])[::-1]
        gone = np.add.accumulate(leaving[arm, :steps] * spent**2)
        died = np.add.accumulate(squares[arm, EVENT, :steps] * (own**2 - 2.0 * own * spent))
        made[arm] = curves.alive[arm] ** 2 * (gone + died + later[1:] * spent**2)
    return np.where(curves.alive > 0.0, np.maximum(made, 0.0), np.nan)


def _hazard_ratio(curves: Curves) -> tuple[float, FloatArray]:
    """Log hazard ratio of the treated and the influence of a row of weight 1, by arm, event and step.

    Raises:
        Invalid: E-CONVERGENCE, E-SEPARATED.
    """
    at = np.flatnonzero(curves.deaths.sum(axis=0) > 0.0)
    risk, events = curves.risk[:, at], curves.events[:, at]
    index = tie_index(curves.deaths[:, at].sum(axis=0), events.sum(axis=0))
    now = 0.0
    for _ in range(MAX_ROUNDS):
        s1, d1 = risk[0] * math.exp(now), events[0] * math.exp(now)
        sums = tie_sums("efron", index, s1 + risk[1], d1 + events[1])
        score = float(linear.total(events[0] - s1 * sums.first + d1 * sums.first_f))
        information = float(linear.total(_information(sums, s1, d1)))
        if not information > 0.0:
            raise Invalid("E-CONVERGENCE", "no step has both arms at risk", "use wider steps or a longer follow-up")
        move = score / information
        if abs(move) * math.sqrt(information) < STEP:
            return now, _score_table(now, (index.total, sums, s1, d1), (at, curves.alive.shape[1])) / information
        now += min(max(move, -1.0), 1.0)
        if abs(now) > ABSURD:
            break
    raise Invalid(
        "E-SEPARATED", "the hazard ratio has no finite value", "an arm has no event while the other is at risk"
    )


def _information(sums: TieSums, s1: FloatArray, d1: FloatArray) -> FloatArray:
    """(E,) at each event time; the column is 0 or 1, so its square is itself."""
    squares = (s1 * sums.second - d1 * sums.second_f) * s1 + (d1 * sums.second_ff - s1 * sums.second_f) * d1
    made: FloatArray = s1 * sums.first - d1 * sums.first_f - squares
    return made


def _score_table(now: float, told: tuple[Any, TieSums, FloatArray, FloatArray], where: tuple[Any, int]) -> FloatArray:
    """(2, 2, K + 1) score residuals of rows of weight 1, as `cox_robust.residuals`."""
    total, sums, s1, d1 = told
    at, steps = where
    found = cox_robust.moments(sums, total, s1[None], d1[None])
    spread = np.zeros((5, steps + 1))
    spread[0, at], spread[1, at], spread[2, at] = found.hazard, found.mean[0], found.average[0]
    spread[3, at], spread[4, at] = found.tied, found.tied_mean[0]
    hazard, mean = (np.add.accumulate(line) for line in spread[:2])
    died = np.isin(np.arange(steps + 1), at)
    made = np.zeros((2, 2, steps + 1))
    for arm, x, risk in ((0, 1.0, math.exp(now)), (1, 0.0, 1.0)):
        made[arm, :] = risk * (mean - x * hazard)
        made[arm, EVENT] += np.where(died, x - spread[2] + risk * (x * spread[3] - spread[4]), 0.0)
    return made
