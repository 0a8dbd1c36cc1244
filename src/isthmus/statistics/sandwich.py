"""Robust and clustered errors: what the middle of a sandwich is made of, and who stands behind it.

The middle is the sum of U U' over rows, or over clusters inside a site, U (p,) the scores of one, without small-sample
factor: `sandwich`'s `vcovCL(type = "HC0", cadjust = FALSE)`. A cluster belongs to one site, so an identifier is never
compared between sites: the same at two sites means two clusters. With sites as clusters each site sends its own U U'.
What a cluster adds may be one person's score, so few clusters, or one above all, are refused.
Reference: Liang & Zeger (1986), Biometrika 73:13.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from isthmus.evidence import SQUARED, Counts, Weights, of_squares, weights_of, worst
from isthmus.model.errors import Invalid
from isthmus.summary import Field, FloatArray, IntArray, Layout, Summary

SITE = "site"
FEWEST_SITES = 10  # below this a sum over sites estimates no variance (STATISTICS.md)


@dataclass(frozen=True, slots=True)
class Errors:
    """How rows count and which errors are asked for: kind of weights or None, `robust`, what they are clustered by."""

    weighting: str | None = None
    robust: bool = False
    cluster: str | None = None

    @property
    def sandwich(self) -> bool:
        """Whether the model's own errors are not those asked for."""
        return self.robust or self.cluster is not None or self.weighting == "sampling"

    @property
    def copies(self) -> bool:
        """Whether a row stands for several."""
        return self.weighting == "frequency"

    @property
    def own(self) -> Errors:
        """The same weights, with the model's own errors."""
        return Errors("precision" if self.weighting == "sampling" else self.weighting)

    def name(self, robust: str) -> str:
        """As results say it; `robust` is what the kind calls such errors."""
        return "cluster" if self.cluster is not None else robust if self.sandwich else "model"


PLAIN = Errors()


class Weighed(Protocol):
    """Rows of a site: how many, their weights and clusters (rows,) where the question has them."""

    @property
    def size(self) -> int:
        """Rows."""

    @property
    def prior(self) -> FloatArray | None:
        """Weights, none negative."""

    @property
    def cluster(self) -> Any:
        """Numbers from 0; None where all rows are one cluster."""


def check(cluster: str | None, sites: int) -> None:
    """Whether errors may be clustered by this over so many sites.

    Raises:
        Invalid: E-CLUSTER.
    """
    if cluster == SITE and sites < FEWEST_SITES:
        hint = "take `strata: [site]` in a cox model or a glm, or cluster by a variable inside sites"
        raise Invalid("E-CLUSTER", f"errors clustered by site need {FEWEST_SITES} sites or more", hint)
    if cluster == "country":
        raise Invalid("E-CLUSTER", "a cluster lies inside one site, and a country need not", "take it as a term")


def layout(size: int, cluster: str | None, leverage: bool = False) -> Layout:
    """The middle of the sandwich; with clusters, also how many there are; where it divides by 1 - `leverage`, rows without any left."""
    counted_ = () if cluster is None else (Field(name="clusters", shape=(1,), kind="count"),)
    whole = (Field(name="whole", shape=(size + 1,), kind="count"),) if leverage else ()
    return Layout(fields=(Field(name="meat", shape=(size, size), kind="gram"), *counted_, *whole))


def check_leverage(error: str, names: Sequence[str], pooled: Summary) -> None:
    """Whether HC2 or HC3 is defined: no row of leverage 1, of which `whole` of `layout` tells.

    Raises:
        Invalid: E-LEVERAGE, naming the columns that set such a row apart.
    """
    if not pooled["whole"].any():
        return
    found = [repr(name) for name, rows in zip(names, pooled["whole"].tolist(), strict=False) if rows > 0.0]
    shown = [name for name in found if name != "'(Intercept)'"] or found
    text = f"{error} is not defined: a row has leverage 1, "
    text += (
        f"the only one that {' and '.join(shown)} set{'' if shown[1:] else 's'} apart"
        if shown
        else "alone in its stratum"
    )
    raise Invalid("E-LEVERAGE", text, "leave the column out, merge its level or the stratum, or take HC0 or HC1")


def present(rows: int, cluster: Any, prior: FloatArray | None) -> IntArray:
    """(1,) clusters with a row that has a weight; `cluster` (rows,) or None where all rows are one."""
    codes = np.zeros(rows, dtype=np.int32) if cluster is None else cluster
    used = codes if prior is None else codes[prior > 0.0]
    return np.array([np.unique(used).size], dtype=np.int64)


def middle(
    errors: Errors, size: int, parts: Iterable[tuple[slice, FloatArray]], rows: Weighed
) -> tuple[dict[str, Any], Weights | None]:
    """A site's part of `layout`, and its guard where there are clusters.

    Args:
        errors: what is asked for.
        size: number of scores p of a row.
        parts: pieces of the rows and their scores (p, rows), the weights of the rows left out.
        rows: their weights, of which a frequency counts a row w times, and clusters.

    A site that is one cluster is guarded as the sum of its rows is, in the rounds before: no guard here. Nor without
    clusters: how rows add to the middle is for the kind to say.
    """
    root = rows.prior if errors.cluster is not None else roots(errors, rows.prior)
    codes = np.zeros(rows.size, dtype=np.int32) if rows.cluster is None else rows.cluster
    alone = errors.cluster is None
    found = np.zeros((size, size if alone else int(codes.max(initial=-1)) + 1))
    for piece, scores in parts:
        u = scores if root is None else scores * root[piece]
        if alone:
            found += u @ u.T
        else:
            found += np.array([np.bincount(codes[piece], line, found.shape[1]) for line in u])
    if alone:
        return {"meat": found}, None
    values = {"meat": found @ found.T, "clusters": present(rows.size, rows.cluster, rows.prior)}
    return values, None if errors.cluster == SITE else guard(found)


def roots(errors: Errors, prior: FloatArray | None) -> FloatArray | None:
    """(n,) what the score of a row is multiplied by before it is squared, or None."""
    return np.sqrt(prior) if prior is not None and errors.copies else prior


def guard(scores: FloatArray, parameters: int | None = None) -> Weights:
    """Of columns (p, k) of scores that are squared and summed: of normal ones the sizes are as good as two thirds of the clusters, the squares as a third.

    `parameters`: of the fit, where `scores` are what its rows' scores have in common instead.
    """
    size = math.ceil((parameters or len(scores)) / SQUARED)
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


def counts(cluster: str | None, pooled: Summary) -> dict[str, Counts]:
    """How many clusters there are, as people see it."""
    return {} if cluster is None else {"clusters": Counts("size", counted(cluster, pooled))}
