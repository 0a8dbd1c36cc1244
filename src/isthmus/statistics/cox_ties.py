"""Tied events in the partial likelihood: Breslow's and Efron's denominators, for sites and for pooled risk sets alike.

At an event time with d events, risk-set sum S0 and tied-event sum D0, the denominators are S0 (Breslow, d times) or
S0 - (l / d) D0 for l = 0 .. d - 1 (Efron). Everything the score and the information need of them are sums over l.
With case weights S0 and D0 are weighted and each denominator counts with the mean weight of the tied events, as R.
Reference: Therneau & Grambsch (2000), section 3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from isthmus.summary import FloatArray

Ties = Literal["efron", "breslow"]


@dataclass(frozen=True, slots=True)
class TieSums:
    """Sums over l at each of K event times, f = l / d (0 for Breslow) and m the denominator: all (K,).

    `first`: 1/m; `first_f`: f/m; `second`: 1/m**2; `second_f`: f/m**2; `second_ff`: f**2/m**2. `logs`: sum over
    all of log m.
    """

    first: FloatArray
    first_f: FloatArray
    second: FloatArray
    second_f: FloatArray
    second_ff: FloatArray
    logs: float

    @classmethod
    def joined(cls, parts: Sequence[TieSums]) -> TieSums:
        """Of event times one after another."""
        names = ("first", "first_f", "second", "second_f", "second_ff")
        each = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return cls(**each, logs=sum(part.logs for part in parts))


@dataclass(frozen=True, slots=True)
class TieIndex:
    """Every (event time, l) pair in order: `at` (E,) event time, `share` (E,) l / d, `starts` (K,) first pair.

    `counts` (K,) events; `mean` (K,) their mean weight, None without weights.
    """

    at: Any
    share: FloatArray
    starts: Any
    counts: FloatArray
    mean: FloatArray | None = None

    @property
    def total(self) -> FloatArray:
        """(K,) summed weight of the events."""
        return self.counts if self.mean is None else self.counts * self.mean

    def part(self, low: int, high: int) -> TieIndex:
        """Of the event times from `low` to before `high`."""
        if (low, high) == (0, len(self.counts)):
            return self
        first = self.starts[low]
        pairs = slice(first, self.starts[high] if high < len(self.starts) else None)
        mean = None if self.mean is None else self.mean[low:high]
        return TieIndex(
            self.at[pairs] - low, self.share[pairs], self.starts[low:high] - first, self.counts[low:high], mean
        )


def tie_index(deaths: FloatArray, weight: FloatArray | None = None) -> TieIndex:
    """Pairs for `deaths` (K,), the events at each time, all positive, and their summed `weight` (K,)."""
    whole = deaths.astype(np.intp)
    at = np.repeat(np.arange(len(whole)), whole)
    starts = np.concatenate([[0], np.cumsum(whole)[:-1]]) if len(whole) else np.zeros(0, dtype=np.intp)
    share = (np.arange(len(at)) - starts[at]) / deaths[at]
    return TieIndex(at, share, starts, deaths, None if weight is None else weight / deaths)


def tie_sums(ties: Ties, index: TieIndex, s0: FloatArray, d0: FloatArray) -> TieSums:
    """Sums over the denominators; `s0` and `d0` are (K,).

    Only quotients, products and `add.reduceat` (whose order is fixed): the pooled flow relies on equal bits.
    """
    d = index.total
    if ties == "breslow":
        inverse = 1.0 / s0
        none = np.zeros_like(s0)
        return TieSums(d * inverse, none, d * inverse * inverse, none, none, float((d * np.log(s0)).sum()))
    f = index.share
    m = s0[index.at] - f * d0[index.at]
    inverse = 1.0 / m
    weighted = f * inverse
    add: Callable[[FloatArray], FloatArray] = lambda values: np.add.reduceat(values, index.starts)  # noqa: E731
    logs = np.log(m)
    made = TieSums(
        first=add(inverse),
        first_f=add(weighted),
        second=add(inverse * inverse),
        second_f=add(weighted * inverse),
        second_ff=add(weighted * weighted),
        logs=float((logs if index.mean is None else logs * index.mean[index.at]).sum()),
    )
    return made if index.mean is None else times(made, index.mean)


def times(sums: TieSums, factor: FloatArray) -> TieSums:
    """All but `logs` times `factor` (K,)."""
    return TieSums(
        first=sums.first * factor,
        first_f=sums.first_f * factor,
        second=sums.second * factor,
        second_f=sums.second_f * factor,
        second_ff=sums.second_ff * factor,
        logs=sums.logs,
    )
