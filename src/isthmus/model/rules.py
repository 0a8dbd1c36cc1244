"""Disclosure rules as a party states them (STUDY format); nothing here has a default."""

from __future__ import annotations

from typing import Literal

from isthmus.model.record import record


@record
class Dominance:
    """n-k and p-ratio rules for sums: largest `n` contributors hold at most `k`; the rest exceeds `p`."""

    n: int
    k: float
    p: float


@record
class Rules:
    """Every rule a rehearsal or an agreement states; `None` switches one off, in a rehearsal only."""

    minimum_count: int | None
    minimum_count_site: int | None
    round_to: int | None
    zeros: Literal["allowed", "barred"] | None
    dominance: Dominance | None
    minimum_dof: int | None
    parameters_per_row: float | None
    maximum_leverage: float | None
    maximum_weight_share: float | None
    minimum_sites: int
    digits: int | None = None


@record
class OwnRules:
    """What one site keeps to itself: rules stricter than those agreed on; one left out is as agreed.

    They act where the site itself decides, on its vote and its rounds. What follows from pooled sums must be the same
    at every party, so rounding, digits and the number of sites can only be agreed on.
    """

    minimum_count: int | None = None
    minimum_count_site: int | None = None
    zeros: Literal["barred"] | None = None
    dominance: Dominance | None = None
    minimum_dof: int | None = None
    parameters_per_row: float | None = None
    maximum_leverage: float | None = None
    maximum_weight_share: float | None = None


MAXIMUM_DIGITS = 17  # all of a float64


# At these values nothing is suppressed, whatever the split of rows: a rule at its open value is switched off, so
# that a floor of 1 also admits a site with no row of a group. For your own files only.
OPEN = Rules(
    minimum_count=1,
    minimum_count_site=1,
    round_to=1,
    zeros="allowed",
    dominance=Dominance(n=2, k=1.0, p=0.0),
    minimum_dof=1,
    parameters_per_row=1.0,
    maximum_leverage=1.0,
    maximum_weight_share=1.0,
    minimum_sites=2,
)


def applies(rules: Rules, rule: str) -> bool:
    """Whether `rule` restricts anything: neither switched off nor at its open value."""
    stated = getattr(rules, rule)
    return stated is not None and stated != getattr(OPEN, rule)
