"""Cox models with one baseline over all sites: what a site sends about risk sets on the common grid.

Round A: sums of risk and of risk times columns between consecutive pooled event times (they are cumulated after
pooling), and the same for tied events. Round B: one (p, p) product weighted by the pooled cumulative hazard. The
second moments of a risk set never leave. A late entry is taken out of the sums of the times before it came, at the last of
them, so that only what leavers and entries of a block make together leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.evidence import Weights, weights_of
from isthmus.statistics import cox_robust, survival
from isthmus.statistics.contract import Grid
from isthmus.statistics.cox_rows import Late, Rows, exposed, not_yet
from isthmus.statistics.cox_sums import block_sums, weighted_gram
from isthmus.summary import FloatArray, IntArray

Params = Mapping[str, Any]
LARGEST_ETA = 30.0  # exp(30) = 1e13: a risk beyond it means a coefficient that runs away; sums stay inside Z_2^128


@dataclass(frozen=True, slots=True)
class Placed:
    """Sorted rows in blocks between pooled event times: `of_row` (n,), `present` blocks and their first rows.

    `late`: rows that entered after the first step of their stratum; None where the question has no entry.
    """

    map: FloatArray
    of_row: Any
    present: Any
    starts: Any
    tied: Any
    tied_present: Any
    tied_starts: Any
    late: Late | None


def cells(rows: Rows, name: str, grid: Grid) -> Any:
    """(stratum, step) of each sorted row as one number; each stratum's last step is beyond the grid."""
    if "cells" not in rows.kept or rows.kept["cells"][0] is not grid:
        made = rows.stratum * (len(grid.edges) + 1) + survival.grid_steps(name, rows.time, grid)
        rows.kept["cells"] = (grid, made)
    return rows.kept["cells"][1]


def first_steps(rows: Rows, grid: Grid) -> Any:
    """First step of its stratum at which each sorted row is at risk, or None without entries."""
    return None if rows.told.entry is None else survival.entry_steps(rows.told.entry, grid)


def arrivals(rows: Rows, grid: Grid, total: int) -> Any:
    """(total,) rows that enter at each cell after the first of their stratum."""
    begin = first_steps(rows, grid)
    late = begin > 0
    return np.bincount((rows.stratum * (len(grid.edges) + 1) + begin)[late], minlength=total).astype(np.int64)


def event_weights(rows: Rows, cell: Any, total: int) -> FloatArray:
    """(total,) summed case weights of the events."""
    weight = np.ones(rows.size) if rows.weight is None else rows.weight
    return np.bincount(cell[rows.event], weights=weight[rows.event], minlength=total).astype(np.float64)


def counts(rows: Rows, cell: Any, total: int) -> tuple[IntArray, IntArray]:
    """(events, rows) per cell."""
    events = np.bincount(cell[rows.event], minlength=total).astype(np.int64)
    return events, np.bincount(cell, minlength=total).astype(np.int64)


def moments(rows: Rows, params: Params) -> FloatArray:
    """(2, p): sums of the columns and of their squares in the round's coordinates."""
    columns, scale = columns_at(rows, params)
    return np.array([columns.sum(axis=1) / scale, np.einsum("ij,ij->i", columns, columns) / scale**2])


def risk_sums(rows: Rows, cell: Any, params: Params) -> tuple[dict[str, Any], Weights]:
    """Round A, per block: `s0` (K,), `s1` (p, K), tied `d0`, `d1`; `event_x` (p,) the columns summed over events."""
    columns, scale, placed, risk = at_round(rows, cell, params)
    size = len(columns)
    total = int(params["blocks"])
    found: dict[str, Any] = {"s0": np.zeros(total), "s1": np.zeros((size, total)), "event_x": np.zeros(size)}
    found |= {"d0": np.zeros(total), "d1": np.zeros((size, total))}
    if rows.size:
        found["s0"][placed.present] = np.add.reduceat(risk, placed.starts)
        found["s1"][:, placed.present] = block_sums(columns, risk, placed.starts)
        if placed.late is not None:
            not_yet(placed.late, columns, risk, (found["s0"], found["s1"]))
        found["s1"] /= scale[:, None]
    if len(placed.tied):
        tied_x = columns[:, placed.tied] / scale[:, None]
        found["event_x"] = (tied_x if rows.weight is None else tied_x * rows.weight[placed.tied]).sum(axis=1)
        tied = risk[placed.tied]
        found["d0"][placed.tied_present] = np.add.reduceat(tied, placed.tied_starts)
        found["d1"][:, placed.tied_present] = np.add.reduceat(tied_x * tied, placed.tied_starts, axis=1)
    return found, weights_of(risk, size)


def at_round(rows: Rows, cell: Any, params: Params) -> tuple[FloatArray, FloatArray, Placed, FloatArray]:
    """Columns up to their scale (p,), that scale, where rows are among the blocks, and their risk."""
    columns, scale = columns_at(rows, params)
    return columns, scale, _placed(rows, cell, params), risk_at(rows, columns, scale, params)


def hazard_gram(rows: Rows, cell: Any, params: Params) -> tuple[FloatArray, Weights]:
    """Round B: X' diag(r_i (A(t_i) - event_i B(t_i))) X with the pooled hazards A, B (K,) of the round."""
    columns, scale, placed, weight = at_round(rows, cell, params)
    hazard = exposed(params["hazard"], placed.of_row, placed.late)
    hazard[placed.tied] -= params["tied"][placed.of_row[placed.tied]]
    weight *= np.maximum(hazard, 0.0)
    return weighted_gram(columns, weight) / np.outer(scale, scale), weights_of(weight, len(columns))


def common_meat(rows: Rows, cell: Any, params: Params, copies: FloatArray | None) -> tuple[FloatArray, Weights]:
    """The middle of the sandwich with the pooled moments at each block (`mean` and so on (p, K)) of the round."""
    columns, scale, placed, risk = at_round(rows, cell, params)
    unit = scale[:, None]
    pooled = (params[name] * unit for name in ("mean", "tied_mean", "average"))  # as the columns here, up to scale
    at = cox_robust.Moments(params["hazard"], params["tied"], *pooled)
    hazard = exposed(params["cumulated"], placed.of_row, placed.late)
    mean = exposed(params["cumulated_mean"] * unit, placed.of_row, placed.late)
    mine = cox_robust.At(columns, risk, rows.weight, hazard, mean, placed.tied, placed.of_row[placed.tied])
    return cox_robust.meat(cox_robust.residuals(mine, at), scale, rows.told.cluster, copies)


def _placed(rows: Rows, cell: Any, params: Params) -> Placed:
    wanted = params["block_of"]
    kept: Placed | None = rows.kept.get("placed")
    if kept is None or not np.array_equal(kept.map, wanted):
        of_row = wanted.astype(np.intp)[cell]
        present, starts = np.unique(of_row, return_index=True)
        tied = np.flatnonzero(rows.event & (_beyond(rows, cell) == 0))
        tied_present, tied_starts = np.unique(of_row[tied], return_index=True)
        late = _late(rows, wanted.astype(np.intp))
        kept = Placed(wanted, of_row, present, starts, tied, tied_present, tied_starts, late)
        rows.kept["placed"] = kept
    return kept


def _late(rows: Rows, block_of: Any) -> Late | None:
    grid = rows.kept["cells"][0]
    begin = first_steps(rows, grid)
    if begin is None:
        return None
    cell = rows.stratum * (len(grid.edges) + 1) + begin
    return Late.of(np.where(begin > 0, block_of[cell - 1], -1))


def _beyond(rows: Rows, cell: Any) -> Any:
    """1 where a row outlasts the grid: its event is not seen."""
    steps = len(rows.kept["cells"][0].edges) + 1
    return (cell % steps == steps - 1).astype(np.int64)


def columns_at(rows: Rows, params: Params) -> tuple[FloatArray, FloatArray]:
    """Columns about the common centre up to `scale` (p,), by which sums are divided; kept for the centre in use."""
    centre = np.asarray(params["centre"])
    kept = rows.kept.get("common")
    if kept is None or not np.array_equal(kept[0], centre):
        kept = (centre, rows.columns + (rows.centre - centre)[:, None])
        rows.kept["common"] = kept
    scale = np.asarray(params["scale"])
    if "rotation" in params:
        return (params["rotation"] / scale) @ kept[1], np.ones_like(scale)
    return kept[1], scale


def risk_at(rows: Rows, columns: FloatArray, scale: FloatArray, params: Params) -> FloatArray:
    """(n,) exp of the linear predictor at the coefficients of the round, times the case weights."""
    eta = (params["coefficients"] / scale) @ columns
    risk: FloatArray = np.exp(np.minimum(eta, LARGEST_ETA))
    return risk if rows.weight is None else risk * rows.weight
