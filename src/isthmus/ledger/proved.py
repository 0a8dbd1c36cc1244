"""One entry of a ledger with its inclusion proof and the signed checkpoint over it: a file anybody can check offline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from isthmus.ledger.checkpoint import Checkpoint, verify_checkpoint
from isthmus.ledger.document import hex_bytes, read_canonical
from isthmus.ledger.entries import Entry, encode_entry, entry_of
from isthmus.ledger.merkle import verify_inclusion
from isthmus.model.canonical import canonical
from isthmus.model.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isthmus.ledger.log import Log

SCHEMA: Final = "isthmus/inclusion/1"
_SHAPE: dict[str, type] = {
    "schema": str, "key": str, "witnesses": dict, "entry": dict, "inclusion": list, "checkpoint": str
}  # fmt: skip


def proof_of(log: Log, index: int, note: tuple[str, int], keys: tuple[str, Mapping[str, str]]) -> bytes:
    """The file.

    Args:
        log: that holds the entry.
        index: the entry's place in it.
        note: a signed checkpoint of the log, and its size.
        keys: hex key of the log's owner, and of each witness by name.

    Raises:
        Invalid: E-PROOF, no such entry under the checkpoint.
    """
    body = {
        "schema": SCHEMA,
        "key": keys[0],
        "witnesses": keys[1],
        "entry": log.entry(index),
        "inclusion": [step.hex() for step in log.inclusion(index, note[1])],
        "checkpoint": note[0],
    }
    return canonical(body)


def check_proof(raw: bytes) -> tuple[Entry, Checkpoint, str, dict[str, str]]:
    """The entry of a proof that holds, the checkpoint, and the keys it names: the owner's, and the witnesses'.

    Raises:
        Invalid: E-CANONICAL, E-EXPORT, E-ENTRY, E-CHECKPOINT, not such a file.
        Untrusted: E-SIGNATURE, E-LEDGER, it does not hold.
    """
    body = read_canonical(raw, "proof")
    if not isinstance(body, dict) or body.keys() != _SHAPE.keys() or body["schema"] != SCHEMA:
        raise _malformed()
    if not all(isinstance(body[name], kind) for name, kind in _SHAPE.items()):
        raise _malformed()
    key, proof = hex_bytes(body["key"]), [hex_bytes(step) for step in body["inclusion"]]
    witnesses = {name: hex_bytes(text) for name, text in body["witnesses"].items()}
    checkpoint, entry = verify_checkpoint(body["checkpoint"], key, witnesses), entry_of(body["entry"])
    head = checkpoint.head
    verify_inclusion(entry.sequence, head.size, encode_entry(entry), proof, head.root)
    return entry, checkpoint, body["key"], body["witnesses"]


def is_proof(raw: Any) -> bool:
    """Whether a file says that it is such a proof."""
    return f'"schema":"{SCHEMA}"'.encode() in raw


def _malformed() -> Invalid:
    return Invalid("E-EXPORT", "not a proof of a ledger entry", "`isthmus audit prove` writes one")
