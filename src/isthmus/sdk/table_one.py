"""Table 1 as journals print it: a column per group, numbers as mean (SD), categories as n (%)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.sdk.tables import Table, significant

_KEYS = frozenset({"variable", "level", "n", "missing", "mean", "sd", "count", "percent"})


def baseline(title: str, body: Mapping[str, Any]) -> Table:
    """The table of a `table_one` result."""
    cells = body["cells"]
    by = next((key for cell in cells for key in cell if key not in _KEYS), None)
    columns = list(dict.fromkeys(cell.get(by) for cell in cells))
    rows: dict[tuple[str, str | None], dict[Any, str]] = {}
    for cell in cells:
        rows.setdefault((cell["variable"], cell.get("level")), {})[cell.get(by)] = _shown(cell)
    smd = body.get("fit", {}).get("smd")
    sizes = {None: body.get("n"), **body.get("groups", {})}
    size = ("n", *(significant(sizes.get(c)) for c in columns), *(("",) if smd else ()))
    lines = [_line(key, values, columns, smd, rows) for key, values in rows.items()]
    headings = ("", *("Overall" if c is None else str(c) for c in columns), *(("SMD",) if smd else ()))
    notes = ("mean (SD) or n (%)" + (f"; by {by}" if by else ""),)
    return Table(title=title, headings=headings, rows=(size, *lines), notes=notes)


def _line(
    key: tuple[str, str | None],
    values: Mapping[Any, str],
    columns: list[Any],
    smd: Mapping[str, Any] | None,
    rows: Mapping[tuple[str, str | None], Any],
) -> tuple[str, ...]:
    variable, level = key
    first = next(k for k in rows if k[0] == variable) == key
    name = variable if level is None else f"{variable} = {level}"
    difference = (significant(smd.get(variable), 2) if first else "",) if smd else ()
    return (name, *(values.get(c, "") for c in columns), *difference)


def _shown(cell: Mapping[str, Any]) -> str:
    if "level" in cell:
        count, share = cell.get("count"), cell.get("percent")
        return "-" if count is None else f"{count:,.0f} ({'-' if share is None else f'{share:.1f}'})"
    return f"{significant(cell.get('mean'), 3)} ({significant(cell.get('sd'), 3)})"
