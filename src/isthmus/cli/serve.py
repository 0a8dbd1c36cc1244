"""`isthmus hub serve` and `isthmus site serve`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.run import Json, Quiet
from isthmus.cli.screen import Screen
from isthmus.model.errors import Invalid

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="isthmus.toml; the nearest one going up if not given.")
]


def hub(config: ConfigFile = None, quiet: Quiet = False) -> None:
    """Serve: relay masked sums and add them up, until interrupted."""
    from isthmus.federation.hub_node import serve

    screen = Screen.of(json=False, quiet=quiet)
    path = locate(config)
    screen.note(f"hub: configuration {path}")
    serve(path, os.environ)


def audit(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A concluded run.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    config: ConfigFile = None,
    quiet: Quiet = False,
) -> None:
    """Write the auditor's bundle of a run, with its pooled sums: `isthmus verify` computes every estimate again.

    It undoes rounding, so it is for auditors whom the agreement names, never for researchers.
    """
    from isthmus.federation.bundles import audit_bundle
    from isthmus.sdk.files import write_file

    write_file(out, audit_bundle(locate(config), run, os.environ))
    Screen.of(json=False, quiet=quiet).say(str(out))


def site(config: ConfigFile = None, quiet: Quiet = False) -> None:
    """Serve: dial the hub and answer studies that the agreement admits, until interrupted."""
    from isthmus.federation.site_node import serve

    screen = Screen.of(json=False, quiet=quiet)
    path = locate(config)
    screen.note(f"site: configuration {path}")
    serve(path, os.environ)


def budget(config: ConfigFile = None, json: Json = False, quiet: Quiet = False) -> None:
    """What of each dataset's privacy budget is spent at this site. For its custodian: no result tells it."""
    from isthmus.federation.budgets import budgets

    screen, found = Screen.of(json=json, quiet=quiet), budgets(locate(config), os.environ)
    if screen.json:
        screen.document({"schema": "isthmus/budget/1", "datasets": found})
        return
    for dataset, told in found.items():
        screen.say(f"{dataset}: rho {told['spent']:g} of {told['rho']:g} spent")
    if not found:
        screen.say("no dataset of the agreement answers with noise")


def locate(given: Path | None) -> Path:
    """The configuration file to use.

    Raises:
        Invalid: E-CONFIG, when there is none.
    """
    from isthmus.federation.config import find_config

    path = given or find_config(Path.cwd(), os.environ)
    if path is None:
        raise Invalid("E-CONFIG", "no isthmus.toml here or above", "write one with `isthmus init`, or give --config")
    return path
