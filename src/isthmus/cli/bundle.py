"""`isthmus verify`: check a signed bundle, or an evidence crate, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.run import Json, Quiet
from isthmus.cli.screen import Screen
from isthmus.model.errors import Invalid, Untrusted


def verify(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A bundle (*.isthmus), or an evidence crate (folder or ZIP file).")
    ],
    agreement: Annotated[
        Path | None,
        typer.Option(help="The signed agreement as you trust it; the file must stand under it."),
    ] = None,
    unsigned: Annotated[
        bool,
        typer.Option("--unsigned", help="Take a crate that nobody signed: its SBOM and time rest on nothing."),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a signed bundle or an evidence crate offline.

    Every signature, the ledger's proof and every byte, of a crate every file and its exporter's signature; exit code 8 when
    anything does not hold. The keys are those of the agreement in the file: give --agreement, or compare the custodians'
    fingerprints with the parties.
    """
    from isthmus.sdk.bundle import verify as check

    screen = Screen.of(json=json, quiet=quiet)
    try:
        facts = check(file, agreement=agreement, exporter="anyone" if unsigned else "signed")
    except Invalid as damaged:  # a file that is no longer a bundle does not hold either
        raise Untrusted(damaged.code, damaged.message, damaged.hint, damaged.where) from damaged
    if screen.json:
        screen.document({"schema": "isthmus/verified/1", **facts})
        return
    for line in facts["checked"]:
        screen.say(f"ok    {line}", style="green")
    for line in facts.get("look", ()):
        screen.say(f"look  {line}", style="yellow")
    for name, fingerprint in facts["custodians"].items() if agreement is None else ():
        screen.say(f"key of custodian {name}: {fingerprint}", style="dim")
    screen.say(f"Verified: {file}")
