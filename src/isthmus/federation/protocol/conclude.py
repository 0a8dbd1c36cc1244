"""S: every site signs the transcript and the result it computed itself, and cosigns the hub's last checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from isthmus.crypto.keys import SigningKey, verify
from isthmus.federation.protocol.context import Binding, Entry, transcript_digest
from isthmus.federation.protocol.local import Local
from isthmus.federation.protocol.records import Head, Witness
from isthmus.federation.protocol.witness import check_growth, wire_head
from isthmus.federation.wire import unhex
from isthmus.ledger.bundle import result_statement
from isthmus.ledger.checkpoint import cosign, verify_checkpoint
from isthmus.model.canonical import digest
from isthmus.model.errors import Untrusted


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result as one party computed it, with the statement that is signed and this party's signature on it."""

    transcript: str
    result: Mapping[str, Any]
    digest: str
    statement: bytes
    signature: bytes


def outcome_of(binding: Binding, key: SigningKey, entries: Iterable[Entry], result: Mapping[str, Any]) -> Outcome:
    """Sign ("isthmus result", mode, run, transcript digest, result digest)."""
    charter = binding.charter
    transcript, result_digest = transcript_digest(binding.cards, entries), digest(result)
    statement = result_statement(charter.mode, charter.run, transcript, result_digest)
    return Outcome(transcript, result, result_digest, statement, key.sign(statement))


def check_outcome(
    binding: Binding, outcome: Outcome, signatures: Mapping[str, str], own: tuple[str, bytes] | None
) -> None:
    """Return when t sites signed this very outcome. Only t signatures are looked at, `own` is compared.

    Raises:
        Untrusted: E-RESULT.
    """
    if len(signatures) < binding.charter.threshold:
        raise Untrusted("E-RESULT", "fewer sites than the threshold signed the result")
    for site, signature in islice(sorted(signatures.items()), binding.charter.threshold):
        raw = unhex(signature)
        if own is None or (site, raw) != own:
            check_signed(binding, site, outcome, raw)


def check_signed(binding: Binding, site: str, outcome: Outcome, signature: bytes) -> None:
    """Return when `site` signed this outcome. Untrusted (E-RESULT) otherwise."""
    try:
        verify(binding.key(site), signature, outcome.statement)
    except Untrusted as error:
        raise Untrusted("E-RESULT", "a signature on the result does not hold for the result computed here") from error


def cosigned(binding: Binding, known: Head, asked: Witness, me: tuple[str, Local]) -> tuple[str, Head]:
    """This site's cosignature line on the hub's checkpoint, and its head.

    Raises:
        Invalid: E-CHECKPOINT.
        Untrusted: E-SIGNATURE, not the hub's note; E-LEDGER, it does not continue what this site saw.
    """
    site, local = me
    checkpoint = verify_checkpoint(asked.note, bytes.fromhex(binding.charter.hub_key), {})
    head = wire_head(checkpoint.head)
    if head != known:  # else it is asked again
        check_growth(known, head, asked.old, asked.proof)
    return cosign(asked.note, site, local.key, local.clock()), head


def check_end(binding: Binding, note: str) -> None:
    """Return when t sites cosigned the hub's checkpoint.

    Raises:
        Invalid: E-CHECKPOINT.
        Untrusted: E-SIGNATURE, E-RESULT.
    """
    checkpoint = verify_checkpoint(note, bytes.fromhex(binding.charter.hub_key), binding.keys)
    if len(checkpoint.cosigners) < binding.charter.threshold:
        raise Untrusted("E-RESULT", "fewer sites than the threshold cosigned the hub's checkpoint")
