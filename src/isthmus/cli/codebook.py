"""`isthmus codebook`: look at a dataset's declared variables."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.run import Json, Quiet
from isthmus.cli.screen import Screen


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A codebook (.yaml or .json).")],
    data: Annotated[
        str | None, typer.Option(help="Rows to look at too, beside them: a file, or FILE.duckdb::TABLE.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a codebook, print the digest that goes into the agreement, and name what looks like an identifier."""
    from isthmus.data.dictionary import read_codebook
    from isthmus.data.seen import seen
    from isthmus.data.source import open_source
    from isthmus.governance.facts import today
    from isthmus.governance.identifiers import scan
    from isthmus.model.canonical import digest

    book = read_codebook(file)
    day = today(datetime.now(UTC))  # noqa: TID251 - an entry point
    found = scan(book, day).found
    facts = {"name": book.name, "variables": list(book.variables), "digest": digest(book), "identifiers": found}
    rows = scan(seen(open_source(data), book), day).found if data is not None else None
    screen = Screen.of(json=json, quiet=quiet)
    if screen.json:
        in_rows = {"identifiers_in_rows": rows} if rows is not None else {}
        screen.document({"schema": "isthmus/codebook-check/1", **facts, **in_rows})
        return
    screen.say(f"{book.name}: {len(book.variables)} variables")
    screen.say(str(facts["digest"]))
    _say(screen, found, "by its name, range or levels")
    _say(screen, rows or {}, "by its rows")


def _say(screen: Screen, found: dict[str, tuple[str, ...]], why: str) -> None:
    for letter, names in found.items():
        screen.say(f"look: {', '.join(names)}: an identifier of 45 CFR 164.514(b)(2)(i)({letter}), {why}")


def group() -> None:
    """Look at codebooks."""
