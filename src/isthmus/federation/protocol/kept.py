"""What a site writes into its journal for a round, and reads back after a restart."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from isthmus.federation.messages import Author, BytesPayload, Message, Payload
from isthmus.federation.protocol.context import Turn
from isthmus.federation.protocol.journal import bundle, damaged, unbundle
from isthmus.federation.protocol.records import Head, Quorum
from isthmus.federation.protocol.survivors import Final, Partial, stage
from isthmus.federation.spool import Spool, inline
from isthmus.model.canonical import plain
from isthmus.model.errors import Unavailable
from isthmus.strict import parse


@dataclass(frozen=True, slots=True)
class Masked:
    """One answered round: the reply as it was sent, and the sums learned since the one before."""

    turn: Turn
    head: Head
    previous: Quorum | None
    message: Message
    own_share: bytes
    learned: tuple[tuple[str, Payload], ...]


@dataclass(frozen=True, slots=True)
class Restored:
    """`Masked` as read back; the turn is derived again."""

    question: str
    round: int
    head: Head
    previous: Quorum | None
    message: Message
    own_share: bytes
    learned: tuple[tuple[str, Payload], ...]


def masked_blob(saved: Masked, spool: Spool) -> bytes:
    """The journal entry of M3; files it points to are durable when this returns."""
    message = saved.message
    facts = {
        "question": saved.turn.step.question,
        "round": saved.turn.step.round,
        "head": plain(saved.head),
        "previous": plain(saved.previous) if saved.previous else None,
        "header": dict(message.header),
        "signature": message.signature.hex(),
        "body": spool.settle(message.body),
        "learned": [[context, spool.settle(words)] for context, words in saved.learned],
    }
    words = (inline(payload) for _, payload in saved.learned)
    return bundle(facts, saved.own_share, message.enclosed, inline(message.body), *words)


def read_masked(blob: bytes, spool: Spool, author: Author) -> Restored:
    """The entry of `masked_blob`."""
    facts, (own_share, sealed, body, *words) = unbundle(blob)
    payload = spool.find(facts["body"], body)
    signature = bytes.fromhex(facts["signature"])
    return Restored(
        question=facts["question"],
        round=facts["round"],
        head=parse(Head, facts["head"]),
        previous=parse(Quorum, facts["previous"]) if facts["previous"] else None,
        message=author.endorse("masked", facts["header"], signature, payload, sealed),
        own_share=own_share,
        learned=tuple(
            (context, spool.find(place, raw)) for (context, place), raw in zip(facts["learned"], words, strict=True)
        ),
    )


def signed_blob(context: str, standing: Partial | Final) -> bytes:
    """The journal entry of an M4 signature; the signature itself is made again from it."""
    return bundle({"context": context, "survivors": list(standing.survivors), "stage": stage(standing)})


def read_signed(blob: bytes) -> tuple[str, Partial | Final]:
    """The entry of `signed_blob`."""
    facts, _ = unbundle(blob)
    kind = Final if facts["stage"] == "final" else Partial
    return facts["context"], kind(tuple(facts["survivors"]))


def sha(raw: bytes) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(raw).hexdigest()


def payload(raw: bytes) -> Payload:
    """Bytes as a payload."""
    return BytesPayload(raw)


def another_run() -> Unavailable:
    """The journal is of other data or another release."""
    return damaged()
