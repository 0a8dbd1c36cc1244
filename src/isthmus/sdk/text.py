"""Tables as plain text and as HTML for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from isthmus.sdk.tables import Table


def plain(table: Table) -> str:
    """Aligned columns under a ruled heading."""
    grid = [table.headings, *table.rows] if any(table.headings) else list(table.rows)
    widths = [max(len(row[k]) for row in grid) for k in range(len(table.headings))]
    lines = [
        "  ".join(
            cell.ljust(w) if k < table.labels else cell.rjust(w)
            for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in grid
    ]
    rule = "-" * max((len(line) for line in lines), default=0)
    body = [lines[0], rule, *lines[1:]] if any(table.headings) else lines
    return "\n".join(line.rstrip() for line in [table.title, rule, *body, *table.notes])


def html(table: Table) -> str:
    """A table with scoped headings, no style attributes; every text escaped."""
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in table.headings)
    rows = "".join(_row(row, table.labels) for row in table.rows)
    notes = "".join(f"<p><small>{escape(note)}</small></p>" for note in table.notes)
    top = f"<thead><tr>{head}</tr></thead>" if any(table.headings) else ""
    return f"<table><caption>{escape(table.title)}</caption>{top}<tbody>{rows}</tbody></table>{notes}"


def _row(row: tuple[str, ...], labels: int) -> str:
    names = "".join(f'<th scope="row">{escape(cell)}</th>' for cell in row[:labels])
    return f"<tr>{names}{''.join(f'<td>{escape(cell)}</td>' for cell in row[labels:])}</tr>"


def origin(body: Mapping[str, Any]) -> str:
    """Where a result comes from, in one line."""
    sites = body.get("sites", [])
    rows = body.get("traffic", {}).get("rows_left", 0)
    return f"{body.get('mode', '')}, {len(sites)} sites ({', '.join(sites)}), rows that left a site: {rows}"


def withheld(body: Mapping[str, Any]) -> str:
    """Why no country has results of its own where the study asks for them; empty where they have, or it does not."""
    why = body.get("groups", {}).get("withheld")
    if not why:
        return ""
    hint = f" ({why['hint']})" if why.get("hint") else ""
    return f"no results of single countries: {why['code']} {why['message']}{hint}"


def heading(body: Mapping[str, Any]) -> str:
    """Title, origin and what was withheld as HTML."""
    lines = "".join(f"<p>{escape(line)}</p>" for line in (origin(body), withheld(body)) if line)
    return f"<h3>{escape(str(body.get('title', '')))}</h3>{lines}"
