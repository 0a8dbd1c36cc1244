"""Made-up tables at the ends of what a mixed model meets, and their optimum by bisection in extended precision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from scipy.optimize import minimize

Table = dict[str, np.ndarray]
LONG = np.longdouble
SIZES = ("pairs", "even", "wide", "giant", "singles", "ladder")  # of groups
GROUPS = (2, 3, 5, 12, 40, 300)
RATIOS = (0.0, 1e-4, 1e-2, 0.1, 0.5, 3.0, 1e2, 1e4)  # standard deviations, between groups to inside them
KINDS = ("normal", "groupish", "grouplevel", "binary", "constant", "balanced")


def cases() -> Iterator[tuple[str, int, float, str]]:
    """1,728 of them; in those that start with `singles` and are `constant`, groups explain everything."""
    return product(SIZES, GROUPS, RATIOS, KINDS)


def sizes(kind: str, groups: int, draw: np.random.Generator) -> np.ndarray:
    """Rows of each group."""
    if kind == "wide":
        return np.maximum(1, np.rint(10 ** draw.uniform(0, 4 if groups <= 40 else 3, groups)).astype(int))
    made = {
        "pairs": np.full(groups, 2),
        "even": np.full(groups, 30),
        "giant": np.append(5000, np.full(groups - 1, 2)),
        "singles": np.where(np.arange(groups) % 2, 1, 12),
        "ladder": np.rint(np.geomspace(1, 10_000 if groups <= 12 else 2_000, groups)).astype(int),
    }
    return made[kind]


def table(kind: str, groups: int, ratio: float, what: str) -> Table:
    """y on x by group: x nearly constant in groups, or constant; y constant in half of them, or with equal means."""
    seed = [SIZES.index(kind), groups, RATIOS.index(ratio), KINDS.index(what)]
    draw = np.random.default_rng(seed)
    rows = sizes(kind, groups, draw)
    group = np.repeat(np.arange(groups), rows)
    n, x = group.size, draw.normal(size=group.size)
    if what == "groupish":
        x = draw.normal(size=groups)[group] + 1e-3 * x
    if what == "grouplevel" and groups > 3:
        x = draw.normal(size=groups)[group]
    if what == "binary":
        x = (draw.random(n) < 0.3) * 1.0
        x[[0, 1, -1]] = 0.0, 1.0, 1.0
    effects, noise = ratio * draw.normal(size=groups), draw.normal(size=n)
    y = 10 + x + effects[group] + noise
    if what == "constant":
        y = np.where(group % 2 == 0, 10 + effects[group], y)
    if what == "balanced":
        y = 10 + (noise - (np.bincount(group, noise) / rows)[group]) + 1e-4 * effects[group]
    return {"x": x, "group": group.astype(float), "y": y}


@dataclass(frozen=True)
class Best:
    """At the least deviance; `error` of the slope."""

    sigma2: float
    variance: float
    slope: float
    error: float


class Exact:
    """The deviance of y ~ x + (1 | group) by v = log of the relative variance, all in extended precision."""

    def __init__(self, rows: Table, reml: bool) -> None:
        group = rows["group"].astype(int)
        first = np.flatnonzero(np.diff(group, prepend=-1))
        self.sizes = np.diff(np.append(first, group.size)).astype(LONG)
        x, y = (rows[name].astype(LONG) for name in ("x", "y"))
        self.x_scale, self.y_scale = x.std(), y.std()
        columns = np.stack([np.ones(group.size, LONG), (x - x.mean()) / self.x_scale, (y - y.mean()) / self.y_scale])
        self.means = np.add.reduceat(columns, first, axis=1) / self.sizes
        left = columns - self.means[:, group]
        self.within = (left[:, None] * left[None]).sum(axis=2)
        self.reml, self.degrees = reml, group.size - (2 if reml else 0)

    def at(self, v: Any) -> tuple[Any, Any, Best]:
        """Deviance, its slope by v, and what is estimated there."""
        ratio = np.exp(LONG(v))
        grown = 1 + ratio * self.sizes
        gram = self.within + (self.means * (self.sizes / grown)) @ self.means.T
        falls = -(self.means * (ratio * self.sizes**2 / grown**2)) @ self.means.T
        (a, b), (_, c) = gram[:2, :2]
        size = a * c - b * b
        inverse = np.array([[c, -b], [-b, a]]) / size
        away = np.append(-inverse @ gram[:2, 2], LONG(1))
        rest = away @ gram @ away
        deviance = np.log(grown).sum() + self.degrees * np.log(rest)
        slope = (ratio * self.sizes / grown).sum() + self.degrees * (away @ falls @ away) / rest
        if self.reml:
            deviance, slope = deviance + np.log(size), slope + (inverse * falls[:2, :2]).sum()
        sigma2 = rest / self.degrees * self.y_scale**2
        scale = self.y_scale / self.x_scale
        error = np.sqrt(inverse[1, 1] * rest / self.degrees) * scale
        return deviance, slope, Best(float(sigma2), float(ratio * sigma2), float(-away[1] * scale), float(error))

    def best(self) -> Best:
        """The least of all minima, a variance of 0 among them."""
        points = np.linspace(-45.0, 60.0, 500)
        slopes = np.array([float(self.at(v)[1]) for v in points])
        found = [self.at(-np.inf)]
        for low, high in ((points[i], points[i + 1]) for i in np.flatnonzero((slopes[:-1] < 0) & (slopes[1:] >= 0))):
            ends = [LONG(low), LONG(high)]
            for _ in range(70):
                middle = (ends[0] + ends[1]) / 2
                ends[0 if self.at(middle)[1] < 0 else 1] = middle
            found.append(self.at(ends[0]))
        return min(found, key=lambda one: one[0])[2]


# -- a random slope ---------------------------------------------------------------------------------------------------

SLOPE_SIZES = ("pairs", "even", "wide", "giant", "few", "ladder")
SPREADS = (  # of intercepts and slopes, and their correlation
    *((0, 0, 0), (0.3, 0, 0), (0, 0.3, 0), (1, 1, 0), (1, 1, 0.9), (1, 1, -1.0)),
    *((0.05, 0.05, 0), (100, 1, 0.5), (1, 100, 0.3), (1e3, 1e3, 0), (0.5, 0.02, 0.5), (10, 0.1, -0.8)),
)
COLUMNS = ("normal", "groupish", "binary", "time", "skew")


def sloped_cases() -> Iterator[tuple[str, int, tuple[float, ...], str]]:
    """1,440 of them."""
    return product(SLOPE_SIZES, (5, 12, 40, 200), SPREADS, COLUMNS)


def sloped_table(kind: str, groups: int, spread: tuple[float, ...], what: str) -> Table:
    """y on x by group, with an intercept and a slope of each group's own."""
    draw = np.random.default_rng([SLOPE_SIZES.index(kind), groups, SPREADS.index(spread), COLUMNS.index(what)])
    made = {
        "pairs": np.full(groups, 3),
        "even": np.full(groups, 20),
        "wide": np.maximum(1, np.rint(10 ** draw.uniform(0, 3, groups)).astype(int)),
        "giant": np.append(3000, np.full(groups - 1, 4)),
        "few": 1 + draw.integers(1, 6, groups),
        "ladder": np.rint(np.geomspace(2, 2000, groups)).astype(int),
    }
    rows = made[kind]
    group = np.repeat(np.arange(groups), rows)
    x = draw.normal(size=group.size)
    if what == "groupish":
        x = draw.normal(size=groups)[group] + 0.05 * x
    if what == "binary":
        x = (draw.random(group.size) < 0.2) * 1.0
        x[[0, 1, -1]] = 0.0, 1.0, 1.0
    if what == "time":
        x = np.concatenate([np.arange(k) % 12 for k in rows]) * 1.0
    x = np.exp(x) if what == "skew" else x
    first, second, share = spread
    effects = draw.normal(size=(groups, 2)) @ np.array([[first, second * share], [0.0, second * np.sqrt(1 - share**2)]])
    y = 10 + x + effects[group, 0] + effects[group, 1] * x + draw.normal(size=group.size)
    return {"x": x, "group": group.astype(float), "y": y}


def sloped_deviance(rows: Table, fit: dict[str, Any], reml: bool) -> tuple[float, float]:
    """-2 log-likelihood at a fit's variances, and the least that a search from there finds; by the QR of each group."""
    blocks = [
        (np.column_stack([np.ones(len(at)), rows["x"][at]]), rows["y"][at])
        for at in (np.flatnonzero(rows["group"] == g) for g in np.unique(rows["group"]))
    ]
    n, p = rows["y"].size, 2

    def deviance(theta: np.ndarray) -> float:
        lower, left, log = np.array([[theta[0], 0.0], [theta[1], theta[2]]]), [], 0.0
        for x, y in blocks:  # by QR: squares of y that cancel would drown what is compared
            turned = np.vstack([x @ lower, np.eye(2)])
            both = np.vstack([np.column_stack([x, y]), np.zeros((2, 3))])
            axes, core = np.linalg.qr(turned)
            left.append(both - axes @ (axes.T @ both))
            log += 2.0 * np.log(np.abs(np.diag(core))).sum()
        root = np.linalg.qr(np.vstack(left), mode="r")
        degrees = n - p if reml else n
        rest = root[2, 2] ** 2
        log += 2.0 * np.log(np.abs(np.diag(root)[:2])).sum() if reml else 0.0
        return float(log + degrees * (1.0 + np.log(2.0 * np.pi * rest / degrees)))

    covariance = fit["covariances"]["(Intercept):x"] / fit["sigma2"]
    first, second = (fit["variances"][name] / fit["sigma2"] for name in ("(Intercept)", "x"))
    a = np.sqrt(first)
    b = covariance / a if a > 0 else 0.0
    theta = np.array([a, b, np.sqrt(max(second - b * b, 0.0))])
    own = deviance(theta)
    starts = [theta, np.array([a, 0.0, np.sqrt(second)]) + 0.1]
    options = {"xatol": 1e-9, "fatol": 1e-10, "maxiter": 400}
    return own, min(float(minimize(deviance, one, method="Nelder-Mead", options=options).fun) for one in starts)
