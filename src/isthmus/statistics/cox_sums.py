"""Sums over the rows of a Cox model that never hold a second copy of its columns: pieces that stay in cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from isthmus.statistics.chunks import CHUNK, pieces
from isthmus.summary import FloatArray


def weighted_gram(x: FloatArray, weight: FloatArray) -> FloatArray:
    """x diag(weight) x' in pieces."""
    total = np.zeros((len(x), len(x)))
    root = np.sqrt(weight)
    buffer = np.empty((len(x), min(CHUNK, x.shape[1])))
    for piece in pieces(x.shape[1]):
        z = np.multiply(x[:, piece], root[piece], out=buffer[:, : piece.stop - piece.start])
        total += z @ z.T
    return total


def block_sums(x: FloatArray, weight: FloatArray, starts: Any) -> FloatArray:
    """Sums (p, K) of weighted columns within consecutive blocks, in pieces that begin anywhere."""
    total = np.zeros((len(x), len(starts)))
    buffer = np.empty((len(x), min(CHUNK, x.shape[1])))
    for piece, first, cuts in _cut(starts, x.shape[1]):
        z = np.multiply(x[:, piece], weight[piece], out=buffer[:, : piece.stop - piece.start])
        total[:, first : first + len(cuts)] += np.add.reduceat(z, cuts, axis=1)
    return total


def event_sums(x: FloatArray, weight: FloatArray, events: Any, starts: Any) -> FloatArray:
    """Sums (p, K) of the columns at `events`, each times its `weight` (events,), within consecutive blocks, in pieces."""
    total = np.zeros((len(x), len(starts)))
    for piece, first, cuts in _cut(starts, len(events)):
        total[:, first : first + len(cuts)] += np.add.reduceat(x[:, events[piece]] * weight[piece], cuts, axis=1)
    return total


def _cut(starts: Any, rows: int) -> Iterator[tuple[slice, int, Any]]:
    for piece in pieces(rows):
        first = int(np.searchsorted(starts, piece.start, side="right")) - 1
        last = int(np.searchsorted(starts, piece.stop, side="left"))
        yield piece, first, np.maximum(starts[first:last] - piece.start, 0)
