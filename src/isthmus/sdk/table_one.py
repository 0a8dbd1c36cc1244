"""Table 1 as journals print it: a column per group, numbers as mean (SD), categories as n (%)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from isthmus.sdk.tables import Table, significant

Rows: TypeAlias = dict[tuple[str, str | None], dict[Any, str]]  # (variable, level) -> group -> text

_KEYS = frozenset({"variable", "level", "n", "missing", "mean", "sd", "count", "percent"})


def baseline(title: str, body: Mapping[str, Any]) -> Table:
    """The table of a `table_one` result."""
    cells = body["cells"]
    by = next((key for cell in cells for key in cell if key not in _KEYS), None)
    columns = list(dict.fromkeys(cell.get(by) for cell in cells))
    rows: Rows = {}
    for cell in cells:
        rows.setdefault((cell["variable"], cell.get("level")), {})[cell.get(by)] = _shown(cell)
    smd = body.get("fit", {}).get("smd")
    sizes = {None: body.get("n"), **body.get("groups", {})}
    size = ("n", *(significant(sizes.get(c)) for c in columns), *(("",) if smd else ()))
    lines = [line for variable in _variables(rows) for line in _lines(variable, rows, columns, smd)]
    headings = ("", *("Overall" if c is None else str(c) for c in columns), *(("SMD",) if smd else ()))
    notes = ("mean (SD) or n (%)" + (f"; by {by}" if by else ""),)
    return Table(title=title, headings=headings, rows=(size, *lines), notes=notes)


def _variables(rows: Rows) -> list[str]:
    return list(dict.fromkeys(variable for variable, _ in rows))


def _lines(variable: str, rows: Rows, columns: list[Any], smd: Mapping[str, Any] | None) -> list[tuple[str, ...]]:
    """One line for a number; for a category a heading and a line per level."""
    difference = (_smd(smd.get(variable)),) if smd else ()
    if (variable, None) in rows:
        return [(variable, *_values(rows[variable, None], columns), *difference)]
    head = (variable, *("" for _ in columns), *difference)
    levels = [level for name, level in rows if name == variable]
    empty = ("",) if smd else ()
    return [head, *((f" {level}", *_values(rows[variable, level], columns), *empty) for level in levels)]


def _smd(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _values(cells: Mapping[Any, str], columns: list[Any]) -> list[str]:
    return [cells.get(column, "") for column in columns]


def _shown(cell: Mapping[str, Any]) -> str:
    if "level" in cell:
        count, share = cell.get("count"), cell.get("percent")
        return "-" if count is None else f"{count:,.0f} ({'-' if share is None else f'{share:.1f}'})"
    mean, sd = cell.get("mean"), cell.get("sd")
    if mean is None or sd is None:
        return f"{significant(mean, 3)} ({significant(sd, 3)})"
    decimals = max(0, 2 - math.floor(math.log10(abs(mean) or 1.0)))
    return f"{mean:,.{decimals}f} ({sd:,.{decimals}f})"
