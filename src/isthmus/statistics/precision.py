"""What a country gained by not asking alone: its standard errors beside those of all, as people.

Variance falls as one over the number of people, other things equal: to reach the error of all, a country with n people and error
s would need n (s / error of all)**2. All from numbers that people see: they are gated, and rounded as the rules say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def gained(whole: Mapping[str, Any], countries: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each term: `term`, `std_error` of all, `best` (the country with the smallest error), `countries`.

    `countries`: name -> `std_error`, `n`, `needed` (people it alone would need for the error of all), `gained` (how many
    more that is than it has). A term without an error, of all or in every country, is left out.
    """
    found = []
    for term in whole.get("terms", ()):
        error = term.get("std_error")
        own = {name: told for name, body in countries.items() if (told := _one(body, str(term["term"]), error))}
        if own:
            best = min(own, key=lambda name: own[name]["std_error"])
            found.append({"term": term["term"], "std_error": error, "best": best, "countries": own})
    return found


def _one(body: Mapping[str, Any], term: str, error: float | None) -> dict[str, Any] | None:
    n = body.get("n")
    own = next((row.get("std_error") for row in body.get("terms", ()) if row["term"] == term), None)
    if not own or not error or n is None:
        return None
    needed = round(n * (own / error) ** 2)
    return {"std_error": own, "n": n, "needed": needed, "gained": needed - n}
