"""A treatment effect within strata of the propensity score: means by stratum and arm, weighted by the strata's sizes.

The strata are cut near equal shares of the pooled linear predictor, at public cuts that every site may show (masked
ballots, `cutting`); so the answer is exact on the cuts that are printed. Then one round of sums by stratum and arm, and of
weighted sums for the balance: a row weighs its stratum's share over its stratum's rows of its arm.
Errors take the strata as known: variance of each mean by stratum and arm (n - 1).
Reference: Rosenbaum & Rubin (1984), JASA 79:516; Lunceford & Davidian (2004), Stat Med 23:2937, their equation 5.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from isthmus.evidence import Counts, Weights, of_squares, weights_of, worst
from isthmus.model.codebook import Variable
from isthmus.model.errors import Invalid
from isthmus.statistics import coordinates, cutting, effect_flow, effect_site, linear, lockstep, quantiles, unusual
from isthmus.statistics.contract import Answer, Estimate, Flow, Round
from isthmus.statistics.cutting import Counted, Cut
from isthmus.statistics.effect_flow import Plan
from isthmus.statistics.effect_site import Params, Rows
from isthmus.statistics.show import count
from isthmus.statistics.summaries import filled
from isthmus.summary import Field, FloatArray, IntArray, Layout, Summary

LOGITS = Variable(type="number", range=(-8.0, 8.0))  # beyond lie propensities of 0.0003, which nobody weighs by
SCORE = Cut("linear propensity", LOGITS, ("control", "treated"))
STAGES = 4  # ballots on ever finer cuts
MOST = 20  # strata


def run(plan: Plan, strata: int) -> Flow:
    """Fit, cuts, sums."""
    if not 2 <= strata <= MOST:
        raise Invalid("E-PROBABILITY", f"an effect has 2 to {MOST} strata", "5 unless you have a reason")
    propensity = yield from effect_flow.propensity_model(plan)
    base: dict[str, Any] = {"unit": plan.unit, **propensity.params}
    at = yield from lockstep.beside(_cuts(strata, effect_flow.uncut(propensity)), base)
    edges = boundaries(at, strata)
    base["edges"] = np.array(edges)
    n = _by_stratum(at, edges)
    if not bool(np.all(n > 0)):
        raise Invalid("E-ONE-GROUP", "a stratum of the propensity score has one arm only", "ask for fewer strata")
    share = n.sum(axis=1) / n.sum() if plan.estimand == "ATE" else n[:, 0] / n[:, 0].sum()
    asked = (
        Round(_layout(len(n)), {"step": "strata", **base}),
        Round(effect_flow.weigh_layout(plan), {"step": "stratified weigh", **base, "weight": share[:, None] / n}),
    )
    pooled, weighed = yield from lockstep.at_once(asked)
    found = _means(pooled, n, share)
    estimate = effect_flow.estimate(plan, propensity, weighed, found, propensity.fitted.rounds + at.rounds + 1)
    counts = {**estimate.counts, "strata": Counts("cells", n), **_implied(pooled, n)}
    return replace(estimate, exactness="grid", counts=counts, values={**estimate.values, "edges": edges})


def _by_stratum(at: Counted, edges: tuple[float, ...]) -> IntArray:
    """(strata, 2) rows by stratum and arm, the treated first."""
    ends = np.searchsorted(np.array(at.grid.edges), np.array(edges)) + 1
    return np.array([part.sum(axis=1) for part in np.split(at.counts[::-1], ends, axis=1)], dtype=np.int64)


def _cuts(strata: int, start: Counted) -> cutting.Asking:
    probs = tuple(k / strata for k in range(1, strata))

    def held(counts: IntArray) -> list[int]:
        spots = [quantiles.spot(counts.sum(axis=0), p) for p in probs]
        return sorted({cell for s in spots if s is not None for cell in (s.first, s.second)})

    return (yield from cutting.refined(SCORE, start, held, STAGES))


def boundaries(at: Counted, strata: int) -> tuple[float, ...]:
    """Of the edges that every site may show, those nearest to equal shares of the pooled rows, each once.

    Raises:
        Invalid: E-ONE-GROUP, none is left.
    """
    running = np.add.accumulate(at.counts.sum(axis=0))
    n, below = int(running[-1]), running[:-1]  # rows below each edge
    if not below.size:
        raise Invalid("E-ONE-GROUP", "no cut of the propensity score leaves enough people", "use another method")
    chosen = {int(np.argmin(np.abs(below * strata - k * n))) for k in range(1, strata)}
    kept = [at.grid.edges[i] for i in sorted(chosen) if 0 < below[i] < n]
    if not kept:
        raise Invalid("E-ONE-GROUP", "no cut of the propensity score leaves enough people", "use another method")
    return tuple(kept)


def _layout(strata: int) -> Layout:
    """By stratum and arm (treated first): outcome and its square; the outcome moved to 0..1 and its square."""
    shape = (strata, 2)
    return Layout(
        fields=(
            Field(name="sums", shape=(2, *shape), kind="moment"),
            Field(name="marks", shape=(2, *shape), kind="moment"),
        )
    )


def _means(pooled: Summary, n: IntArray, share: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Means of the arms (2,) and their covariance (2, 2), in the outcome's unit."""
    first, second = pooled["sums"]
    mean = first / n
    if not bool(np.all(n > 1)):
        raise Invalid("E-ONE-GROUP", "a stratum has one person of an arm, so no error", "ask for fewer strata")
    variance = np.maximum(second - first * mean, 0.0) / (n - 1.0)
    parts = np.square(share)[:, None] * variance / n
    return linear.total((share[:, None] * mean).T), np.diag(linear.total(parts.T))


def _implied(pooled: Summary, n: IntArray) -> dict[str, Counts]:
    """Where the outcome has two values, a mean is a count."""
    total, squares = pooled["marks"]
    if not np.array_equal(total, squares):
        return {}
    hit = np.rint(total).astype(np.int64)
    return {"implied:strata": Counts("implied", np.stack([hit, n - hit]))}


# -- at a site --------------------------------------------------------------------------------------------------------


def summarised(rows: Rows, bounds: tuple[float, float], asked: Round) -> Answer:
    """A site's part of the rounds after the fit. `bounds`: low and width of the outcome's declared range."""
    params: Params = asked.params
    score = effect_site.predictor(rows.columns, params, "ps ")
    arm = rows.treated.astype(np.intp)
    if params["step"] in {"cells", "ballot"}:
        return cutting.summarised(SCORE, cutting.grouped(score, arm, 2), False, asked)
    edges = np.asarray(params["edges"])
    stratum = np.searchsorted(edges, score, side="right")
    cell = 2 * stratum + (1 - arm)
    if params["step"] == "strata":
        return _sums(rows, cell, bounds, asked)
    w = np.asarray(params["weight"]).reshape(-1)[cell]
    values, guard = effect_site.weighted(rows, effect_site.arms(rows) * w, params)
    v = coordinates.in_units(rows.outcome, *bounds)
    values |= {"bends": np.zeros((2, 2, len(rows.columns))), "binary": np.array([v.sum(), v @ v, v @ rows.treated])}
    return Answer(filled(asked.layout, values), guard)


def _sums(rows: Rows, cell: Any, bounds: tuple[float, float], asked: Round) -> Answer:
    shape = asked.layout.fields[0].shape[1:]
    y, v = rows.outcome / float(asked.params["unit"]), coordinates.in_units(rows.outcome, *bounds)

    def by_cell(values: FloatArray) -> FloatArray:
        return np.bincount(cell, weights=values, minlength=shape[0] * 2).astype(np.float64).reshape(shape)

    n = np.bincount(cell, minlength=shape[0] * 2).astype(np.int64).reshape(shape)
    values = {"sums": np.array([by_cell(y), by_cell(y * y)]), "marks": np.array([by_cell(v), by_cell(v * v)])}
    cells = {"strata": n}
    found = unusual.two_values(rows.outcome)
    if found is not None:
        hit = by_cell((rows.outcome == found[1]).astype(np.float64)).astype(np.int64)
        cells |= {"outcome by stratum": hit, "rest by stratum": n - hit}
        return Answer(filled(asked.layout, values), cells=cells)
    return Answer(filled(asked.layout, values), _makers([rows.outcome[cell == at] for at in np.unique(cell)]), cells)


def _makers(parts: list[FloatArray]) -> Weights | None:
    """Who makes up the deviations of each mean, as in a table; of their squares the effective rows alone.

    Those keep any one row below a half of the squares, which is stricter than the dominance that a table asks for; in
    a cell of some tens of people the largest square is a third of them as often as not.
    """
    guards = list[Weights]()
    for part in parts:
        far = part - unusual.middle(part)
        if far.any():
            squares = replace(of_squares(weights_of(far * far, 1)), largest=0.0)
            guards += [weights_of(np.ones(int(unusual.makers(part).min())), 1), squares]
    return worst(guards) if guards else None


def shown(estimate: Estimate) -> dict[str, Any]:
    """Strata as people see them, from gated counts: propensities at the cuts, rows of each arm."""
    edges: tuple[float, ...] = estimate.values["edges"]
    ends = [0.0, *(1.0 / (1.0 + math.exp(-edge)) for edge in edges), 1.0]
    table = np.asarray(estimate.counts["strata"].values, dtype=np.float64).tolist()
    rows = [
        {"from": low, "to": high, "treated": count(treated), "control": count(control)}
        for low, high, (treated, control) in zip(ends[:-1], ends[1:], table, strict=True)
    ]
    return {"strata": rows, "edges": list(edges)}
