"""Quantiles of a number (kind `quantiles`): R's type 7 of the pooled rows, to the printed grid.

Result keys: `cells`: per group and probability `prob`, `value`, `from`, `to`; `n`; where `exactness` is `grid` also `bound`,
the largest distance between a value and the ends of its interval, and `grid`.

Only counts on public cells leave. The cells that hold the two order statistics of a type 7 quantile say where it lies:
between `from` and `to`, never outside. `value` interpolates inside by the counts that people may see. Where the cells
are the recorded values themselves (open rules), or hold a single whole number, the quantile is exact.

Round 1 counts on the agreed grid. Unless the study states that grid, a ballot follows over the public cuts inside the
cells that hold a quantile (`halving.py`), then the counts with the cuts that every site admits; four times at most; most often once or twice.

Nobody's own value is asked for: the smallest and the largest (0 and 1) are refused, and `minimum_count` people lie on each
side of every quantile. Reference: Hyndman & Fan (1996), Am Stat 50:361, definition 7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid, Refused
from isthmus.model.privacy import exact
from isthmus.model.record import record
from isthmus.statistics import cutting, grids
from isthmus.statistics.contract import (
    Answer,
    Estimate,
    Exactness,
    Flow,
    Grid,
    Inputs,
    Needs,
    Round,
    Setting,
    Statistic,
)
from isthmus.statistics.cutting import Counted, Cut
from isthmus.statistics.grids import Cells
from isthmus.statistics.halving import Sorted
from isthmus.statistics.histogram import grid_of, group, levels
from isthmus.statistics.show import head, number
from isthmus.statistics.survival import GridWish
from isthmus.summary import FloatArray, IntArray

STAGES = 4  # ballots: each cuts a cell into up to 1,024, or in two where its rows are lopsided


@record
class Quantiles:
    """Arguments of `quantiles`: a number, probabilities between 0 and 1, perhaps `by` a category and a `grid`."""

    variable: str
    probs: tuple[float, ...] = (0.25, 0.5, 0.75)
    by: str | None = None
    grid: GridWish | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's values and groups (rows,); the values by group, in order."""

    values: FloatArray
    group: Cells
    sorted: Sorted


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one quantile lies: the cells of its two order statistics, and the share of the second."""

    first: int
    second: int
    share: float


def _needs(question: Quantiles) -> Needs:
    if not question.probs or not all(0.0 <= p <= 1.0 for p in question.probs):
        raise Invalid("E-PROBABILITY", "probs lie between 0 and 1", "for example [0.25, 0.5, 0.75]")
    if not all(0.0 < p < 1.0 for p in question.probs):
        raise Refused(
            "E-ENDPOINT",
            "the smallest and the largest value are one person's: probs 0 and 1 are not answered",
            "ask for the 5th and 95th percentile: probs [0.05, 0.95]",
        )
    by = () if question.by is None else (question.by,)
    return Needs(numbers=(question.variable,), categories=by, times=(question.variable,))


def _rungs(question: Quantiles, dictionary: Codebook) -> tuple[Grid, ...]:
    return cutting.ladder(question.variable, dictionary, question.grid)


def _cut(question: Quantiles, setting: Setting) -> Cut:
    variable = grids.declared(question.variable, setting.dictionary)
    return Cut(question.variable, variable, levels(question.by, setting))


def _prepare(question: Quantiles, setting: Setting, inputs: Inputs) -> Rows:
    values, by = inputs.numbers[question.variable], group(question.by, setting, inputs)
    return Rows(values, by, cutting.grouped(values, by, len(levels(question.by, setting))))


def _evidence(question: Quantiles, setting: Setting, prepared: Rows) -> Evidence:
    grid, what = grid_of(setting), _cut(question, setting)
    counts = cutting.counts(question.variable, prepared.sorted, grid)
    groups = {} if question.by is None else {question.by: counts.sum(axis=1)}
    return Evidence(rows=int(prepared.values.size), groups=groups, cells=cutting.named(what, counts))


def _flow(question: Quantiles, setting: Setting) -> Flow:
    what = _cut(question, setting)
    at = yield from cutting.counted(what, grid_of(setting))
    if not at.counts.sum():
        raise Invalid("E-NO-ROWS", "no row has all variables of this question", "look at `excluded`")
    if question.grid is None and not at.grid.recorded:
        at = yield from cutting.refined(what, at, lambda counts: _held(question.probs, counts), STAGES)
    return _estimate(question, what.variable, at)


def _held(probs: tuple[float, ...], counts: IntArray) -> list[int]:
    """Cells that hold a quantile of a group, in order."""
    spots = [spot(row, p) for row in counts for p in probs]
    return sorted({cell for s in spots if s is not None for cell in (s.first, s.second)})


def _estimate(question: Quantiles, variable: Variable, at: Counted) -> Estimate:
    n = int(at.counts.sum())
    counts = {"n": Counts("size", np.array([n]))}
    spots = []
    for i, row in enumerate(at.counts):
        counts[f"cells:{i}"] = Counts("cells", row)
        counts[f"sides:{i}"] = Counts("implied", _sides(question.probs, int(row.sum())))
        spots.append([spot(row, p) for p in question.probs])
    whole = variable.type == "integer"
    intervals = [_interval(s, at.grid, whole) for line in spots for s in line if s is not None]
    exactness: Exactness = "exact" if all(a == b for a, b in intervals) else "grid"
    return Estimate("quantiles", exactness, n, at.rounds, counts=counts, values={"spots": spots, "grid": at.grid})


def _summarise(question: Quantiles, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    recorded = grid_of(setting).recorded
    return cutting.summarised(_cut(question, setting), prepared.sorted, recorded, asked)


def spot(counts: IntArray, prob: float) -> Spot | None:
    """Cells of the order statistics around (n - 1) prob, of the pooled counts (cells,); None without rows."""
    running = np.add.accumulate(counts)
    n = int(running[-1])
    if not n:
        return None
    place = (n - 1) * exact(float(prob))  # 0.29 of 100 is 29
    first = math.floor(place)
    at = np.searchsorted(running, [first, min(first + 1, n - 1)], side="right")
    share = float(place - first)
    return Spot(int(at[0]), int(at[1]) if share > 0.0 else int(at[0]), share)


def _sides(probs: tuple[float, ...], n: int) -> IntArray:
    """Rows up to each quantile and beyond it."""
    below = [math.floor((n - 1) * exact(p)) + 1 for p in probs] if n else [0] * len(probs)
    return np.array([[k, n - k] for k in below], dtype=np.int64).reshape(-1)


def _interval(found: Spot, grid: Grid, whole: bool) -> tuple[float, float]:
    """Least and largest value the quantile can have."""
    edges = np.array([-math.inf, *grid.edges, math.inf])
    if grid.recorded:
        low, high = edges[found.first], edges[found.second]
        value = low + found.share * (high - low) if found.second != found.first else low
        return float(value), float(value)
    low, high = float(edges[found.first]), float(edges[found.second + 1])
    if whole and math.isfinite(low):
        low = float(math.ceil(low))
    if whole and math.isfinite(high):
        high = float(math.ceil(high) - 1)
    return low, high


def _report(question: Quantiles, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    cells: list[dict[str, Any]] = []
    held: list[dict[str, Any]] = []  # of groups with rows
    grid, variable = estimate.values["grid"], grids.declared(question.variable, setting.dictionary)
    for i, name in enumerate(levels(question.by, setting)):
        label = {} if question.by is None else {question.by: name}
        counts = np.asarray(estimate.counts[f"cells:{i}"].values, dtype=np.float64)
        for prob, found in zip(question.probs, estimate.values["spots"][i], strict=True):
            cells.append({**label, "prob": prob, **_shown(grid, variable, counts, prob, found)})
            held += cells[-1:] if found is not None else []
    body: dict[str, Any] = {
        **head(estimate),
        "cells": cells,
    }
    if estimate.exactness == "grid":
        body["bound"] = _bound(held)
        body["grid"] = {"edges": _shown_edges(estimate, grid)}
    return body


def _shown(
    grid: Grid, variable: Variable, counts: FloatArray, prob: float, found: Spot | None
) -> dict[str, float | None]:
    """`value`, `from` and `to` of one quantile, from counts (cells,) as the gate left them."""
    if found is None:
        return {"value": None, "from": None, "to": None}
    whole = variable.type == "integer"
    if grid.recorded:
        value = number(_interval(found, grid, whole)[0])
        return {"value": value, "from": value, "to": value}
    low, high = _interval(widened(found, counts), grid, whole)
    if not (math.isfinite(low) and math.isfinite(high)):
        return {"value": None, "from": number(low), "to": number(high)}
    edges = np.array(grid.edges)
    if variable.range is not None:  # cells may reach beyond what is plausible
        edges = np.clip(edges, *variable.range)
    value = min(max(_interpolated(counts, edges, prob), low), high)
    return {"value": value, "from": low, "to": high}


def _shown_edges(estimate: Estimate, grid: Grid) -> list[float]:
    """Edges of the cells that hold rows."""
    tables = [c.values for name, c in estimate.counts.items() if name.startswith("cells:")]
    full = np.any(np.array(tables) != 0, axis=0)  # a blanked cell is NaN, and held
    return [edge for edge, below, above in zip(grid.edges, full[:-1], full[1:], strict=True) if below or above]


def widened(found: Spot, counts: FloatArray) -> Spot:
    """The cells of `found` and, where the gate blanked one, those beyond up to one that it shows."""
    first, second = found.first, found.second
    while first > 0 and math.isnan(counts[first]):
        first -= 1
    while second < counts.size - 1 and math.isnan(counts[second]):
        second += 1
    return Spot(first, second, found.share)


def _interpolated(counts: FloatArray, edges: FloatArray, prob: float) -> float:
    """The quantile if the rows of each cell were spread evenly; open cells hold theirs at their edge."""
    kept = np.nan_to_num(counts)
    running = np.add.accumulate(kept)[:-1]  # rows below each edge
    return float(np.interp((float(kept.sum()) - 1.0) * prob + 0.5, running, edges))


def _bound(cells: list[dict[str, Any]]) -> float | None:
    """Largest distance from a value to an end of its interval; None where one is open."""
    if any(c["value"] is None for c in cells):
        return None
    return max((max(c["value"] - c["from"], c["to"] - c["value"]) for c in cells), default=0.0)


STATISTIC = Statistic(
    kind="quantiles",
    question=Quantiles,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
