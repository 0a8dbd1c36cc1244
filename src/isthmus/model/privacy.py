"""Differential privacy as an agreement states it, and the noise of one round: public facts, in exact numbers.

The accounting is zero-concentrated (zCDP, Bun & Steinke 2016): a release that adds Gaussian noise of variance s2 to
sums which one row moves by at most d (L2) costs rho = d**2 / (2 s2), and costs add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from isthmus.model.record import record

LEAST_VARIANCE = 16  # a site's sigma is at least 4 grid units: sums of such noise are as good as one discrete Gaussian


@record
class Privacy:
    """The budget of a dataset. Every value is stated, none has a default but `minimum_survivors`.

    Attributes:
        rho: what all answers on this dataset may cost together, for as long as the dataset lives.
        delta: at which epsilon is shown to people.
        per_person: of that, what one researcher may spend.
        per_project: of that, what one project (the study's `project`) may spend.
        colluders: sites whose own noise is assumed to be known to whoever looks; at least 1.
        minimum_survivors: sites that a sum holds at least; `minimum_sites` where not stated.
    """

    rho: float
    delta: float
    per_person: float
    per_project: float
    colluders: int
    minimum_survivors: int | None = None


@record
class Spend:
    """What one analysis states: its cost in all, whatever number of rounds it takes."""

    rho: float


@record
class Allowance:
    """What the noisy variant of a question is made for.

    Attributes:
        rho: of the whole analysis, as numerator and denominator.
        honest: sites whose noise protects a row: minimum survivors less colluders.
    """

    rho: tuple[int, int]
    honest: int

    def share(self, part: Fraction) -> Fraction:
        """A part of rho."""
        return Fraction(*self.rho) * part


@record
class FieldNoise:
    """Noise of one field, in grid units.

    Attributes:
        variance: of ONE site's noise in each value.
        sensitivity2: square of the L2 distance by which one row, added or taken away, moves this field.
        bits: one unit of the value is 2**bits grid units.
    """

    variance: int
    sensitivity2: int
    bits: int


@record
class Noise:
    """Noise of one round: every field of its layout has some. `rho` is what the round is charged."""

    fields: Mapping[str, FieldNoise]
    honest: int
    rho: tuple[int, int]

    def cost(self) -> Fraction:
        """What these variances really cost; never above `rho` for noise that the gate accepts."""
        each = (Fraction(f.sensitivity2, 2 * self.honest * f.variance) for f in self.fields.values())
        return sum(each, Fraction(0))


def exact(stated: float) -> Fraction:
    """The decimal number a person wrote, exactly: 0.1 is one tenth."""
    return Fraction(repr(stated))
