"""Generalized mixed models at a site: the log-likelihood of its groups by adaptive Gauss-Hermite quadrature.

A group's integral over its standard normal effect u, h(u) = sum of l(eta_i + theta u) - u^2 / 2, is taken at points
about the mode of h, spread by its curvature there (one point: Laplace's approximation). Slopes are exact, mode and
curvature moving with the parameters included; second derivatives are differences of slopes, for this site alone.
Reference: Pinheiro & Bates (1995), J Comput Graph Stat 4:12; Bates et al., lme4's `glmer`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from isthmus.evidence import weights_of
from isthmus.statistics import coordinates
from isthmus.statistics.contract import Answer, Round
from isthmus.statistics.families import LARGEST_ETA
from isthmus.statistics.mixed_groups import Rows
from isthmus.statistics.summaries import filled
from isthmus.summary import FloatArray

STEPS = 60  # of Newton's method to the modes, all groups at once; h is concave
TINY = 1e-9  # change of a mode after which the next is below 1e-16: Newton squares it
APART = 1e-2  # of a parameter between two slopes: of fourth order, and wide, so that no digits are lost to rounding


@dataclass(frozen=True, slots=True)
class _Case:
    """Rows in the coordinates of the fit, by group: `z` (p, n), outcome, offset, group of each row, first rows; nodes and
    weights of the quadrature.
    """

    base: str
    z: FloatArray
    y: FloatArray
    offset: FloatArray
    group: Any
    starts: Any
    nodes: FloatArray
    shares: FloatArray

    def added(self, values: FloatArray) -> FloatArray:
        """(groups, ...) sums of (n, ...) over the rows of each."""
        made: FloatArray = np.add.reduceat(values, self.starts, axis=0)
        return made


def summarise(base: str, rows: Rows, points: int, asked: Round) -> Answer:
    """This site's log-likelihood, its slopes and second derivatives by (coefficients, theta), at one value of them."""
    at = np.append(np.asarray(asked.params["coefficients"]), float(asked.params["theta"]))
    size = len(at)
    if not rows.y.size:
        return Answer(filled(asked.layout, {f.name: np.zeros(f.shape) for f in asked.layout.fields}))
    offset = np.zeros(rows.y.size) if rows.offset is None else rows.offset
    group = np.repeat(np.arange(len(rows.starts)), rows.sizes)
    z, rule = coordinates.turn(rows.columns, asked.params), np.polynomial.hermite.hermgauss(points)
    case = _Case(base, z, rows.y, offset, group, rows.starts, *rule)
    loglik, gradient, modes, weight = _evaluated(case, at, np.zeros(len(rows.starts)))
    bend = np.zeros((size, size))
    for j in range(size):
        step = np.zeros(size)
        step[j] = APART
        for way, share in ((1.0, 8.0), (2.0, -1.0)):
            up, down = (_evaluated(case, at + sign * way * step, modes)[1] for sign in (1.0, -1.0))
            bend[j] += share * (up - down) / (12.0 * APART)
    values = {"loglik": loglik, "score": gradient, "bend": (bend + bend.T) / 2.0}
    return Answer(filled(asked.layout, values), weights_of(weight, size))


def modes(base: str, rows: Rows, asked: Round) -> tuple[FloatArray, FloatArray]:
    """(groups,) where each group's h is largest, and its curvature there, at the coefficients and theta asked about."""
    offset = np.zeros(rows.y.size) if rows.offset is None else rows.offset
    group, none = np.repeat(np.arange(len(rows.starts)), rows.sizes), np.zeros(0)
    z, theta = coordinates.turn(rows.columns, asked.params), float(asked.params["theta"])
    case = _Case(base, z, rows.y, offset, group, rows.starts, none, none)
    eta = np.asarray(asked.params["coefficients"]) @ z + offset
    mode = _modes(case, eta, theta, np.zeros(len(rows.starts)))
    weight = _row(base, rows.y, eta + theta * mode[group])[2]
    return mode, 1.0 + theta**2 * case.added(weight)


def _evaluated(case: _Case, at: FloatArray, first: FloatArray) -> tuple[float, FloatArray, FloatArray, FloatArray]:
    """Log-likelihood, slopes (p + 1,), modes (groups,), weights of rows at the modes."""
    theta, eta = float(at[-1]), at[:-1] @ case.z + case.offset
    mode = _modes(case, eta, theta, first)
    _, mean, weight, third = _row(case.base, case.y, eta + theta * mode[case.group])
    residual, spread = case.added(case.y - mean), case.added(weight)
    curve = 1.0 + theta**2 * spread
    scale = 1.0 / np.sqrt(curve)
    nodes = case.nodes
    u = mode[:, None] + math.sqrt(2.0) * scale[:, None] * nodes
    likely, means, _, _ = _row(case.base, case.y[:, None], eta[:, None] + theta * u[case.group])
    logs = case.added(likely) - u * u / 2.0 + np.log(case.shares) + nodes**2
    top = logs.max(axis=1, keepdims=True)
    part = np.exp(logs - top)
    whole = part.sum(axis=1)
    loglik = float((top[:, 0] + np.log(whole) + np.log(scale / math.sqrt(math.pi))).sum())
    chance = part / whole[:, None]
    gaps = case.y[:, None] - means
    by_node = case.added(gaps)
    slope = theta * by_node - u
    shift = (chance * slope).sum(axis=1)
    stretch = math.sqrt(2.0) * (chance * slope * nodes).sum(axis=1) + 1.0 / scale
    bent = case.added(third)
    narrow = -0.5 * scale**3 * stretch  # by the curvature
    own = (chance[case.group] * gaps).sum(axis=1)
    carried = (-theta * scale**2) * (shift + narrow * theta**3 * bent)
    own = own + carried[case.group] * weight + (narrow * theta**2)[case.group] * third
    moved = (residual - theta * mode * spread) * scale**2
    turned = 2.0 * theta * spread + theta**2 * (bent * (mode + theta * moved))
    by_theta = (chance * u * by_node).sum(axis=1) + shift * moved + narrow * turned
    return loglik, np.append(case.z @ own, by_theta.sum()), mode, weight


def _modes(case: _Case, eta: FloatArray, theta: float, first: FloatArray) -> FloatArray:
    """(groups,) where h is largest, by damped Newton steps: a step of more than one unit is cut."""
    mode = first.copy()
    for _ in range(STEPS):
        _, mean, weight, _ = _row(case.base, case.y, eta + theta * mode[case.group])
        step = (theta * case.added(case.y - mean) - mode) / (1.0 + theta**2 * case.added(weight))
        np.clip(step, -1.0, 1.0, out=step)
        mode += step
        if float(np.abs(step).max()) < TINY:
            break
    return mode


def _row(base: str, y: FloatArray, eta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Log-likelihood of each row, mean, variance, and the variance's slope by eta; canonical links."""
    if base == "binomial":
        mean: FloatArray = special.expit(eta)
        weight = mean * special.expit(-eta)
        return y * eta - np.logaddexp(0.0, eta), mean, weight, weight * (1.0 - 2.0 * mean)
    eta = np.minimum(eta, LARGEST_ETA)
    mean = np.exp(eta)
    return y * eta - mean - special.gammaln(y + 1.0), mean, mean, mean
