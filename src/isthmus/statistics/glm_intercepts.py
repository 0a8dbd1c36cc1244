"""The intercept of each stratum at given slopes: the root of its score, whatever family and link.

The log-likelihood of one intercept has one maximum for every family and link here but the identity of gamma and inverse
Gaussian models, so that Newton's steps, halved into an interval that holds the root, end at it. Gaussian models, and
Poisson, gamma and inverse Gaussian ones with link log, have it in closed form. Where a link has means only between two
predictors, the root must lie where every row of the stratum has one; else the intercept is put beyond, and the deviance
there has its scoring step halved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from isthmus.statistics.families import Family, Work
from isthmus.summary import FloatArray

STEPS = 200  # of an intercept: bisection alone needs fewer
STILL = 2.0**-51  # a step of an intercept, relative to 1 or its size, that is rounding
REACH = 60  # doublings of a first interval: more than a link's whole range
Interval: TypeAlias = tuple[FloatArray, FloatArray]
SEVERAL = {("gamma", "identity"), ("inverse_gaussian", "identity")}  # an intercept's likelihood may have two maxima


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows (n,) of telling strata: which of a site's rows, and the stratum of each, from 0 to `count`.

    Where a site is one stratum nothing is gathered.
    """

    kept: Any
    code: Any
    count: int

    def sums(self, values: FloatArray) -> FloatArray:
        """(..., count) sums of (..., n) values."""
        if self.count == 1:
            return np.asarray(values.sum(axis=-1, keepdims=True))
        lines = np.atleast_2d(values)
        found = np.array(
            [np.bincount(self.code, weights=line, minlength=self.count) for line in lines], dtype=np.float64
        )
        return found.reshape(*values.shape[:-1], self.count)

    def means(self, values: FloatArray, weight: FloatArray) -> FloatArray:
        """(..., count) weighted means of (..., n) values; 0 where nothing weighs."""
        total = self.sums(weight)
        whole = (values @ weight)[..., None] if self.count == 1 else self.sums(values * weight)
        return np.divide(whole, total, out=np.zeros_like(whole), where=total > 0.0)

    def spread(self, values: FloatArray) -> FloatArray:
        """(..., n) of (..., count) values, each row's own; (..., 1) where there is one stratum."""
        return values if self.count == 1 else values[..., self.code]

    def ends(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(count,) least and largest of (n,) values."""
        if self.count == 1:
            return values.min(keepdims=True), values.max(keepdims=True)
        low, high = np.full(self.count, np.inf), np.full(self.count, -np.inf)
        np.minimum.at(low, self.code, values)
        np.maximum.at(high, self.code, values)
        return low, high


@dataclass(frozen=True, slots=True)
class Told:
    """Of the rows that tell something (n,): the predictor without intercept, outcome, prior weights."""

    base: FloatArray
    y: FloatArray
    prior: FloatArray


def intercepts(family: Family, groups: Groups, told: Told) -> FloatArray:
    """(count,) intercepts beside `told.base` where the score of each is 0."""
    if family.base == "gaussian":
        return groups.means(told.y - told.base, told.prior)
    if family.base == "poisson" and family.canonical:
        return _log_sum(groups, told.prior * told.y, 0.0 * told.base) - _log_sum(groups, told.prior, told.base)
    if family.base == "gamma" and family.link == "log":
        return _log_sum(groups, told.prior * told.y, -told.base) - _log_sum(groups, told.prior, 0.0 * told.base)
    if family.base == "inverse_gaussian" and family.link == "log":
        return _log_sum(groups, told.prior * told.y, -2.0 * told.base) - _log_sum(groups, told.prior, -told.base)
    low, high = groups.ends(told.base)
    first = groups.means(told.y, told.prior)
    first = np.array([family.predictor(mean) for mean in first.tolist()])
    if family.base == "binomial" and family.canonical:
        return _root(family, groups, told, (first - high, first - low))
    return _root(family, groups, told, _around(family, groups, told, (first - high, first - low)))


def _log_sum(groups: Groups, factor: FloatArray, logs: FloatArray) -> FloatArray:
    """(count,) logarithms of sums of factor exp(logs)."""
    _, largest = groups.ends(logs)
    found: FloatArray = np.log(groups.sums(factor * np.exp(logs - groups.spread(largest)))) + largest
    return found


def slopes(family: Family, groups: Groups, told: Told, at: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(count,) score of intercepts `at`, and observed information."""
    work = Work(*(np.empty(told.y.size) for _ in range(3)))
    family.evaluate(told.base + groups.spread(at), told.y, None, work)
    observed = work.weight if family.canonical else work.weight + work.spare
    return groups.sums(told.prior * work.residual), groups.sums(told.prior * observed)


def _around(family: Family, groups: Groups, told: Told, first: tuple[FloatArray, FloatArray]) -> Interval:
    """An interval that holds the root; beyond the last mean of a link where no root lies where every row has one."""
    least, most = groups.ends(told.base)
    ends = family.low - least, family.high - most  # every row has a mean between
    if not family.bounded:
        ends = family.low - most, family.high - least
    low, high = (np.clip(one, ends[0], np.maximum(*ends)) for one in first)
    for _ in range(REACH):
        short, long = slopes(family, groups, told, low)[0] < 0.0, slopes(family, groups, told, high)[0] > 0.0
        short, long = short & (low > ends[0]), long & (high < ends[1])
        if not (short.any() or long.any()):
            break
        width = np.maximum(high - low, 1.0)
        low = np.where(short, np.maximum(low - width, ends[0]), low)
        high = np.where(long, np.minimum(high + width, ends[1]), high)
    if not family.bounded:
        return low, high
    under, over = slopes(family, groups, told, low)[0] < 0.0, slopes(family, groups, told, high)[0] > 0.0
    low, high = np.where(under, ends[0] - 1.0, low), np.where(under, ends[0] - 1.0, high)
    return np.where(over, ends[1] + 1.0, low), np.where(over, ends[1] + 1.0, high)


def _root(family: Family, groups: Groups, told: Told, ends: Interval) -> FloatArray:
    """Newton's steps, halved into the interval that holds the root where they leave it."""
    low, high = ends
    now = (low + high) / 2.0
    for _ in range(STEPS):
        score, slope = slopes(family, groups, told, now)
        low, high = np.where(score > 0.0, now, low), np.where(score < 0.0, now, high)
        step = np.divide(score, slope, out=np.full_like(score, np.inf), where=slope > 0.0)
        moved = now + step
        after = np.where((moved >= low) & (moved <= high), moved, (low + high) / 2.0)
        size = np.abs(after - now)
        now = after
        if bool(np.all(size <= STILL * np.maximum(np.abs(now), 1.0))):
            break
    return now
