"""Whether a node may go on under its agreement: not before its first day, after its last, or once a party revoked it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.federation.control import Clock
from isthmus.federation.desk import Desk
from isthmus.federation.node import Ledger
from isthmus.governance.revocation import Envelope
from isthmus.model.errors import IsthmusError, Refused, Unavailable

REVOKED = "E-REVOKED"


class Standing:
    """A node's view of its agreement; `hear` and `look` take revocations in, whoever brings them."""

    def __init__(self, desk: Desk, ledger: Ledger, clock: Clock, log: logging.Logger) -> None:
        self._desk = desk
        self._ledger = ledger
        self._clock = clock
        self._log = log
        self._forgers: set[str] = set()

    def lapsed(self) -> Refused | None:
        """Why nothing may go on now; None while it may."""
        try:
            self._desk.in_force(self._clock())
        except Refused as refused:
            return refused
        return None

    def check(self) -> None:
        """Raise what `lapsed` gives.

        Raises:
            Refused: E-NOT-YET, E-EXPIRED, E-REVOKED.
        """
        self._desk.in_force(self._clock())

    def check_stream(self) -> None:
        """As `check`, but a stream outlives a revocation: it is how the revocation travels. No study's message does.

        Raises:
            Refused: E-NOT-YET, E-EXPIRED.
        """
        refused = self.lapsed()
        if refused is not None and refused.code != REVOKED:
            raise refused

    def news(self) -> dict[str, Any]:
        """What hello, welcome and every heartbeat carry."""
        return self._desk.revocations.news() if self._desk.revocations else {}

    def hear(self, sender: str, body: Mapping[str, Any]) -> bool:
        """Take what the other end of a stream brought; whether something new holds."""
        held = self._desk.revocations
        return held is not None and self._take(sender, held.brought(body))

    def look(self) -> bool:
        """Take what lies beside the agreement; whether something new holds."""
        held = self._desk.revocations
        return held is not None and self._take("a file", held.laid())

    def _take(self, sender: str, envelopes: Iterable[Envelope]) -> bool:
        found = [self._taken(sender, envelope) for envelope in envelopes]  # every one, not the first alone
        return any(found)

    def _taken(self, sender: str, envelope: Envelope) -> bool:
        if self._desk.revocations is None:
            return False
        try:
            said = self._desk.revocations.take(envelope, self._ledger.append)
        except Unavailable:
            raise
        except IsthmusError as error:
            self._forged(sender, error)
            return False
        if said is None:
            return False
        self._log.warning("%s revoked the agreement (%s): %s", said.party, said.name, said.reason)
        return True

    def _forged(self, sender: str, error: IsthmusError) -> None:
        """Changes nothing; written down once for each sender, so that nobody can fill the ledger."""
        if sender not in self._forgers:
            self._forgers.add(sender)
            self._log.warning("a revocation from %s is not taken: %s", sender, error)
            self._ledger.append("refusal", {"by": sender, "what": "revocation", "code": error.code})
