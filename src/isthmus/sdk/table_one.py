"""Table 1 as journals print it: a column per group, numbers as mean (SD), categories as n (%)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from isthmus.sdk.tables import Table, p_value, significant

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
    tests = body.get("fit", {}).get("tests")
    beside = (*(("SMD",) if smd else ()), *(("p",) if tests else ()))
    size = ("n", *(significant(sizes.get(c)) for c in columns), *("" for _ in beside))
    extra = {
        v: (*([_smd(smd.get(v))] if smd else []), *([_p(tests.get(v))] if tests else [])) for v in _variables(rows)
    }
    lines = [line for variable in extra for line in _lines(variable, rows, columns, extra[variable])]
    headings = ("", *("Overall" if c is None else str(c) for c in columns), *beside)
    about = "; p: Welch's test or chi-square" if tests else ""
    notes = ("mean (SD) or n (%)" + (f"; by {by}" if by else "") + about,)
    return Table(title=title, headings=headings, rows=(size, *lines), notes=notes)


def _variables(rows: Rows) -> list[str]:
    return list(dict.fromkeys(variable for variable, _ in rows))


def _lines(variable: str, rows: Rows, columns: list[Any], extra: tuple[str, ...]) -> list[tuple[str, ...]]:
    """One line for a number; for a category a heading and a line per level. `extra`: what stands beside the variable."""
    if (variable, None) in rows:
        return [(variable, *_values(rows[variable, None], columns), *extra)]
    head = (variable, *("" for _ in columns), *extra)
    levels = [level for name, level in rows if name == variable]
    empty = tuple("" for _ in extra)
    return [head, *((f" {level}", *_values(rows[variable, level], columns), *empty) for level in levels)]


def _smd(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _p(test: Mapping[str, Any] | None) -> str:
    return p_value(None if test is None else test.get("p_value"))


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
