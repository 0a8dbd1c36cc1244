"""Made-up tables at the ends of what a mixed model meets, and their optimum by bisection in extended precision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

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
