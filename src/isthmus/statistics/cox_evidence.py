"""Evidence about a Cox model: its design, its events, and with one baseline every bin of the grid as a cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from isthmus.evidence import Evidence
from isthmus.statistics import cox_common, indicators, survival, unusual
from isthmus.statistics.cox_flow import Model
from isthmus.statistics.cox_rows import Rows
from isthmus.summary import FloatArray, IntArray

ROUNDING = 2.0**-40  # of the largest value: a column constant within each stratum leaves no more than this


def cox_evidence(model: Model, rows: Rows, cell: Any | None) -> Evidence:
    """Facts about one site's rows.

    `cell` is (rows,) stratum and step of each sorted row where the baseline is common, else None.
    """
    columns = rows.columns + rows.centre[:, None]
    event = rows.event.astype(np.float64)
    ones: FloatArray = np.ones((1, rows.size))
    own = indicators.leverage(np.vstack([ones, rows.columns]))  # beside an intercept, which the baseline stands for
    found = indicators.design_evidence(model.design, columns, (model.event, event), own)
    marks = indicators.marked(model.design, columns)
    found = _within_strata(model, rows, found, marks)
    if cell is None:
        return found
    total = model.strata * model.steps
    events, leaving = cox_common.counts(rows, cell, total)
    cells: dict[str, IntArray] = {**found.cells, "events per step": events, "rows per step": leaving}
    for name, mark in marks:
        with_level = np.bincount(cell, weights=mark, minlength=total)
        hit = np.bincount(cell, weights=mark * event, minlength=total)
        cells[f"{name} per step"] = np.rint(with_level).astype(np.int64)
        cells[f"not {name} per step"] = leaving - np.rint(with_level).astype(np.int64)
        cells[f"{name} x {model.event} per step"] = np.rint(hit).astype(np.int64)
    inside = leaving.reshape(model.strata, model.steps)[:, :-1]  # who stays beyond the grid leaves no risk set
    fits = {"risk sets": (int(inside.sum()), len(columns) * int(np.count_nonzero(inside)))}
    return replace(found, cells=cells, fits=fits)


def _within_strata(model: Model, rows: Rows, found: Evidence, marks: list[tuple[str, FloatArray]]) -> Evidence:
    """Strata as groups: sizes, with each indicator and with events; what a number adds is its spread within them."""
    if model.strata == 1 or not rows.size:
        return found
    sizes = np.bincount(rows.stratum, minlength=model.strata)
    sides = {**found.sides, "strata": sizes.astype(np.int64)}
    supports, cells = dict(found.supports), dict(found.cells)
    cells[f"strata x {model.event}"] = _crossed(model, rows, rows.event)
    for name, mark in marks:
        sides[f"strata x {name}"] = _crossed(model, rows, mark > 0.5)
    known = {name for name, _ in marks}
    for column, values in zip(model.design.columns, rows.columns, strict=True):
        if column.name not in known:
            mean = np.bincount(rows.stratum, weights=values, minlength=model.strata) / np.maximum(sizes, 1)
            within = values - mean[rows.stratum]
            within[np.abs(within) <= ROUNDING * np.abs(values).max()] = 0.0
            supports[f"spread of {column.name} within strata"] = np.array([unusual.spread(within)], dtype=np.int64)
    return replace(found, sides=sides, supports=supports, cells=cells)


def _crossed(model: Model, rows: Rows, mark: Any) -> IntArray:
    return survival.crossed(rows.stratum, model.strata, mark.astype(np.intp), 2).reshape(-1)
