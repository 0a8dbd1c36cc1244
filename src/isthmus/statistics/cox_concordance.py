"""Concordance of a Cox model within the strata of each site and its standard error, as `coxph`'s.

A pair counts where one row had its event while the other was at risk and stayed longer, or left then without. It is
concordant where the linear predictor of the first is larger, and weighs the product of the weights. The variance is that
of the infinitesimal jackknife: the sum of squares of what each row, or cluster, moves the concordance.
Reference: Harrell et al. (1982), JAMA 247:2543; Therneau & Watson (2015), Mayo Clinic technical report 85.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from isthmus.evidence import Weights, weights_of
from isthmus.statistics import cox_rows, survival
from isthmus.statistics.cox_rows import Params, Rows
from isthmus.summary import FloatArray

TIED = 1e-11  # of the largest linear predictor: equal rows differ by rounding only


def pairs(rows: Rows, params: Params) -> FloatArray:
    """(3,) weights of pairs that are concordant, discordant and tied in the linear predictor."""
    weight = np.ones(rows.size) if rows.weight is None else rows.weight
    return _counted(rows, params, _first) @ weight


def squares(rows: Rows, params: Params, copies: FloatArray | None) -> tuple[float, Weights]:
    """Sum over rows or clusters of what each moves the concordance, squared; the weight of each in it.

    `count` and `somers_d` (concordant less discordant over all pairs) are pooled; `copies`: (n,) rows that each stands for.
    """
    found = _counted(rows, params, _first) + _counted(rows, params, _later)
    moved = (found[0] - found[1] - float(params["somers_d"]) * found.sum(axis=0)) / (2.0 * float(params["count"]))
    u = moved if rows.weight is None else moved * rows.weight
    if rows.told.cluster is not None:
        u = np.bincount(rows.told.cluster, weights=u)
    elif copies is not None:
        u = u / np.sqrt(copies)
    return float(u @ u), weights_of(u * u, 1)


def _counted(rows: Rows, params: Params, within: Any) -> FloatArray:
    """(3, n) of each row, over its stratum."""
    x, scale = cox_rows.columns(rows, params)
    eta = x.predictor(params["coefficients"] / scale)
    rank, found = _ranks(eta), np.zeros((3, rows.size))
    bounds = np.searchsorted(rows.stratum, np.arange(rows.strata + 1))
    for low, high in pairwise(bounds.tolist()):
        if high > low:
            found[:, low:high] = within(_Stratum.of(rows, slice(low, high), rank[low:high]))
    return found


@dataclass(frozen=True, slots=True)
class _Stratum:
    """Rows of one stratum: ranks of the linear predictor, weights, who had the event, and places on the time axis.

    `left` is odd without an event: who leaves so stays longer than who has one then; `came` is None without entries.
    """

    rank: Any
    weight: FloatArray
    event: Any
    left: Any
    came: Any

    @classmethod
    def of(cls, rows: Rows, at: slice, rank: Any) -> _Stratum:
        time, event = rows.time[at], rows.event[at]
        weight = np.ones(len(time)) if rows.weight is None else rows.weight[at]
        entry = None if rows.told.entry is None else rows.told.entry[at]
        steps = survival.own_steps(time, entry, rows.told.near)
        left = 2 * steps[: len(time)] + ~event
        return cls(rank, weight, event, left, None if entry is None else 2 * steps[len(time) :])


def _ranks(eta: FloatArray) -> Any:
    distinct = np.unique(eta)
    apart = np.diff(distinct) > TIED * np.abs(distinct).max(initial=0.0)
    return np.concatenate([[0], np.cumsum(apart)])[np.searchsorted(distinct, eta)] if eta.size else distinct


def _first(rows: _Stratum) -> FloatArray:
    """(3, n) weights of the rows that were at risk at each row's event: its rank is higher, lower, equal."""
    found, event = np.zeros((3, len(rows.left))), rows.event
    asked = (rows.left[event], rows.rank[event])
    found[:, event] = _beyond(rows.left, rows.rank, rows.weight, asked, "right")
    if rows.came is not None:  # who had not come yet left later
        found[:, event] -= _beyond(rows.came, rows.rank, rows.weight, asked, "left")
    return found


def _later(rows: _Stratum) -> FloatArray:
    """(3, n) weights of the events at which each row was at risk and stayed: their rank is higher, lower, equal."""
    event = rows.event
    place, rank, weight = rows.left[event], rows.rank[event], rows.weight[event]
    if not len(place):
        return np.zeros((3, len(rows.left)))
    came = np.full(len(rows.left), -1) if rows.came is None else rows.came
    seen = np.array(_beyond(place, rank, weight, (came, rows.rank), "right"))
    below, above, equal = seen - np.array(_beyond(place, rank, weight, (rows.left, rows.rank), "left"))
    return np.array([above, below, equal])


def _beyond(place: Any, rank: Any, weight: FloatArray, asked: tuple[Any, Any], side: Any) -> tuple[FloatArray, ...]:
    """Weights of the rows whose place lies beyond that of each question, with a lower, higher and equal rank."""
    order = np.argsort(place, kind="stable")
    start = np.searchsorted(place[order], asked[0], side=side)
    sorted_rank, sorted_weight = rank[order], weight[order]
    less, upto, every = (
        _suffix(sorted_rank, sorted_weight, start, r) for r in (asked[1], asked[1] + 1, rank.max(initial=0) + 1)
    )
    return less, every - upto, upto - less


def _suffix(rank: Any, weight: FloatArray, start: Any, limit: Any) -> FloatArray:
    """Weights of the rows from position `start` on whose rank is below `limit`: blocks of powers of two, each sorted."""
    limit = np.broadcast_to(limit, start.shape)
    size, width = len(rank), 1 + max(int(rank.max()), int(limit.max(initial=0)))  # no limit reaches into the next block
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
