"""Clustered errors of a generalized linear model: the middle of the sandwich over clusters inside a site.

It is the sum over clusters of U U', U (p,) the sum of a cluster's scores, without small-sample factor: `sandwich`'s
`vcovCL(type = "HC0", cadjust = FALSE)`. A cluster belongs to one site, so an identifier is never compared between
sites: the same at two sites means two clusters. With sites as clusters each site sends its own U U'.
What a cluster adds may be one person's score, so few clusters, or one above all, are refused.
Reference: Liang & Zeger (1986), Biometrika 73:13.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from isthmus.evidence import SQUARED, Weights, of_squares, weights_of, worst
from isthmus.model.errors import Invalid
from isthmus.statistics.glm_kernel import Params, Rows, cluster_scores
from isthmus.statistics.glm_model import Model
from isthmus.summary import FloatArray, IntArray, Summary

SITE = "site"
FEWEST_SITES = 10  # below this a sum over sites estimates no variance (STATISTICS.md)


def check(cluster: str | None, sites: int) -> None:
    """Whether errors may be clustered by this over so many sites.

    Raises:
        Invalid: E-CLUSTER.
    """
    if cluster == SITE and sites < FEWEST_SITES:
        hint = (
            "take `site` as strata of a cox model, a term for the site in a glm, or cluster by a variable inside sites"
        )
        raise Invalid("E-CLUSTER", f"errors clustered by site need {FEWEST_SITES} sites or more", hint)
    if cluster == "country":
        raise Invalid("E-CLUSTER", "a cluster lies inside one site, and a country need not", "take it as a term")


def present(rows: Rows) -> IntArray:
    """(1,) clusters with a row that has a weight."""
    codes = np.zeros(rows.size, dtype=np.int32) if rows.cluster is None else rows.cluster
    used = codes if rows.prior is None else codes[rows.prior > 0.0]
    return np.array([np.unique(used).size], dtype=np.int64)


def meat(model: Model, rows: Rows, params: Params) -> tuple[dict[str, Any], Weights | None]:
    """A site's part of the round, and its guard: who makes up the sum of each column's scores and of their squares.

    A site that is one cluster is guarded as the sum of its rows is, in the rounds before.
    """
    scores = cluster_scores(model.family, rows, params)
    values = {"meat": scores @ scores.T, "clusters": present(rows)}
    return values, None if model.cluster == SITE else guard(scores)


def guard(scores: FloatArray) -> Weights:
    """Of columns (p, k) of scores that are squared and summed: of normal ones the sizes are as good as two thirds of the clusters, the squares as a third."""
    size = math.ceil(len(scores) / SQUARED)
    sizes = [np.abs(line) for line in scores if line.any()]
    if not sizes:
        return weights_of(np.zeros(0), size)
    return worst([*(weights_of(v, size) for v in sizes), *(of_squares(weights_of(v * v, size)) for v in sizes)])


def counted(cluster: str, pooled: Summary) -> IntArray:
    """(1,) clusters of all sites.

    Raises:
        Invalid: E-CLUSTER, fewer than two.
    """
    found = np.rint(pooled["clusters"]).astype(np.int64)
    if found[0] < 2:
        raise Invalid("E-CLUSTER", f"{cluster!r} has one value only", "cluster by a variable with many")
    return found
