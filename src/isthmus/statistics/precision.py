"""What a country gained by not asking alone: its standard errors beside those of all, as people.

Variance falls as one over the number of people, other things equal: to reach the error of all, a country with n people and error
s would need n (s / error of all)**2. All from numbers that people see: they are gated, and rounded as the rules say.

Of models every term; the area under a ROC curve; each group's rate and restricted mean, its survival and incidences at the times
asked for; each pair's correlation; measures of accuracy. Where only an interval is shown, the error is half its width over the normal quantile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.statistics.inference import quantile

CELLS = {
    "rmst": "rmst",
    "rate": "rate",
    "correlation": "estimate",
    "spearman": "estimate",
}  # kind -> key of the estimate
AREAS = ("roc", "validate_model")


def gained(whole: Mapping[str, Any], countries: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each estimate: `term`, `std_error` of all, `best` (the country with the smallest error), `countries`.

    `countries`: name -> `std_error`, `n`, `needed` (people it alone would need for the error of all), `gained` (how many
    more that is than it has). An estimate without an error, of all or in every country, is left out.
    """
    alone = {name: (body.get("n"), errors(body)) for name, body in countries.items()}
    found = []
    for term, error in errors(whole).items():
        own = {name: _one(n, held[term], error) for name, (n, held) in alone.items() if n is not None and term in held}
        if own:
            best = min(own, key=lambda name: own[name]["std_error"])
            found.append({"term": term, "std_error": error, "best": best, "countries": own})
    return found


def errors(body: Mapping[str, Any]) -> dict[str, float]:
    """Estimate -> its standard error, of those that have one."""
    reach = 2.0 * quantile(body.get("conf_level") or 0.95)
    found = {str(row["term"]): _error(row, reach) for row in body.get("terms", ())}
    kind = str(body.get("kind"))
    if kind in AREAS:
        found["auc"] = _error(body.get("fit", {}), reach)
    if kind in CELLS:
        found |= {_label(CELLS[kind], cell): _error(cell, reach) for cell in body.get("cells", ())}
    found |= dict(_at_times(body))
    return {name: error for name, error in found.items() if error}


def _at_times(body: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """Of each curve, at the times that `at` asked for."""
    for curve in body.get("curves", ()):
        whose = [*map(str, curve.get("group", {}).values()), *([curve["cause"]] if "cause" in curve else [])]
        for figure in ("survival", "incidence"):
            for row in curve.get(f"{figure}_at", ()):
                yield " ".join([figure, *whose, f"at {row['time']:g}"]), row["std_error"]


def _error(row: Mapping[str, Any], reach: float) -> float | None:
    if "std_error" in row:
        error: float | None = row["std_error"]
        return error
    low, high = row.get("conf_low"), row.get("conf_high")
    return None if low is None or high is None else (high - low) / reach


def _label(key: str, cell: Mapping[str, Any]) -> str:
    labels = [str(value) for value in cell.values() if isinstance(value, str)]
    return " ".join([*([] if key == "estimate" else [key]), *labels])


def _one(n: int, own: float, error: float) -> dict[str, Any]:
    needed = round(n * (own / error) ** 2)
    return {"std_error": own, "n": n, "needed": needed, "gained": needed - n}
