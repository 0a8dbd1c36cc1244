"""Facts that disclosure rules need. Evidence is made beside the rows and never leaves the site."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from isthmus.summary import FloatArray, IntArray

SQUARED = 3  # squared normal residuals are as good as a third of their rows: (E r^2)^2 / E r^4


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
    parameters: float


def worst(found: Iterable[Weights]) -> Weights:
    """Of sums that leave apart, one guard as strict as all: fewest effective rows, and per parameter; largest share.

    At least one; a sum whose weights are all 0 rests on nobody, and nothing passes with it.
    """
    each = tuple(found)
    if not all(one.total > 0.0 for one in each):
        return Weights(0.0, 0.0, 0.0, max(one.parameters for one in each))
    shares = [one.largest / one.total for one in each]
    # one over the effective rows; squares of tiny weights may be gone, and are no less than the largest
    spent = [max(one.squares / one.total / one.total, own**2) for one, own in zip(each, shares, strict=True)]
    share = max(shares)
    steep = max(one.parameters * inverse for one, inverse in zip(each, spent, strict=True))
    return Weights(1.0, max(spent), share, steep / max(spent))


def of_squares(found: Weights) -> Weights:
    """The guard of squares of residuals: their effective rows count three times, and so a share a third.

    Of ordinary costs, with heavier tails than normal, the largest square of some hundreds is a fourth of their sum.
    """
    return Weights(found.total, found.squares / SQUARED, found.largest / SQUARED, found.parameters)


def weights_of(weight: FloatArray, parameters: int) -> Weights:
    """Of (rows,) weights, none negative."""
    return Weights(float(weight.sum()), float(weight @ weight), float(weight.max(initial=0.0)), parameters)


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
