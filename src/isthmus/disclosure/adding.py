"""Word and size arithmetic of the differencing history: bits set, unions, and pairs of sizes that add up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

WordArray: TypeAlias = NDArray[np.uint64]
IndexArray: TypeAlias = NDArray[np.intp]
BLOCK = 1 << 14  # combinations looked at together


def union_once(parts: list[WordArray]) -> tuple[WordArray, WordArray]:
    """Of k word arrays: what is in any, and what is in exactly one."""
    union = np.zeros_like(parts[0])
    twice = np.zeros_like(parts[0])
    for words in parts:
        twice |= union & words
        union |= words
    return union, union & ~twice


def bits(words: WordArray) -> NDArray[np.int64]:
    """Bits set, over the last axis."""
    counts: NDArray[np.int64] = np.bitwise_count(words).sum(axis=-1, dtype=np.int64)
    return counts


def between(sizes: NDArray[np.int64], low: int, high: int) -> slice:
    """Where increasing `sizes` lie from `low` to `high`, both included."""
    return slice(int(np.searchsorted(sizes, low, "left")), int(np.searchsorted(sizes, high, "right")))


def pairs(sizes: NDArray[np.int64], start: int, low: int, high: int) -> Iterator[IndexArray]:
    """(m, 2) blocks of i < j, both from `start` on, with low <= sizes[i] + sizes[j] <= high; `sizes` increase."""
    last = max(start, int(np.searchsorted(sizes, high // 2, "right")))  # the smaller of a pair
    i = np.arange(start, last)
    first = np.maximum(np.searchsorted(sizes, low - sizes[start:last], "left"), i + 1)
    count = np.maximum(np.searchsorted(sizes, high - sizes[start:last], "right") - first, 0)
    ends = np.cumsum(count)
    at = 0
    while at < len(i):
        stop = max(int(np.searchsorted(ends, (ends[at - 1] if at else 0) + BLOCK, "right")), at + 1)
        many = count[at:stop]
        if many.any():
            left = np.repeat(i[at:stop], many)
            within = np.arange(int(many.sum())) - np.repeat(np.cumsum(many) - many, many)
            yield np.column_stack([left, np.repeat(first[at:stop], many) + within])
        at = stop


def blocks(members: IndexArray) -> Iterator[IndexArray]:
    """The rows of `members`, at most `BLOCK` at a time."""
    for at in range(0, len(members), BLOCK):
        yield members[at : at + BLOCK]
