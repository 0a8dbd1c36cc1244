"""Tied events in the partial likelihood: Breslow's and Efron's denominators, for sites and for pooled risk sets alike.

At an event time with d events, risk-set sum S0 and tied-event sum D0, the denominators are S0 (Breslow, d times) or
S0 - (l / d) D0 for l = 0 .. d - 1 (Efron). Everything the score and the information need of them are sums over l.
Reference: Therneau & Grambsch (2000), section 3.3.
"""

from __future__ import annotations

from collections.abc import Callable
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


@dataclass(frozen=True, slots=True)
class TieIndex:
    """Every (event time, l) pair in order: `at` (E,) event time, `share` (E,) l / d, `starts` (K,) first pair."""

    at: Any
    share: FloatArray
    starts: Any
    counts: FloatArray


def tie_index(deaths: FloatArray) -> TieIndex:
    """Pairs for `deaths` (K,), the events at each time, all positive."""
    whole = deaths.astype(np.intp)
    at = np.repeat(np.arange(len(whole)), whole)
    starts = np.concatenate([[0], np.cumsum(whole)[:-1]]) if len(whole) else np.zeros(0, dtype=np.intp)
    share = (np.arange(len(at)) - starts[at]) / deaths[at]
    return TieIndex(at, share, starts, deaths)


def tie_sums(ties: Ties, index: TieIndex, s0: FloatArray, d0: FloatArray) -> TieSums:
    """Sums over the denominators; `s0` and `d0` are (K,).

    Only quotients, products and `add.reduceat` (whose order is fixed): the pooled flow relies on equal bits.
    """
    d = index.counts
    if ties == "breslow":
        inverse = 1.0 / s0
        none = np.zeros_like(s0)
        return TieSums(d * inverse, none, d * inverse * inverse, none, none, float((d * np.log(s0)).sum()))
    f = index.share
    m = s0[index.at] - f * d0[index.at]
    inverse = 1.0 / m
    weighted = f * inverse
    add: Callable[[FloatArray], FloatArray] = lambda values: np.add.reduceat(values, index.starts)  # noqa: E731
    return TieSums(
        first=add(inverse),
        first_f=add(weighted),
        second=add(inverse * inverse),
        second_f=add(weighted * inverse),
        second_ff=add(weighted * weighted),
        logs=float(np.log(m).sum()),
    )
