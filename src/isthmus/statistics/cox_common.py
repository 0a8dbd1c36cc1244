"""Cox models with one baseline over all sites: what a site sends about risk sets on the common grid.

Round A: sums of risk and of risk times columns between consecutive pooled event times (they are cumulated after
pooling), and the same for tied events. Round B: one (p, p) product weighted by the pooled cumulative hazard. The
second moments of a risk set never leave. A late entry is taken out of the sums of the times before it came, at the last of
them, so that only what leavers and entries of a block make together leaves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.evidence import Weights, weights_of
from isthmus.statistics import cox_robust, cox_rows, survival
from isthmus.statistics.chunks import Guard, pieces
from isthmus.statistics.contract import Grid
from isthmus.statistics.cox_blocks import Late, exposed, exposures, offset_of, summed
from isthmus.statistics.cox_rows import Rows
from isthmus.statistics.cox_sums import Columns, Segments, gram, joined, picked_sums, segment_sums
from isthmus.summary import FloatArray, IntArray

Params = Mapping[str, Any]
LARGEST_ETA = 30.0  # exp(30) = 1e13: a risk beyond it means a coefficient that runs away; sums stay inside Z_2^128


@dataclass(frozen=True, slots=True)
class Placed:
    """Sorted rows in blocks between pooled event times, of which `map` (cells,) tells.

    `late`: rows that entered after the first step of their stratum; None where the question has no entry. Of the events:
    `x` (p,) their columns, `died` their weights and `offset` their offsets, summed.
    """

    map: FloatArray
    segments: Segments
    late: Late | None
    x: FloatArray
    died: float
    offset: float


def cells(rows: Rows, name: str, grid: Grid) -> Any:
    """(stratum, step) of each sorted row as one number; each stratum's last step is beyond the grid."""
    if "cells" not in rows.kept or rows.kept["cells"][0] is not grid:
        made = rows.stratum * (len(grid.edges) + 1) + survival.grid_steps(name, rows.time, grid)
        rows.kept["cells"] = (grid, made)
    return rows.kept["cells"][1]


def first_steps(rows: Rows, grid: Grid) -> Any:
    """First step of its stratum at which each sorted row is at risk, or None without entries; after `cells`."""
    if rows.told.entry is None:
        return None
    return survival.entry_steps(rows.told.entry, rows.kept["cells"][1] % (len(grid.edges) + 1), grid)


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
    x, scale = _columns(rows, params)
    found = np.zeros((2, len(scale)))
    for piece in pieces(rows.size):
        part = x.at(piece)
        found += (part.sum(axis=1), np.einsum("ij,ij->i", part, part))
    found /= np.array([scale, scale**2])
    return found


def risk_sums(rows: Rows, cell: Any, params: Params) -> tuple[dict[str, Any], Weights]:
    """Round A, per block: `s0` (K,), `s1` (p, K), tied `d0`, `d1`; `event_x` (p,) the columns summed over events."""
    x, scale, placed, risk = at_round(rows, cell, params)
    size, total, segments = len(scale), int(params["blocks"]), placed.segments
    s, d = np.zeros((2, size + 1, total))
    each = segment_sums(x, risk, segments.starts)
    s[:, segments.present] = joined(each, segments.first)
    d[:, segments.tied_present] = joined(each[:, segments.tied], segments.tied_first)
    if placed.late is not None:
        s[:, placed.late.present] -= picked_sums(x, risk[placed.late.rows], placed.late.rows, placed.late.starts)
    for sums in (s, d):
        sums[:-1] /= scale[:, None]
    found = {"s0": s[-1], "s1": s[:-1], "d0": d[-1], "d1": d[:-1]}
    found |= {"event_x": x.summed(placed.x, placed.died) / scale, "event_offset": placed.offset}
    return found, weights_of(risk, size)


def at_round(rows: Rows, cell: Any, params: Params) -> tuple[Columns, FloatArray, Placed, FloatArray]:
    """Columns up to their scale (p,), that scale, where rows are among the blocks, and their risk (n,)."""
    x, scale = _columns(rows, params)
    return x, scale, _placed(rows, cell, params), _risk(rows, x.predictor(params["coefficients"] / scale))


def _columns(rows: Rows, params: Params) -> tuple[Columns, FloatArray]:
    """Columns about the common centre up to `scale` (p,), by which sums are divided."""
    return cox_rows.columns(rows, params, rows.centre - np.asarray(params["centre"]))


def hazard_gram(rows: Rows, cell: Any, params: Params) -> tuple[FloatArray, Weights]:
    """Round B: X' diag(r_i (A(t_i) - event_i B(t_i))) X with the pooled hazards A, B (K,) of the round."""
    x, scale, placed, risk = at_round(rows, cell, params)
    guard = Guard()

    def weights() -> Iterator[tuple[slice, FloatArray]]:
        for piece, exposure in exposures(placed.segments, placed.late, params["hazard"], params["tied"]):
            weight = np.multiply(np.maximum(exposure, 0.0, out=exposure), risk[piece], out=exposure)
            guard.weigh(weight)
            yield piece, weight

    found = gram(x, weights()) / np.outer(scale, scale)
    return found, guard.weights(len(scale))


def common_meat(rows: Rows, cell: Any, params: Params, copies: FloatArray | None) -> tuple[FloatArray, Weights]:
    """The middle of the sandwich with the pooled moments at each block (`mean` and so on (p, K)) of the round."""
    x, scale, placed, risk = at_round(rows, cell, params)
    unit, of_row, events = scale[:, None], placed.segments.of_row(), tied_rows(rows, cell)
    pooled = (params[name] * unit for name in ("mean", "tied_mean", "average"))  # as the columns here, up to scale
    at = cox_robust.Moments(params["hazard"], params["tied"], *pooled)
    hazard = exposed(params["cumulated"], of_row, placed.late)
    mean = exposed(params["cumulated_mean"] * unit, of_row, placed.late)
    mine = cox_robust.At(x.at(slice(None)), risk, rows.weight, hazard, mean, events, of_row[events])
    return cox_robust.meat(cox_robust.residuals(mine, at), scale, rows.told.cluster, copies)


def _placed(rows: Rows, cell: Any, params: Params) -> Placed:
    wanted = params["block_of"]
    kept: Placed | None = rows.kept.get("placed")
    if kept is None or not np.array_equal(kept.map, wanted):
        block_of, died = wanted.astype(np.intp), tied_rows(rows, cell)
        tied = np.zeros(rows.size, dtype=np.bool_)
        tied[died] = True
        total = float(died.size if rows.weight is None else rows.weight[died].sum())
        kept = Placed(
            wanted,
            Segments.of(block_of[cell], tied),
            _late(rows, block_of),
            summed(rows, died),
            total,
            offset_of(rows, died),
        )
        rows.kept["placed"] = kept
    return kept


def tied_rows(rows: Rows, cell: Any) -> Any:
    """Positions of the events on the grid: of who outlasts it none is seen."""
    steps = len(rows.kept["cells"][0].edges) + 1
    return np.flatnonzero(rows.event & (cell % steps < steps - 1))


def _late(rows: Rows, block_of: Any) -> Late | None:
    grid = rows.kept["cells"][0]
    begin = first_steps(rows, grid)
    if begin is None:
        return None
    cell = rows.stratum * (len(grid.edges) + 1) + begin
    return Late.of(np.where(begin > 0, block_of[cell - 1], -1))


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
    return _risk(rows, (params["coefficients"] / scale) @ columns)


def _risk(rows: Rows, eta: FloatArray) -> FloatArray:
    np.exp(np.minimum(eta, LARGEST_ETA, out=eta), out=eta)
    return eta if rows.weight is None else np.multiply(eta, rows.weight, out=eta)
