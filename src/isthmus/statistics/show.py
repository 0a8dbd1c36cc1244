"""Numbers as results show them: null for what is not available, whole numbers as integers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from isthmus.evidence import Counts
from isthmus.statistics.contract import Estimate


def number(value: float) -> float | None:
    """`value`, or None when it is not finite."""
    return float(value) if math.isfinite(value) else None


def numbers(values: Iterable[float]) -> list[float | None]:
    """Each value, None where it is not finite."""
    return [number(v) for v in values]


def count(value: float) -> int | float | None:
    """A count: an integer where it is whole, None where it was suppressed."""
    if not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(value)


def counts(values: Any) -> list[int | float | None]:
    """Each count of a (k,) array."""
    return [count(v) for v in values.tolist()]


def head(estimate: Estimate) -> dict[str, Any]:
    """What every result begins with."""
    return {
        "kind": estimate.kind,
        "exactness": estimate.exactness,
        "n": size(estimate.counts["n"]),
        "rounds": estimate.rounds,
    }


def size(counted: Counts) -> int | float | None:
    """The single number of a (1,) array of counts."""
    return count(float(counted.values[0]))


def ratio(part: float | None, whole: float | None) -> float | None:
    """part / whole, None where either is missing or the whole is 0."""
    if part is None or whole is None or whole == 0:
        return None
    return part / whole
