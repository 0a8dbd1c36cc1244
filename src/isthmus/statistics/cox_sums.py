"""Sums over the sorted rows of a Cox model that never hold a second copy of its columns: pieces that stay in cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from isthmus.statistics.chunks import PAIR, pieces
from isthmus.summary import FloatArray


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns (p, n) in the coordinates of a round, made where they are used: `base` moved by `shift` (p,), then turned by `turn` (p, p).

    `offset` (n,): of the linear predictor.
    """

    base: FloatArray
    shift: FloatArray | None = None
    turn: FloatArray | None = None
    offset: FloatArray | None = None

    def at(self, rows: slice | Any) -> FloatArray:
        """(p, rows) of a slice, which may be a view, or of positions."""
        found = self.base[:, rows] if self.shift is None else self.base[:, rows] + self.shift[:, None]
        return found if self.turn is None else self.turn @ found

    def summed(self, total: FloatArray, weight: float) -> FloatArray:
        """(p,) sum over rows whose sum in `base` is `total` (p,), with the `weight` of all of them."""
        found = total if self.shift is None else total + self.shift * weight
        return found if self.turn is None else self.turn @ found

    def predictor(self, coefficients: FloatArray) -> FloatArray:
        """(n,) products of the columns with `coefficients` (p,), and the offset."""
        plain = coefficients if self.turn is None else coefficients @ self.turn
        found: FloatArray = plain @ self.base
        if self.shift is not None:
            found += plain @ self.shift
        if self.offset is not None:
            found += self.offset
        return found


@dataclass(frozen=True, slots=True)
class Segments:
    """Rows in blocks, in segments within them: consecutive rows that all had the block's event, or all not.

    `starts`: (m + 1,) first row of each segment, and the end of the last; `block`: (m,); `present`, `first`: (B,) blocks
    with a row and the first segment of each; `tied`: (T,) segments with the event; `tied_present`, `tied_first`: (C,)
    blocks with one and the first of `tied` in each.
    """

    starts: Any
    block: Any
    present: Any
    first: Any
    tied: Any
    tied_present: Any
    tied_first: Any

    @classmethod
    def of(cls, block: Any, tied: Any) -> Segments:
        """From the `block` of each row (n,), not decreasing, -1 for none, and whether it had the block's event."""
        begin = int(np.searchsorted(block, 0))
        key = 2 * block[begin:] + ~tied[begin:]
        starts = np.append(np.flatnonzero(np.diff(key, prepend=-1)) + begin, len(block))
        place = key[starts[:-1] - begin]
        own, died = place >> 1, np.flatnonzero(place & 1 == 0)
        return cls(starts, own, *_groups(own), died, *_groups(own[died]))

    def of_row(self) -> Any:
        """(n,) block of each row; the first for those without."""
        block = np.repeat(self.block, np.diff(self.starts))
        return np.concatenate([np.zeros(int(self.starts[0]), dtype=np.intp), block])

    def parts(self, values: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
        """Pieces of the rows in a block, with what `values` (m,) say of the segment of each."""
        for piece, first, cuts in _cut(self.starts):
            lengths = np.diff(np.append(cuts, piece.stop - piece.start))
            yield piece, np.repeat(values[first : first + len(cuts)], lengths)


def _groups(codes: Any) -> tuple[Any, Any]:
    """Distinct `codes`, which do not decrease, and the first of each."""
    first = np.flatnonzero(np.diff(codes, prepend=-1))
    return codes[first], first


def segment_sums(x: Columns, weight: FloatArray, starts: Any) -> FloatArray:
    """(p + 1, m): `weight` (n,) times the columns, and last `weight` alone, summed from each of `starts` (m + 1,) to the next."""
    size = len(x.base)
    total = np.zeros((size + 1, len(starts) - 1))
    buffer = np.empty((size + 1, PAIR))
    for piece, first, cuts in _cut(starts):
        z = buffer[:, : piece.stop - piece.start]
        np.multiply(x.at(piece), weight[piece], out=z[:-1])
        z[-1] = weight[piece]
        total[:, first : first + len(cuts)] += np.add.reduceat(z, cuts, axis=1)
    return total


def picked_sums(x: Columns, weight: FloatArray, rows: Any, starts: Any) -> FloatArray:
    """The same of the rows at positions `rows` (k,), their `weight` (k,)."""
    total = np.zeros((len(x.base) + 1, len(starts) - 1))
    for piece, first, cuts in _cut(starts):
        z = np.vstack([x.at(rows[piece]) * weight[piece], weight[piece]])
        total[:, first : first + len(cuts)] += np.add.reduceat(z, cuts, axis=1)
    return total


def joined(sums: FloatArray, first: Any) -> FloatArray:
    """Sums (..., B) over groups of segments (..., m), `first` (B,) of each, together all of them."""
    return sums if len(first) == sums.shape[-1] else np.add.reduceat(sums, first, axis=-1)


def forward(values: FloatArray, bounds: Any) -> FloatArray:
    """Cumulate blocks (..., K) from the first time to the last, within strata, whose first blocks are `bounds` (strata + 1,)."""
    made = np.empty_like(values)
    for low, high in pairwise(bounds):
        made[..., low:high] = np.add.accumulate(values[..., low:high], axis=-1)
    return made


def gram(x: Columns, weighed: Iterable[tuple[slice, FloatArray]]) -> FloatArray:
    """x diag(weight) x' over pieces of at most `PAIR` rows with their weights, none negative.

    BLAS is twice as fast at the product of two matrices as at that of one with itself, of so few columns.
    """
    total = np.zeros((len(x.base), len(x.base)))
    buffer = np.empty((len(x.base), PAIR))
    for piece, weight in weighed:
        part = x.at(piece)
        total += np.multiply(part, weight, out=buffer[:, : weight.size]) @ part.T
    return (total + total.T) / 2.0


def weighted_gram(x: FloatArray, weight: FloatArray) -> FloatArray:
    """x diag(weight) x' of (p, n) columns in pieces."""
    return gram(Columns(x), ((piece, weight[piece]) for piece in pieces(x.shape[1], PAIR)))


def _cut(starts: Any) -> Iterator[tuple[slice, int, Any]]:
    """Pieces of the rows between the first and the last of `starts`: (piece, its first segment, where in it each begins)."""
    for piece in pieces(int(starts[-1]), PAIR, int(starts[0])):
        first = int(np.searchsorted(starts, piece.start, side="right")) - 1
        last = int(np.searchsorted(starts, piece.stop, side="left"))
        yield piece, first, np.maximum(starts[first:last] - piece.start, 0)
