"""`isthmus agreement revoke`: one party ends an agreement."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.run import Quiet
from isthmus.cli.screen import Screen
from isthmus.model.errors import Invalid


def revoke(
    file: Annotated[Path, typer.Argument(metavar="AGREEMENT", help="The agreement file that the site's node uses.")],
    key: Annotated[Path, typer.Option(help="Folder of your custodian's keys, as `isthmus init custodian` made them.")],
    reason: Annotated[str, typer.Option(help="Why, in one line: every party and whoever asks is told.")],
    quiet: Quiet = False,
) -> None:
    """End an agreement for your party, and so for all. Nothing takes it back.

    The signed revocation is laid beside the agreement, where the running site finds it: it stops every study at once, and
    tells the hub and through it the other sites, who verify the signature themselves. Sent to another party and laid
    beside its copy, the file has the same effect there without any hub.
    """
    from isthmus.cli.agreement import read_file
    from isthmus.federation.identity import load_identity
    from isthmus.federation.revocations import beside
    from isthmus.governance.revocation import revoke as signed_revocation
    from isthmus.sdk.files import writing
    from isthmus.sdk.unlock import passphrase

    agreement = read_file(file).agreement
    identity = load_identity(key, partial(passphrase, os.environ))
    envelope = signed_revocation(agreement, identity.key, reason, datetime.now(UTC))  # noqa: TID251 - an entry point
    path = beside(file)
    with writing(path):
        try:
            with path.open("x", encoding="utf-8") as opened:
                json.dump(envelope, opened)
        except FileExistsError as error:
            hint = "if it is of an earlier version, move it away and revoke again"
            raise Invalid("E-EXISTS", "a revocation lies there already", hint, str(path)) from error
    screen = Screen.of(json=False, quiet=quiet)
    screen.say(f"Revoked by {identity.name}: {agreement.title} ({agreement.id}, version {agreement.version})")
    screen.say(f"Written: {path}. The site whose agreement this is stops every study now and tells the others.")
