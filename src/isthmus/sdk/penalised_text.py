"""Penalised paths as tables: the coefficients at the penalties that cross-validation chose, else the path in few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.sdk.tables import Table, significant, title

LINES = 12  # of a path, its ends among them
WHOLE = "the whole path is in tidy()"


def shown(name: str, body: Mapping[str, Any], notes: tuple[str, ...]) -> Table:
    """One table; `notes` stand under it."""
    fit = body["fit"]
    told = (*notes, f"null deviance = {significant(fit['null_deviance'])}; alpha = {significant(fit['alpha'])}", WHOLE)
    build = _chosen if "lambda_min" in fit else _path
    headings, rows = build(body)
    return Table(title=title(name, body), headings=headings, rows=tuple(rows), notes=told)


def _chosen(body: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A line for each term at `lambda_min` and `lambda_1se`; `-` where the lasso left it out."""
    fit = body["fit"]
    at = [_nearest(body, float(fit[key])) for key in ("lambda_min", "lambda_1se")]
    columns = [{str(c["term"]): c["estimate"] for c in body["cells"] if c["lambda"] == penalty} for penalty in at]
    rows = [(term, *(significant(column[term] or None) for column in columns)) for term in columns[0]]
    means = {float(point["lambda"]): (point["df"], point["dev_ratio"]) for point in fit["path"]}
    rows += [
        ("terms in the model", *(significant(means[penalty][0]) for penalty in at)),
        ("deviance explained", *(significant(means[penalty][1]) for penalty in at)),
    ]
    return ("Term", *(f"{word} {significant(one)}" for word, one in zip(("lambda min", "1 SE"), at, strict=True))), rows


def _nearest(body: Mapping[str, Any], penalty: float) -> float:
    """Of the path."""
    return min((float(point["lambda"]) for point in body["fit"]["path"]), key=lambda one: abs(one - penalty))


def _path(body: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Penalty, terms in the model and deviance explained, at as many penalties as fit."""
    path = body["fit"]["path"]
    count = min(LINES, len(path))
    picked = [path[round(k * (len(path) - 1) / max(count - 1, 1))] for k in range(count)]
    rows = [tuple(significant(point[key]) for key in ("lambda", "df", "dev_ratio")) for point in picked]
    return ("Penalty", "Terms", "Deviance explained"), rows
