"""Ledgers that go with an evidence crate: whole exports, and a node's own entries on the run, each under its owner's key."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from isthmus.federation.ledgers import concerns, signer_of
from isthmus.ledger.exported import besides, check_exports, check_keys, open_exported
from isthmus.ledger.proved import check_proof
from isthmus.model.errors import Invalid, IsthmusError
from isthmus.sdk.crate.bag import broken
from isthmus.sdk.crate.contents import LEDGERS, Story

EXCERPT = ".jsonl"  # ends the name of an excerpt: entries with their proofs, a line each
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


def own_entries(run: Story, excerpt: bytes) -> dict[str, bytes]:
    """Path in the crate -> a node's entries on the run, as `Ledgers.excerpt` gives them; nothing where there are none.

    Raises:
        Invalid, Untrusted: it is no such excerpt, or of no node of the agreement.
    """
    if not excerpt:
        return {}
    _, checkpoint, _, _ = check_proof(excerpt.splitlines()[0])
    return {f"{LEDGERS}{signer_of(run.agreement, checkpoint.origin).owner}{EXCERPT}": excerpt}


def check_ledgers(run: Story, ledgers: Mapping[str, bytes]) -> None:
    """Refuse a ledger that is not whole, or an excerpt that does not hold; of no node of the agreement; private.

    Raises:
        Untrusted: E-CRATE, names the file. Invalid: E-CRATE, a site's private ledger.
    """
    with tempfile.TemporaryDirectory() as folder:
        for number, (path, raw) in enumerate(ledgers.items()):
            try:
                if path.endswith(EXCERPT):
                    _check_excerpt(run, path, raw)
                    continue
                exported = open_exported(_written(Path(folder) / f"{number}.ledger", raw))
                keys = (exported.cover.key, exported.cover.witnesses)
                check_keys(exported.origin, keys, signer_of(run.agreement, exported.origin))
                check_exports([exported], besides(run.held))
            except IsthmusError as error:
                raise broken(path, error.message) from error
            if exported.origin.endswith(_PRIVATE):
                hint = "`isthmus audit export` without --private"
                raise Invalid("E-CRATE", "a site's private ledger goes into no crate", hint, path)
            if path != f"{LEDGERS}{exported.cover.owner}.ledger":
                raise broken(path, "the ledger is another node's than its name says")


def _check_excerpt(run: Story, path: str, raw: bytes) -> None:
    last = -1
    for line in raw.splitlines():
        entry, checkpoint, key, witnesses = check_proof(line)
        signer = signer_of(run.agreement, checkpoint.origin)
        check_keys(checkpoint.origin, (key, witnesses), signer)
        if checkpoint.origin.endswith(_PRIVATE) or path != f"{LEDGERS}{signer.owner}{EXCERPT}":
            raise broken(path, "an entry is of another ledger than its name says")
        if entry.sequence <= last or not concerns(entry, run.held.run, run.held.agreement):
            raise broken(path, "an entry is not about this run, or stands twice")
        last = entry.sequence


def _written(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path
