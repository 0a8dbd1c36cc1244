"""Rows in pieces that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from isthmus.evidence import Weights
from isthmus.summary import FloatArray

CHUNK = 16_384  # rows; below 4,096 the interpreter costs more than the arithmetic, above 32,768 the cache is lost
PAIR = 8_192  # rows where two matrices lie side by side in the cache


def pieces(rows: int, size: int = CHUNK, start: int = 0) -> Iterator[slice]:
    """Consecutive slices of at most `size` rows, from `start` to before `rows`.

    >>> list(pieces(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    for begin in range(start, rows, size):
        yield slice(begin, min(begin + size, rows))


@dataclass(slots=True)
class Guard:
    """Sum, sum of squares and largest of the rows' weights in one matrix, piece by piece."""

    total: float = 0.0
    squares: float = 0.0
    largest: float = 0.0

    def weigh(self, weight: FloatArray) -> None:
        """Count the weights of one piece; none is negative."""
        self.total += float(weight.sum())
        self.squares += float(weight @ weight)
        self.largest = max(self.largest, float(weight.max(initial=0.0)))

    def weights(self, parameters: int) -> Weights:
        """What the gate is told."""
        return Weights(self.total, self.squares, self.largest, parameters)
