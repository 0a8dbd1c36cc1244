"""Spearman's rank correlations of numbers (kind `spearman`), each pair as R's `cor.test(method = "spearman", exact = FALSE)`.

Result keys: `cells`: per pair `first`, `second`, `estimate`, `conf_low`, `conf_high`, `statistic`, `df`, `p_value`; `n`,
`conf_level`; where `exactness` is `grid` also `bound` (no order of the rows inside the cells moves an estimate by more) and
`grid` (variable -> edges). Rows complete in all its variables.

A rank needs the rows of every site, so rows are counted on public cells of each variable (as `roc` counts a marker:
recorded values under open rules, else the finest cuts that every site's rules allow) and take the mean rank of
their cell, tied. With d the ranks less their mean, one more round sums the products of ranks over the rows:

    rho = sum d1 d2 / sqrt(sum d1**2 sum d2**2)

Student's t = rho sqrt((n - 2) / (1 - rho**2)); the interval is Fisher's z with the variance (1 + rho**2 / 2) / (n - 3) of Bonett and
Wright. The bound is Cauchy and Schwarz's on the ranks' departures from their cells' means.
References: Spearman (1904), Am J Psychol 15:72; Bonett & Wright (2000), Psychometrika 65:23.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from isthmus.evidence import Counts, Evidence, worst
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.statistics import cutting, grids, placements, ranks
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.correlation import pair_cell
from isthmus.statistics.cutting import Counted, Cut
from isthmus.statistics.halving import Sorted
from isthmus.statistics.histogram import grid_of
from isthmus.statistics.show import head
from isthmus.summary import Field, FloatArray, IntArray, Layout, Summary

STAGES = 6  # ballots a variable, as `roc`
ROUNDING = 1e-12  # of a correlation of 1 or -1, whose products are those of ranks near the number of rows


@record
class Spearman:
    """Arguments of `spearman`: two numbers or more."""

    variables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's values (rows,) by variable, and in order."""

    values: Mapping[str, FloatArray]
    sorted: Mapping[str, Sorted]


def _needs(question: Spearman) -> Needs:
    names = question.variables
    if len(set(names)) < max(len(names), 2):
        raise Invalid("E-VARIABLE", "a correlation needs two or more different variables")
    return Needs(numbers=names, times=names)


def _rungs(question: Spearman, dictionary: Codebook) -> tuple[Grid, ...]:
    """Recorded values, or one cell for ballots to cut: a stated grid could be of one variable only."""
    first, *others = (cutting.ladder(name, dictionary, None) for name in question.variables)
    own = all(rungs[0].recorded for rungs in (first, *others))
    return (*(first[:1] if own else ()), Grid((), recorded=False))


def _cut(name: str, setting: Setting) -> Cut:
    return Cut(name, grids.declared(name, setting.dictionary), ("",))


def _prepare(question: Spearman, setting: Setting, inputs: Inputs) -> Rows:
    values = {name: inputs.numbers[name] for name in question.variables}
    whole = np.zeros(inputs.rows, dtype=np.intp)
    return Rows(values, {name: cutting.grouped(row, whole, 1) for name, row in values.items()})


def _evidence(question: Spearman, setting: Setting, prepared: Rows) -> Evidence:
    first = question.variables[0]
    counts = cutting.counts(first, prepared.sorted[first], grid_of(setting))
    cells = {**cutting.named(_cut(first, setting), counts), **_two_valued(question, prepared)}
    return Evidence(rows=int(counts.sum()), cells=cells)


def _two_valued(question: Spearman, rows: Rows) -> dict[str, IntArray]:
    """The joint counts of variables of two values each: refused before the run, not in the middle of it."""
    found: dict[str, IntArray] = {}
    two = {
        n: cell
        for n, row in rows.values.items()
        for held, cell in (np.unique(row, return_inverse=True),)
        if held.size < 3
    }
    for a, b in combinations(two, 2):
        found |= placements.joint((a, b), np.zeros(two[a].size, dtype=np.intp), (two[a], two[b]), 1)
    return found


def _flow(question: Spearman, setting: Setting) -> Flow:
    found: dict[str, Counted] = {}
    for name in question.variables:
        found[name] = yield from _counted(name, setting)
        _check(name, found[name], setting.open_rules)
    held = tuple(found.values())
    scores = [ranks.mid(at.counts.sum(axis=0)) for at in held]
    pairs = len(held) * (len(held) - 1) // 2
    params: dict[str, Any] = {"step": "pairs", "of": "all", **placements.told(tuple(at.grid for at in held))}
    n = int(held[0].counts.sum())
    params |= {f"share {i}": score / n for i, score in enumerate(scores)}
    pooled = yield Round(Layout(fields=(Field(name="products", shape=(pairs,), kind="sum"),)), params)
    single = [
        ranks.single(at.grid, grids.declared(name, setting.dictionary).type == "integer") for name, at in found.items()
    ]
    within = tuple(ranks.within(at, one) for at, one in zip(held, single, strict=True))
    whole = not any(at.counts.sum(axis=0)[~one].any() for at, one in zip(held, single, strict=True))
    between = tuple(ranks.between(at.counts.sum(axis=0), score) for at, score in zip(held, scores, strict=True))
    values = {"products": pooled["products"] * float(n) ** 2, "held": held, "within": within, "between": between}
    counts = {"n": Counts("size", np.array([n]))}
    rounds = sum(at.rounds for at in held) + 1
    return Estimate("spearman", "exact" if whole else "grid", n, rounds, counts=counts, values=values)


def _counted(name: str, setting: Setting) -> cutting.Asking:
    """Counts on the recorded values where the vote chose them, else on the finest grid that passes."""
    recorded = grid_of(setting).recorded
    start = grids.recorded(name, setting.dictionary)[0] if recorded else Grid((), recorded=False)
    return (yield from cutting.searched(_cut(name, setting), start, ranks.several, STAGES))


def _check(name: str, at: Counted, finest: bool) -> None:
    held = np.flatnonzero(at.counts.sum(axis=0))
    if not held.size:
        raise Invalid("E-NO-ROWS", "no row has all variables of this question", "look at `excluded`")
    if held.size == 1 and (finest or at.grid.recorded):
        raise Invalid("E-COLLINEAR", f"column {name!r} is constant", "leave it out")
    if held.size == 1:
        raise cutting.uncut(name, "people", "a variable of fewer values")


def _summarise(question: Spearman, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    if asked.params["step"] == "pairs":
        return _products(question, prepared, asked)
    name = str(asked.params["of"])
    return cutting.summarised(_cut(name, setting), prepared.sorted[name], grid_of(setting).recorded, asked)


def _products(question: Spearman, rows: Rows, asked: Round) -> Answer:
    """Sums over the rows of the product of two ranks, as shares of the number of rows."""
    params: Any = asked.params
    names = question.variables
    cell = [placements.cells(name, rows.values[name], params, i) for i, name in enumerate(names)]
    sums, guards = [], []
    joint: dict[str, IntArray] = {}
    for i, j in combinations(range(len(names)), 2):
        product = params[f"share {i}"][cell[i]] * params[f"share {j}"][cell[j]]
        whole, pair = np.zeros(product.size, dtype=np.intp), (cell[i], cell[j])
        found = placements.joint((names[i], names[j]), whole, pair, 1)
        guards.append(placements.guard(product, whole, pair, bool(found)))
        joint |= found
        sums.append(float(product.sum()))
    return Answer(Summary(asked.layout, {"products": np.array(sums)}), weights=worst(guards), cells=joint)


def _report(question: Spearman, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    held, between, within = (estimate.values[key] for key in ("held", "between", "within"))
    n = float(estimate.n)
    shown, bound = [], 0.0
    for (i, j), product in zip(combinations(range(len(held)), 2), estimate.values["products"].tolist(), strict=True):
        found = (product - n * ((n + 1.0) / 2.0) ** 2) / math.sqrt(between[i] * between[j])
        shown.append(
            {
                "first": question.variables[i],
                "second": question.variables[j],
                **pair_cell(found, n, setting.conf_level, ranks=True, rounding=ROUNDING),
            }
        )
        bound = max(bound, _moved(found, (between[i], between[j]), (within[i], within[j])))
    body: dict[str, Any] = {
        **head(estimate),
        "conf_level": setting.conf_level,
        "cells": shown,
    }
    if estimate.exactness == "grid":
        edges = {name: list(at.grid.edges) for name, at in zip(question.variables, held, strict=True)}
        body |= {"bound": bound, "grid": {"edges": edges}}
    return body


def _moved(rho: float, between: tuple[float, float], within: tuple[float, float]) -> float:
    """How far from `rho` the correlation of the rows' own ranks may lie.

    Own ranks are m + e, with e of mean 0 in each cell, so at right angles to m: the sum of products moves by
    e1'm2 + m1'e2 + e1'e2, where e1'm2 sees only what m1 does not explain of m2.
    """
    (b1, b2), (w1, w2) = between, within
    rest = math.sqrt(max(1.0 - rho * rho, 0.0))
    reach = rest * (math.sqrt(w1 * b2) + math.sqrt(b1 * w2)) + math.sqrt(w1 * w2)
    middle = rho * math.sqrt(b1 * b2)
    ends = [
        max(-1.0, min(1.0, (middle + side * reach) / math.sqrt(scale)))
        for side in (-1.0, 1.0)
        for scale in (b1 * b2, (b1 + w1) * (b2 + w2))
    ]
    return max(abs(end - rho) for end in ends)


STATISTIC = Statistic(
    kind="spearman",
    question=Spearman,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
