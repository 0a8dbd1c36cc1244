"""Quantiles from noisy counts on the agreed grid; no ballot, whose words would say something of exact counts.

`value` interpolates the noisy counts. `from` and `to` are the ends of the cells that hold the quantile after its place
was moved by the noise's own error at `conf_level`: they include the noise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from isthmus.statistics import grids, quantiles
from isthmus.statistics.contract import Answer, Estimate, Flow, Round, Setting
from isthmus.statistics.histogram import grid_of, levels
from isthmus.statistics.inference import quantile
from isthmus.statistics.noisy import histogram, tables
from isthmus.statistics.quantiles import Quantiles, Rows, Spot, spot
from isthmus.summary import IntArray


def _flow(question: Quantiles, setting: Setting) -> Flow:
    estimate = yield from histogram.cells(question.by, setting, "quantiles")
    rows = np.asarray(estimate.counts["cells"].values, dtype=np.int64)
    spread = quantile(setting.conf_level) * estimate.values["sigma"]["cells"]
    spots = [[_around(row, p, spread) for p in question.probs] for row in rows]
    values = {"spots": spots, "grid": grid_of(setting), "sigma": estimate.values["sigma"]}
    return replace(estimate, counts=histogram.counted(estimate), values=values)


def _around(counts: IntArray, prob: float, spread: float) -> Spot | None:
    """Cells from the quantile to the quantile, each moved by the error of the counts below it."""
    n, found = int(counts.sum()), spot(counts, prob)
    if found is None:
        return None
    reach = spread * float(np.sqrt(max(counts.size, 1))) / n  # all cells at most add up to where it lies
    low, high = spot(counts, max(prob - reach, 0.0)), spot(counts, min(prob + reach, 1.0))
    return found if low is None or high is None else Spot(low.first, high.second, found.share)


def _summarise(question: Quantiles, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    grid = grid_of(setting)
    cell = grids.cells(question.variable, prepared.values, grid)
    return tables.answer(
        grids.tally(cell, len(grid.edges) + 1, prepared.group, len(levels(question.by, setting))), asked
    )


def _report(question: Quantiles, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    return quantiles.STATISTIC.report(question, setting, estimate)


STATISTIC = replace(quantiles.STATISTIC, flow=_flow, summarise=_summarise, report=_report)
