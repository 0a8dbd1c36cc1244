"""Hazards that are constant between agreed cuts (`parametric_survival`, distribution `piecewise_exponential`).

The hazard of a row is exp(a_k + x'b) in interval k. With E_ik its time in the interval and r_i = exp(x_i'b), given b the
largest likelihood has exp(a_k) = D_k / S_k, S_k = sum_i E_ik r_i; so b has a profile likelihood like Cox's, whose risk sets
are intervals. Each round sends S_k, its derivative, and one information matrix at the hazards that the round before
foretells (they agree to second order, and at the end). It is Poisson regression of the rows split at the cuts, with
offset log E.
Reference: Friedman (1982), Ann Stat 10:101.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from isthmus.evidence import Counts, Evidence, Weights, weights_of, worst
from isthmus.model.errors import Invalid, Refused
from isthmus.statistics import (
    coordinates,
    cox_common,
    cox_flow,
    cox_model,
    implied,
    indicators,
    linear,
    sandwich,
    survival,
    unusual,
    weighting,
)
from isthmus.statistics.contract import Estimate, Flow, Grid, Round
from isthmus.statistics.coordinates import Coordinates
from isthmus.statistics.cox_evidence import tally
from isthmus.statistics.cox_flow import At, Evaluate
from isthmus.statistics.cox_model import Model
from isthmus.statistics.cox_rows import Params, Rows
from isthmus.statistics.cox_sums import weighted_gram
from isthmus.statistics.newton import diverged, newton_step
from isthmus.statistics.sandwich import Errors
from isthmus.summary import Field, FloatArray, Layout, Summary

Cuts = tuple[float, ...]
MOST = 100  # intervals


def checked(cuts: Cuts) -> Cuts:
    """Cut points as they are.

    Raises:
        Invalid: E-GRID, none, too many, not above 0, or not increasing.
    """
    if not 1 <= len(cuts) < MOST or any(b <= a for a, b in pairwise((0.0, *cuts))):
        raise Invalid("E-GRID", f"cuts increase from above 0, 1 to {MOST - 1} of them", "cuts: [30, 90]")
    return cuts


def names(cuts: Cuts) -> tuple[str, ...]:
    """Of the log hazards: a time at a cut ends the interval before it."""
    shown = [str(int(c)) if c == int(c) else repr(c) for c in cuts]
    return tuple(f"Log(hazard)({low}, {high}]" for low, high in pairwise(("0", *shown, "Inf")))


def count_layout(model: Model, intervals: int) -> Layout:
    """First round: leavers, events and their weight, late entries and person-time per interval, moments of the columns."""
    counted = ("rows", "events", *(("entries",) if model.late else ()))
    return Layout(
        fields=(
            *(Field(name=name, shape=(intervals,), kind="histogram") for name in counted),
            *((Field(name="event_weight", shape=(intervals,), kind="sum"),) if model.weighting is not None else ()),
            Field(name="time", shape=(intervals,), kind="sum"),
            Field(name="moments", shape=(2, model.size), kind="moment"),
            cox_model.marks_field(model),
        )
    )


def risk_layout(model: Model, intervals: int) -> Layout:
    """One evaluation."""
    size = model.size
    return Layout(
        fields=(
            Field(name="event_x", shape=(size,), kind="score"),
            Field(name="s0", shape=(intervals,), kind="risk_set"),
            Field(name="s1", shape=(size, intervals), kind="risk_set"),
            Field(name="gram", shape=(size, size), kind="gram"),
        )
    )


def _places(rows: Rows, cuts: Cuts) -> tuple[Any, Any]:
    """Interval (n,) in which each row left, and the first in which it was at risk."""
    entry = np.zeros(rows.size) if rows.told.entry is None else rows.told.entry
    grid = Grid(cuts, recorded=False)
    left = survival.grid_steps("time", rows.time, grid)
    return left, survival.entry_steps(entry, left, grid)


def _exposures(rows: Rows, cuts: Cuts, unit: float) -> Iterator[FloatArray]:
    """Per interval, the time (n,) of each row in it; none of what rounding put beyond a cut."""
    entry = 0.0 if rows.told.entry is None else rows.told.entry
    left, came = _places(rows, cuts)
    for k, (low, high) in enumerate(pairwise((0.0, *cuts, math.inf))):
        spent = np.maximum(np.minimum(rows.time, high) - np.maximum(entry, low), 0.0) / unit
        yield np.where((came <= k) & (k <= left), spent, 0.0)


def _prior(rows: Rows) -> FloatArray:
    return weighting.filled(rows.weight, rows.size)


def count_part(model: Model, rows: Rows, cuts: Cuts, params: Params) -> dict[str, Any]:
    """A site's part of the first round."""
    total, (left, came) = len(cuts) + 1, _places(rows, cuts)
    raw, prior = rows.columns + rows.centre[:, None], _prior(rows)
    values: dict[str, Any] = {
        "rows": np.bincount(left, minlength=total),
        "events": np.bincount(left[rows.event], minlength=total),
        "event_weight": np.bincount(left[rows.event], prior[rows.event], total),
        "time": np.array([float(prior @ e) for e in _exposures(rows, cuts, float(params["unit"]))]),
        "moments": cox_common.moments(rows, params),
        "marks": implied.marks(model.design, model.dictionary, raw, rows.event.astype(np.float64)),
    }
    return values | ({"entries": np.bincount(came[came > 0], minlength=total)} if model.late else {})


def risk_part(model: Model, rows: Rows, cuts: Cuts, params: Params) -> tuple[dict[str, Any], Weights]:
    """A site's part of an evaluation at `coefficients` and foretold hazards `hazard` (K,)."""
    columns, scale = cox_common.columns_at(rows, params)
    risk = cox_common.risk_at(rows, columns, scale, params)
    s0, s1, weight, guards = [], [], np.zeros(rows.size), []
    for exposure, hazard in zip(_exposures(rows, cuts, float(params["unit"])), params["hazard"], strict=True):
        own = exposure * risk
        s0.append(float(own.sum()))
        s1.append(columns @ own / scale)
        weight += own * hazard
        guards += [weights_of(own, 1 + model.size)] if own.any() else []
    values = {
        "event_x": columns[:, rows.event] @ _prior(rows)[rows.event] / scale,
        "s0": np.array(s0),
        "s1": np.array(s1).T,
        "gram": weighted_gram(columns, weight) / np.outer(scale, scale),
    }
    return values, worst([weights_of(weight, model.size + len(s0)), *guards])


def meat_part(model: Model, rows: Rows, cuts: Cuts, params: Params) -> tuple[dict[str, Any], Weights | None]:
    """A site's part of the middle of the sandwich: of `coefficients` and of the log hazards `hazard` (K,)."""
    columns, scale = cox_common.columns_at(rows, params)
    risk = cox_common.risk_at(rows, columns, scale, params) / _prior(rows)
    left = _places(rows, cuts)[0]
    exposures = zip(_exposures(rows, cuts, float(params["unit"])), params["hazard"], strict=True)
    each = np.array([(rows.event & (left == k)) - own * risk * hazard for k, (own, hazard) in enumerate(exposures)])
    residual = each.sum(axis=0)
    scores = np.concatenate([columns * residual / scale[:, None], each])
    told = _Told(rows.size, rows.weight, rows.told.cluster)
    values, guard = sandwich.middle(errors_of(model), len(scores), [(slice(None), scores)], told)
    if model.cluster is not None:
        return values, guard
    root = sandwich.roots(errors_of(model), rows.weight)
    first, lines = (v if root is None else v * root for v in (residual[None], each))
    there = [line[None] for line in lines if line.any()]
    return values, worst([sandwich.guard(first, len(scores)), *(sandwich.guard(v, model.size + 1) for v in there)])


def errors_of(model: Model) -> Errors:
    """What is asked for."""
    return Errors(model.weighting, model.robust, model.cluster)


@dataclass(frozen=True, slots=True)
class _Told:
    size: int
    prior: FloatArray | None
    cluster: Any


def evidence(model: Model, rows: Rows, cuts: Cuts) -> Evidence:
    """The design, and every interval as cells: who leaves, has the event, enters, with each side of each indicator.

    Light rows count for less.
    """
    total, (left, came) = len(cuts) + 1, _places(rows, cuts)
    columns, event = rows.columns + rows.centre[:, None], rows.event.astype(np.float64)
    beside = np.vstack([np.ones((1, rows.size)), rows.columns])
    own = weighting.leverage(beside, rows.weight)
    found = indicators.design_evidence(model.design, columns, (model.event, event), own, rows.weight)
    every, late = np.ones(rows.size, dtype=np.bool_), came > 0
    marks: list[tuple[str, Any]] = [("rows", every)]
    for name, mark in indicators.marked(model.design, columns):
        marks += [(name, mark > 0.5), (f"not {name}", mark < 0.5)]
    cells = dict(found.cells)
    for name, mark in marks:
        for what, code, there in (("", left, every), (" with the event", left, rows.event), (" entering", came, late)):
            cells[f"{name}{what} per interval"] = tally(rows, code, mark & there, total)
    sums, sides, fits = {}, dict(found.sides), {}
    for name, exposure in zip(names(cuts), _exposures(rows, cuts, 1.0), strict=True):
        inside = exposure > 0.0
        sums[f"time of {name}"] = (exposure * _prior(rows))[inside]
        sides[f"time of {name}"] = unusual.makers(exposure[inside], weighting.taken(rows.weight, inside))
        if inside.any():
            fits[f"time of {name}"] = (int(np.count_nonzero(inside)), 1 + model.size)
    found = replace(found, cells=cells, sums=sums, sides=sides, fits=fits, parameters=model.size + total)
    found = weighting.with_weights(found, rows.weight, rows.silent)
    return weighting.with_clusters(found, errors_of(model), rows.size, rows.told.cluster)


@dataclass(slots=True)
class _Foretold:
    """Log hazards at the coefficients of the last evaluation, and how they move with them."""

    place: Coordinates
    coefficients: FloatArray
    log_hazard: FloatArray
    mean: FloatArray

    def at(self, place: Coordinates, coefficients: FloatArray) -> FloatArray:
        """Hazards (K,) at other coefficients, to first order."""
        move = place.moved(coefficients, self.place) - self.coefficients
        shift = linear.total((self.mean * move[:, None]).T) if len(move) else np.zeros(self.log_hazard.size)
        return np.exp(np.clip(self.log_hazard - shift, -cox_common.LARGEST_ETA, cox_common.LARGEST_ETA))


def fit(model: Model, cuts: Cuts) -> Flow:
    """Counts, then a round for each Newton step."""
    place = coordinates.declared(model.design, model.dictionary)
    unit = coordinates.variable_scale(model.time, model.dictionary)[1]
    pooled = yield Round(count_layout(model, len(cuts) + 1), {"step": "count", "unit": unit, **place.params()})
    marks, events, n = pooled["marks"], pooled["events"], int(pooled["rows"].sum())
    cox_flow.check(model, n, int(events.sum()))
    _check_intervals(model, cuts, events)
    deaths = events if model.weighting is None else pooled["event_weight"]
    weighting.check_mean(float(deaths.sum()), float(events.sum()))
    place = cox_flow.centred(place, pooled["moments"] / float(n), model)
    size, sent = model.size, [0]
    state = [_Foretold(place, np.zeros(size), np.log(deaths / pooled["time"]), np.zeros((size, deaths.size)))]

    def evaluate(here: Coordinates, coefficients: FloatArray) -> Evaluate:
        sent[0] += 1
        _check_sequence(model, pooled, sent[0])
        hazard = state[0].at(here, coefficients)
        asked = {"step": "risk", "unit": unit, "coefficients": coefficients, "hazard": hazard, **here.params()}
        answer = yield Round(risk_layout(model, deaths.size), asked)
        s0 = answer["s0"]
        if not bool(np.all(s0 > 0.0)):
            raise diverged(here, coefficients, coefficients, model.design.names, f"event {model.event!r}")
        mean = answer["s1"] / s0
        state[0] = _Foretold(here, coefficients, np.log(deaths / s0), mean)
        score = answer["event_x"] - linear.total(mean * deaths)
        between = np.array([linear.total(line * mean * (hazard * s0)) for line in mean])
        logs = float(linear.total((deaths * (state[0].log_hazard - math.log(unit) - 1.0))[None, :])[0])
        loglik = linear.dot(coefficients, answer["event_x"]) + logs
        information = answer["gram"] - (between + between.T) / 2.0
        return At(here, coefficients, loglik, score, information, float(deaths.sum()))

    found = yield from cox_flow.newton(model, place, evaluate)
    sizes, rounds = (n, int(events.sum())), 1 + found.evaluations
    made = cox_flow.estimate(model, found, sizes, marks, rounds, None)
    last = (state[0], found.last)
    inner = _covariance(model, last, deaths)
    if not errors_of(model).sandwich:
        return _whole(model, cuts, made, (*last, inner), pooled, unit)
    asked = {"step": "meat", "unit": unit, "coefficients": found.last.coefficients, **found.last.place.params()}
    asked["hazard"] = state[0].at(found.last.place, found.last.coefficients)
    answer = yield Round(sandwich.layout(model.size + deaths.size, model.cluster), asked)
    inner = linear.congruence(inner, answer["meat"])
    counts = {**made.counts, **sandwich.counts(model.cluster, answer)}
    return _whole(model, cuts, replace(made, counts=counts, rounds=rounds + 1), (*last, inner), pooled, unit)


def _covariance(model: Model, last: tuple[_Foretold, At], deaths: FloatArray) -> FloatArray:
    """Inverse information (p + K, p + K) of the coefficients and the log hazards, in the coordinates of the fit."""
    told, at = last
    moved = np.concatenate([np.eye(model.size), -told.mean.T])  # what a change of the coefficients moves
    found = linear.congruence(moved, newton_step(at.information, at.score).inverse)
    found[model.size :, model.size :] += np.diag(1.0 / deaths)
    return found


def _whole(
    model: Model, cuts: Cuts, made: Estimate, last: tuple[_Foretold, At, FloatArray], pooled: Summary, unit: float
) -> Estimate:
    """The estimate with the log hazards where all columns are 0; `last` has the covariance in the fit's coordinates."""
    told, at, inner = last
    matrix, raw = at.place.matrix(), made.values["estimates"]
    levels = np.log(told.at(at.place, at.coefficients) / unit) - linear.dot(raw, at.place.centre)
    turn = np.eye(len(inner))
    turn[: model.size, : model.size] = matrix
    turn[model.size :, : model.size] = -linear.product(matrix.T, at.place.centre)
    vcov = linear.congruence(turn, inner)
    events = pooled["events"].astype(np.int64)
    rest = pooled["rows"].astype(np.int64) - events
    fit = made.values["fit"]
    values = {
        **made.values,
        "names": (*model.design.names, *names(cuts)),
        "estimates": np.concatenate([raw, levels]),
        "vcov": vcov,
        "scale": None,
        "loglik": fit["loglik"],
        "loglik_null": fit["loglik_null"],
    }
    counts = {**made.counts, "implied:intervals": Counts("implied", np.concatenate([events, rest]))}
    parameters = model.size + len(cuts) + 1
    return replace(made, kind="parametric_survival", counts=counts, values=values, parameters=parameters)


def _check_intervals(model: Model, cuts: Cuts, deaths: FloatArray) -> None:
    empty = [name for name, d in zip(names(cuts), deaths.tolist(), strict=True) if not d]
    if empty:
        listed = ", ".join(name.removeprefix("Log(hazard)") for name in empty)
        raise Invalid("E-NO-EVENTS", f"{model.event!r} is 0 in every row of {listed}", "merge intervals: fewer `cuts`")


def _check_sequence(model: Model, pooled: Summary, rounds: int) -> None:
    """As a Cox model with one baseline: who leaves or enters in an interval outnumbers what is said about them."""
    if model.open_rules:
        return
    need = rounds * (model.size + 2) / 2.0
    shown = [pooled["rows"], *([pooled["entries"]] if model.late else [])]
    if not all(bool(np.all(v[v > 0.0] > need)) for v in shown):
        raise Refused(
            "E-DISCLOSURE", "intervals would be shown too often for their size", "use fewer cuts or fewer terms"
        )
