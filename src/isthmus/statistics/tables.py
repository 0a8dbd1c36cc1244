"""What questions that count share: cross-classifying rows by several categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from isthmus.statistics.survival import group_code
from isthmus.summary import IntArray


def shape(names: Sequence[str], levels: Mapping[str, tuple[str, ...]]) -> tuple[int, ...]:
    """Levels of each of `names`."""
    return tuple(len(levels[name]) for name in names)


def cross(names: Sequence[str], levels: Mapping[str, tuple[str, ...]], codes: Mapping[str, Any], rows: int) -> IntArray:
    """Counts of rows by the levels of all `names`; () shaped when there is none.

    Raises:
        Invalid: E-LEVEL, a value outside the declared levels.
    """
    cell = np.zeros(rows, dtype=np.intp)
    for name in names:
        cell = cell * len(levels[name]) + group_code(levels[name], name, codes[name])
    sizes = shape(names, levels)
    return np.bincount(cell, minlength=int(np.prod(sizes, dtype=np.intp))).reshape(sizes).astype(np.int64)


def labels(names: Sequence[str], levels: Mapping[str, tuple[str, ...]]) -> list[dict[str, str]]:
    """{name: level} of every cell, in the order of the flattened counts."""
    return [dict(zip(names, combination, strict=True)) for combination in product(*(levels[name] for name in names))]
