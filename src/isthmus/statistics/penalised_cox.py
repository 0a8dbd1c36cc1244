"""A path of penalised Cox models from pooled sums, as `glmnet` with family `cox` (Breslow's ties).

Two rounds give what standardisation needs; then score, information and log-likelihood at the coefficients of each
penalty that is not done yet: in one round where sites are strata, in two with one baseline (risk sets, then the information
at their hazards). The loss is minus the log partial likelihood; the deviance is against the saturated model, whose
log-likelihood is - sum d log d over event times.

Cross-validation of one baseline: paths of the rows in all folds but one, then one round of the risks of all rows at each of
their points. All paths show sums of the same leavers, so all evaluations together are held to the rule for the sequence; and
what all rows show less what the others do, at 0 and at each fold's own points, is of the fold alone, and held to it too.
Reference: Simon, Friedman, Hastie & Tibshirani (2011), J Stat Softw 39(5).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isthmus.evidence import Counts, Weights, worst
from isthmus.model.errors import Refused
from isthmus.statistics import (
    coordinates,
    cox_blocks,
    cox_common,
    cox_flow,
    cox_model,
    cox_site,
    implied,
    linear,
    penalised_path,
)
from isthmus.statistics.contract import Estimate, Flow, Round
from isthmus.statistics.coordinates import Coordinates
from isthmus.statistics.cox_model import Model
from isthmus.statistics.cox_pooled import EventBlocks, RiskSets, cumulated, event_blocks
from isthmus.statistics.cox_rows import Params, Rows
from isthmus.statistics.newton import diverged
from isthmus.statistics.penalised_path import MOST_ROUNDS, Path, Penalty, Point, moved, unsettled
from isthmus.summary import Field, FloatArray, Layout, Summary


@dataclass(frozen=True, slots=True)
class Sums:
    """After the first rounds: rows, events, coordinates, standard deviations `size` (p,), sum of d log d, marks, blocks.

    `still` (p,): columns that are constant, or so in every stratum.
    """

    n: float
    events: int
    place: Coordinates
    size: FloatArray
    tied: float
    marks: FloatArray
    blocks: EventBlocks | None
    still: Any


@dataclass(slots=True)
class Shown:
    """What the paths of one question have shown of its rows with one baseline.

    `points`: of each path; `sent`: evaluations; `leaving` (cells,): rows by step, once the path of all rows has told.
    """

    points: int = 0
    sent: int = 0
    leaving: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class _At:
    """Score (points, p), information (points, p, p) and log-likelihood (points,)."""

    score: FloatArray
    information: FloatArray
    loglik: FloatArray


def count_layout(model: Model) -> Layout:
    """First round: counts and moments."""
    if model.steps:
        return cox_model.count_layout(model)
    return Layout(
        fields=(
            Field(name="n", shape=(1,), kind="count"),
            Field(name="n_events", shape=(1,), kind="count"),
            Field(name="tied", shape=(1,), kind="sum"),
            *moments_layout(model).fields,
            cox_model.marks_field(model),
        )
    )


def moments_layout(model: Model) -> Layout:
    """Sums of the columns and of their squares."""
    return Layout(fields=(Field(name="moments", shape=(2, model.size), kind="moment"),))


def path_layout(model: Model, points: int) -> Layout:
    """Sites as strata, at each point."""
    return Layout(
        fields=(
            Field(name="score", shape=(points, model.size), kind="score"),
            Field(name="information", shape=(points, model.size, model.size), kind="gram"),
            Field(name="loglik", shape=(points,), kind="sum"),
        )
    )


def risk_layout(model: Model, points: int, blocks: int) -> Layout:
    """One baseline, at each point: risk sets."""
    return Layout(
        fields=(
            Field(name="event_x", shape=(model.size,), kind="score"),
            Field(name="s0", shape=(points, blocks), kind="risk_set"),
            Field(name="s1", shape=(points, model.size, blocks), kind="risk_set"),
        )
    )


def hazard_layout(model: Model, points: int) -> Layout:
    """One baseline, at each point: information at the hazards of the risk sets."""
    return Layout(fields=(Field(name="gram", shape=(points, model.size, model.size), kind="gram"),))


def left_out_layout(model: Model, folds: int, points: int, blocks: int) -> Layout:
    """One baseline, cross-validation: events of each fold, and the risks of all rows at each point of each."""
    return Layout(
        fields=(
            Field(name="held", shape=(folds,), kind="count"),
            Field(name="event_x", shape=(model.size,), kind="score"),
            Field(name="s0", shape=(folds * points, blocks), kind="risk_set"),
        )
    )


def site_count(rows: Rows, params: Params) -> dict[str, Any]:
    """A site's part of the first round, with sites as strata."""
    deaths = cox_blocks.own_blocks(rows).index.counts
    found = {"n": rows.size, "n_events": np.count_nonzero(rows.event), "tied": float(deaths @ np.log(deaths))}
    return {**found, "moments": cox_common.moments(rows, params)}


def site_path(rows: Rows, params: Params) -> tuple[dict[str, Any], Weights]:
    """A site's part at each point, with sites as strata."""
    each = [cox_site.site_sums(rows, "breslow", {**params, "coefficients": b}) for b in params["coefficients"]]
    values = {name: np.array([getattr(at, name) for at in each]) for name in ("score", "information", "loglik")}
    return values, worst(at.weights for at in each)


def common_risk(rows: Rows, cell: Any, params: Params) -> tuple[dict[str, Any], Weights]:
    """A site's risk sets at each point, with one baseline."""
    each = [cox_common.risk_sums(rows, cell, {**params, "coefficients": b}) for b in params["coefficients"]]
    values = {name: np.array([sums[name] for sums, _ in each]) for name in ("s0", "s1")}
    return {**values, "event_x": each[0][0]["event_x"]}, worst(guard for _, guard in each)


def common_hazard(rows: Rows, cell: Any, params: Params) -> tuple[dict[str, Any], Weights]:
    """A site's information at each point, with one baseline."""
    each = [
        cox_common.hazard_gram(rows, cell, {**params, "coefficients": b, "hazard": h, "tied": np.zeros_like(h)})
        for b, h in zip(params["coefficients"], params["hazard"], strict=True)
    ]
    return {"gram": np.array([gram for gram, _ in each])}, worst(guard for _, guard in each)


def common_left_out(rows: Rows, cell: Any, steps: int, fold: Any, params: Params) -> tuple[dict[str, Any], Weights]:
    """A site's part of the round of what is left out, with one baseline; `steps` of the grid, the last beyond it."""
    values, guard = common_risk(rows, cell, params)
    seen = rows.event & (cell % steps < steps - 1)
    return {**values, "held": np.bincount(fold[seen], minlength=int(params["folds"]))}, guard


def left_out(
    model: Model, whole: Estimate, where: FloatArray, shown: Shown
) -> Generator[Round, Summary, tuple[FloatArray, FloatArray]]:
    """With one baseline: events of each fold, and the log-likelihood of all rows at `where` (folds, points, p)."""
    blocks, place = whole.values["blocks"], whole.values["place"]
    folds, points, size = where.shape
    each, total = where.reshape(folds * points, size), len(blocks.deaths)
    shown.sent += len(each)
    cox_flow.check_sequence(model, blocks, shown.sent)
    params: dict[str, Any] = {"step": "left out", "folds": folds, "coefficients": each, "centre": place.centre}
    params |= {"scale": np.ones(size), "block_of": blocks.block_of, "blocks": total}
    pooled = yield Round(left_out_layout(model, folds, points, total), params)
    logs = []
    for s0, b in zip(pooled["s0"], each, strict=True):
        own = cumulated(blocks, s0)
        if not bool(np.all(own > 0.0)):
            raise diverged(place, b, b, model.design.names, f"event {model.event!r}")
        found = {"s1": np.zeros((size, total)), "event_x": pooled["event_x"]}
        logs.append(RiskSets.of("breslow", blocks, own, found).loglik(b))
    return pooled["held"], np.array(logs).reshape(folds, points)


def run(path: Path[Model], shown: Shown) -> Flow:
    """The whole flow; `shown` is shared by the paths of one question."""
    sums = yield from _begin(path.model, shown)
    model, blocks = path.model, sums.blocks
    evaluate = _by_site(model, sums) if blocks is None else _common(model, sums, blocks, shown)
    null = yield from evaluate(np.zeros((1, path.model.size)), 1)
    names, told = model.design.names, np.diag(null.information[0]) / np.square(sums.size)
    within = " in every stratum" if model.strata > 1 or blocks is None else ""
    sums = replace(sums, still=sums.still | ~(told > linear.COLLINEAR * sums.events))
    warnings = penalised_path.warnings(sums.still, names, within)
    null.score[:, sums.still] = 0.0
    chosen = path.chosen(float(np.max(np.abs(null.score[0] / sums.size))) / sums.n)
    points = [Point(_penalty(path, lam), np.zeros(path.model.size)) for lam in chosen]
    points = [_step(sums, point, null, 0) for point in points]
    for rounds in range(2, MOST_ROUNDS + 1):
        active = [i for i, point in enumerate(points) if not point.done]
        if not active:
            return _estimate(path, sums, chosen, points, (rounds - 1, float(null.loglik[0])), warnings)
        at = yield from evaluate(np.array([points[i].now / sums.size for i in active]), rounds)
        for order, i in enumerate(active):
            points[i] = _step(sums, points[i], at, order)
    raise unsettled(points, names, path.model.event)


def _begin(model: Model, shown: Shown) -> Generator[Round, Summary, Sums]:
    """Counts and moments about what the codebook declares, then moments about the pooled means."""
    place = coordinates.declared(model.design, model.dictionary)
    pooled = yield Round(count_layout(model), {"step": "count", **place.params()})
    blocks = event_blocks(model.strata, pooled) if model.steps else None
    if blocks is None:
        n, events, tied = int(pooled["n"][0]), int(pooled["n_events"][0]), float(pooled["tied"][0])
    else:
        _check_fold(model, blocks, pooled["rows"], shown)
        d = blocks.deaths[blocks.with_events]
        n, events, tied = int(pooled["rows"].sum()), int(d.sum()), float(linear.total((d * np.log(d))[None, :])[0])
    cox_flow.check(model, n, events)
    place = cox_flow.centred(place, pooled["moments"] / n, model)
    again = yield Round(moments_layout(model), {"step": "moments", **place.params()})
    mean, square = again["moments"] / n
    spread = square - mean * mean
    still = penalised_path.constant(spread, square)
    size = np.sqrt(np.where(still, 1.0, spread))
    return Sums(float(n), events, place, size, tied, pooled["marks"], blocks, still)


def _check_fold(model: Model, blocks: EventBlocks, leaving: FloatArray, shown: Shown) -> None:
    """Of a path of the rows outside a fold: who leaves in it outnumbers what is said about the fold alone."""
    if shown.leaving is None:
        shown.leaving = leaving
        return
    size = len(blocks.deaths)
    inside = np.bincount(blocks.block_of.astype(np.intp), shown.leaving - leaving, size)[blocks.with_events]
    need = (1 + shown.points) * (model.size + 2) / 2.0
    if not (model.open_rules or bool(np.all(inside[inside > 0.0] > need))):
        hint = "use strata: [site], a coarser grid, fewer folds or fewer penalties"
        raise Refused("E-DISCLOSURE", "risk sets of a fold would be shown too often for their size", hint)


def _by_site(model: Model, sums: Sums) -> Any:
    """(coefficients (points, p), round) -> a round that gives `_At`."""

    def evaluate(where: FloatArray, number: int) -> Generator[Round, Summary, _At]:
        params = {"step": "path", "round": number, "coefficients": where, **sums.place.params()}
        pooled = yield Round(path_layout(model, len(where)), params)
        return _At(pooled["score"], pooled["information"], pooled["loglik"])

    return evaluate


def _common(model: Model, sums: Sums, blocks: EventBlocks, shown: Shown) -> Any:
    """(coefficients (points, p), round) -> two rounds that give `_At`."""
    size = len(blocks.deaths)

    def evaluate(where: FloatArray, number: int) -> Generator[Round, Summary, _At]:
        shown.sent += len(where)
        cox_flow.check_sequence(model, blocks, shown.sent)
        base: dict[str, Any] = {"round": number, "coefficients": where, "block_of": blocks.block_of, "blocks": size}
        base |= sums.place.params()
        pooled = yield Round(risk_layout(model, len(where), size), {"step": "risk", **base})
        sets = []
        for s0, s1, b in zip(pooled["s0"], pooled["s1"], where, strict=True):
            own = cumulated(blocks, s0)
            if not bool(np.all(own > 0.0)):
                raise diverged(sums.place, b, b, model.design.names, f"event {model.event!r}")
            sets.append(RiskSets.of("breslow", blocks, own, {"s1": s1, "event_x": pooled["event_x"]}))
        hazard = np.array([one.hazards(one.sums)["hazard"] for one in sets])
        grams = yield Round(hazard_layout(model, len(where)), {"step": "hazard", **base, "hazard": hazard})
        information = np.array([g - one.squares(one.sums) for g, one in zip(grams["gram"], sets, strict=True)])
        logs = np.array([one.loglik(b) for one, b in zip(sets, where, strict=True)])
        return _At(np.array([one.score() for one in sets]), information, logs)

    return evaluate


def _penalty(path: Path[Model], lam: float) -> Penalty:
    size = path.model.size
    return Penalty(np.full(size, lam * path.alpha), np.full(size, lam * (1.0 - path.alpha)))


def _step(sums: Sums, point: Point, at: _At, order: int) -> Point:
    score = at.score[order] / sums.n / sums.size
    information = at.information[order] / sums.n / np.outer(sums.size, sums.size)
    return moved(point, penalised_path.without(sums.still, score, information), -2.0 * float(at.loglik[order]), sums.n)


def _estimate(
    path: Path[Model],
    sums: Sums,
    chosen: tuple[float, ...],
    points: list[Point],
    last: tuple[int, float],
    warnings: tuple[str, ...],
) -> Estimate:
    model, n, (evaluations, null) = path.model, int(sums.n), last
    values = {
        "lambdas": chosen,
        "coefficients": np.array([sums.place.raw(point.now / sums.size) for point in points]),
        "used": [int(np.count_nonzero(point.now)) for point in points],
        "tied": sums.tied,
        "blocks": sums.blocks,
        "warnings": warnings,
        "place": sums.place,
        "deviance": [point.deviance - 2.0 * sums.tied for point in points],
        "null": -2.0 * null - 2.0 * sums.tied,
    }
    counts = {
        "n": Counts("size", np.array([n])),
        "events": Counts("cells", np.array([sums.events])),
        "non_events": Counts("implied", np.array([n - sums.events])),
        **implied.implied_cells(model.design, sums.marks, (n, sums.events)),
    }
    rounds = 2 + evaluations * (1 if sums.blocks is None else 2)
    return Estimate("penalised", model.exactness, n, rounds, counts=counts, values=values, parameters=model.size)
