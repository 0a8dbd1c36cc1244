"""Facts that disclosure rules need. Evidence is made beside the rows and never leaves the site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from isthmus.summary import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Evidence:
    """Facts about what one question would send, at one site, for one grid.

    Attributes:
        rows: rows that enter the sums.
        groups: name -> counts of populations and groups; each must reach `minimum_count`, zero included.
        supports: name -> counts behind an indicator (rows with it, rows without it); `minimum_count`, zero included.
        pairs: name -> joint counts of two indicators; 0 (by `zeros`) or `minimum_count`.
        sides: name -> counts of the two sides of a comparison, of strata, of unusual values; each 0 or `minimum_count`,
            whatever the `zeros` rule.
        cells: name -> counts of table cells, bins and steps; 0 (by `zeros`) or `minimum_count_site`.
        sums: name -> (n,) contributions of each row to a released sum, for dominance.
        parameters: number of fitted parameters; 0 where nothing is fitted.
        fits: name -> (rows, parameters) of further sums that say as much about their rows as a fit would.
        leverage: largest leverage of one row, in [0, 1]; 0 where nothing is fitted.
    """

    rows: int
    groups: Mapping[str, IntArray] = field(default_factory=dict)
    supports: Mapping[str, IntArray] = field(default_factory=dict)
    pairs: Mapping[str, IntArray] = field(default_factory=dict)
    sides: Mapping[str, IntArray] = field(default_factory=dict)
    cells: Mapping[str, IntArray] = field(default_factory=dict)
    sums: Mapping[str, FloatArray] = field(default_factory=dict)
    parameters: int = 0
    fits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    leverage: float = 0.0


@dataclass(frozen=True, slots=True)
class Weights:
    """Working weights of one round: sum w, sum w**2, largest w, over the rows of this site; all w >= 0."""

    total: float
    squares: float
    largest: float
    parameters: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Pooled counts that people will see; the output gate blanks, merges and rounds them.

    Attributes:
        kind: `cells`: any table; each value alone is a cell. `survival`: a (3, steps) array of at_risk, events,
            censored of one curve, in time order; with competing causes a line of events for each. `implied`: never shown, each 0 or >= minimum_count.
            `size`: populations, shown rounded.
        values: int64; after the gate float64 with NaN for a suppressed value.
        of: for `cells`, what each is a part of, where people see or know it: the rest is guarded like a cell.
    """

    kind: Literal["cells", "survival", "implied", "size"]
    values: IntArray | FloatArray
    of: IntArray | None = None
