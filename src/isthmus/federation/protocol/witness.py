"""The hub's ledger in a run: what the hub records, and how sites watch that it only grows.

Every R0 carries the hub's head and a proof that it continues the head of the round before. The M4 signature covers
the head, so a quorum's t signatures are the cosignatures of that head, and a site masks nothing before it has seen
them for the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.crypto.keys import SigningKey
from isthmus.federation.protocol.records import Head
from isthmus.federation.wire import unhex
from isthmus.ledger.checkpoint import sign_checkpoint
from isthmus.ledger.log import Head as LogHead
from isthmus.ledger.log import Log
from isthmus.ledger.merkle import EMPTY_ROOT, HASH_SIZE, verify_consistency
from isthmus.model.errors import Untrusted

NOTHING = Head(size=0, root=EMPTY_ROOT.hex())


class Recorder:
    """Writes a run's entries once each, also when a restarted hub comes to the same point again.

    Args:
        log: the hub's ledger, shared by its runs.
        run: the run's digest.
        since: the ledger's size before the run's first entry.
    """

    __slots__ = ("_log", "_run", "indices")

    def __init__(self, log: Log, run: str, since: int) -> None:
        self._log = log
        self._run = run
        self.indices: dict[str, int] = {}
        for entry in log.entries(since):
            if entry.facts.get("run") == run:
                self.indices[_name(entry.event, entry.facts)] = entry.sequence

    def record(self, event: str, facts: Mapping[str, Any]) -> None:
        """Append an entry of this run, unless it is there."""
        name = _name(event, facts)
        if name not in self.indices:
            self.indices[name] = self._log.append(event, facts)

    def head(self) -> Head:
        """The ledger's head now."""
        return wire_head(self._log.head())

    def proof(self, old: int, new: int) -> tuple[str, ...]:
        """Hex hashes showing that the ledger at size `new` continues the one at `old`; nothing for a size never held."""
        if old > new:
            return ()  # the site remembers more than this ledger has, and will refuse
        return tuple(step.hex() for step in self._log.consistency(old, new))

    def grown(self, known: Mapping[str, int]) -> dict[str, Any]:
        """What M2 says: the head now, and for each site a proof from the size it holds."""
        head = self.head()
        growth = {site: list(self.proof(size, head.size)) for site, size in known.items()}
        return {"head": {"size": head.size, "root": head.root}, "growth": growth}

    def note(self, key: SigningKey, size: int) -> str:
        """The signed checkpoint at `size`."""
        return sign_checkpoint(self._log.origin, self._log.head(size), key)


def wire_head(head: LogHead) -> Head:
    """A ledger head as messages carry it."""
    return Head(size=head.size, root=head.root.hex())


def check_growth(known: Head, offered: Head, old: int, proof: Iterable[str]) -> None:
    """Return when `offered` continues `known`.

    Raises:
        Untrusted: E-LEDGER, a ledger that is shorter or another than what this site saw.
    """
    if old != known.size:
        raise Untrusted("E-LEDGER", "the hub's ledger was not continued from the head this site holds")
    roots = (unhex(known.root, HASH_SIZE), unhex(offered.root, HASH_SIZE))
    verify_consistency(known.size, offered.size, *roots, [unhex(step, HASH_SIZE) for step in proof])


def _name(event: str, facts: Mapping[str, Any]) -> str:
    return f"{event} {facts.get('decision', '')} {facts.get('context', '')} {facts.get('site', '')} {facts.get('part', '')}"
