"""`isthmus rules`: rule sets of others, to complete and sign."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from isthmus.cli.run import Json, Quiet
from isthmus.cli.screen import Screen


def listed(json: Json = False, quiet: Quiet = False) -> None:
    """List the rule sets that `rules show` prints, with their sources."""
    from isthmus.disclosure.presets import PRESETS
    from isthmus.model.canonical import plain

    screen = Screen.of(json=json, quiet=quiet)
    if screen.json:
        screen.document({"schema": "isthmus/rule-sets/1", "sets": plain(PRESETS)})
        return
    for name, one in PRESETS.items():
        screen.say(f"{name:<10}  bars {one.barred}")
        screen.say(f"{'':<10}  {one.cited}", style="dim")


def show(source: Annotated[str, typer.Argument(metavar="SOURCE", help="A name of `rules list`.")]) -> None:
    """Print what a source states as YAML; the rules it leaves open are yours to state.

    What is printed is not a valid rules file until a person has stated the rest.
    """
    from isthmus.disclosure.presets import as_yaml, preset

    sys.stdout.write(as_yaml(preset(source)))


def group() -> None:
    """Look at rule sets."""
