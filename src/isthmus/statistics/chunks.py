"""Rows in pieces that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator

CHUNK = 16_384  # rows; below 4,096 the interpreter costs more than the arithmetic, above 32,768 the cache is lost


def pieces(rows: int, size: int = CHUNK) -> Iterator[slice]:
    """Consecutive slices of at most `size` rows.

    >>> list(pieces(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))
