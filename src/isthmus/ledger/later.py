"""What the hub's ledger took of a run after the checkpoint of its bundle: verdicts that came late, the release.

These entries stand under a checkpoint that the hub alone signs, with the proof that it continues the cosigned one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from isthmus.ledger.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from isthmus.ledger.document import hex_bytes
from isthmus.ledger.entries import Entry, encode_entry, entry_of
from isthmus.ledger.merkle import verify_consistency, verify_inclusion
from isthmus.model.canonical import plain
from isthmus.model.errors import Invalid, Untrusted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from isthmus.crypto.keys import SigningKey
    from isthmus.ledger.log import Log

_SHAPE: Final[Mapping[str, type]] = {"checkpoint": str, "consistency": list, "entries": list, "inclusion": list}


def later(log: Log, size: int, wanted: Callable[[Entry], bool], key: SigningKey) -> dict[str, Any] | None:
    """The part of a bundle; None where nothing is wanted.

    Args:
        log: the hub's.
        size: of the bundle's checkpoint.
        wanted: which of the entries that came after it.
        key: the hub's.
    """
    found, head = [entry for entry in log.entries(size) if wanted(entry)], log.head()
    if not found:
        return None
    return {
        "checkpoint": sign_checkpoint(log.origin, head, key),
        "consistency": [step.hex() for step in log.consistency(size, head.size)],
        "entries": plain(found),
        "inclusion": [[step.hex() for step in log.inclusion(entry.sequence, head.size)] for entry in found],
    }


def check_later(part: Any, run: str, before: Checkpoint, hub: bytes) -> tuple[Checkpoint, tuple[Entry, ...]]:
    """Checkpoint and entries of that part, when they are of this run, in the log that continues the bundle's checkpoint.

    Raises:
        Untrusted: E-LEDGER, E-SIGNATURE. Invalid: E-BUNDLE, E-CHECKPOINT, E-ENTRY.
    """
    if not isinstance(part, dict) or part.keys() != _SHAPE.keys():
        raise _malformed()
    if not all(isinstance(part[name], kind) for name, kind in _SHAPE.items()):
        raise _malformed()
    after = verify_checkpoint(part["checkpoint"], hub, {})
    steps = [hex_bytes(step) for step in part["consistency"]]
    verify_consistency(before.head.size, after.head.size, before.head.root, after.head.root, steps)
    entries = tuple(entry_of(value) for value in part["entries"])
    if len(entries) != len(part["inclusion"]) or after.origin != before.origin:
        raise _malformed()
    for entry, proof in zip(entries, part["inclusion"], strict=True):
        path = [hex_bytes(step) for step in proof]
        verify_inclusion(entry.sequence, after.head.size, encode_entry(entry), path, after.head.root)
        if entry.sequence < before.head.size or entry.facts.get("run") != run:
            raise Untrusted("E-LEDGER", "a later entry is not of this run, or not later")
    return after, entries


def _malformed() -> Invalid:
    return Invalid(
        "E-BUNDLE", "its later entries are malformed", "the file was changed, cut, or made by another version"
    )
