"""Clustered errors of a generalized linear model at a site (`sandwich`)."""

from __future__ import annotations

from typing import Any

from isthmus.evidence import Weights
from isthmus.statistics import sandwich
from isthmus.statistics.glm_kernel import Params, Rows, cluster_scores
from isthmus.statistics.glm_model import Model


def meat(model: Model, rows: Rows, params: Params, strata: int = 0) -> tuple[dict[str, Any], Weights | None]:
    """A site's part of the round, and its guard: who makes up the sum of each column's scores and of their squares.

    A site that is one cluster is guarded as the sum of its rows is, in the rounds before. `strata`: intercepts of the
    site that are profiled out.
    """
    scores = cluster_scores(model.family, rows, params)
    values = {"meat": scores @ scores.T, "clusters": sandwich.present(rows.size, rows.cluster, rows.prior)}
    return values, None if model.cluster == sandwich.SITE else sandwich.guard(scores, len(scores) + strata)
