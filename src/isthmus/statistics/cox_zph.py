"""Score test of proportional hazards (`zph`), as R's `cox.zph` (survival 3): transforms `identity`, `log`, `km`, `rank`.

Each term is tested for a slope over g(time), beside the terms that are fitted. With V_k the variance of the columns over
the risk set of event time k, the sums are u = sum g_k (x - mean_k) over events, sum g_k V_k and sum g_k**2 V_k. The
statistic is the same about any centre of g, for the score of the fit is 0. `km` (one less the Kaplan-Meier curve just before)
and `rank` need the times of all rows: they follow from pooled counts per step of the grid.
Reference: Grambsch & Therneau (1994), Biometrika 81:515; Therneau, `approximate.Rnw` of survival 3.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from isthmus.evidence import Weights, worst
from isthmus.model.errors import Invalid
from isthmus.model.formula import Design
from isthmus.statistics import coordinates, cox_blocks, cox_common, cox_rows, cox_site, linear, survival
from isthmus.statistics.chunks import Guard, pieces
from isthmus.statistics.contract import Grid, Round
from isthmus.statistics.coordinates import Coordinates
from isthmus.statistics.cox_model import Model
from isthmus.statistics.cox_pooled import RiskSets
from isthmus.statistics.cox_rows import Params, Rows
from isthmus.statistics.cox_sums import Columns
from isthmus.statistics.cox_ties import Ties, times
from isthmus.statistics.inference import chi_square_p
from isthmus.statistics.show import number
from isthmus.summary import Field, FloatArray, IntArray, Layout, Summary

Transform = Literal["identity", "log", "km", "rank"]
CURVES = ("km", "rank")
Pooled = Generator[Round, Summary, Any]


def layout(model: Model) -> Layout:
    """The sums of the test."""
    size = model.size
    return Layout(
        fields=(
            Field(name="slope", shape=(size,), kind="score"),
            Field(name="cross", shape=(size, size), kind="gram"),
            Field(name="square", shape=(size, size), kind="gram"),
        )
    )


def curve_layout(model: Model) -> Layout:
    """With sites as strata: counts per step of the grid over all strata, from which g follows."""
    names = ("events", "rows", *(("entries",) if model.late else ()))
    return Layout(fields=tuple(Field(name=name, shape=(len(model.edges) + 1,), kind="histogram") for name in names))


def curve_part(rows: Rows, name: str, grid: Grid) -> dict[str, IntArray]:
    """A site's counts."""
    total, left = len(grid.edges) + 1, survival.grid_steps(name, rows.time, grid)
    codes = {"events": left[rows.event], "rows": left}
    if rows.told.entry is not None:
        came = survival.entry_steps(rows.told.entry, left, grid)
        codes["entries"] = came[came > 0]
    return {key: np.bincount(code, minlength=total).astype(np.int64) for key, code in codes.items()}


def curve(transform: Transform, pooled: Summary, strata: int) -> FloatArray:
    """g at each step and beyond, from pooled counts per stratum and step."""
    events, rows = (pooled[name].reshape(strata, -1).sum(axis=0) for name in ("events", "rows"))
    if transform == "rank":
        found: FloatArray = (np.add.accumulate(rows) - (rows - 1.0) / 2.0) / max(float(rows.sum()), 1.0)
        return found
    risk = np.add.accumulate(rows[::-1])[::-1]
    if "entries" in pooled.values:
        yet = np.add.accumulate(pooled["entries"].reshape(strata, -1).sum(axis=0)[::-1])[::-1]
        risk = risk - np.append(yet[1:], 0.0)
    alive = np.multiply.accumulate(1.0 - events / np.maximum(risk, 1.0))
    return 1.0 - np.append(1.0, alive[:-1])


def of_time(time: FloatArray, name: str, params: Params) -> FloatArray:
    """g at event times.

    Raises:
        Invalid: E-TIME, the logarithm of 0.
    """
    if params["transform"] == "identity":
        return time / float(params["unit"])
    if not bool(np.all(time > 0.0)):
        raise Invalid("E-TIME", f"an event at time 0 of {name!r} has no logarithm", "use zph: identity")
    return np.log(time)


def told(model: Model, transform: Transform) -> dict[str, Any]:
    """Of the round: g's transform, and the unit in which times enter it."""
    return {"transform": transform, "unit": coordinates.variable_scale(model.time, model.dictionary)[1]}


def site_part(
    rows: Rows, name: str, ties: Ties, params: Params, grid: Grid | None
) -> tuple[dict[str, FloatArray], Weights]:
    """A site's sums over its own strata; `grid` where g is a curve on it."""
    x, scale = cox_rows.columns(rows, params)
    size, blocks = len(scale), cox_blocks.own_blocks(rows)
    none = np.zeros((size, size))
    if blocks.size == 0:
        return {"slope": np.zeros(size), "cross": none, "square": none}, Weights(0.0, 0.0, 0.0, size)
    risk, _ = cox_site.risks(rows, x, params["coefficients"] / scale)
    at, segments = cox_site.whole_sets(rows, x, risk, ties), blocks.segments
    time = rows.time[segments.starts[segments.tied[segments.tied_first]]]
    if params["transform"] not in CURVES:
        g = of_time(time, name, params)
    elif grid is None:
        raise Invalid("E-NO-GRID", "the question has no time grid yet")
    else:
        g = params["curve"][survival.grid_steps(name, time, grid)]
    first, second = (times(at.sums, g**k) for k in (1, 2))
    events = cox_blocks.events(rows)
    slope = _sum(x, rows, events, g[segments.of_row()[events]]) - replace(at, sums=first).score()
    unit, found, guards = np.outer(scale, scale), [], []
    for sums in (first, second):
        guard = Guard()
        weights = cox_site.row_weights(blocks, risk, sums.first, sums.first_f)
        found.append((_gram(x, weights, guard) - cox_site.between(at, sums)) / unit)
        guards.append(guard.weights(size))
    return {"slope": slope / scale, "cross": found[0], "square": found[1]}, worst(guards)


def common_part(rows: Rows, cell: Any, params: Params) -> tuple[dict[str, FloatArray], Weights]:
    """A site's sums with the pooled hazards of the round times g and g**2; `moment` (K,) is g at each block."""
    x, scale, placed, risk = cox_common.at_round(rows, cell, params)
    events = cox_common.tied_rows(rows, cell)
    slope = _sum(x, rows, events, params["moment"][placed.segments.of_row()[events]])
    found, guards = {"slope": slope / scale}, []
    for name, power in (("cross", 1), ("square", 2)):
        guard = Guard()
        hazard, tied = params[f"hazard {power}"], params[f"tied {power}"]
        exposures = cox_blocks.exposures(placed.segments, placed.late, hazard, tied)
        weights = ((piece, np.multiply(one, risk[piece], out=one)) for piece, one in exposures)
        found[name] = _gram(x, weights, guard) / np.outer(scale, scale)
        guards.append(guard.weights(len(scale)))
    return found, worst(guards)


def _sum(x: Columns, rows: Rows, at: Any, factor: FloatArray) -> FloatArray:
    """(p,) of the columns at some rows times a factor (k,), with their weights."""
    weight, found = factor if rows.weight is None else factor * rows.weight[at], np.zeros(len(x.base))
    for piece in pieces(len(at)):
        found += x.at(at[piece]) @ weight[piece]
    return found


def common_params(sets: RiskSets, g: FloatArray) -> dict[str, Any]:
    """Pooled hazards times g and g**2, and g, per block; `g` (K,) is that of the blocks with events."""
    moment = np.zeros(len(sets.blocks.deaths))
    moment[sets.blocks.with_events] = g
    made: dict[str, Any] = {"moment": moment}
    for power in (1, 2):
        hazards = sets.hazards(times(sets.sums, g**power))
        made |= {f"hazard {power}": hazards["hazard"], f"tied {power}": hazards["tied"]}
    return made


def common_sums(sets: RiskSets, pooled: Summary, g: FloatArray) -> dict[str, FloatArray]:
    """Slope, cross and square from the pooled parts: less what the means of the risk sets take."""
    first, second = (times(sets.sums, g**k) for k in (1, 2))
    slope = pooled["slope"] - linear.total(sets.s1 * first.first) + linear.total(sets.d1 * first.first_f)
    cross, square = pooled["cross"] - sets.squares(first), pooled["square"] - sets.squares(second)
    return {"slope": slope, "cross": cross, "square": square}


def tests(model: Model, place: Coordinates, information: FloatArray, sums: Any) -> list[dict[str, Any]]:
    """One row per term, then all: `term`, `statistic`, `df`, `p_value`."""
    whole = (sums["slope"], information, sums["cross"], sums["square"])
    alone = whole if place.rotation is None else _untwisted(place.rotation, whole)
    rows = [_test(name, at, alone) for name, at in terms(model.design)]
    if len(rows) > 1:
        rows.append(_test("GLOBAL", list(range(model.size)), whole))
    return rows


def terms(design: Design) -> list[tuple[str, list[int]]]:
    """Name and columns of each term of a formula."""
    found: dict[str, list[int]] = {}
    for j, column in enumerate(design.columns):
        found.setdefault(":".join(factor.label for factor, _, _ in column.parts), []).append(j)
    return list(found.items())


def _test(name: str, at: list[int], sums: tuple[FloatArray, ...]) -> dict[str, Any]:
    slope, information, cross, square = sums
    whole = np.block([[information, cross[:, at]], [cross[:, at].T, square[np.ix_(at, at)]]])
    try:
        lower = linear.cholesky(whole)
    except linear.Dependent as error:
        raise Invalid("E-COLLINEAR", f"the events of {name!r} share one time", "leave `zph` out") from error
    half = linear.forward(lower, np.append(np.zeros(len(information)), slope[at]))
    statistic = linear.dot(half, half)
    return {
        "term": name,
        "statistic": number(statistic),
        "df": len(at),
        "p_value": number(chi_square_p(statistic, len(at))),
    }


def _untwisted(rotation: FloatArray, sums: tuple[FloatArray, ...]) -> tuple[FloatArray, ...]:
    """Slopes of the columns themselves beside the fit as it is; scales do not matter."""
    slope, information, cross, square = sums
    mine = linear.forward(rotation, linear.forward(rotation, square).T)
    return linear.forward(rotation, slope[:, None])[:, 0], information, linear.forward(rotation, cross.T).T, mine


def _gram(x: Columns, weighed: Iterable[tuple[slice, FloatArray]], guard: Guard) -> FloatArray:
    """x diag(weight) x', where weights may be negative."""
    total = np.zeros((len(x.base), len(x.base)))
    for piece, weight in weighed:
        part = x.at(piece)
        total += (part * weight) @ part.T
        guard.weigh(np.abs(weight))
    made: FloatArray = (total + total.T) / 2.0
    return made
