"""Score residuals of the partial likelihood, and the middle of Lin and Wei's sandwich.

At each event time, over the denominators m_l = S0 - f D0 with means (S1 - f D1) / m_l: `hazard` sum 1/m, `mean` sum
mean/m, the same times f for the tied, and the average mean. A row's residual is what its event adds less what the
cumulated hazard expected of it (`coxph`'s `residuals(type = "score")`, Efron's ties included).
Reference: Lin & Wei (1989), JASA 84:1074; Therneau & Grambsch (2000), section 7.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.evidence import Weights, weights_of
from isthmus.statistics import sandwich
from isthmus.statistics.cox_ties import TieSums
from isthmus.summary import FloatArray


@dataclass(frozen=True, slots=True)
class Moments:
    """At K event times: `hazard`, `tied` (K,); `mean`, `tied_mean`, `average` (p, K)."""

    hazard: FloatArray
    tied: FloatArray
    mean: FloatArray
    tied_mean: FloatArray
    average: FloatArray


def moments(sums: TieSums, deaths: FloatArray, s1: FloatArray, d1: FloatArray) -> Moments:
    """From risk-set sums `s1`, tied sums `d1` (p, K) and the weight of the events `deaths` (K,); elementwise only."""
    return Moments(
        hazard=sums.first,
        tied=sums.first_f,
        mean=s1 * sums.second - d1 * sums.second_f,
        tied_mean=s1 * sums.second_f - d1 * sums.second_ff,
        average=(s1 * sums.first - d1 * sums.first_f) / deaths,
    )


@dataclass(frozen=True, slots=True)
class At:
    """Rows of a site in the sums: columns `x` (p, n), weighted `risk` (n,), `prior` weights (n,) or None.

    `hazard` (n,), `mean` (p, n): of the event times that each row was at risk at; `events`: rows with an event, `block`
    their event times.
    """

    x: FloatArray
    risk: FloatArray
    prior: FloatArray | None
    hazard: FloatArray
    mean: FloatArray
    events: Any
    block: Any


def residuals(rows: At, at: Moments) -> FloatArray:
    """(p, n) score residuals, times the weights, from the moments at each event time."""
    found: FloatArray = rows.risk * (rows.mean - rows.x * rows.hazard)
    events, block = rows.events, rows.block
    own, weight = rows.x[:, events], rows.risk[events]
    single = own - at.average[:, block]
    if rows.prior is not None:
        single *= rows.prior[events]
    found[:, events] += single + weight * (own * at.tied[block] - at.tied_mean[:, block])
    return found


def meat(found: FloatArray, scale: FloatArray, cluster: Any, copies: FloatArray | None) -> tuple[FloatArray, Weights]:
    """Sum of u u' over rows or clusters, u a residual in units of `scale` (p,); their weights in it for the guard.

    `cluster`: (n,) numbers from 0, or None; `copies`: (n,) rows that each row stands for, or None.
    """
    u = found / scale[:, None]
    if cluster is not None:
        size = int(cluster.max(initial=-1)) + 1
        u = np.array([np.bincount(cluster, weights=line, minlength=size) for line in u])
        return u @ u.T, sandwich.guard(u)
    if copies is not None:
        u /= np.sqrt(copies)
    squares: FloatArray = np.einsum("ij,ij->j", u, u)
    return u @ u.T, weights_of(squares, len(u))
