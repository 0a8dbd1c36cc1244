"""Whose sites stand where, and whether a number of one country is a number of enough parties.

A result of one country is the sum over its sites; with the result of all it also tells the sum over the others. Both are
sums of at least `minimum_sites` legal entities, or there is none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from isthmus.disclosure.rules import restricts
from isthmus.model.errors import Refused
from isthmus.model.rules import Rules

SITE_RESULTS = "site_results"  # among the releases of an agreement


@dataclass(frozen=True, slots=True)
class Place:
    """The legal entity and the country of a site."""

    party: str
    country: str


Places: TypeAlias = Mapping[str, Place]


def countries(places: Places) -> tuple[str, ...]:
    """Each country once, in the order of the sites."""
    return tuple(dict.fromkeys(place.country for place in places.values()))


def check_countries(places: Places, rules: Rules) -> None:
    """Return when numbers of single countries may be asked for.

    Each country, and the others together, has `minimum_sites` legal entities; a single country is the whole. Sites whose
    places are not known may not. On one's own files (open rules) there is nobody to protect.

    Raises:
        Refused: E-COUNTRY.
    """
    apart = countries(places)
    if not restricts(rules) or len(apart) == 1:
        return
    for country in apart or ("",):
        here = {place.party for place in places.values() if place.country == country}
        rest = {place.party for place in places.values() if place.country != country}
        if len(here) < rules.minimum_sites or len(rest) < rules.minimum_sites:
            message = f"a country, or the rest, has fewer legal entities than minimum_sites = {rules.minimum_sites}"
            raise Refused("E-COUNTRY", message, "ask for all countries together, or add sites of other parties")


def check_subtotals(places: Places, rules: Rules) -> None:
    """Return when results of each country may stand beside the result of all.

    Besides `check_countries`, cells are held to the floor at every site: so is then every cell of a difference.

    Raises:
        Refused: E-COUNTRY.
    """
    check_countries(places, rules)
    if restricts(rules) and (rules.minimum_count_site or 1) < (rules.minimum_count or 1):
        message = (
            "results of countries need cells of minimum_count at every site, or differences would show smaller ones"
        )
        raise Refused("E-COUNTRY", message, "minimum_count_site equal to minimum_count, or no `groups`")


def check_site_results(releases: Collection[str], rules: Rules) -> None:
    """Return when numbers of single sites may be asked for: the agreement says so, or the files are one's own (open rules).

    Cells are then held to `minimum_count` at each site: what is shown of a site is no sum over sites.

    Raises:
        Refused: E-SITE-RESULTS.
    """
    if not restricts(rules):
        return
    if SITE_RESULTS not in releases:
        message = "a number of each single site is not given out"
        hint = f"ask by country or a category; custodians allow it with `{SITE_RESULTS}` among the agreement's releases"
        raise Refused("E-SITE-RESULTS", message, hint)
    if (rules.minimum_count_site or 1) < (rules.minimum_count or 1):
        message = "results of single sites need cells of minimum_count at every site"
        raise Refused("E-SITE-RESULTS", message, "minimum_count_site equal to minimum_count")


def among(places: Places, sites: Collection[str]) -> Places:
    """Those of the sites named."""
    return {site: place for site, place in places.items() if site in sites}
