"""An effect on survival at one site: weights by arm, event and step, and what a table of influences makes of its rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from isthmus.evidence import Weights, of_squares, weights_of, worst
from isthmus.statistics import effect_site, indicators, survival
from isthmus.statistics.contract import Answer, Grid, Round
from isthmus.statistics.effect_site import ARMS, Estimand, Rows
from isthmus.statistics.summaries import filled
from isthmus.summary import FloatArray, IntArray

ORDINARY = 0.8  # of the people: effective rows that weights leave which vary by half their mean
SLACK = 1e-9


def code(rows: Rows, name: str, grid: Grid) -> Any:
    """(n,) place of each row in a table (2 arms, event or censored, steps + 1); an event beyond the grid is not seen."""
    steps = survival.grid_steps(name, rows.time, grid)
    length = len(grid.edges)
    censored = (rows.outcome == 0.0) | (steps == length)
    control = rows.treated == 0.0
    return (2 * control.astype(np.intp) + censored.astype(np.intp)) * (length + 1) + steps


def cells(rows: Rows, name: str, grid: Grid) -> dict[str, IntArray]:
    """By arm, event and step, for the rules: what ordinary weights leave of the people there.

    The weights are known in mid-run alone. The vote keeps room for them, else it would choose steps that are refused then.
    """
    found = weighted_down(_tally(code(rows, name, grid), np.ones(rows.time.size), grid))
    return {f"{arm}per step": found[k][_shown(grid)[k]] for k, arm in enumerate(ARMS)}


def weighted_down(people: FloatArray) -> IntArray:
    """What ordinary weights leave of counts; of someone, no less than one."""
    found: IntArray = np.where(people > 0.0, np.maximum(np.floor(people * ORDINARY + SLACK), 1.0), 0.0).astype(np.int64)
    return found


def summarised(rows: Rows, told: tuple[str, Grid], estimand: Estimand, asked: Round) -> Answer:
    """A site's part of a round of `effect_survival`. `told`: name of the time, grid."""
    name, grid = told
    place = code(rows, name, grid)
    at = effect_site.scored(rows, estimand, asked.params)
    w = (at.weights * effect_site.arms(rows)).sum(axis=0)
    if asked.params["step"] == "cells":
        return _cells(place, w, grid, asked)
    values = np.asarray(asked.params["table"])
    own = values.reshape(len(values), -1)[:, place]
    slope = (at.slopes * effect_site.arms(rows)).sum(axis=0)
    z = effect_site.columns_of(rows, asked.params)
    if asked.params["step"] == "bends":
        bent = own * slope
        guard = worst(weights_of(np.abs(one), len(z)) for one in bent if one.any()) if bent.any() else None
        return Answer(filled(asked.layout, {"bends": bent @ z.T}), guard)
    turns: Any = asked.params["turns"] if rows.local is None else ((own * slope) @ z.T) @ rows.local.inverse
    psi = own * w + (turns @ z) * (rows.treated - at.propensity)
    return Answer(filled(asked.layout, {"spread": psi @ psi.T}), _of_squares(psi))


def _of_squares(psi: FloatArray) -> Weights | None:
    return worst(of_squares(weights_of(one * one, 1)) for one in psi if one.any()) if psi.any() else None


def _cells(place: Any, w: FloatArray, grid: Grid, asked: Round) -> Answer:
    count, total, squares = (_tally(place, values, grid) for values in (np.ones_like(w), w, w * w))
    people = count.astype(np.int64)
    length = len(grid.edges)
    sums = np.array([values[_shown(grid)] for values in (count, total, squares)])
    values = {
        "people": people[:, :, :length],
        "beyond": people[:, :, length].sum(axis=1),
        "weights": total,
        "squares": squares,
    }
    half = w.size and [weights_of(w[inside], 1) for inside in _halves(place, grid)]
    return Answer(
        filled(asked.layout, values),
        worst(half) if half else None,
        cells={"weights per step": indicators.effective_rows(sums)},
    )


def _shown(grid: Grid) -> Any:
    """(2, 2, steps + 1) cells that can hold anyone: all but events beyond the grid."""
    found = np.ones((2, 2, len(grid.edges) + 1), dtype=np.bool_)
    found[:, 0, -1] = False
    return found


def _halves(place: Any, grid: Grid) -> tuple[Any, Any]:
    treated = place < 2 * (len(grid.edges) + 1)
    return treated, ~treated


def _tally(place: Any, values: FloatArray, grid: Grid) -> FloatArray:
    length = len(grid.edges) + 1
    return np.bincount(place, weights=values, minlength=4 * length).reshape(2, 2, length).astype(np.float64)
