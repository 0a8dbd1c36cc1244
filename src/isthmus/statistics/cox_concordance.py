"""Concordance of a Cox model within the strata of each site, as `coxph`'s.

A pair counts where one row had its event while the other was at risk and stayed longer, or left then without. It is
concordant where the linear predictor of the first is larger, and weighs the product of the weights.
Reference: Harrell et al. (1982), JAMA 247:2543.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from isthmus.statistics import cox_rows, survival
from isthmus.statistics.cox_rows import Params, Rows
from isthmus.summary import FloatArray

TIED = 1e-11  # of the largest linear predictor: equal rows differ by rounding only


def pairs(rows: Rows, params: Params) -> FloatArray:
    """(3,) weights of pairs that are concordant, discordant and tied in the linear predictor."""
    columns, scale = cox_rows.turned(rows, params)
    eta = (params["coefficients"] / scale) @ columns
    rank = _ranks(eta)
    found = np.zeros(3)
    bounds = np.searchsorted(rows.stratum, np.arange(rows.strata + 1))
    for low, high in pairwise(bounds.tolist()):
        if high > low:
            found += _within(rows, slice(low, high), rank[low:high])
    return found


def _ranks(eta: FloatArray) -> Any:
    distinct = np.unique(eta)
    apart = np.diff(distinct) > TIED * np.abs(distinct).max(initial=0.0)
    return np.concatenate([[0], np.cumsum(apart)])[np.searchsorted(distinct, eta)] if eta.size else distinct


def _within(rows: Rows, at: slice, rank: Any) -> FloatArray:
    time, event = rows.time[at], rows.event[at]
    weight = np.ones(len(time)) if rows.weight is None else rows.weight[at]
    entry = None if rows.told.entry is None else rows.told.entry[at]
    steps = survival.own_steps(time, entry)
    left = 2 * steps[: len(time)] + ~event  # whoever leaves without an event stays longer than who has one then
    asked = (left[event], rank[event])
    below, above, equal = _beyond(left, rank, weight, asked, "right")
    if entry is not None:  # who had not come yet left later
        counts = _beyond(2 * steps[len(time) :], rank, weight, asked, "left")
        below, above, equal = (a - b for a, b in zip((below, above, equal), counts, strict=True))
    mine = weight[event]
    return np.array([mine @ below, mine @ above, mine @ equal])


def _beyond(place: Any, rank: Any, weight: FloatArray, asked: tuple[Any, Any], side: Any) -> tuple[FloatArray, ...]:
    """Weights of the rows whose place lies beyond that of each question, with a lower, higher and equal rank."""
    order = np.argsort(place, kind="stable")
    start = np.searchsorted(place[order], asked[0], side=side)
    sorted_rank, sorted_weight = rank[order], weight[order]
    less, upto, every = (
        _suffix(sorted_rank, sorted_weight, start, r) for r in (asked[1], asked[1] + 1, rank.max() + 1)
    )
    return less, every - upto, upto - less


def _suffix(rank: Any, weight: FloatArray, start: Any, limit: Any) -> FloatArray:
    """Weights of the rows from position `start` on whose rank is below `limit`: blocks of powers of two, each sorted."""
    size, width = len(rank), int(rank.max()) + 2
    limit = np.broadcast_to(limit, start.shape)
    found, at = np.zeros(len(start)), start + 1  # counted from 1, so that block sizes follow from the lowest bit
    place = np.arange(1, size + 1)
    for bit in range(size.bit_length()):
        key = (place >> bit) * width + rank
        order = np.argsort(key, kind="stable")
        summed = np.concatenate([[0.0], np.cumsum(weight[order])])
        here = np.flatnonzero(((at >> bit) & 1 == 1) & (at <= size))
        block = at[here] >> bit
        low, high = (np.searchsorted(key[order], block * width + r) for r in (0, limit[here]))
        found[here] += summed[high] - summed[low]
        at[here] += 1 << bit
    return found
