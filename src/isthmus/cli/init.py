"""`isthmus init`: keys, transport certificate, public card and isthmus.toml of one role."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.run import Json, Quiet
from isthmus.cli.screen import Screen
from isthmus.model.errors import Invalid


class Role(StrEnum):
    """Who may be initialised."""

    SITE = "site"
    HUB = "hub"
    RESEARCHER = "researcher"
    CUSTODIAN = "custodian"
    OUTPUT_CHECKER = "output_checker"
    MANAGER = "manager"
    ENGINEER = "engineer"
    AUDITOR = "auditor"


_PERSON = """[person]
name = "{name}"
hub = "{hub}"
key = "file:keys/{name}"
agreement = "agreement.json"
"""

_TOML = {
    Role.SITE: """[site]
name = "{name}"
hub = "{hub}"
key = "file:keys/{name}"
agreement = "agreement.json"
# custodian = "the hex key of your own custodian, from their card"

# [dataset.ist]                       # a dataset of the agreement, and where it lives here
# source = "data/ist.parquet"
# codebook = "ist.codebook.yaml"

[store]
path = "state/{name}.db"
""",
    Role.HUB: """[hub]
name = "{name}"
listen = "{hub}"
key = "file:keys/{name}"
agreement = "agreement.json"

[store]
path = "state/{name}.db"
""",
}


def init(  # noqa: PLR0913 - one per option
    role: Annotated[Role, typer.Argument(help="What this machine or person is.")],
    name: Annotated[str, typer.Argument(help="Its name in the agreement.")],
    party: Annotated[str, typer.Option(help="The legal entity it belongs to.")],
    country: Annotated[str, typer.Option(help="Country of that entity, two letters.")],
    hub: Annotated[
        str,
        typer.Option(
            help="The hub's address, host:port (for a hub: where it listens). A custodian who only signs agreements needs none."
        ),
    ] = "",
    folder: Annotated[Path, typer.Option(help="Where to write.")] = Path(),
    passphrase_file: Annotated[
        Path | None, typer.Option(help="A file that holds the passphrase of a person's keys; else ISTHMUS_PASSPHRASE.")
    ] = None,
    no_passphrase: Annotated[
        bool, typer.Option("--no-passphrase", help="Leave a person's keys open: whoever reads the files signs as them.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make keys, a public card and isthmus.toml.

    A person's keys are sealed under a passphrase, and every command that needs them asks. For a script,
    ISTHMUS_PASSPHRASE=env:NAME or =file:PATH says where the passphrase is. A node starts unasked: its keys are files.
    """
    from isthmus.crypto.keys import fingerprint
    from isthmus.federation.identity import Owner, make_identity
    from isthmus.sdk.files import write_file

    screen = Screen.of(json=json, quiet=quiet)
    file = folder / "isthmus.toml"
    configured = bool(hub) or role is not Role.CUSTODIAN  # a custodian who only signs asks no hub
    if configured:
        _check(file, hub)
    words = _words(role, passphrase_file, open_keys=no_passphrase)
    keys = folder / "keys" / name
    owner = Owner(role=role.value, name=name, party=party, country=country.upper())
    made = make_identity(keys, owner, datetime.now(UTC), words)  # noqa: TID251
    if configured:
        write_file(file, _TOML.get(role, _PERSON).format(name=name, hub=hub))
    if screen.json:
        card = str(keys / "card.json")
        screen.document({"schema": "isthmus/init/1", "role": role.value, "card": card, "key": made.card.key})
        return
    screen.say(f"Keys and card: {keys}")
    if configured:
        screen.say(f"Configuration: {file}")
    screen.say(f"Key: {fingerprint(bytes.fromhex(made.card.key))}; whoever signs the agreement sees the same digits.")
    if no_passphrase:
        screen.say("These keys lie open: whoever reads the files signs as you.", style="yellow")
    screen.say(f"Send {keys / 'card.json'} to whoever writes the agreement. It holds nothing secret.", style="dim")


def _words(role: Role, file: Path | None, *, open_keys: bool) -> str | None:
    """The passphrase of a person's keys; None for a node, and for keys that stay open."""
    from isthmus.sdk.unlock import VARIABLE, new_passphrase

    if role in {Role.SITE, Role.HUB}:
        if file is not None or open_keys:
            raise Invalid(
                "E-USAGE", "a node starts without anybody to ask", "its keys are files: leave it out", "passphrase"
            )
        return None
    if open_keys:
        if file is not None:
            raise Invalid(
                "E-USAGE", "--no-passphrase and --passphrase-file say the opposite", "choose one", "passphrase"
            )
        return None
    return new_passphrase(os.environ if file is None else {VARIABLE: f"file:{file.resolve()}"})


def _check(file: Path, hub: str) -> None:
    if file.exists():
        raise Invalid("E-EXISTS", "there is an isthmus.toml here already", "choose another --folder", str(file))
    host, _, port = hub.rpartition(":")
    if not host or not port.isdigit():
        raise Invalid("E-USAGE", "--hub takes host:port", "for example --hub hub.example:8443")
