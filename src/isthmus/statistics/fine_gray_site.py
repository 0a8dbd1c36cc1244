"""A site's sums for the subdistribution hazard: leavers per step, and those who failed otherwise, who stay at risk.

A row that had a competing event at step s counts at a later step k with weight G(k-) / G(s-), G the pooled survival of
censoring. `before` (steps,) is G just before each step. So sums per step of its risk over G(s-) are all that is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.evidence import Evidence, Weights, weights_of, worst
from isthmus.statistics import cox_common, glm_cluster, indicators
from isthmus.statistics.cox_model import Model
from isthmus.statistics.cox_rows import Params, Rows, weighted_gram
from isthmus.summary import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class FineRows:
    """Rows with their step (n,), `steps` where one lies beyond the grid, and whether they had a competing event."""

    rows: Rows
    step: Any
    competing: Any
    steps: int

    @property
    def failed(self) -> Any:
        """Positions of the rows with the event of interest on the grid."""
        return np.flatnonzero(self.rows.event & (self.step < self.steps))

    @property
    def stay(self) -> Any:
        """Positions of the rows that stay at risk after a competing event on the grid."""
        return np.flatnonzero(self.competing & (self.step < self.steps))


def counts(made: FineRows) -> dict[str, IntArray]:
    """Per step: events, competing events, censored; `beyond` the grid."""
    total, free = made.steps + 1, ~made.rows.event & ~made.competing
    marks = {"events": made.rows.event, "competing": made.competing, "censored": free}
    found = {k: np.bincount(made.step[v], minlength=total).astype(np.int64) for k, v in marks.items()}
    beyond = np.array([sum(int(v[-1]) for v in found.values())])
    return {**{k: v[:-1] for k, v in found.items()}, "beyond": beyond}


def risk_sums(made: FineRows, params: Params) -> tuple[dict[str, Any], Weights]:
    """`s0` (steps + 1,), `s1` (p, steps + 1) of who leaves; `c0`, `c1` of who stays; `event_x` (p,)."""
    columns, scale = cox_common.columns_at(made.rows, params)
    risk = cox_common.risk_at(made.rows, columns, scale, params)
    stay, total = made.stay, made.steps + 1
    later = risk[stay] / params["before"][made.step[stay]]
    found = {"event_x": columns[:, made.failed].sum(axis=1) / scale}
    for zero, one, x, weight, step in (
        ("s0", "s1", columns, risk, made.step),
        ("c0", "c1", columns[:, stay], later, made.step[stay]),
    ):
        found[zero] = np.bincount(step, weights=weight, minlength=total)
        sums = [np.bincount(step, weights=line * weight, minlength=total) for line in x]
        found[one] = np.array(sums) / scale[:, None]
    return found, worst([weights_of(risk, len(columns)), *([weights_of(later, len(columns))] if len(stay) else [])])


def hazard_gram(made: FineRows, params: Params) -> tuple[FloatArray, Weights]:
    """X' diag(expected events of each row) X with the pooled hazards of the round."""
    columns, scale = cox_common.columns_at(made.rows, params)
    risk = cox_common.risk_at(made.rows, columns, scale, params)
    weight = risk * _expected(made, params["hazard"], params["later"], params["before"])
    return weighted_gram(columns, weight) / np.outer(scale, scale), weights_of(weight, len(columns))


def _expected(made: FineRows, hazard: FloatArray, later: FloatArray, before: FloatArray) -> FloatArray:
    """Cumulated (..., steps + 1) `hazard` up to each row's step; after a competing event what is `later` over G."""
    found: FloatArray = hazard[..., made.step]
    stay = made.stay
    step = made.step[stay]
    found[..., stay] += (later[..., -1:] - later[..., step]) / before[step]
    return found


def meat(made: FineRows, params: Params) -> tuple[FloatArray, Weights]:
    """The middle of `crr`'s sandwich: score residuals with what each row says about G."""
    columns, scale = cox_common.columns_at(made.rows, params)
    risk, unit = cox_common.risk_at(made.rows, columns, scale, params), scale[:, None]
    before, step, failed = params["before"], made.step, made.failed
    hazard = _expected(made, params["hazard"], params["later"], before)
    mean = _expected(made, params["hazard_mean"] * unit, params["later_mean"] * unit, before)
    found = risk * (mean - columns * hazard)
    found[:, failed] += columns[:, failed] - params["mean"][:, step[failed]] * unit
    censored = np.flatnonzero(~made.rows.event & ~made.competing & (step < made.steps))
    found -= params["drift"][:, step] * unit
    found[:, censored] += params["jump"][:, step[censored]] * unit
    u = found / unit
    return u @ u.T, glm_cluster.guard(u)


def evidence(model: Model, made: FineRows) -> Evidence:
    """The design, and every step as cells: who leaves, fails, stays and is censored, with each side of each indicator."""
    rows, total = made.rows, made.steps + 1
    columns = rows.columns + rows.centre[:, None]
    own = indicators.leverage(np.vstack([np.ones((1, rows.size)), rows.columns]))
    found = indicators.design_evidence(model.design, columns, (model.event, rows.event.astype(np.float64)), own)
    cells, every = dict(found.cells), np.ones(rows.size, dtype=np.bool_)
    sides: list[tuple[str, Any]] = [("rows", every)]
    for name, mark in indicators.marked(model.design, columns):
        sides += [(name, mark > 0.5), (f"not {name}", mark < 0.5)]
    happened = {"": every, " with the event": rows.event, " with another": made.competing}
    happened |= {" censored": ~rows.event & ~made.competing}
    for name, mark in sides:
        for what, there in happened.items():
            cells[f"{name}{what} per step"] = np.bincount(made.step[mark & there], minlength=total).astype(np.int64)
    shown = np.count_nonzero(cells["rows per step"]) + np.count_nonzero(cells["rows with another per step"])
    inside = int(cells["rows per step"].sum())
    return Evidence(
        rows=rows.size,
        supports=found.supports,
        pairs=found.pairs,
        sides=found.sides,
        cells=cells,
        parameters=found.parameters,
        fits={"risk sets": (inside, len(columns) * int(shown))},
        leverage=found.leverage,
    )
