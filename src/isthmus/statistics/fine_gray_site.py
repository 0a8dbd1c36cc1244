"""A site's sums for the subdistribution hazard: leavers per step, and those who failed otherwise, who stay at risk.

A row that had a competing event at step s counts at a later step k with weight G(k-) / G(s-), G the pooled survival of
censoring. `before` (steps,) is G just before each step. So sums per step of its risk over G(s-) are all that is needed.
With late entries G times the distribution of entries stands for G, and the risks of who enters are summed by step too.
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
from isthmus.statistics.cox_site import ALONE
from isthmus.statistics.cox_sums import weighted_gram
from isthmus.statistics.fine_gray_flow import RiskSets, Steps
from isthmus.summary import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class FineRows:
    """Rows with their step (n,), `steps` where one lies beyond the grid, and whether they had a competing event.

    `begin` (n,): the first step at which each is at risk, None where the question has no entry. With sites as strata the
    steps are the site's own distinct times.
    """

    rows: Rows
    step: Any
    competing: Any
    steps: int
    begin: Any = None

    @property
    def late(self) -> Any:
        """Positions of the rows that come after the first step."""
        return np.zeros(0, dtype=np.intp) if self.begin is None else np.flatnonzero(self.begin > 0)

    @property
    def came(self) -> Any:
        """Their cells of coming."""
        late = self.late
        return late if self.begin is None else self.rows.stratum[late] * (self.steps + 1) + self.begin[late]

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
    strata, total = made.shape
    entries = np.bincount(made.came, minlength=strata * total).astype(np.int64).reshape(made.shape)
    return {"entries": entries, **{k: np.ascontiguousarray(v[:, :-1]) for k, v in found.items()}, "beyond": beyond}


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
    parts = [("s0", "s1", columns, risk, cell), ("c0", "c1", columns[:, stay], later, cell[stay])]
    if made.begin is not None:
        parts.append(("e0", "e1", columns[:, made.late], risk[made.late], made.came))
    for zero, one, x, weight, at in parts:
        found[zero] = np.bincount(at, weights=weight, minlength=strata * total).reshape(strata, total)
        sums = [np.bincount(at, weights=line * weight, minlength=strata * total) for line in x]
        found[one] = (np.array(sums) / scale[:, None]).reshape(len(x), strata, total)
    return found, worst([weights_of(risk, len(columns)), *([weights_of(later, len(columns))] if len(stay) else [])])


def hazard_gram(made: FineRows, params: Params) -> tuple[FloatArray, Weights]:
    """X' diag(expected events of each row) X with the pooled hazards of the round."""
    columns, scale = cox_common.columns_at(made.rows, params)
    risk = cox_common.risk_at(made.rows, columns, scale, params)
    weight = risk * np.maximum(_expected(made, params["hazard"], params["later"], params["before"]), 0.0)
    return weighted_gram(columns, weight) / np.outer(scale, scale), weights_of(weight, len(columns))


def site_sums(made: FineRows, params: Params) -> tuple[dict[str, Any], Weights]:
    """Log-likelihood, score and information of this site's strata, with its own censoring curves."""
    params = {**params, "centre": made.rows.centre}  # the partial likelihood does not see it
    sets = _own_sets(made, params)
    gram, weights = hazard_gram(made, {**params, **sets.hazards()})
    if made.begin is not None:
        weights = _own_weights(made, sets, params)
    return {
        "loglik": sets.loglik(params["coefficients"]),
        "score": sets.score(),
        "information": gram - sets.squares(),
        "n": made.rows.size,
        "events": np.count_nonzero(made.rows.event),
    }, weights


def _own_weights(made: FineRows, sets: RiskSets, params: Params) -> Weights:
    """What each row adds to the information by itself: nothing where it is alone in its risk sets."""
    columns, scale = cox_common.columns_at(made.rows, params)
    risk, told = cox_common.risk_at(made.rows, columns, scale, params), sets.hazards()
    before, shared = told["before"], sets.shared()
    weight = risk * _expected(made, told["hazard"], told["later"], before)
    apart = weight - risk**2 * _expected(made, shared["hazard"], shared["later"], before**2)
    apart[apart <= ALONE * weight] = 0.0
    return weights_of(apart, len(columns))


def site_meat(made: FineRows, params: Params) -> tuple[FloatArray, Weights]:
    """The middle of the sandwich over this site's strata."""
    params = {**params, "centre": made.rows.centre}
    return meat(made, {**params, **_own_sets(made, params).residuals()})


def _own_sets(made: FineRows, params: Params) -> RiskSets:
    steps = own_steps(made)
    return RiskSets.of(steps, risk_sums(made, {**params, "before": steps.before})[0], made.begin is not None)


def own_steps(made: FineRows) -> Steps:
    """Counts and curves of this site alone."""
    told = {name: value.astype(np.float64) for name, value in counts(made).items()}
    return Steps.of(told, made.begin is not None)


def _expected(made: FineRows, hazard: FloatArray, later: FloatArray, before: FloatArray) -> FloatArray:
    """Cumulated (..., strata, steps + 1) `hazard` up to each row's step; after a competing event what is `later` over G."""
    stratum, step, stay = made.rows.stratum, made.step, made.stay
    found: FloatArray = hazard[..., stratum, step]
    if made.begin is not None:
        found[..., made.late] -= hazard[..., stratum[made.late], made.begin[made.late] - 1]
    own = (stratum[stay], step[stay])
    found[..., stay] += (later[..., own[0], -1] - later[..., own[0], own[1]]) / before[own]
    return found


def meat(made: FineRows, params: Params) -> tuple[FloatArray, Weights]:
    """The middle of `crr`'s sandwich: score residuals with what each row says about G.

    With late entries of the score residuals alone, as `coxph` has it of the rows that `finegray` makes.
    """
    columns, scale = cox_common.columns_at(made.rows, params)
    risk, unit = cox_common.risk_at(made.rows, columns, scale, params), scale[:, None]
    step, stratum, failed = made.step, made.rows.stratum, made.failed
    hazard = _expected(made, params["hazard"], params["later"], params["before"])
    first, later = (params[name] * scale[:, None, None] for name in ("hazard_mean", "later_mean"))
    found = risk * (_expected(made, first, later, params["before"]) - columns * hazard)
    found[:, failed] += columns[:, failed] - params["mean"][:, stratum[failed], step[failed]] * unit
    if made.begin is None:
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
        found = cox_evidence(model, made.rows, None, _in_company(made) if model.late else None)
        others = np.array([made.competing.sum(), (~made.rows.event & ~made.competing).sum()], dtype=np.int64)
        return replace(found, sides={**found.sides, "with another event, and censored": others})
    rows, total = made.rows, made.rows.strata * (made.steps + 1)
    columns = rows.columns + rows.centre[:, None]
    found = cox_evidence(replace(model, late=False), rows, None)
    cells, every, cell = dict(found.cells), np.ones(rows.size, dtype=np.bool_), made.cells
    sides: list[tuple[str, Any]] = [("rows", every)]
    for name, mark in indicators.marked(model.design, columns):
        sides += [(name, mark > 0.5), (f"not {name}", mark < 0.5)]
    happened = {"": every, " with the event": rows.event, " with another": made.competing}
    happened |= {" censored": ~rows.event & ~made.competing}
    for name, mark in sides:
        for what, there in happened.items():
            cells[f"{name}{what} per step"] = np.bincount(cell[mark & there], minlength=total).astype(np.int64)
        if model.late:
            cells[f"{name} entering per step"] = np.bincount(made.came[mark[made.late]], minlength=total)
            cells[f"{name} at risk per step"] = _at_risk(made, mark)
    told = ("", " with another", *((" entering",) if model.late else ()))
    shown = sum(int(np.count_nonzero(cells[f"rows{what} per step"])) for what in told)
    inside = int(cells["rows per step"].sum())
    return replace(found, cells=cells, fits={"risk sets": (inside, len(columns) * shown)})


def _at_risk(made: FineRows, mark: Any) -> IntArray:
    """Rows with a mark that have come and not left, at each step of each stratum."""
    strata, total = made.shape
    left, came = made.cells[mark], made.came[mark[made.late]]
    counted = [np.bincount(at, minlength=strata * total).reshape(made.shape) for at in (left, came)]
    leaving, coming = (np.cumsum(v[:, ::-1], axis=1)[:, ::-1] for v in counted)
    return np.ascontiguousarray(leaving[:, :-1] - coming[:, 1:]).reshape(-1).astype(np.int64)


def _in_company(made: FineRows) -> Any:
    """Positions of the rows that are at risk at an event beside another row, who stays after another event included."""
    if not made.rows.size or made.begin is None:
        return np.zeros(0, dtype=np.intp)
    steps, stratum = own_steps(made), made.rows.stratum
    stayed = np.cumsum(steps.competing, axis=1) - steps.competing
    shared = (steps.events > 0.0) & (steps.at_risk + stayed > 1.0)
    upto = np.concatenate([np.zeros((len(shared), 1)), np.cumsum(shared, axis=1)], axis=1)
    last = np.minimum(made.step + 1, made.steps)
    last[made.stay] = made.steps
    return np.flatnonzero(upto[stratum, last] > upto[stratum, np.minimum(made.begin, made.steps)])
