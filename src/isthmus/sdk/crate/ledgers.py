"""Exported ledgers that go with an evidence crate: each whole, under its owner's key of the agreement."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from isthmus.federation.ledgers import signer_of
from isthmus.ledger.exported import check_exports, check_keys, open_exported
from isthmus.model.errors import Invalid, IsthmusError
from isthmus.sdk.crate.bag import broken
from isthmus.sdk.crate.contents import LEDGERS, Story

_PRIVATE = "/private"  # ends the name of the ledger that a site shows to nobody


def by_owner(ledgers: Sequence[bytes]) -> dict[str, bytes]:
    """Path in the crate -> exported ledger, in the order of paths; whether they hold is `check_ledgers`' to tell.

    Raises:
        Invalid: E-CRATE, two of one node; E-EXPORT, E-CANONICAL. Untrusted: E-SIGNATURE.
    """
    found: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for raw in ledgers:
            owner = open_exported(_written(Path(folder) / "given.ledger", raw)).cover.owner
            if f"{LEDGERS}{owner}.ledger" in found:
                raise Invalid("E-CRATE", f"two ledgers of {owner}", "give the newest of each node")
            found[f"{LEDGERS}{owner}.ledger"] = raw
    return dict(sorted(found.items()))


def check_ledgers(run: Story, ledgers: Mapping[str, bytes]) -> None:
    """Refuse a ledger that is not whole, not of a node of the agreement, or private.

    Raises:
        Untrusted: E-CRATE, names the file. Invalid: E-CRATE, a site's private ledger.
    """
    with tempfile.TemporaryDirectory() as folder:
        for number, (path, raw) in enumerate(ledgers.items()):
            try:
                exported = open_exported(_written(Path(folder) / f"{number}.ledger", raw))
                keys = (exported.cover.key, exported.cover.witnesses)
                check_keys(exported.origin, keys, signer_of(run.agreement, exported.origin))
                check_exports([exported])
            except IsthmusError as error:
                raise broken(path, error.message) from error
            if exported.origin.endswith(_PRIVATE):
                hint = "`isthmus audit export` without --private"
                raise Invalid("E-CRATE", "a site's private ledger goes into no crate", hint, path)
            if path != f"{LEDGERS}{exported.cover.owner}.ledger":
                raise broken(path, "the ledger is another node's than its name says")


def _written(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path
