"""ROC curve of a marker (kind `roc`): AUC with DeLong's error, partial area, comparison of two markers, as `pROC`.

Result keys: `fit`: `auc`, `std_error`, `conf_low`, `conf_high`, `n_pos`, `n_neg`; `partial_auc` where `partial` asks, and where
`compare` does `other_auc`, `difference`, `difference_error`, `statistic`, `p_value`. `curve`: `threshold`, `sensitivity`,
`specificity`; `bound` and `grid` where `exactness` is `grid`: no order of the rows inside the cells moves the AUC by more, nor
the others by more than `partial_bound`, `difference_bound` and `statistic_bound` (null where the error may be 0).

Rows are counted per class on public cells of the marker: recorded values (open rules), a stated grid, or the finest cuts
that every site's rules allow, found by ballots (`cutting.py`); where nothing restricts, down to single floating-point numbers. Each cell of each class is 0 or enough people at each site,
and both classes are enough people. The curve follows from the counts as the gate leaves them: steps of few people merge.

A comparison counts the other marker the same way, then asks for sums of products of placements (one round). Where both
markers have few cells, two of two values above all, that sum tells their joint counts: those are cells, by class, too.
References: DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44:837; McClish (1989), Med Decis Making 9:190.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.statistics import cutting, grids, halving, placements, ranks, roc_area
from isthmus.statistics.accuracy import binary
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.cutting import Asking, Counted, Cut
from isthmus.statistics.grids import Cells
from isthmus.statistics.halving import Sorted
from isthmus.statistics.histogram import grid_of
from isthmus.statistics.inference import quantile, two_sided
from isthmus.statistics.roc_area import Area
from isthmus.statistics.show import head, number, numbers, size
from isthmus.statistics.survival import GridWish
from isthmus.summary import Field, FloatArray, IntArray, Layout, Summary

MANY = 1_024  # cells of both classes
NARROW = 4_096  # cells of all: the codebook's ladder ends at 2,000, restricted cuts at 2,048
ANY = 64  # ballots, where nothing restricts: halvings from the range down to one number
STAGES = 6  # ballots a marker; the stroke trial's score, floor 11: bound 0.0147, 0.0125, 0.0042 after 1, 3, 6
ALIKE = 1e-12  # of both variances: what rounding leaves of that of a difference where both markers order all rows alike
PAIRS = Layout(fields=(Field(name="products", shape=(2,), kind="sum"),))
Direction = Literal["higher", "lower"]


@record
class Other:
    """A second marker on the same rows."""

    marker: str
    direction: Direction = "higher"


@record
class Roc:
    """Arguments of `roc`.

    `outcome` is 0 or 1; `direction`: the values that suggest 1; `partial`: (low, high) specificity of the partial area;
    `compare`: another marker, tested against the first on the same rows.
    """

    marker: str
    outcome: str
    grid: GridWish | None = None
    direction: Direction = "higher"
    partial: tuple[float, float] | None = None
    compare: Other | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's rows; `other` is empty where nothing is compared. `sorted`: each marker by class, in order."""

    marker: FloatArray
    outcome: Cells
    other: FloatArray
    sorted: Mapping[str, Sorted]


def _needs(question: Roc) -> Needs:
    if question.partial is not None and not 0.0 <= question.partial[0] < question.partial[1] <= 1.0:
        raise Invalid("E-PROBABILITY", "partial is a range of specificity between 0 and 1", "for example [0.9, 1]")
    markers = (question.marker, *(() if question.compare is None else (question.compare.marker,)))
    names = (*markers, question.outcome)
    if len(set(names)) < len(names):
        raise Invalid("E-VARIABLE", "markers and outcome are different variables")
    return Needs(numbers=names, times=markers)


def _rungs(question: Roc, dictionary: Codebook) -> tuple[Grid, ...]:
    return cutting.ladder(question.marker, dictionary, question.grid)


def _cut(name: str, question: Roc, setting: Setting) -> Cut:
    groups = tuple(f"{question.outcome} {level}" for level in (0, 1))
    finest = halving.ONE_NUMBER if _open(question, setting) else halving.FINEST
    return Cut(name, grids.declared(name, setting.dictionary), groups, finest=finest)


def _open(question: Roc, setting: Setting) -> bool:
    """Whether nothing restricts the cells: those of one's own files, on a grid of no one's choice."""
    return setting.open_rules and question.grid is None


def _prepare(question: Roc, setting: Setting, inputs: Inputs) -> Rows:
    outcome = binary(question.outcome, inputs.numbers[question.outcome]).astype(np.intp)
    other = np.zeros(0) if question.compare is None else inputs.numbers[question.compare.marker]
    markers = {question.marker: inputs.numbers[question.marker]}
    if question.compare is not None:
        markers[question.compare.marker] = other
    in_order = {name: cutting.grouped(values, outcome, 2) for name, values in markers.items()}
    return Rows(inputs.numbers[question.marker], outcome, other, in_order)


def _evidence(question: Roc, setting: Setting, prepared: Rows) -> Evidence:
    counts = cutting.counts(question.marker, prepared.sorted[question.marker], grid_of(setting))
    return Evidence(
        rows=int(prepared.marker.size),
        groups={question.outcome: counts.sum(axis=1)},
        cells={**cutting.named(_cut(question.marker, question, setting), counts), **_two_valued(question, prepared)},
    )


def _two_valued(question: Roc, rows: Rows) -> dict[str, IntArray]:
    """The joint counts of two markers of two values each: refused before the run, not in the middle of it."""
    if question.compare is None:
        return {}
    values = [np.unique(marker, return_inverse=True) for marker in (rows.marker, rows.other)]
    if any(found.size > 2 for found, _ in values):
        return {}
    pair = (values[0][1], values[1][1])
    return placements.joint((question.marker, question.compare.marker), rows.outcome, pair, 2)


def _flow(question: Roc, setting: Setting) -> Flow:
    grid = grid_of(setting)
    first = yield from _fine(_cut(question.marker, question, setting), grid, question.grid is None)
    _check(question, first.counts)
    finest = _open(question, setting)
    values: dict[str, Any] = {"area": _area(question.marker, question.direction, setting, first, finest)}
    if question.partial is not None:
        values |= _partial(question, setting, first)
    rounds = first.rounds
    if question.compare is not None:
        second = yield from _fine(_cut(question.compare.marker, question, setting), _start(question, setting), True)
        values["other"] = _area(question.compare.marker, question.compare.direction, setting, second, finest)
        pooled = yield _pairs((first.grid, second.grid), (values["area"], values["other"]))
        values["products"] = pooled["products"]
        rounds += second.rounds + 1
    return _estimate(question, first, values, rounds)


def _fine(what: Cut, grid: Grid, cut: bool) -> Asking:
    """Counts on the finest grid that passes, from `grid` on; with `cut` false on `grid` itself."""
    stages = STAGES if what.finest == halving.FINEST else ANY
    return (yield from cutting.searched(what, grid, _mixed, stages if cut else 0))


def _mixed(counts: IntArray) -> list[int]:
    """Cells of both classes; none where they are many and narrow, for telling each value apart would take too many words."""
    found: list[int] = np.flatnonzero(counts.min(axis=0)).tolist()
    return [] if len(found) > MANY and counts.shape[1] > NARROW else found


def _start(question: Roc, setting: Setting) -> Grid:
    """The first grid of the other marker: its recorded values where the first has its own, else one cell."""
    name = "" if question.compare is None else question.compare.marker
    found = grids.recorded(name, setting.dictionary) if grid_of(setting).recorded else ()
    return found[0] if found else Grid((), recorded=False)


def _check(question: Roc, counts: IntArray) -> None:
    sizes = counts.sum(axis=1)
    if not sizes.sum():
        raise Invalid("E-NO-ROWS", "no row has all variables of this question", "look at `excluded`")
    if not sizes.all():
        raise Invalid("E-ONE-GROUP", f"{question.outcome!r} is the same in every row", "a ROC curve needs both classes")


def _ordered(counts: IntArray, direction: Direction) -> IntArray:
    """Cells from least to most suggestive of 1."""
    return counts if direction == "higher" else counts[:, ::-1]


def _area(name: str, direction: Direction, setting: Setting, at: Counted, finest: bool) -> Area:
    """The area, its placements by cell of the grid.

    Raises:
        Refused: E-DISCLOSURE, all values lie in one cell, whose area would be 0.5 whatever the marker; not where the cell is the
            `finest` of one's own files: there the marker is constant.
    """
    single = ranks.single(at.grid, grids.declared(name, setting.dictionary).type == "integer")
    held = np.flatnonzero(at.counts.sum(axis=0))
    if held.size == 1 and not single[held[0]] and not finest:
        raise cutting.uncut(name, "of both classes", "a marker of fewer values")
    if direction == "higher":
        return roc_area.area(at.counts, single)
    return roc_area.area(at.counts[:, ::-1], single[::-1]).turned()


def _partial(question: Roc, setting: Setting, at: Counted) -> dict[str, float]:
    low, high = question.partial or (0.0, 1.0)
    single = ranks.single(at.grid, grids.declared(question.marker, setting.dictionary).type == "integer")
    counts = _ordered(at.counts, question.direction)
    far = roc_area.partial_bound(counts, single if question.direction == "higher" else single[::-1], low, high)
    return {"partial": roc_area.partial(counts, low, high), "partial bound": far}


def _pairs(on: tuple[Grid, Grid], areas: tuple[Area, Area]) -> Round:
    params: dict[str, Any] = {"step": "pairs", "of": "both", **placements.told(on)}
    for i, area in enumerate(areas):
        params |= {f"positive {i}": area.positive, f"negative {i}": area.negative}
    return Round(PAIRS, params)


def _estimate(question: Roc, at: Counted, values: dict[str, Any], rounds: int) -> Estimate:
    sizes = at.counts.sum(axis=1)
    n = int(sizes.sum())
    shown = np.any(at.counts > 0, axis=0) if at.grid.recorded else np.ones(at.counts.shape[1], dtype=np.bool_)
    neg, pos = at.counts[:, shown]
    if question.direction == "higher":  # from the most suggestive cell on
        neg, pos = neg[::-1], pos[::-1]
    left = n - np.add.accumulate(neg + pos) + neg + pos
    counts = {
        "n": Counts("size", np.array([n])),
        "n_neg": Counts("size", sizes[:1]),
        "n_pos": Counts("size", sizes[1:]),
        "curve": Counts("survival", np.array([left, pos, neg])),
    }
    values |= {"grid": at.grid, "cells": np.flatnonzero(shown), "sizes": (int(sizes[0]), int(sizes[1]))}
    exact = values["area"].bound == 0.0 and ("other" not in values or values["other"].bound == 0.0)
    return Estimate("roc", "exact" if exact else "grid", n, rounds, counts=counts, values=values)


def _summarise(question: Roc, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    if asked.params["step"] == "pairs":
        return _products(question, prepared, asked)
    name = str(asked.params["of"])
    recorded = grid_of(setting).recorded and bool(grids.recorded(name, setting.dictionary))
    return cutting.summarised(_cut(name, question, setting), prepared.sorted[name], recorded, asked)


def _products(question: Roc, rows: Rows, asked: Round) -> Answer:
    """Sums over the positive and the negative rows of the product of both markers' placements."""
    params: Any = asked.params
    names = (question.marker, "" if question.compare is None else question.compare.marker)
    pair = (placements.cells(names[0], rows.marker, params, 0), placements.cells(names[1], rows.other, params, 1))
    product = np.ones(rows.marker.size)
    for i, cell in enumerate(pair):
        product *= np.where(rows.outcome == 1, params[f"positive {i}"][cell], params[f"negative {i}"][cell])
    sums = np.bincount(1 - rows.outcome, weights=product, minlength=2).astype(np.float64)
    joint = placements.joint(names, rows.outcome, pair, 2)
    weights = placements.guard(product, rows.outcome, pair, bool(joint))
    return Answer(Summary(asked.layout, {"products": sums}), weights=weights, cells=joint)


def _report(question: Roc, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    found: Area = estimate.values["area"]
    error, z = math.sqrt(found.variance) if found.variance >= 0.0 else math.nan, quantile(setting.conf_level)
    fit = {
        "auc": found.auc,
        "std_error": number(error),
        "conf_low": number(max(found.auc - z * error, 0.0)),
        "conf_high": number(min(found.auc + z * error, 1.0)),
        "n_pos": size(estimate.counts["n_pos"]),
        "n_neg": size(estimate.counts["n_neg"]),
    }
    if question.partial is not None:
        fit["partial_auc"] = estimate.values["partial"]
        if estimate.exactness == "grid":
            fit["partial_bound"] = estimate.values["partial bound"]
    body: dict[str, Any] = {
        **head(estimate),
        "conf_level": setting.conf_level,
        "fit": fit | _compared(estimate),
        "curve": _curve(question, estimate),
    }
    if estimate.exactness == "grid":
        body |= {"bound": found.bound, "grid": {"edges": body["curve"]["threshold"]}}
    return body


def _compared(estimate: Estimate) -> dict[str, Any]:
    """The test of two markers, as `pROC::roc.test(paired = TRUE)`."""
    if "other" not in estimate.values:
        return {}
    first, second = estimate.values["area"], estimate.values["other"]
    shared = roc_area.covariance(estimate.values["products"], first, second, estimate.values["sizes"])
    variance = first.variance + second.variance - 2.0 * shared
    error = math.sqrt(variance) if not variance <= ALIKE * (first.variance + second.variance) else math.nan
    difference = first.auc - second.auc
    statistic = difference / error
    found = {
        "other_auc": second.auc,
        "difference": difference,
        "difference_error": number(error),
        "statistic": number(statistic),
        "p_value": number(two_sided(statistic)),
    }
    if estimate.exactness == "grid":
        far = roc_area.difference_bound(error, first, second, estimate.values["sizes"])
        found |= {"difference_bound": first.bound + second.bound, "statistic_bound": far}
    return found


def _curve(question: Roc, estimate: Estimate) -> dict[str, Any]:
    """The steps that the gate left, from the most suggestive cell on."""
    _, pos, neg = np.asarray(estimate.counts["curve"].values, dtype=np.float64)
    kept = np.isfinite(pos) & (pos + neg > 0.0)
    grid, cells = estimate.values["grid"], estimate.values["cells"]
    ends = np.array([-math.inf, *grid.edges, math.inf])
    upwards = question.direction == "higher"  # else the marker is below the threshold; at most a recorded value
    steps = ends[cells[::-1]] if upwards else ends[cells if grid.recorded else cells + 1]
    sizes = [float(estimate.counts[name].values[0]) for name in ("n_pos", "n_neg")]
    found, true = (
        np.minimum(np.add.accumulate(line[kept]) / n, 1.0) for line, n in zip((pos, neg), sizes, strict=True)
    )
    return {
        "threshold": numbers(steps[kept].tolist()),
        "sensitivity": numbers(found.tolist()),
        "specificity": numbers((1.0 - true).tolist()),
    }


STATISTIC = Statistic(
    kind="roc",
    question=Roc,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
