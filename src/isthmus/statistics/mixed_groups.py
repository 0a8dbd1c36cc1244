"""Linear mixed models at a site: sums by group, and what follows from them at one value of the relative covariance.

Group g has V_g = I + Z_g L L' Z_g', L lower triangular (lme4's theta), Z_g its random columns. With A = Z'Z, B = Z'[X y]
and K = I + L' A L, log det V = log det K and [X y]' V^-1 [X y] = [X y]'[X y] - (L'B)' K^-1 (L'B): q by q algebra.
Reference: Bates, Maechler, Bolker & Walker (2015), J Stat Softw 67(1), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.statistics.chunks import pieces
from isthmus.summary import FloatArray


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's rows sorted by group: `columns` (p, n), outcome `y`, `starts` (groups,) first row of each group.

    `site` numbers this site where its own effect is asked for; `slopes` are the positions of the random columns beside the intercept; `offset` is there where the model has one. `kept` holds sums in the coordinates of one
    fit: it lives and goes with the rows.
    """

    columns: FloatArray
    y: FloatArray
    starts: NDArray[np.intp]
    slopes: tuple[int, ...]
    offset: FloatArray | None = None
    site: int = 0
    kept: dict[bytes, Sums] = field(default_factory=dict)

    @property
    def sizes(self) -> NDArray[np.intp]:
        """(groups,) rows of each."""
        return np.diff(np.append(self.starts, self.y.size))


@dataclass(frozen=True, slots=True)
class Sums:
    """`whole` (P, P) of all rows; by group `inner` (G, q, q) Z'Z and `cross` (G, q, P) Z'[X y]; P columns with y.

    `powers` (2, q - 1): of the random slopes' columns, sums of squares and of fourth powers.
    """

    whole: FloatArray
    inner: FloatArray
    cross: FloatArray
    powers: FloatArray


def sorted_rows(
    columns: FloatArray, y: FloatArray, key: NDArray[Any], slopes: Sequence[int], offset: FloatArray | None = None
) -> Rows:
    """Rows of one group beside each other."""
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    known = None if offset is None else offset[order]
    return Rows(np.ascontiguousarray(columns[:, order]), y[order], starts, tuple(slopes), known)


def sums(rows: Rows, params: Any) -> Sums:
    """In the coordinates that `params` states; made once for a fit."""
    unit = float(params["response_scale"])
    stated = [np.asarray(params[k]).tobytes() for k in ("centre", "scale", "rotation") if k in params]
    name = b"".join([*stated, np.float64(unit).tobytes()])
    if name not in rows.kept:
        rows.kept.clear()
        rows.kept[name] = _sums(rows, params, unit)
    return rows.kept[name]


def _sums(rows: Rows, params: Any, unit: float) -> Sums:
    centre, scale = np.asarray(params["centre"])[:, None], np.asarray(params["scale"])[:, None]
    p, random = len(rows.columns), list(rows.slopes)
    q, groups = 1 + len(random), len(rows.starts)
    whole, cross = np.zeros((p + 1, p + 1)), np.zeros((groups, q, p + 1))
    inner = np.zeros((groups, q, q))
    group, powers = np.repeat(np.arange(groups), rows.sizes), np.zeros((2, len(random)))
    for piece in pieces(rows.y.size):
        plain = (rows.columns[:, piece] - centre) / scale
        z = np.vstack([np.ones((1, plain.shape[1])), plain[random]])
        w = np.vstack([params["rotation"] @ plain if "rotation" in params else plain, rows.y[None, piece] / unit])
        whole += w @ w.T
        powers += np.array([(z[1:] ** 2).sum(axis=1), (z[1:] ** 4).sum(axis=1)])
        here, first = np.unique(group[piece], return_index=True)
        for k in range(q):
            cross[here, k] += np.add.reduceat(w * z[k], first, axis=1).T
            inner[here, k] += np.add.reduceat(z * z[k], first, axis=1).T
    return Sums(whole, inner, cross, powers)


def lower(theta: FloatArray, size: int) -> FloatArray:
    """L (size, size) from its entries row by row."""
    made = np.zeros((size, size))
    made[np.tril_indices(size)] = theta
    return made


def evaluated(found: Sums, theta: FloatArray) -> tuple[float, FloatArray]:
    """log det V and [X y]' V^-1 [X y] (P, P), summed over this site's groups."""
    _, _, half, weighted, determinants = _parts(found, theta)
    return float(np.log(determinants).sum()), found.whole - _gram(half, weighted)


def derivatives(found: Sums, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The same with first and second derivatives by theta: (k,) and (k, P, P), k = 1 + m + m (m + 1) / 2."""
    L, inverse, half, weighted, determinants = _parts(found, theta)
    units = [lower(row, len(L)) for row in np.eye(len(theta))]
    slope = found.inner @ L
    turns = [e.T @ slope + np.swapaxes(slope, 1, 2) @ e for e in units]
    moved = [e.T @ found.cross for e in units]
    rests = [c - k @ weighted for c, k in zip(moved, turns, strict=True)]
    logs = [float(np.log(determinants).sum())]
    grams = [found.whole - _gram(half, weighted)]
    for k, c, rest in zip(turns, moved, rests, strict=True):
        logs.append(_trace(inverse, k))
        grams.append(-_gram(rest, weighted) - _gram(weighted, c))
    for i, first in enumerate(units):
        for j, second in enumerate(units[: i + 1]):
            bend = first.T @ found.inner @ second
            bend = bend + np.swapaxes(bend, 1, 2)
            logs.append(_trace(inverse, bend) - _trace(inverse @ turns[i], inverse @ turns[j]))
            both = _gram(rests[i], inverse @ rests[j])
            grams.append(_gram(weighted, bend @ weighted) - both - both.T)
    return np.array(logs), np.array(grams)


def _parts(found: Sums, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """L, K^-1, L'B, K^-1 L'B and det K by group."""
    L = lower(theta, found.inner.shape[1])
    K = np.eye(len(L)) + L.T @ found.inner @ L
    inverse: FloatArray = np.asarray(np.linalg.inv(K), dtype=np.float64)
    half = L.T @ found.cross
    return L, inverse, half, inverse @ half, np.linalg.det(K)


def _gram(left: FloatArray, right: FloatArray) -> FloatArray:
    """Sum over groups of left' right."""
    width = left.shape[2]
    made: FloatArray = left.reshape(-1, width).T @ right.reshape(-1, width)
    return made


def _trace(left: FloatArray, right: FloatArray) -> float:
    return float(np.einsum("gij,gji->", left, right))
