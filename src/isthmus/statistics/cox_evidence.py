"""Evidence about a Cox model: its design, its events, and with one baseline every bin of the grid as a cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from isthmus.evidence import Evidence
from isthmus.statistics import cox_blocks, cox_common, cox_rows, indicators, sandwich, unusual, weighting
from isthmus.statistics.contract import Grid
from isthmus.statistics.cox_model import Model
from isthmus.statistics.cox_rows import Rows
from isthmus.summary import FloatArray, IntArray

SILENT = 50.0  # an offset this far below the largest leaves nothing of a row
ROUNDING = 2.0**-40  # of the largest value: a column constant within each stratum leaves no more than this
COMPANY = "rows at risk beside another"
Marks = list[tuple[str, FloatArray]]


def cox_evidence(model: Model, every: Rows, grid: Grid | None, beside: Any = None) -> Evidence:
    """Facts about one site's rows with a weight, light ones counted for less; `grid` where the baseline is common.

    With late entries and sites as strata, only rows that were at risk at an event beside another row count (`beside`,
    where the risk sets are not Cox's): of the others the likelihood says nothing, and many of them would hide those few
    whose risk sets say something.
    """
    rows = whole = _lightened(every)
    if model.late and grid is None:
        kept = cox_blocks.in_company(every) if beside is None else beside
        rows = Rows(every.columns[:, kept], every.centre, whole.told.taken(kept), every.strata)
    own, event = _leverage(rows), rows.event.astype(np.float64)
    columns = rows.columns + rows.centre[:, None]
    found = indicators.design_evidence(model.design, columns, (model.event, event), own, rows.weight)
    marks = indicators.marked(model.design, columns)
    found = weighting.with_weights(_within_strata(model, rows, found, marks), every.weight, every.silent)
    if rows is not whole:
        beside_another = np.array([rows.size], dtype=np.int64)
        supports = {**found.supports, COMPANY: beside_another}
        fits = {COMPANY: (rows.size, model.fitted)}
        found = replace(found, rows=every.size, supports=supports, fits=fits)
    if every.told.offset is not None:
        sides = {**found.sides, "unusual offset": unusual.unusual(every.told.offset)}
        found = replace(found, sides=sides)
    found = replace(found, parameters=model.fitted)
    if model.cluster not in {None, sandwich.SITE}:
        found = replace(found, supports={**found.supports, "clusters": cox_rows.clusters(rows)})
    if grid is None:
        return found
    if model.concordance:  # pairs lie within a site, at its own event times
        company = np.array([cox_blocks.in_company(every).size], dtype=np.int64)
        found = replace(found, sides={**found.sides, COMPANY: company})
    return _by_steps(model, rows, grid, (found, marks))


def _lightened(rows: Rows) -> Rows:
    """A row weighs in risk sets as its weight times what its offset leaves of it beside the largest."""
    offset = rows.told.offset
    if offset is None or not rows.size:
        return rows
    left = np.exp(np.maximum(offset - float(offset.max()), -SILENT))
    weight = left if rows.weight is None else left * rows.weight
    return replace(rows, told=replace(rows.told, weight=weight), kept={})


def _leverage(rows: Rows) -> float:
    """Largest of one row, beside an intercept, which the baseline stands for."""
    beside = np.vstack([np.ones((1, rows.size)), rows.columns])
    if rows.weight is not None:
        beside *= np.sqrt(rows.weight)
    return indicators.leverage(beside)


def _by_steps(model: Model, rows: Rows, grid: Grid, before: tuple[Evidence, Marks]) -> Evidence:
    """Bins as cells, alone and with each side of each indicator: who leaves, has the event, enters, is at risk."""
    found, marks = before
    cell, total = cox_common.cells(rows, model.time, grid), model.strata * model.steps
    every: Any = np.ones(rows.size, dtype=np.bool_)
    cells = {
        **found.cells,
        "events per step": tally(rows, cell, rows.event, total),
        "rows per step": tally(rows, cell, every, total),
    }
    sides: list[tuple[str, Any]] = [("", every)]
    for name, mark in marks:
        cells[f"{name} per step"] = tally(rows, cell, mark > 0.5, total)
        cells[f"not {name} per step"] = tally(rows, cell, mark < 0.5, total)
        cells[f"{name} x {model.event} per step"] = tally(rows, cell, (mark > 0.5) & rows.event, total)
        sides += [(f"{name} ", mark > 0.5), (f"not {name} ", mark < 0.5)]
    leaving = np.bincount(cell, minlength=total)
    shown = leaving.reshape(model.strata, model.steps)[:, :-1] > 0  # who stays beyond the grid leaves no risk set
    if model.late:
        begin = rows.stratum * model.steps + cox_common.first_steps(rows, grid)
        late = begin % model.steps > 0
        for name, mark in sides:
            cells[f"{name}entries per step"] = tally(rows, begin, mark & late, total)
            cells[f"{name}at risk per step"] = _at_risk(model, rows, (cell, begin), mark)
        shown = shown | (tally(rows, begin, late, total).reshape(model.strata, model.steps)[:, :-1] > 0)
    inside = int(leaving.reshape(model.strata, model.steps)[:, :-1].sum())
    fits = {"risk sets": (inside, len(rows.columns) * int(np.count_nonzero(shown)))}
    return replace(found, cells=cells, fits=fits)


def _sums(rows: Rows, code: Any, keep: Any, total: int) -> FloatArray:
    """(1 or 3, total) sums of 1, w and w**2 over the rows that `keep`s, by code."""
    if rows.weight is None:
        return np.bincount(code[keep], minlength=total)[None, :].astype(np.float64)
    w = rows.weight[keep]
    return np.array([np.bincount(code[keep], weights=v, minlength=total) for v in (np.ones_like(w), w, w * w)])


def tally(rows: Rows, code: Any, keep: Any, total: int) -> IntArray:
    """(total,) rows that `keep`s, by code; light ones count for less."""
    return indicators.effective_rows(_sums(rows, code, keep, total))


def _at_risk(model: Model, rows: Rows, codes: tuple[Any, Any], keep: Any) -> IntArray:
    """Rows that `keep`s at risk at each step, those beyond the grid left out: who left then or later and had come."""
    total = model.strata * model.steps
    left, came = (_sums(rows, code, keep, total).reshape(-1, model.strata, model.steps) for code in codes)
    later = np.cumsum(left[..., ::-1], axis=-1)[..., ::-1]
    yet = np.cumsum(came[..., ::-1], axis=-1)[..., ::-1]
    risk = later - np.concatenate([yet[..., 1:], np.zeros_like(yet[..., :1])], axis=-1)
    return indicators.effective_rows(np.ascontiguousarray(risk[..., :-1]).reshape(len(risk), -1))


def _within_strata(model: Model, rows: Rows, found: Evidence, marks: Marks) -> Evidence:
    """Strata as groups: sizes, with each indicator and with events; what a number adds is its spread within them."""
    if model.strata == 1 or not rows.size:
        return found
    sides = {**found.sides, "strata": tally(rows, rows.stratum, np.ones(rows.size, dtype=np.bool_), model.strata)}
    supports, cells = dict(found.supports), dict(found.cells)
    cells[f"strata x {model.event}"] = _crossed(model, rows, rows.event)
    for name, mark in marks:
        sides[f"strata x {name}"] = _crossed(model, rows, mark > 0.5)
    known = {name for name, _ in marks}
    sizes = np.bincount(rows.stratum, minlength=model.strata)
    for column, values in zip(model.design.columns, rows.columns, strict=True):
        if column.name not in known:
            mean = np.bincount(rows.stratum, weights=values, minlength=model.strata) / np.maximum(sizes, 1)
            within = values - mean[rows.stratum]
            within[np.abs(within) <= ROUNDING * np.abs(values).max()] = 0.0
            spread = np.array([unusual.spread(within, rows.weight)], dtype=np.int64)
            supports[f"spread of {column.name} within strata"] = spread
    return replace(found, sides=sides, supports=supports, cells=cells)


def _crossed(model: Model, rows: Rows, mark: Any) -> IntArray:
    code = rows.stratum * 2 + mark.astype(np.intp)
    return tally(rows, code, np.ones(rows.size, dtype=np.bool_), model.strata * 2)
