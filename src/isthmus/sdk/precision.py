"""Precision gained, as tables: what a country would need alone for the error of all, and what that would cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from isthmus.model.errors import Refused
from isthmus.sdk.result import AnalysisResult
from isthmus.sdk.tables import Table, significant

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

    return pa.Table.from_pylist([*rows(analysis.name, analysis.to_dict(), prices or {})])


def rows(name: str, body: Mapping[str, Any], prices: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    """Those rows, of an analysis' body.

    Raises:
        Refused: E-COUNTRY.
    """
    if not body.get("precision"):
        hint = "ask for `groups: {by: country}`; the result's own `groups` says why there are none"
        raise Refused("E-COUNTRY", f"{name!r} has no results of countries", hint)
    for term in body["precision"]:
        for country, own in term["countries"].items():
            price = prices.get(country)
            yield {
                "term": term["term"],
                "std_error": term["std_error"],
                "country": country,
                "country_error": own["std_error"],
                "country_n": own["n"],
                "best": country == term["best"],
                "needed": own["needed"],
                "gained": own["gained"],
                "cost": None if price is None else price * own["gained"],
            }


def table(name: str, body: Mapping[str, Any], prices: Mapping[str, float]) -> Table:
    """For people: every term and country, with costs where prices are given.

    Raises:
        Refused: E-COUNTRY.
    """
    keys = ("std_error", "country_error", "country_n", "needed", "gained", *(("cost",) if prices else ()))
    headings = (
        "Term",
        "Country",
        "SE of all",
        "SE alone",
        "n",
        "Needed alone",
        "Gained",
        *(("Cost",) if prices else ()),
    )
    shown = tuple(
        (
            str(row["term"]),
            f"{row['country']} (best)" if row["best"] else row["country"],
            *(significant(row[k]) for k in keys),
        )
        for row in rows(name, body, prices)
    )
    return Table(title=f"{name}: precision gained", headings=headings, rows=shown, labels=2)
