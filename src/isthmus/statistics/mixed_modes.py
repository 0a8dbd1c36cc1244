"""Generalized mixed models at a site: rows by group, and where each group's random effects are likeliest.

Given coefficients and L (lower, theta its entries), a row's linear predictor is x'b + z'L u with u standard normal: the
mode of h(u) = log-likelihood of the group's rows - u'u / 2, which is concave, is found for all groups at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from isthmus.statistics import coordinates, mixed_steps
from isthmus.statistics.contract import Round
from isthmus.statistics.families import LARGEST_ETA
from isthmus.statistics.mixed_groups import Rows
from isthmus.summary import FloatArray

STEPS = 60  # of Newton's method to the modes
HALVINGS = 30  # of a step that leads down
ROUNDING = 1e-12  # of h
TINY = 1e-9  # change of a mode after which the next is below 1e-16: Newton squares it


@dataclass(frozen=True, slots=True)
class Case:
    """Rows in the coordinates of the fit, sorted by group: columns `x` (p, n), random ones `z` (q, n), outcome, offset,
    `group` of each row, `starts` of the groups; `factor` L (q, q); `eta` (n,) without the random effects.
    """

    base: str
    x: FloatArray
    z: FloatArray
    y: FloatArray
    group: Any
    starts: Any
    factor: FloatArray
    eta: FloatArray

    @property
    def groups(self) -> int:
        """G."""
        return len(self.starts)

    def added(self, values: FloatArray) -> FloatArray:
        """(..., G) sums of (..., n) over the rows of each group."""
        made: FloatArray = np.add.reduceat(values, self.starts, axis=-1)
        return made


@dataclass(frozen=True, slots=True)
class Row:
    """Of each row at a linear predictor: log-likelihood, residual, variance, and its first two derivatives by it."""

    likely: FloatArray
    gap: FloatArray
    weight: FloatArray
    third: FloatArray
    fourth: FloatArray


def case(base: str, rows: Rows, asked: Round) -> Case:
    """The rows at the coefficients and theta of a round."""
    params = asked.params
    x, random = coordinates.turn(rows.columns, params), list(rows.slopes)
    plain = (rows.columns[random] - np.asarray(params["centre"])[random, None]) / np.asarray(params["scale"])[
        random, None
    ]
    z = np.vstack([np.ones((1, rows.y.size)), plain])
    offset = 0.0 if rows.offset is None else rows.offset
    group = np.repeat(np.arange(len(rows.starts)), rows.sizes)
    factor = mixed_steps.lower(np.asarray(params["theta"]), len(z))
    return Case(base, x, z, rows.y, group, rows.starts, factor, np.asarray(params["coefficients"]) @ x + offset)


def modes(found: Case) -> tuple[FloatArray, FloatArray, Row]:
    """(q, G) modes, (G, q, q) minus the second derivatives there, and the rows there."""
    turned = found.factor.T @ found.z  # a (q, n)
    mode = np.zeros((len(turned), found.groups))
    here, height = _at(found, turned, mode)
    for _ in range(STEPS):
        curve = curvature(found, turned, here.weight)
        slope = found.added(turned * here.gap) - mode
        step = np.linalg.solve(curve, slope.T[:, :, None])[:, :, 0].T
        longest = np.abs(step).max(axis=0)
        step /= np.maximum(longest, 1.0)
        there, reached = here, height
        for _ in range(HALVINGS):
            there, reached = _at(found, turned, mode + step)
            lost = reached < height - ROUNDING * (1.0 + np.abs(height))
            if not bool(lost.any()):
                break
            step[:, lost] /= 2.0
        mode, here, height = mode + step, there, reached
        if float(longest.max()) < TINY:
            break
    return mode, curvature(found, turned, here.weight), here


def _at(found: Case, turned: FloatArray, mode: FloatArray) -> tuple[Row, FloatArray]:
    """Rows at the groups' effects, and h (G,)."""
    here = row(found.base, found.y, found.eta + _effects(turned, mode, found))
    height: FloatArray = found.added(here.likely) - 0.5 * (mode**2).sum(axis=0)
    return here, height


def _effects(turned: FloatArray, mode: FloatArray, found: Case) -> FloatArray:
    made: FloatArray = (turned * mode[:, found.group]).sum(axis=0)
    return made


def curvature(found: Case, turned: FloatArray, weight: FloatArray) -> FloatArray:
    """(G, q, q) I + sum over a group's rows of weight a a'."""
    size = len(turned)
    made = np.empty((found.groups, size, size))
    for i in range(size):
        for j in range(i + 1):
            made[:, i, j] = made[:, j, i] = found.added(weight * turned[i] * turned[j]) + (i == j)
    return made


def row(base: str, y: FloatArray, eta: FloatArray) -> Row:
    """Canonical links."""
    if base == "binomial":
        small = np.exp(-np.abs(eta))
        share = 1.0 / (1.0 + small)
        mean = np.where(eta >= 0.0, share, small * share)
        weight: FloatArray = small * share * share
        away: FloatArray = 1.0 - 2.0 * mean
        likely = y * eta - np.maximum(eta, 0.0) - np.log1p(small)
        return Row(likely, y - mean, weight, weight * away, weight * (1.0 - 6.0 * weight))
    eta = np.minimum(eta, LARGEST_ETA)
    mean = np.exp(eta)
    return Row(y * eta - mean - special.gammaln(y + 1.0), y - mean, mean, mean, mean)
