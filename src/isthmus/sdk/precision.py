"""What a country gained by not asking alone: its standard errors beside those of all, as people and as money.

Variance falls as one over the number of people, other things equal: to reach the error of all, a country with n people and error
s would need n (s / error of all)**2. The numbers of people are those shown, so they are rounded as the rules say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from isthmus.model.errors import Refused
from isthmus.sdk.result import AnalysisResult

if TYPE_CHECKING:
    import pyarrow as pa


def precision(analysis: AnalysisResult, prices: Mapping[str, float] | None = None) -> pa.Table:
    """A row for each term and country: `std_error` of all, `country_error`, `country_n`, `best`, `needed`, `gained`, `cost`.

    `best` marks the country with the smallest error of the term; `needed` is the number of people whom the country alone
    would need for the error of all, `gained` how many more that is than it has; `cost` is what they cost.

    Args:
        analysis: of a study that asked for `groups: {by: country}`, where the agreement allows them.
        prices: country -> price of one person's participation; `cost` is null for a country without.

    Raises:
        Refused: E-COUNTRY, there are no results of countries.
    """
    import pyarrow as pa  # imported where used

    countries = {name: own.to_dict() for name, own in analysis.groups.items() if own.error is None}
    if not countries:
        hint = "ask for `groups: {by: country}`; the result's own `groups` says why there are none"
        raise Refused("E-COUNTRY", f"{analysis.name!r} has no results of countries", hint)
    return pa.Table.from_pylist([*_rows(analysis.to_dict(), countries, prices or {})])


def _rows(
    whole: Mapping[str, Any], countries: Mapping[str, Mapping[str, Any]], prices: Mapping[str, float]
) -> Iterator[dict[str, Any]]:
    for term in whole.get("terms", ()):
        name, error = term["term"], term["std_error"]
        own = {c: _error(body, name) for c, body in countries.items()}
        known = {c: value for c, value in own.items() if value}
        if not error or not known:
            continue
        best = min(known, key=lambda country: known[country])
        for country, value in known.items():
            n = countries[country]["n"]
            needed = n * (value / error) ** 2
            price = prices.get(country)
            yield {
                "term": name,
                "std_error": error,
                "country": country,
                "country_error": value,
                "country_n": n,
                "best": country == best,
                "needed": round(needed),
                "gained": round(needed) - n,
                "cost": None if price is None else price * (needed - n),
            }


def _error(body: Mapping[str, Any], name: str) -> float | None:
    return next((term["std_error"] for term in body.get("terms", ()) if term["term"] == name), None)
