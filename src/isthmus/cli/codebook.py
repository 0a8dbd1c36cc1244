"""`isthmus codebook`: look at a dataset's declared variables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.run import Json, Quiet
from isthmus.cli.screen import Screen


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A codebook (.yaml or .json).")],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a codebook, print the digest that goes into the agreement, and name what looks like an identifier."""
    from isthmus.data.dictionary import read_codebook
    from isthmus.governance.identifiers import scan
    from isthmus.model.canonical import digest

    book = read_codebook(file)
    found = scan(book).found
    facts = {"name": book.name, "variables": list(book.variables), "digest": digest(book), "identifiers": found}
    screen = Screen.of(json=json, quiet=quiet)
    if screen.json:
        screen.document({"schema": "isthmus/codebook-check/1", **facts})
        return
    screen.say(f"{book.name}: {len(book.variables)} variables")
    screen.say(str(facts["digest"]))
    for letter, names in found.items():
        screen.say(
            f"look: {', '.join(names)}: an identifier of 45 CFR 164.514(b)(2)(i)({letter}), by its name or range"
        )


def group() -> None:
    """Look at codebooks."""
