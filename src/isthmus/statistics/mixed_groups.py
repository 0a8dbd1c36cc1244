"""Linear mixed models at a site: sums by group, and what follows from them at one value of the relative covariance.

Group g has V_g = I + Z_g L L' Z_g', L lower triangular (lme4's theta), Z_g its random columns. With Z = Q R, T = R L and
M = I + T T', log det V = log det M and [X y]' V^-1 [X y] = [X y]' (I - Q Q') [X y] + (Q'[X y])' M^-1 (Q'[X y]): q by q
algebra, in which nothing cancels however large the variances are.
Reference: Bates, Maechler, Bolker & Walker (2015), J Stat Softw 67(1), section 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.statistics.chunks import CHUNK
from isthmus.statistics.mixed_steps import lower
from isthmus.summary import FloatArray

ROUNDING = 1e-24  # of a column's squares in a group: what is left of one that does not vary there


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
    """With Z = Q R by group: `within` (P, P) what Q leaves of [X y], `root` R (G, q, q) upper, `cross` Q'[X y] (G, q, P).

    P columns with y. `powers` (2, q - 1): of the random slopes' columns, sums of squares and of fourth powers.
    """

    within: FloatArray
    root: FloatArray
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
    about, unit = float(params.get("response_centre", 0.0)), float(params["response_scale"])
    stated = [np.asarray(params[k]).tobytes() for k in ("centre", "scale", "rotation") if k in params]
    name = b"".join([*stated, np.array([about, unit]).tobytes()])
    if name not in rows.kept:
        rows.kept.clear()
        rows.kept[name] = _sums(rows, params, about, unit)
    return rows.kept[name]


def _sums(rows: Rows, params: Any, about: float, unit: float) -> Sums:
    centre, scale = np.asarray(params["centre"])[:, None], np.asarray(params["scale"])[:, None]
    p, random = len(rows.columns), list(rows.slopes)
    q, groups = 1 + len(random), len(rows.starts)
    within, cross = np.zeros((p + 1, p + 1)), np.zeros((groups, q, p + 1))
    root, powers = np.zeros((groups, q, q)), np.zeros((2, len(random)))
    for first, last in _spans(rows):
        here, sizes = slice(first, last), rows.sizes[first:last]
        at = slice(int(rows.starts[first]), int(rows.starts[first] + sizes.sum()))
        plain = (rows.columns[:, at] - centre) / scale
        z = plain[random]
        own = params["rotation"] @ plain if "rotation" in params else plain
        powers += np.array([(z**2).sum(axis=1), (z**4).sum(axis=1)])
        left = np.vstack([z, own, (rows.y[None, at] - about) / unit])
        made = _turned(left, len(random), rows.starts[here] - at.start, sizes)
        root[here, :, 1:], cross[here] = made[:, :, : q - 1], made[:, :, q - 1 :]
        root[here, 0, 0] = np.sqrt(sizes)
        within += left[q - 1 :] @ left[q - 1 :].T
    return Sums(within, root, cross, powers)


def _spans(rows: Rows) -> Iterator[tuple[int, int]]:
    """Groups that follow one another, to about `CHUNK` rows at a time."""
    ends = rows.starts + rows.sizes
    first = 0
    while first < len(rows.starts):
        last = max(int(np.searchsorted(ends, rows.starts[first] + CHUNK, side="right")), first + 1)
        yield first, last
        first = last


def _turned(left: FloatArray, slopes: int, starts: NDArray[np.intp], sizes: NDArray[np.intp]) -> FloatArray:
    """Q' `left` (G, q, rows of left), Q an orthonormal basis of a group's ones and first `slopes` rows; leaves the rest.

    Gram and Schmidt, one column after the other. A column that does not vary beside those before it has no direction.
    """
    made = np.zeros((len(starts), slopes + 1, len(left)))
    first = np.array([np.einsum("ij,ij->i", left[:slopes], left[:slopes])]) if slopes else np.zeros((1, 0))
    sums = np.add.reduceat(left, starts, axis=1)
    made[:, 0] = (sums / np.sqrt(sizes)).T
    left -= np.repeat(sums / sizes, sizes, axis=1)
    whole = np.add.reduceat(left[:slopes] ** 2, starts, axis=1) if slopes else first
    for k in range(slopes):
        column = left[k].copy()
        square = np.add.reduceat(column * column, starts)
        told = square > ROUNDING * (whole[k] + made[:, 0, k] ** 2)
        size = np.sqrt(np.where(told, square, 1.0))
        share = np.where(told, np.add.reduceat(left * column, starts, axis=1) / size, 0.0)
        made[:, k + 1] = share.T
        left -= np.repeat(share / size, sizes, axis=1) * column
        left[k] = 0.0
    return made


def grid(found: Sums, params: Any) -> tuple[FloatArray, FloatArray]:
    """(k,) and (k, P, P) at each theta: log det V less q log(lift) a group, and what `within` leaves of the rest times lift."""
    lift, (groups, q, _) = np.asarray(params["lift"]), found.root.shape
    logs, grams = np.zeros(len(lift)), np.zeros((len(lift), *found.within.shape))
    for k, theta in enumerate(np.asarray(params["theta"])):
        _, half, logs[k] = _parts(found, theta)
        grams[k] = _gram(half, half)
    return logs - groups * q * np.log(lift), grams * lift[:, None, None]


def newton(found: Sums, params: Any) -> tuple[FloatArray, FloatArray]:
    """(k,) and (k, P, P), with all of the rest: at the first theta with derivatives in the round's `frame`, then at others."""
    first, *others = np.asarray(params["theta"])
    lift, (groups, q, _) = np.asarray(params["lift"]), found.root.shape
    logs, grams = derivatives(found, first, np.asarray(params["frame"]))
    grams *= lift[0]
    if others:
        more = grid(found, {"theta": others, "lift": lift[1:]})
        logs = np.append(logs, more[0])
        grams = np.concatenate([grams, more[1] + found.within * lift[1:, None, None]])
    logs[0] -= groups * q * np.log(lift[0])
    return logs, grams


def derivatives(found: Sums, theta: FloatArray, frame: FloatArray) -> tuple[FloatArray, FloatArray]:
    """log det V and [X y]' V^-1 [X y], with first and second derivatives by the lower triangle of S, D = F S F' + constant.

    (k,) and (k, P, P), k = 1 + m + m (m + 1) / 2.
    """
    turned, half, log = _parts(found, theta)
    turned = turned @ frame
    slopes = []
    for r, c in zip(*np.tril_indices(found.root.shape[1]), strict=True):
        slope = turned[:, :, r, None] * turned[:, None, :, c]
        slopes.append(slope if r == c else slope + np.swapaxes(slope, 1, 2))
    sides = [slope @ half for slope in slopes]
    logs, grams = [log], [found.within + _gram(half, half)]
    for slope, side in zip(slopes, sides, strict=True):
        logs.append(float(np.einsum("gii->", slope)))
        grams.append(-_gram(half, side))
    for i, slope in enumerate(slopes):
        for j in range(i + 1):
            logs.append(-float(np.einsum("gij,gji->", slope, slopes[j])))
            both = _gram(sides[i], sides[j])
            grams.append(both + both.T)
    return np.array(logs), np.array(grams)


def _parts(found: Sums, theta: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """With T = R L and C C' = I + T T' by group: C^-1 R, C^-1 Q'[X y], and log det V."""
    q = found.root.shape[1]
    T = found.root @ lower(theta, q)
    C = _root(T)
    right = np.concatenate([found.root, found.cross], axis=2)
    for i in range(q):
        right[:, i] /= C[:, i, i, None]
        right[:, i + 1 :] -= C[:, i + 1 :, i, None] * right[:, i, None]
    log = 2.0 * float(np.log(np.einsum("gii->gi", C)).sum())
    return right[:, :, :q], right[:, :, q:], log


def _root(T: FloatArray) -> FloatArray:
    """C lower with C C' = I + T T', without the square of T, in which a small variance beside a large one is lost."""
    q = T.shape[1]
    if q == 1:
        return np.sqrt(1.0 + T * T)
    both = np.concatenate([np.broadcast_to(np.eye(q), T.shape), np.swapaxes(T, 1, 2)], axis=1)
    made = np.swapaxes(np.linalg.qr(both, mode="r"), 1, 2)
    turned: FloatArray = made * np.sign(np.einsum("gii->gi", made))[:, None]
    return turned


def _gram(left: FloatArray, right: FloatArray) -> FloatArray:
    """Sum over groups of left' right."""
    width = left.shape[2]
    made: FloatArray = left.reshape(-1, width).T @ right.reshape(-1, width)
    return made
