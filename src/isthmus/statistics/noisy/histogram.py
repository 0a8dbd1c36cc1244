"""Histogram with noise: a row is in one bin of one group. Bins come from the study or the codebook, never from rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from isthmus.evidence import Counts
from isthmus.model.errors import Invalid
from isthmus.statistics import histogram
from isthmus.statistics.contract import Answer, Estimate, Flow, Round, Setting
from isthmus.statistics.noisy import tables


def cells(by: str | None, setting: Setting, kind: str) -> Flow:
    """One round of cells (groups, bins).

    Raises:
        Invalid: E-NO-ROWS, when the noise left nothing.
    """
    shape = (len(histogram.levels(by, setting)), len(histogram.grid_of(setting).edges) + 1)
    estimate = yield from tables.flow(kind, shape, setting)
    if not estimate.n:
        raise Invalid("E-NO-ROWS", "no row has all variables of this question", "ask about more people")
    return estimate


def _flow(question: histogram.Histogram, setting: Setting) -> Flow:
    return (yield from cells(question.by, setting, "histogram"))


def _summarise(question: histogram.Histogram, setting: Setting, prepared: histogram.Rows, asked: Round) -> Answer:
    return tables.answer(prepared.counts, asked)


def counted(estimate: Estimate) -> dict[str, Counts]:
    """Size and cells, by group."""
    rows = np.asarray(estimate.counts["cells"].values)
    return {"n": estimate.counts["n"]} | {f"cells:{i}": Counts("cells", row) for i, row in enumerate(rows)}


STATISTIC = replace(histogram.STATISTIC, flow=_flow, summarise=_summarise)
