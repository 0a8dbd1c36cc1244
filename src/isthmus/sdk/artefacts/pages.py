"""One small document, shown as text, as JSON, and as an HTML page that prints on A4."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from html import escape
from typing import Any, TypeAlias

from isthmus.model.record import record
from isthmus.sdk.tables import Table

WIDTH = 118
NARROWEST = 10  # characters of a column of text
WIDE = 7  # columns from which a page is printed across
PAIR = 2  # columns of a table of facts
LONGEST = 32  # characters of a word
BLANK = "(to be completed)"  # only a person can say it; printed as a line to write on


@record
class Lines:
    """Sentences under a heading."""

    title: str
    lines: tuple[str, ...]


Part: TypeAlias = Table | Lines


@record
class Document:
    """An artefact.

    Attributes:
        serves: duties that it answers.
        about: whose it is, of which agreement, when it was made.
    """

    artefact: str
    title: str
    serves: str
    about: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]


def listed(
    title: str, headings: tuple[str, ...], rows: Iterator[tuple[str, ...]], *notes: str, unknown: str = ""
) -> Part:
    """A table of names; a line that says so when it has no rows, or that they are `unknown` here and whom to ask."""
    found, said = tuple(rows), ((*notes, unknown) if unknown else notes)
    if not found:
        return Lines(title=title, lines=said if unknown else ("None.", *notes))
    return Table(title=title, headings=headings, rows=found, labels=len(headings), notes=said)


def facts(title: str, *pairs: tuple[str, str]) -> Part:
    """Names and values."""
    return Table(title=title, headings=("What", "Stated"), rows=pairs, labels=2)


def to_text(document: Document) -> str:
    """For a terminal or a plain file."""
    head = [document.title, f"Serves: {document.serves}", *(f"{name}: {value}" for name, value in document.about)]
    return "\n".join(head) + "\n\n" + "\n\n".join(_text(part) for part in document.parts) + "\n"


def to_json(document: Document) -> dict[str, Any]:
    """For programs."""
    from isthmus.model.canonical import plain

    parts = [plain(part) for part in document.parts]
    head = {"artefact": document.artefact, "title": document.title, "serves": document.serves}
    return {"schema": "isthmus/evidence/1", **head, "about": dict(document.about), "parts": parts}


def to_html(document: Document) -> str:
    """A whole page: no script, no request, no style attribute; prints on A4, across where a table is wide."""
    wide = any(isinstance(part, Table) and len(part.headings) >= WIDE for part in document.parts)
    about = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in document.about)
    body = "".join(_html(part) for part in document.parts)
    return (
        '<!doctype html>\n<html lang="en-GB"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(document.title)}</title><style>{_STYLE}</style></head>\n"
        f'<body{" class=wide" if wide else ""}><header><p class="mark">Isthmus evidence</p><h1>{escape(document.title)}</h1>'
        f"<p>Serves: {escape(document.serves)}</p><dl>{about}</dl></header>\n<main>{body}</main></body></html>\n"
    )


def _text(part: Part) -> str:
    if isinstance(part, Lines):
        return "\n".join(
            [part.title, "-" * len(part.title), *(line for said in part.lines for line in _wrapped(said, WIDTH))]
        )
    widths = _widths([part.headings, *part.rows])
    head, *rows = (_lines(row, widths) for row in (part.headings, *part.rows))
    notes = [line for note in part.notes for line in _wrapped(note, WIDTH)]
    body = [line for row in rows for line in row]
    return "\n".join([part.title, "-" * len(head[0]), *head, "-" * len(head[0]), *body, *notes])


def _widths(grid: list[tuple[str, ...]]) -> list[int]:
    """Of each column, the widest ones made narrower until the table fits."""
    widths = [max(1, *(len(row[k]) for row in grid)) for k in range(len(grid[0]))]
    while sum(widths) + 2 * (len(widths) - 1) > WIDTH and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths


def _lines(row: tuple[str, ...], widths: list[int]) -> list[str]:
    """One row of a table as lines of text: a cell that is too long goes on below."""
    cells = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
    filled = (
        "  ".join(
            cell[k].ljust(width) if k < len(cell) else " " * width for cell, width in zip(cells, widths, strict=True)
        )
        for k in range(max(map(len, cells)))
    )
    return [line.rstrip() for line in filled]


def _wrapped(said: str, width: int) -> list[str]:
    return textwrap.wrap(said, width) or [""]


def _html(part: Part) -> str:
    if isinstance(part, Lines):
        inner = "".join(f"<p>{_said(line)}</p>" for line in part.lines)
        return f"<section><h2>{escape(part.title)}</h2>{inner}</section>\n"
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in part.headings)
    rows = "".join(_row(row) for row in part.rows)
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in part.notes)
    pair = " class=pair" if len(part.headings) == PAIR else ""
    table = f"<table{pair}><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    name = escape(part.title)
    # a table wider than a small screen scrolls by itself, with the keyboard too
    return (
        f'<section><h2>{name}</h2><div role="region" aria-label="{name}" tabindex="0">{table}</div>{notes}</section>\n'
    )


def _row(row: tuple[str, ...]) -> str:
    first, *rest = row
    name = " class=id" if " " not in first and len(first) < LONGEST else ""  # the id of a rule or item is not broken
    return f'<tr><th scope="row"{name}>{_said(first)}</th>{"".join(f"<td{_long(cell)}>{_said(cell)}</td>" for cell in rest)}</tr>'


def _long(cell: str) -> str:
    """Marks a cell with a digest or key, which may be broken anywhere."""
    return " class=long" if any(len(word) > LONGEST for word in cell.split()) else ""


def _said(value: str) -> str:
    return escape(value).replace(BLANK, '<span class="blank">(to be completed)</span>')


_STYLE = """
:root { color-scheme: light; --ink: #1b1f24; --quiet: #57606a; --line: #d0d7de; --band: #f6f8fa; }
body { font: 15px/1.5 system-ui, "Liberation Sans", Arial, sans-serif; color: var(--ink); background: #fff;
  margin: 0 auto; padding: 2rem 1.5rem; max-width: 62rem; }
body.wide { max-width: 84rem; }
header { border-bottom: 2px solid var(--ink); margin-bottom: 1.5rem; padding-bottom: .75rem; }
.mark { color: var(--quiet); font-size: .8rem; letter-spacing: .06em; text-transform: uppercase; margin: 0; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .2rem 0 .4rem; }
h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .5rem 0 0; font-size: .9rem; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
[role=region] { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line);
  min-width: 4.5rem; }
thead th { color: var(--quiet); font-weight: 600; border-bottom: 1px solid var(--ink); }
tbody th { font-weight: 500; } .id { white-space: nowrap; }
.pair tbody th { width: 36%; }
.long { overflow-wrap: anywhere; min-width: 9rem; }
.note, header p { color: var(--quiet); font-size: .85rem; margin: .4rem 0; }
.blank { color: var(--quiet); border-bottom: 1px dotted var(--ink); display: block; min-width: 9rem; }
@page { size: A4; margin: 16mm 14mm 18mm; }
@page across { size: A4 landscape; margin: 14mm; }
@media print {
  body { padding: 0; max-width: none; font-size: 10pt; }
  body.wide { page: across; }
  table { font-size: 8.5pt; } th, td, .long { min-width: 0; }
  .pair .blank { padding-bottom: 5mm; }
  thead { display: table-header-group; } tr, dl { break-inside: avoid; } h2 { break-after: avoid; }
  [role=region] { overflow: visible; }
}
"""
