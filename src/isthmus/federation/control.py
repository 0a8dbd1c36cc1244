"""Signed control documents of a stream: hello, welcome, heartbeat, invite, decline, review, checkpoint, verdicts, trouble, bye ...

A stream opens with three of them, so that each end has shown that it is there now and not a recording:

    hub  -> site   hello    nonce of the hub
    site -> hub    hello    nonce of the site, under the hub's
    hub  -> site   welcome  under both

From then on every document carries both nonces and a counter that only rises. Clocks decide expiry, never order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from isthmus import __version__
from isthmus.crypto.keys import SigningKey, verify
from isthmus.model.canonical import canonical, plain
from isthmus.model.errors import Invalid, Untrusted
from isthmus.model.record import record
from isthmus.strict import parse

Clock = Callable[[], datetime]
Kind = Literal[
    "hello",
    "welcome",
    "heartbeat",
    "invite",
    "decline",
    "trouble",
    "done",
    "bye",
    "ask",
    "answer",
    "review",
    "reviewed",
    "checkpoint",
    "cosigned",
    "verdicts",
]

PROTOCOL = "isthmus/2"
SKEW = timedelta(minutes=5)  # as Kerberos: clocks of two parties may differ by this much
_CONTEXT = b"isthmus control 1\n"


@record
class Control:
    """One control document.

    Attributes:
        protocol: compared before anything else, so that a mismatch names both versions.
        session: the nonces shown so far, hex.
        counter: rises by at least one with every document of a session.
        time: the sender's clock, ISO 8601 UTC.
        signature: Ed25519 of the sender over the canonical rest, hex.
    """

    protocol: str
    version: str
    kind: Kind
    sender: str
    session: str
    counter: int
    time: str
    body: Mapping[str, Any]
    signature: str


@dataclass(frozen=True, slots=True)
class Peer:
    """Who the other end must be: name and Ed25519 public key, from the agreement."""

    name: str
    key: bytes


class Talk:
    """One end of one stream: signs what it says, checks what it hears."""

    def __init__(self, me: str, key: SigningKey, peer: Peer, clock: Clock) -> None:
        self.session = ""
        self.peer = peer
        self._me = me
        self._key = key
        self._clock = clock
        self._said = 0
        self._heard = 0

    def say(self, kind: Kind, body: Mapping[str, Any]) -> bytes:
        """A signed document, ready to send."""
        self._said += 1
        document = {
            "protocol": PROTOCOL,
            "version": __version__,
            "kind": kind,
            "sender": self._me,
            "session": self.session,
            "counter": self._said,
            "time": self._clock().isoformat(),
            "body": plain(body),
        }
        signature = self._key.sign(_CONTEXT + canonical(document)).hex()
        return json.dumps({**document, "signature": signature}, separators=(",", ":")).encode()

    def hear(self, raw: bytes) -> Control:
        """Check a received document.

        Raises:
            Invalid: E-WIRE, not a control document; E-UNKNOWN-KEY, E-TYPE, E-MISSING-KEY.
            Untrusted: E-VERSION (names both), E-SIGNATURE, E-REPLAY, E-CLOCK.
        """
        data = _read(raw)
        document = parse(Control, data, "control")
        if document.sender != self.peer.name:
            raise Untrusted("E-SIGNATURE", "the sender is not who the certificate says")
        verify(self.peer.key, _unhex(document.signature), _CONTEXT + canonical(_unsigned(data)))
        if document.session != self.session or document.counter <= self._heard:
            raise Untrusted("E-REPLAY", "a document of another session, or one seen before")
        self._heard = document.counter
        require_near(document.time, self._clock())
        return document

    def ask(self, nonce: str, body: Mapping[str, Any]) -> bytes:
        """A signed question outside any stream; `nonce` makes it one of its kind."""
        self.session = nonce
        return self.say("ask", body)

    def hear_ask(self, raw: bytes) -> Control:
        """Check a question; the caller sees that its session was not used before.

        Raises:
            Invalid, Untrusted: as `hear`.
        """
        self.session = str(_read(raw).get("session"))[:64]
        document = self.hear(raw)
        if document.kind != "ask" or len(document.session) < 32:
            raise Untrusted("E-REPLAY", "not a fresh question")
        return document


def require_near(stated: str, now: datetime) -> None:
    """A sender's time is within `SKEW` of ours.

    Raises:
        Invalid: E-WIRE, not a time with a zone.
        Untrusted: E-CLOCK.
    """
    try:
        there = datetime.fromisoformat(stated)
        apart = abs(there - now)
    except (ValueError, TypeError) as error:
        raise Invalid("E-WIRE", "not a time with a zone") from error
    if apart > SKEW:
        minutes = int(SKEW.total_seconds() // 60)
        raise Untrusted("E-CLOCK", f"the two clocks differ by more than {minutes} minutes", "set the clock (NTP)")


def _read(raw: bytes) -> dict[str, Any]:
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Invalid("E-WIRE", "not a control document") from error
    if not isinstance(data, dict):
        raise Invalid("E-WIRE", "not a control document")
    if data.get("protocol") != PROTOCOL:
        raise version_error(str(data.get("protocol"))[:40], str(data.get("version"))[:40])
    return data


def version_error(protocol: str, version: str) -> Untrusted:
    """Two ends that speak different protocols; both are named."""
    ours = f"{PROTOCOL} (Isthmus {__version__})"
    return Untrusted("E-VERSION", f"the other end speaks {protocol} ({version}), this one {ours}", "update the older")


def _unsigned(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != "signature"}


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise Invalid("E-WIRE", "a signature is not hex") from error
