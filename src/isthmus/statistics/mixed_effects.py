"""Effects of single sites in a mixed model: what each site's intercept, and slopes, differ by from the common ones.

One round after the fit, where numbers of single sites may be given: site s fills its own slot. Given theta, with
K = I + L'Z'Z L: b = L K^-1 L'Z'(y - X beta) and its conditional variance sigma^2 L K^-1 L'; other families: the mode of
the conditional distribution and its curvature there. As `lme4::ranef(condVar = TRUE)`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from isthmus.evidence import Counts, weights_of
from isthmus.statistics import linear, mixed_groups, mixed_modes, mixed_steps
from isthmus.statistics.contract import Answer, Estimate, Flow, Round
from isthmus.statistics.mixed_groups import Rows
from isthmus.statistics.mixed_plan import Plan
from isthmus.statistics.show import number, size
from isthmus.statistics.summaries import filled
from isthmus.summary import Field, FloatArray, Layout


def told(plan: Plan, sites: int, estimate: Estimate) -> Flow:
    """The estimate with `effects` (sites, q), `spreads` (sites, q, q) and rows of each site."""
    q, found = plan.random, estimate.values
    layout = Layout(
        fields=(
            Field(name="rows", shape=(sites,), kind="count"),
            Field(name="effects", shape=(sites, q), kind="sum"),
            Field(name="spreads", shape=(sites, q, q), kind="gram"),
        )
    )
    pooled = yield Round(layout, {"step": "effects", **found["ended"]})
    turn, unit = _raw(plan, found["ended"]), float(found["ended"]["response_scale"])
    residual = unit**2 if found["sigma2"] is None else found["sigma2"]
    effects = np.array([linear.product(turn, one) * unit for one in pooled["effects"]])
    spreads = [linear.product(linear.product(turn, one), turn.T) * residual for one in pooled["spreads"]]
    rows = Counts("cells", pooled["rows"].astype(np.int64))
    return replace(
        estimate,
        rounds=estimate.rounds + 1,
        counts={**estimate.counts, "rows of sites": rows},
        values={**found, "effects": effects, "spreads": np.array(spreads)},
    )


def _raw(plan: Plan, params: Any) -> FloatArray:
    """(q, q) from random columns as the fit has them to those as written."""
    turn = np.eye(plan.random)
    for k, j in enumerate(plan.slopes, start=1):
        turn[k, k] = 1.0 / params["scale"][j]
        turn[0, k] = -params["centre"][j] / params["scale"][j]
    return turn


def summarise(family: str, rows: Rows, asked: Round) -> Answer:
    """This site's slot; the others' are 0."""
    q = 1 + len(rows.slopes)
    values: dict[str, Any] = {f.name: np.zeros(f.shape) for f in asked.layout.fields}
    if rows.y.size:
        effect, spread = _gaussian(rows, asked) if family == "gaussian" else _mode(family, rows, asked)
        values["rows"][rows.site], values["effects"][rows.site] = rows.y.size, effect
        values["spreads"][rows.site] = spread
    return Answer(filled(asked.layout, values), weights_of(np.ones(rows.y.size), q))


def _gaussian(rows: Rows, asked: Round) -> tuple[FloatArray, FloatArray]:
    found = mixed_groups.sums(rows, asked.params)
    root = found.root[0]
    L = mixed_steps.lower(np.asarray(asked.params["theta"]), len(root))
    inverse = np.linalg.inv(np.eye(len(L)) + L.T @ root.T @ root @ L)
    spread: FloatArray = L @ inverse @ L.T
    away = np.append(-np.asarray(asked.params["coefficients"]), 1.0)
    return spread @ root.T @ (found.cross[0] @ away), spread


def _mode(family: str, rows: Rows, asked: Round) -> tuple[FloatArray, FloatArray]:
    case = mixed_modes.case(family, rows, asked)
    mode, curve, _ = mixed_modes.modes(case)
    return case.factor @ mode[:, 0], case.factor @ np.linalg.inv(curve[0]) @ case.factor.T


def shown(labels: Sequence[str], sites: Sequence[str], estimate: Estimate) -> list[dict[str, Any]]:
    """A row for each site that has rows and each random column."""
    found, made = estimate.values, list[dict[str, Any]]()
    for at, n in enumerate(np.asarray(estimate.counts["rows of sites"].values, dtype=np.float64)):
        if n == 0.0:
            continue
        effect, spread = found["effects"][at], found["spreads"][at]
        made += [
            {
                "site": sites[at],
                "term": name,
                "estimate": number(effect[k]),
                "std_error": number(math.sqrt(max(float(spread[k, k]), 0.0))),
                "n": size(Counts("size", np.array([n]))),
            }
            for k, name in enumerate(labels)
        ]
    return made
