"""A site's sums for the subdistribution hazard: leavers per step, and those who failed otherwise, who stay at risk.

A row that had a competing event at step s counts at a later step k with weight G(k-) / G(s-), G the pooled survival of
censoring. `before` (steps,) is G just before each step. So sums per step of its risk over G(s-) are all that is needed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isthmus.evidence import Evidence, Weights, weights_of, worst
from isthmus.statistics import cox_common, indicators, sandwich
from isthmus.statistics.cox_evidence import cox_evidence
from isthmus.statistics.cox_model import Model
from isthmus.statistics.cox_rows import Params, Rows
from isthmus.statistics.cox_sums import weighted_gram
from isthmus.statistics.fine_gray_flow import RiskSets, Steps
from isthmus.summary import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class FineRows:
    """Rows with their step (n,), `steps` where one lies beyond the grid, and whether they had a competing event.

    With sites as strata the steps are the site's own distinct times.
    """

    rows: Rows
    step: Any
    competing: Any
    steps: int

    @property
    def cells(self) -> Any:
        """(n,) number of each row's stratum and step together; steps and what lies beyond them."""
        return self.rows.stratum * (self.steps + 1) + self.step

    @property
    def shape(self) -> tuple[int, int]:
        """(strata, steps and beyond)."""
        return self.rows.strata, self.steps + 1

    @property
    def failed(self) -> Any:
        """Positions of the rows with the event of interest on the grid."""
        return np.flatnonzero(self.rows.event & (self.step < self.steps))

    @property
    def stay(self) -> Any:
        """Positions of the rows that stay at risk after a competing event on the grid."""
        return np.flatnonzero(self.competing & (self.step < self.steps))


def counts(made: FineRows) -> dict[str, IntArray]:
    """Per stratum and step: events, competing events, censored; `beyond` the grid."""
    free = ~made.rows.event & ~made.competing
    marks = {"events": made.rows.event, "competing": made.competing, "censored": free}
    found = {k: _tally(made, v).reshape(made.shape) for k, v in marks.items()}
    beyond = np.sum([v[:, -1] for v in found.values()], axis=0).astype(np.int64)
    return {**{k: np.ascontiguousarray(v[:, :-1]) for k, v in found.items()}, "beyond": beyond}


def _tally(made: FineRows, mark: Any) -> IntArray:
    strata, total = made.shape
    return np.bincount(made.cells[mark], minlength=strata * total).astype(np.int64)


def risk_sums(made: FineRows, params: Params) -> tuple[dict[str, Any], Weights]:
    """`s0` (strata, steps + 1), `s1` (p, ...) of who leaves; `c0`, `c1` of who stays; `event_x` (p,)."""
    columns, scale = cox_common.columns_at(made.rows, params)
    risk = cox_common.risk_at(made.rows, columns, scale, params)
    stay, (strata, total), cell = made.stay, made.shape, made.cells
    later = risk[stay] / params["before"][made.rows.stratum[stay], made.step[stay]]
    found = {"event_x": columns[:, made.failed].sum(axis=1) / scale}
    for zero, one, x, weight, at in (
        ("s0", "s1", columns, risk, cell),
        ("c0", "c1", columns[:, stay], later, cell[stay]),
    ):
        found[zero] = np.bincount(at, weights=weight, minlength=strata * total).reshape(strata, total)
        sums = [np.bincount(at, weights=line * weight, minlength=strata * total) for line in x]
        found[one] = (np.array(sums) / scale[:, None]).reshape(len(x), strata, total)
    return found, worst([weights_of(risk, len(columns)), *([weights_of(later, len(columns))] if len(stay) else [])])


def hazard_gram(made: FineRows, params: Params) -> tuple[FloatArray, Weights]:
    """X' diag(expected events of each row) X with the pooled hazards of the round."""
    columns, scale = cox_common.columns_at(made.rows, params)
    risk = cox_common.risk_at(made.rows, columns, scale, params)
    weight = risk * _expected(made, params["hazard"], params["later"], params["before"])
    return weighted_gram(columns, weight) / np.outer(scale, scale), weights_of(weight, len(columns))


def site_sums(made: FineRows, params: Params) -> tuple[dict[str, Any], Weights]:
    """Log-likelihood, score and information of this site's strata, with its own censoring curves."""
    params = {**params, "centre": made.rows.centre}  # the partial likelihood does not see it
    sets = _own_sets(made, params)
    gram, weights = hazard_gram(made, {**params, **sets.hazards()})
    return {
        "loglik": sets.loglik(params["coefficients"]),
        "score": sets.score(),
        "information": gram - sets.squares(),
        "n": made.rows.size,
        "events": np.count_nonzero(made.rows.event),
    }, weights


def site_meat(made: FineRows, params: Params) -> tuple[FloatArray, Weights]:
    """The middle of the sandwich over this site's strata."""
    params = {**params, "centre": made.rows.centre}
    return meat(made, {**params, **_own_sets(made, params).residuals()})


def _own_sets(made: FineRows, params: Params) -> RiskSets:
    told = {name: value.astype(np.float64) for name, value in counts(made).items()}
    steps = Steps.of(told)
    return RiskSets.of(steps, risk_sums(made, {**params, "before": steps.before})[0])


def _expected(made: FineRows, hazard: FloatArray, later: FloatArray, before: FloatArray) -> FloatArray:
    """Cumulated (..., strata, steps + 1) `hazard` up to each row's step; after a competing event what is `later` over G."""
    stratum, step, stay = made.rows.stratum, made.step, made.stay
    found: FloatArray = hazard[..., stratum, step]
    own = (stratum[stay], step[stay])
    found[..., stay] += (later[..., own[0], -1] - later[..., own[0], own[1]]) / before[own]
    return found


def meat(made: FineRows, params: Params) -> tuple[FloatArray, Weights]:
    """The middle of `crr`'s sandwich: score residuals with what each row says about G."""
    columns, scale = cox_common.columns_at(made.rows, params)
    risk, unit = cox_common.risk_at(made.rows, columns, scale, params), scale[:, None]
    step, stratum, failed = made.step, made.rows.stratum, made.failed
    hazard = _expected(made, params["hazard"], params["later"], params["before"])
    first, later = (params[name] * scale[:, None, None] for name in ("hazard_mean", "later_mean"))
    found = risk * (_expected(made, first, later, params["before"]) - columns * hazard)
    found[:, failed] += columns[:, failed] - params["mean"][:, stratum[failed], step[failed]] * unit
    censored = np.flatnonzero(~made.rows.event & ~made.competing & (step < made.steps))
    found -= params["drift"][:, stratum, step] * unit
    found[:, censored] += params["jump"][:, stratum[censored], step[censored]] * unit
    u = found / unit
    return u @ u.T, sandwich.guard(u)


def evidence(model: Model, made: FineRows, by_site: bool) -> Evidence:
    """The design, and every step as cells: who leaves, fails, stays and is censored, with each side of each indicator.

    With sites as strata as a Cox model's; who had another event is nobody or enough people, and so is who was censored:
    a Cox model that censors the others differs by them.
    """
    if by_site:
        found = cox_evidence(model, made.rows, None)
        others = np.array([made.competing.sum(), (~made.rows.event & ~made.competing).sum()], dtype=np.int64)
        return replace(found, sides={**found.sides, "with another event, and censored": others})
    rows, total = made.rows, made.rows.strata * (made.steps + 1)
    columns = rows.columns + rows.centre[:, None]
    found = cox_evidence(model, rows, None)
    cells, every, cell = dict(found.cells), np.ones(rows.size, dtype=np.bool_), made.cells
    sides: list[tuple[str, Any]] = [("rows", every)]
    for name, mark in indicators.marked(model.design, columns):
        sides += [(name, mark > 0.5), (f"not {name}", mark < 0.5)]
    happened = {"": every, " with the event": rows.event, " with another": made.competing}
    happened |= {" censored": ~rows.event & ~made.competing}
    for name, mark in sides:
        for what, there in happened.items():
            cells[f"{name}{what} per step"] = np.bincount(cell[mark & there], minlength=total).astype(np.int64)
    shown = np.count_nonzero(cells["rows per step"]) + np.count_nonzero(cells["rows with another per step"])
    inside = int(cells["rows per step"].sum())
    return replace(found, cells=cells, fits={"risk sets": (inside, len(columns) * int(shown))})
