"""Histogram of a number (kind `histogram`), as R's `hist(right = FALSE)` of the pooled rows with the bins shown.

Result keys: `cells`: per group and bin `from` (included), `to` (not included) and `count`; a bin without `from` or `to`
holds the rows beyond the grid, and is left out where there are none. `n`; `by` groups. The grid is the study's, else the
finest of the public ladder that every site's rules allow: each bin of each group is a cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.statistics import grids
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.show import count, head, number
from isthmus.statistics.survival import GridWish, group_code
from isthmus.summary import Field, IntArray, Layout, Summary

MOST_BINS = 50  # more is no picture; a study may still state its own grid


@record
class Histogram:
    """Arguments of `histogram`: a number, perhaps `by` a category; `grid` else the codebook's or round widths."""

    variable: str
    by: str | None = None
    grid: GridWish | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's counts (groups, cells)."""

    counts: IntArray


def levels(by: str | None, setting: Setting) -> tuple[str, ...]:
    """The groups' names; one without a name where there is no `by`."""
    return ("",) if by is None else setting.levels[by]


def group(by: str | None, setting: Setting, inputs: Inputs) -> Any:
    """Group (rows,) of each row."""
    if by is None:
        return np.zeros(inputs.rows, dtype=np.intp)
    return group_code(setting.levels[by], by, inputs.codes[by])


def grid_of(setting: Setting) -> Grid:
    """The rung the vote chose."""
    if setting.grid is None:
        raise Invalid("E-NO-GRID", "the question has no grid yet")
    return setting.grid


def _needs(question: Histogram) -> Needs:
    by = () if question.by is None else (question.by,)
    return Needs(numbers=(question.variable,), categories=by)


def _rungs(question: Histogram, dictionary: Codebook) -> tuple[Grid, ...]:
    return grids.rungs(question.variable, question.grid, dictionary, MOST_BINS)


def _prepare(question: Histogram, setting: Setting, inputs: Inputs) -> Rows:
    grid, names = grid_of(setting), levels(question.by, setting)
    cell = grids.cells(question.variable, inputs.numbers[question.variable], grid)
    return Rows(grids.tally(cell, len(grid.edges) + 1, group(question.by, setting, inputs), len(names)))


def _evidence(question: Histogram, setting: Setting, prepared: Rows) -> Evidence:
    names = levels(question.by, setting)
    cells = {f"{question.variable} {name}".strip(): prepared.counts[i] for i, name in enumerate(names)}
    groups = {} if question.by is None else {question.by: prepared.counts.sum(axis=1)}
    return Evidence(rows=int(prepared.counts.sum()), groups=groups, cells=cells)


def _flow(question: Histogram, setting: Setting) -> Flow:
    shape = (len(levels(question.by, setting)), len(grid_of(setting).edges) + 1)
    pooled = yield Round(Layout(fields=(Field(name="cells", shape=shape, kind="histogram"),)), {"step": "cells"})
    found = pooled["cells"].astype(np.int64)
    n = int(found.sum())
    if not n:
        raise Invalid("E-NO-ROWS", "no row has all variables of this question", "look at `excluded`")
    shown = {"n": Counts("size", np.array([n])), "cells": Counts("cells", found)}
    return Estimate(kind="histogram", exactness="exact", n=n, rounds=1, counts=shown)


def _summarise(question: Histogram, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    return Answer(Summary(asked.layout, {"cells": prepared.counts}))


def _report(question: Histogram, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    edges = (-math.inf, *grid_of(setting).edges, math.inf)
    cells = []
    for name, row in zip(levels(question.by, setting), estimate.counts["cells"].values.tolist(), strict=True):
        label = {} if question.by is None else {question.by: name}
        for low, high, value in zip(edges[:-1], edges[1:], row, strict=True):
            beyond = math.isinf(low) or math.isinf(high)
            if not (beyond and value == 0):
                cells.append({**label, "from": number(low), "to": number(high), "count": count(value)})
    return {
        **head(estimate),
        "cells": cells,
    }


STATISTIC = Statistic(
    kind="histogram",
    question=Histogram,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
