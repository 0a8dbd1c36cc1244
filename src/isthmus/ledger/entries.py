"""Ledger entries: what happened, which facts belong to it, when, and its place in the log."""

from __future__ import annotations

import re
from datetime import UTC
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from isthmus.ledger.document import read_canonical
from isthmus.model.canonical import canonical
from isthmus.model.errors import Invalid
from isthmus.model.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

# Every event there is. Facts are digests, names, counters and codes: never a row, a small count or a secret.
EVENTS: Mapping[str, str] = MappingProxyType(
    {
        "study": "a signed study was admitted and its run chartered",
        "decision": "a party, or its standing rule, allowed or refused a study or an agreement: verdicts by rule, pack",
        "approval": "a step of review: a person's decision, a standing rule's, or what follows from them",
        "waiting": "a run waits for named sites, or no longer",
        "round": "a round was opened: question, number, context digest, survivors",
        "border": "the border register up to here: messages, bytes, head of its chain",
        "history": "row sets and charges were kept before a vote: run, keyed head of the history",
        "release": "a result left, signed by the sites",
        "revocation": "a party revoked the agreement: whose custodian, why, the signed envelope",
        "refusal": "a rule stopped a question or a study: its code, never the value",
    }
)

MAXIMUM_ENTRY = 64 * 1024
_KINDS: Mapping[str, type] = MappingProxyType({"event": str, "facts": dict, "time": str, "sequence": int})
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


@record
class Entry:
    """One entry; `sequence` is its index in the log, `time` is UTC to the millisecond."""

    event: str
    facts: Mapping[str, Any]
    time: str
    sequence: int


def timestamp(moment: datetime) -> str:
    """`moment` (with a time zone) as `2026-01-31T09:30:00.000Z`. Invalid (E-ENTRY) without a zone."""
    if moment.tzinfo is None:
        raise Invalid("E-ENTRY", "a ledger time has a time zone")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def encode_entry(entry: Entry) -> bytes:
    """The leaf: canonical JSON of the entry.

    Raises:
        Invalid: E-ENTRY, an unknown event, a malformed time or sequence, or an entry over 64 KiB; E-JSON.
    """
    raw = canonical(entry)
    _check(entry, len(raw))
    return raw


def decode_entry(raw: bytes) -> Entry:
    """The entry in a leaf.

    Raises:
        Invalid: E-CANONICAL or E-ENTRY.
    """
    entry = _shaped(read_canonical(raw, "ledger entry"))
    _check(entry, len(raw))
    return entry


def entry_of(value: Any) -> Entry:
    """The entry in parsed JSON. Invalid (E-ENTRY) for anything else."""
    entry = _shaped(value)
    encode_entry(entry)
    return entry


def _shaped(value: Any) -> Entry:
    if not isinstance(value, dict) or value.keys() != _KINDS.keys():
        raise _malformed()
    if not all(type(value[key]) is kind for key, kind in _KINDS.items()):
        raise _malformed()
    return Entry(**value)


def _check(entry: Entry, size: int) -> None:
    if entry.event not in EVENTS or not _TIME.fullmatch(entry.time) or entry.sequence < 0 or size > MAXIMUM_ENTRY:
        raise _malformed()


def _malformed() -> Invalid:
    return Invalid("E-ENTRY", "not a ledger entry", "event (a known one), facts, time, sequence; at most 64 KiB")
