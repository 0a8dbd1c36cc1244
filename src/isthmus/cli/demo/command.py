"""The `demo` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.run import Json, Quiet
from isthmus.cli.screen import Screen


def demo(
    json: Json = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave hub and sites running at the end.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where to write; a folder isthmus-demo here if not given.")] = None,
    quiet: Quiet = False,
) -> int:
    """Run a study over six sites on this machine.

    Six sites in two countries and a hub start as separate processes, joined by mutual TLS. They answer one study on
    real trial patients; then the same analyses are run on the pooled rows beside it.
    """
    from isthmus.cli.demo.play import play

    return play(Screen.of(json=json, quiet=quiet), out or Path("isthmus-demo"), keep=keep)
