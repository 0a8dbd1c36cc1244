"""Word and size arithmetic of the differencing history: bits set, unions, and pairs of sizes that add up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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


def singles(sizes: NDArray[np.int64], low: int, high: int) -> Iterator[IndexArray]:
    """A (m, 1) block of i with low <= sizes[i] <= high; `sizes` increase."""
    one = between(sizes, low, high)
    yield np.arange(one.start, one.stop)[:, None]


def pairs(sizes: NDArray[np.int64], low: int, high: int) -> Iterator[IndexArray]:
    """(m, 2) blocks of i < j with low <= sizes[i] + sizes[j] <= high; `sizes` increase."""
    i = np.arange(int(np.searchsorted(sizes, high // 2, "right")))  # the smaller of a pair
    first = np.maximum(np.searchsorted(sizes, low - sizes[: len(i)], "left"), i + 1)
    count = np.maximum(np.searchsorted(sizes, high - sizes[: len(i)], "right") - first, 0)
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


def triples(sizes: NDArray[np.int64], words: WordArray, span: tuple[int, int], most: int) -> Iterator[IndexArray]:
    """(m, 3) blocks of i < j < last with sizes that add up to `span`, where `last` shares few ids with the others.

    The largest has a third of the whole or more, so what it shares at most `most` ids of the sample with is little.

    Args:
        sizes: increasing.
        words: (n, w) samples, in the same order.
        span: least and most that three sizes may add up to, both included.
        most: ids of the sample that two of three may share.
    """
    columns = np.ascontiguousarray(words.T)
    for last in range(len(sizes) - 1, 1, -1):
        largest = int(sizes[last])
        if 3 * largest < span[0]:
            return
        low, high = span[0] - largest, span[1] - largest
        near = between(sizes[:last], low - largest, high)
        shared = np.bitwise_count(columns[:, near] & columns[:, last, None]).sum(axis=0, dtype=np.uint16)
        apart = near.start + np.flatnonzero(shared <= most)
        for two in pairs(sizes[apart], low, high):
            yield np.column_stack([apart[two], np.full(len(two), last)])


def blocks(found: Iterable[IndexArray]) -> Iterator[IndexArray]:
    """The rows of `found` in blocks of about `BLOCK`: small ones together, large ones apart."""
    held: list[IndexArray] = []
    count = 0
    for some in found:
        held.append(some)
        count += len(some)
        if count >= BLOCK:
            yield from _cut(held)
            held, count = [], 0
    if held:
        yield from _cut(held)


def _cut(held: list[IndexArray]) -> Iterator[IndexArray]:
    rows = np.concatenate(held)
    return (rows[at : at + BLOCK] for at in range(0, len(rows), BLOCK))
