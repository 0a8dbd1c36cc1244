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

from isthmus.evidence import Weights
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
    """From risk-set sums `s1` and tied sums `d1` (p, K); elementwise only, as every party repeats it."""
    return Moments(
        hazard=sums.first,
        tied=sums.first_f,
        mean=s1 * sums.second - d1 * sums.second_f,
        tied_mean=s1 * sums.second_f - d1 * sums.second_ff,
        average=(s1 * sums.first - d1 * sums.first_f) / deaths,
    )


def residuals(x: FloatArray, risk: FloatArray, of_row: Any, cumulated: Moments, at: Moments, events: Any) -> FloatArray:
    """(p, n) score residuals of rows `x` (p, n).

    Args:
        x: columns of the rows.
        risk: (n,) exp of the linear predictor, in the units of the sums.
        of_row: (n,) block of each row.
        cumulated: `hazard` and `mean` cumulated over the event times up to each block.
        at: the moments at each block.
        events: positions of the rows with an event.
    """
    found: FloatArray = risk * (cumulated.mean[:, of_row] - x * cumulated.hazard[of_row])
    block, own, weight = of_row[events], x[:, events], risk[events]
    found[:, events] += own - at.average[:, block] + weight * (own * at.tied[block] - at.tied_mean[:, block])
    return found


def meat(found: FloatArray, scale: FloatArray) -> tuple[FloatArray, Weights]:
    """Sum of u u' over rows, u a residual in units of `scale` (p,); the rows' weights in it for the guard."""
    u = found / scale[:, None]
    size: FloatArray = np.einsum("ij,ij->j", u, u)
    total, squares, largest = float(size.sum()), float(size @ size), float(size.max(initial=0.0))
    return u @ u.T, Weights(total, squares, largest, len(u))
