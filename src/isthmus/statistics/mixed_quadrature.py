"""Generalized mixed models at a site: the log-likelihood of its groups by adaptive Gauss-Hermite quadrature.

A group's integral over its standard normal effect u, h(u) = sum of l(eta_i + theta u) - u^2 / 2, is taken at points
u_k = mode + sqrt(2) t_k s about the mode of h, s = c^-1/2 from its curvature c there. First and second derivatives by
(coefficients, theta) follow mode and curvature: by the chain rule they are sums over rows of products of total
derivatives of the linear predictor, and products of a group's own. Nothing is differenced.

Reference: Pinheiro & Bates (1995), J Comput Graph Stat 4:12; Bates et al., lme4's `glmer`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isthmus.evidence import weights_of
from isthmus.statistics import mixed_laplace, mixed_modes
from isthmus.statistics.contract import Answer, Round
from isthmus.statistics.mixed_groups import Rows
from isthmus.statistics.mixed_modes import Case, Row
from isthmus.statistics.summaries import filled
from isthmus.summary import FloatArray

ROOT = math.sqrt(2.0)


def summarise(base: str, rows: Rows, points: int, asked: Round) -> Answer:
    """This site's log-likelihood, its slopes and second derivatives by (coefficients, theta) at one value of them, and `tried`, itself at others."""
    wanted = [f.name for f in asked.layout.fields]
    if not rows.y.size:
        return Answer(filled(asked.layout, {f.name: np.zeros(f.shape) for f in asked.layout.fields}))
    case = mixed_modes.case(base, rows, asked)
    values, weight = mixed_laplace.summed(case) if points == 1 else _summed(case, points)
    powers = case.z[1:] ** 2
    values["powers"] = np.array([powers.sum(axis=1), (powers**2).sum(axis=1)])
    size = len(values["score"])
    at, others = len(np.asarray(asked.params["coefficients"])), list[Case]()
    for one in np.asarray(asked.params.get("others", np.zeros((0, 0)))):
        there = {**asked.params, "coefficients": one[:at], "theta": one[at:]}
        others.append(mixed_modes.case(base, rows, replace(asked, params=there)))
    values["tried"] = np.array([mixed_laplace.value(one) if points == 1 else _value(one, points) for one in others])
    return Answer(filled(asked.layout, {name: values[name] for name in wanted}), weights_of(weight, size))


@dataclass(frozen=True, slots=True)
class _Middle:
    """At the modes: `u` (G,), curvature `c` (G,), their slopes (P, G) `du` and `dc`, and the rows' total moves (P, n)."""

    theta: float
    u: FloatArray
    c: FloatArray
    du: FloatArray
    dc: FloatArray
    row: Row
    moves: FloatArray


@dataclass(frozen=True, slots=True)
class _Nodes:
    """At the points of each group: chance (G, K), `u` (G, K), sums of residuals (G, K), slopes of h (P, G, K), and
    second derivatives of the log-likelihood but for those of mode and curvature.
    """

    loglik: float
    chance: FloatArray
    pull: FloatArray
    slopes: FloatArray
    bend: FloatArray


def _summed(case: Case, points: int) -> tuple[dict[str, Any], FloatArray]:
    nodes, shares = np.polynomial.hermite.hermgauss(points)
    middle = _middle(case)
    at = _nodes(case, middle, nodes, np.log(shares))
    score = np.einsum("pgk,gk->pg", at.slopes, at.chance) - 0.5 * middle.dc / middle.c
    bend = at.bend + _curved(case, middle, at, nodes)
    return {"loglik": at.loglik, "score": score.sum(axis=1), "bend": (bend + bend.T) / 2.0}, middle.row.weight


def _value(case: Case, points: int) -> float:
    """The log-likelihood alone."""
    nodes, shares = np.polynomial.hermite.hermgauss(points)
    mode, curve, _ = mixed_modes.modes(case)
    spread = curve[:, 0, 0] ** -0.5
    u = mode[0] + ROOT * nodes[:, None] * spread
    rows = mixed_modes.row(case.base, case.y, case.eta + float(case.factor[0, 0]) * u[:, case.group])
    return _integrated(case.added(rows.likely) - u * u / 2.0 + (np.log(shares) + nodes**2)[:, None], spread)[0]


def _integrated(logs: FloatArray, spread: FloatArray) -> tuple[float, FloatArray]:
    """Log of the integrals, summed over groups, and each point's chance (K, G)."""
    top = logs.max(axis=0)
    part = np.exp(logs - top)
    whole = part.sum(axis=0)
    return float((top + np.log(whole) + np.log(spread / math.sqrt(math.pi))).sum()), part / whole


def _middle(case: Case) -> _Middle:
    theta = float(case.factor[0, 0])
    mode, curve, row = mixed_modes.modes(case)
    u, c = mode[0], curve[:, 0, 0]
    own = np.vstack([case.x, u[case.group]])
    du = -theta * case.added(row.weight * own)
    du[-1] += case.added(row.gap)
    du /= c
    moves = own + theta * du[:, case.group]
    dc = theta**2 * case.added(row.third * moves)
    dc[-1] += 2.0 * theta * case.added(row.weight)
    return _Middle(theta, u, c, du, dc, row, moves)


def _nodes(case: Case, middle: _Middle, nodes: FloatArray, shares: FloatArray) -> _Nodes:
    theta, size, last = middle.theta, len(middle.du), len(middle.du) - 1
    spread = middle.c**-0.5
    u = middle.u + ROOT * nodes[:, None] * spread  # (K, G)
    du = middle.du[None] - 0.5 * ROOT * nodes[:, None, None] * (spread / middle.c * middle.dc)[None]  # (K, P, G)
    rows = mixed_modes.row(case.base, case.y, case.eta + theta * u[:, case.group])
    logs = case.added(rows.likely) - u * u / 2.0 + (shares + nodes**2)[:, None]
    loglik, chance = _integrated(logs, spread)
    gaps, weights = case.added(rows.gap), case.added(rows.weight)  # (K, G)
    turn = theta * du
    turn[:, last] += u
    slopes = gaps[:, None] * turn - u[:, None] * du
    bend = np.zeros((size, size))
    for k in range(len(nodes)):
        slopes[k, :last] += case.added(case.x * rows.gap[k])
        cross = chance[k] * case.added(case.x * rows.weight[k])  # (p, G)
        bend[:last] -= cross @ turn[k].T
        bend[:, :last] -= turn[k] @ cross.T
        bend -= (chance[k] * weights[k] * turn[k]) @ turn[k].T + (chance[k] * du[k]) @ du[k].T
        sided = (chance[k] * gaps[k]) @ du[k].T
        bend[last] += sided
        bend[:, last] += sided
        bend += (chance[k] * slopes[k]) @ slopes[k].T
    whole = (chance[:, None] * slopes).sum(axis=0)
    bend -= whole @ whole.T
    bend[:last, :last] -= (case.x * (chance[:, case.group] * rows.weight).sum(axis=0)) @ case.x.T
    return _Nodes(loglik, chance.T, (theta * gaps - u).T, np.moveaxis(slopes, 0, 2), bend)


def _curved(case: Case, middle: _Middle, at: _Nodes, nodes: FloatArray) -> FloatArray:
    """What the second derivatives of mode and curvature add: a factor for each group times each."""
    theta, c, row = middle.theta, middle.c, middle.row
    last = len(middle.du) - 1
    by_mode = (at.chance * at.pull).sum(axis=1)
    by_spread = (at.chance * at.pull * ROOT * nodes).sum(axis=1)
    by_curve = -0.5 * (by_spread * c**-1.5 + 1.0 / c)
    third = case.added(row.third)
    by_mode = (by_mode + by_curve * theta**3 * third) / c
    weight, moved = case.added(row.weight), case.added(row.weight * middle.moves)
    thirds = case.added(row.third * middle.moves)
    each = by_curve[case.group] * theta**2 * row.fourth - by_mode[case.group] * theta * row.third
    bend: FloatArray = (each * middle.moves) @ middle.moves.T
    bend += ((0.75 * by_spread * c**-2.5 + 0.5 / c**2) * middle.dc) @ middle.dc.T
    sided = middle.du @ (by_curve * theta**2 * third - by_mode * theta * weight)
    sided += 2.0 * theta * (thirds @ by_curve) - moved @ by_mode
    bend[last] += sided
    bend[:, last] += sided
    bend[last, last] += 2.0 * float(by_curve @ weight)
    return bend
