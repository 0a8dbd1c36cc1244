"""Whether a node may go on under its agreement.

Not before its first day, after its last, once a party revoked it, or while a rule of operations stops it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.federation.by_law import refusal_of
from isthmus.federation.control import Clock
from isthmus.federation.desk import Desk
from isthmus.federation.node import Ledger
from isthmus.federation.refusals import Refusals
from isthmus.federation.store import Store
from isthmus.governance.revocation import Envelope
from isthmus.model.canonical import canonical
from isthmus.model.errors import IsthmusError, Refused, Unavailable, Untrusted

REVOKED = "E-REVOKED"
OPERATED = "operations"  # in the store: the last decision of that gate, so that the same one adds no entry


class Standing:
    """A node's view of its agreement; `hear` and `look` take revocations in, whoever brings them."""

    def __init__(self, desk: Desk, ledger: Ledger, store: Store, clock: Clock, log: logging.Logger) -> None:
        self.refusals = Refusals(store, ledger, clock)
        self._desk = desk
        self._ledger = ledger
        self._store = store
        self._clock = clock
        self._log = log
        self._ruled: Refused | None = None

    def lapsed(self) -> Refused | None:
        """Why nothing may go on now; None while it may."""
        return self._ended() or self._ruled

    def operate(self) -> None:
        """Judge the operations gate now. What changed since the last decision is written down, once.

        Raises:
            Unavailable: E-DISK. Invalid: E-PACK.
        """
        if self._desk.operate is None:
            return
        entry, self._ruled = self._desk.operate(self._clock())
        said = canonical({name: part for name, part in entry.items() if name not in {"facts", "read"}}).decode()
        if self._store.fact(OPERATED) != said:
            self._ledger.append("decision", entry)
            self._store.set_fact(OPERATED, said)

    def check(self) -> None:
        """Before anything is admitted: judge anew, and raise what `lapsed` gives.

        Raises:
            Refused: E-NOT-YET, E-EXPIRED, E-REVOKED, E-RULE, E-HUMAN.
        """
        self._desk.in_force(self._clock())
        self.operate()
        if self._ruled is not None:
            raise self._ruled

    def check_stream(self) -> None:
        """As `check`, but a stream outlives a revocation: it is how the revocation travels. No study's message does.

        Raises:
            Refused: E-NOT-YET, E-EXPIRED.
        """
        refused = self._ended()
        if refused is not None and refused.code != REVOKED:
            raise refused

    def _ended(self) -> Refused | None:
        try:
            self._desk.in_force(self._clock())
        except Refused as refused:
            return refused
        return None

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

    def ended(self, error: IsthmusError) -> None:
        """A stream ended because one end refused the other: written down once a day, for it is tried again and again."""
        if isinstance(error, Untrusted | Refused):
            self.refusals.enter("stream", {"by": "hub", **refusal_of(error)})

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
        """Changes nothing."""
        said = {"by": sender, "what": "revocation", "code": error.code}
        if self.refusals.enter("revocation", said) == "new":
            self._log.warning("a revocation from %s is not taken: %s", sender, error)
