"""`isthmus config`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.run import Json, Quiet
from isthmus.cli.screen import Screen
from isthmus.model.canonical import plain
from isthmus.model.errors import Invalid


def group() -> None:
    """Show the configuration."""


def show(
    origin: Annotated[bool, typer.Option("--origin", help="Also say where each value comes from.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the configuration in force; secrets appear as references only."""
    from isthmus.federation.config import find_config, read_config
    from isthmus.sdk.tables import Table

    screen = Screen.of(json=json, quiet=quiet)
    path = find_config(Path.cwd(), os.environ)
    if path is None:
        raise Invalid("E-CONFIG", "no isthmus.toml here or above", "write one with `isthmus init`")
    config = read_config(path, os.environ)
    values = _flat(plain(config.tables))
    if screen.json:
        sources = {key: config.origin.get(key, str(path)) for key in values}
        screen.document({"schema": "isthmus/config/1", "file": str(path), "values": values, "origin": sources})
        return
    headings = ("Key", "Value", "From") if origin else ("Key", "Value")
    rows = [(key, str(value), config.origin.get(key, str(path)))[: len(headings)] for key, value in values.items()]
    screen.table(Table(title=str(path), headings=headings, rows=tuple(rows), labels=3))


def _flat(tree: dict[str, object], above: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in tree.items():
        name = f"{above}.{key}" if above else key
        flat |= _flat(value, name) if isinstance(value, dict) else {name: value}
    return flat
