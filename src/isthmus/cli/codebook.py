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
    """Check a codebook and print the digest that goes into the agreement."""
    from isthmus.data.dictionary import read_codebook
    from isthmus.model.canonical import digest

    book = read_codebook(file)
    facts = {"name": book.name, "variables": list(book.variables), "digest": digest(book)}
    screen = Screen.of(json=json, quiet=quiet)
    if screen.json:
        screen.document({"schema": "isthmus/codebook-check/1", **facts})
        return
    screen.say(f"{book.name}: {len(book.variables)} variables")
    screen.say(str(facts["digest"]))


def group() -> None:
    """Look at codebooks."""
