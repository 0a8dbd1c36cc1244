"""Hazard ratio of a treatment with sites as strata: the weighted partial likelihood within each site, summed.

Each site has a baseline hazard of its own, so that score and information alone leave: exact whatever the floor. There is no
curve, which would be a site's own result. A row's influence on the log ratio is its weight times its score residual over
the information, known beside the row at the pooled ratio; on top comes what its score in the propensity model moves.
References: Cole & Hernan (2004), Comput Methods Programs Biomed 75:45; Lin & Wei (1989), JASA 84:1074; Hajage et al.
(2018), Biom J 60:1151, for the stacked errors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from isthmus.evidence import of_squares, weights_of
from isthmus.model.errors import Invalid
from isthmus.statistics import cox_rows, cox_site, effect_site, effect_survival_site, indicators, linear
from isthmus.statistics.contract import Answer, Round
from isthmus.statistics.cox_rows import Told
from isthmus.statistics.cox_ties import Ties
from isthmus.statistics.effect_site import Estimand, Rows
from isthmus.statistics.lockstep import Asking
from isthmus.statistics.newton import ABSURD, MAX_ROUNDS, STEP
from isthmus.statistics.summaries import filled
from isthmus.summary import Field, FloatArray, IntArray, Layout

TIES: Ties = "efron"
SUMS = Layout(
    fields=(
        Field(name="deaths", shape=(2,), kind="count"),
        Field(name="score", shape=(1,), kind="score"),
        Field(name="information", shape=(1, 1), kind="gram"),
    )
)
SPREAD = Layout(fields=(Field(name="spread", shape=(1, 1), kind="gram"),))


def run(size: int, base: Mapping[str, Any], stacked: str) -> Asking[tuple[float, float]]:
    """Log hazard ratio and its variance; `size` columns of the propensity model, `stacked`: `no`, `common` or `site`.

    Raises:
        Invalid: E-NO-EVENTS, E-CONVERGENCE, E-SEPARATED.
    """
    now, move, information = yield from _maximum(base)
    asked: dict[str, Any] = {**base, "log ratio": now, "turns": np.zeros(size), "stacked": int(stacked != "no")}
    if stacked == "common":
        bends = Layout(fields=(Field(name="bends", shape=(size,), kind="score"),))
        pooled = yield Round(bends, {**asked, "step": "hazard bends"})
        asked["turns"] = linear.product(base["ps inverse"], pooled["bends"])
    spread = (yield Round(SPREAD, {**asked, "step": "hazard spread"}))["spread"]
    return now + move, float(spread[0, 0]) / information**2


def _maximum(base: Mapping[str, Any]) -> Asking[tuple[float, float, float]]:
    """Where the likelihood is largest, the last step from there, and its information."""
    now = 0.0
    for _ in range(MAX_ROUNDS):
        pooled = yield Round(SUMS, {**base, "step": "hazard", "log ratio": now})
        if not bool(np.all(pooled["deaths"] > 0.0)):
            raise Invalid("E-NO-EVENTS", "an arm has no event", "ask for another outcome")
        score, information = float(pooled["score"][0]), float(pooled["information"][0, 0])
        if not information > 0.0:
            raise Invalid("E-CONVERGENCE", "no site has both arms at risk at an event", "leave `strata` out")
        move = score / information
        if abs(move) * math.sqrt(information) < STEP:
            return now, move, information
        now += min(max(move, -1.0), 1.0)
        if abs(now) > ABSURD:
            break
    hint = "an arm has no event while the other is at risk at its site"
    raise Invalid("E-SEPARATED", "the hazard ratio has no finite value", hint)


# -- at a site --------------------------------------------------------------------------------------------------------


def cells(rows: Rows) -> dict[str, IntArray]:
    """Events of treated and control, for the rules: what ordinary weights leave of them."""
    people = np.array([(rows.outcome * inside).sum() for inside in effect_site.arms(rows)])
    return {"events of arms": effect_survival_site.weighted_down(people)}


def summarised(rows: Rows, estimand: Estimand, asked: Round) -> Answer:
    """A site's part of a round; everything about its rows is in order of time, events first, as `sorted_rows` keeps it."""
    order = np.lexsort((~(rows.outcome > 0.0), rows.time))
    at = effect_site.scored(rows, estimand, asked.params)
    inside = effect_site.arms(rows)
    w, slope = ((values * inside).sum(axis=0)[order] for values in (at.weights, at.slopes))
    event = rows.outcome[order] > 0.0
    made = cox_rows.sorted_rows(
        rows.treated[None, order], Told(rows.time[order], event, np.zeros_like(order), None, w), 1
    )
    place = {"coefficients": np.array([asked.params["log ratio"]]), "scale": np.ones(1)}
    if asked.params["step"] == "hazard":
        return _sums(made, (event, rows.treated[order] > 0.5, w), place, asked)
    own = cox_site.site_residuals(made, TIES, place)[0] / w
    z = effect_site.columns_of(rows, asked.params)[:, order]
    bent = own * slope
    if asked.params["step"] == "hazard bends":
        guard = weights_of(np.abs(bent), len(z)) if bent.any() else None
        return Answer(filled(asked.layout, {"bends": z @ bent}), guard)
    turns: Any = asked.params["turns"]
    if rows.local is not None and asked.params["stacked"]:
        turns = (z @ bent) @ rows.local.inverse
    psi = own * w + (turns @ z) * (rows.treated - at.propensity)[order]
    guard = of_squares(weights_of(psi * psi, 1)) if psi.any() else None
    return Answer(filled(asked.layout, {"spread": np.array([[psi @ psi]])}), guard)


def _sums(made: cox_rows.Rows, told: tuple[Any, Any, FloatArray], place: dict[str, Any], asked: Round) -> Answer:
    """Events of each arm are cells, and so are the effective rows of their weights."""
    event, treated, w = told
    totals = cox_site.site_sums(made, TIES, place)
    place_of = np.where(treated, 0, 1)[event]
    count, total, squares = (np.bincount(place_of, v[event], minlength=2) for v in (np.ones_like(w), w, w * w))
    values = {"deaths": count.astype(np.int64), "score": totals.score, "information": totals.information}
    cells = {"weighted events": indicators.effective_rows(np.array([count, total, squares]))}
    return Answer(filled(asked.layout, values), totals.weights, cells)
