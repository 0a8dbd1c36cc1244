"""Evidence about a Cox model: its design, its events, and with one baseline every bin of the grid as a cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from isthmus.evidence import Evidence
from isthmus.statistics import cox_common, indicators
from isthmus.statistics.cox_flow import Model
from isthmus.statistics.cox_rows import Rows
from isthmus.summary import FloatArray, IntArray


def cox_evidence(model: Model, rows: Rows, cell: Any | None) -> Evidence:
    """Facts about one site's rows.

    `cell` is (rows,) stratum and step of each sorted row where the baseline is common, else None.
    """
    columns = rows.columns + rows.centre[:, None]
    event = rows.event.astype(np.float64)
    ones: FloatArray = np.ones((1, rows.size))
    own = indicators.leverage(np.vstack([ones, rows.columns]))  # beside an intercept, which the baseline stands for
    found = indicators.design_evidence(model.design, columns, (model.event, event), own)
    if cell is None:
        return found
    total = model.strata * model.steps
    events, leaving = cox_common.counts(rows, cell, total)
    cells: dict[str, IntArray] = {**found.cells, "events per step": events, "rows per step": leaving}
    for name, mark in indicators.marked(model.design, columns):
        with_level = np.bincount(cell, weights=mark, minlength=total)
        hit = np.bincount(cell, weights=mark * event, minlength=total)
        cells[f"{name} per step"] = np.rint(with_level).astype(np.int64)
        cells[f"not {name} per step"] = leaving - np.rint(with_level).astype(np.int64)
        cells[f"{name} x {model.event} per step"] = np.rint(hit).astype(np.int64)
    bins = int(np.count_nonzero(leaving))
    return replace(found, cells=cells, parameters=len(columns) * max(bins, 1))
