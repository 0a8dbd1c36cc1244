"""A site follows and cosigns the hub's ledger between runs: whatever people decided there, it holds from then on.

In a run every round carries the head. Decisions on studies and results fall between runs, so the hub shows its head after
each of them, and the site refuses a ledger that does not continue the one it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from isthmus.federation.gossip import SqlMemory
from isthmus.federation.identity import Identity
from isthmus.federation.protocol.witness import NOTHING, check_growth, wire_head
from isthmus.federation.store import Mark
from isthmus.federation.wire import unhex
from isthmus.ledger.checkpoint import cosign, verify_checkpoint
from isthmus.ledger.entries import encode_entry, entry_of
from isthmus.ledger.merkle import HASH_SIZE, verify_inclusion
from isthmus.model.canonical import plain
from isthmus.model.errors import Unavailable, Untrusted
from isthmus.model.record import record
from isthmus.strict import parse

ORIGIN = "hub"
RECENT = 64  # heads that the hub may still speak of


@record
class Offered:
    """A head of the hub's ledger: the signed note, and the proof that it continues the ledger at size `old`."""

    note: str
    old: int
    proof: tuple[str, ...]


@record
class Proven:
    """An entry of the hub's ledger and its inclusion proof."""

    entry: Mapping[str, Any]
    proof: tuple[str, ...]


@record
class Votes:
    """Entries of the votes on a result, under the head of this size that the site said it holds."""

    size: int
    entries: tuple[Proven, ...]


class SiteWitness:
    """What a site holds of the hub's ledger.

    Args:
        memory: keeps the newest head.
        identity: the site's own.
        hub_key: the hub's, from the agreement.
        seconds: Unix seconds now.
    """

    def __init__(self, memory: SqlMemory, identity: Identity, hub_key: bytes, seconds: Callable[[], int]) -> None:
        self._memory = memory
        self._identity = identity
        self._hub_key = hub_key
        self._seconds = seconds
        self._heads: dict[int, str] = {}

    def report(self) -> dict[str, Any]:
        """The head it holds; what it has reported the hub may prove entries under."""
        held = self._memory.hub() or NOTHING
        self._heads[held.size] = held.root
        for size in list(self._heads)[:-RECENT]:
            del self._heads[size]
        return {"size": held.size, "root": held.root}

    def continued(self, offered: Any) -> dict[str, Any]:
        """The answer to the head in the hub's welcome, before which nothing is answered.

        Raises:
            Untrusted: E-LEDGER, the hub shows no head, or one that does not continue what this site holds; E-SIGNATURE.
            Unavailable: E-UNREACHABLE, this site has moved on since its hello.
            Invalid: E-CHECKPOINT and those of `strict.parse`.
        """
        if not isinstance(offered, Mapping):
            raise Untrusted(
                "E-LEDGER", "the hub's welcome shows no head of its ledger", "ask the hub for its whole ledger"
            )
        answer = self.cosigned(offered)
        if "line" not in answer:
            raise Unavailable("E-UNREACHABLE", "this site has moved on since its hello", "it joins again by itself")
        return answer

    def cosigned(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a shown head: what this site holds now, and its cosignature.

        A head that was shown over another one than it holds, since a run ended meanwhile, is not signed; the hub shows it again.

        Raises:
            Untrusted: E-LEDGER, the hub's ledger does not continue what this site holds; E-SIGNATURE.
            Invalid: E-CHECKPOINT and those of `strict.parse`.
        """
        said, held = parse(Offered, body, "checkpoint"), self._memory.hub() or NOTHING
        checkpoint = verify_checkpoint(said.note, self._hub_key, {})
        if checkpoint.origin != ORIGIN:
            raise Untrusted("E-LEDGER", "the hub showed the head of another ledger than its own")
        if said.old != held.size:
            return {"ledger": self.report()}
        offered = wire_head(checkpoint.head)
        check_growth(held, offered, said.old, said.proof)
        self._memory.store.set_mark("hub", Mark(size=offered.size, root=offered.root))
        line = cosign(said.note, self._identity.name, self._identity.key, self._seconds())
        return {"ledger": self.report(), "line": line}

    def voted(self, said: Any, run: str) -> dict[str, datetime]:
        """When each vote on a run's result was entered: digest of the envelope -> time of the hub's entry.

        Raises:
            Untrusted: E-LEDGER, an entry that is not in the ledger which this site holds.
            Invalid: E-ENTRY, and those of `strict.parse`.
        """
        if said is None:
            return {}
        votes, found = parse(Votes, said, "votes"), {}
        root = self._heads.get(votes.size)
        if root is None:
            raise Untrusted("E-LEDGER", "votes under a head of the hub's ledger that this site does not hold")
        for proven in votes.entries:
            entry = entry_of(plain(proven.entry))
            steps = [unhex(step, HASH_SIZE) for step in proven.proof]
            verify_inclusion(entry.sequence, votes.size, encode_entry(entry), steps, bytes.fromhex(root))
            if (entry.event, entry.facts.get("step"), entry.facts.get("run")) == ("approval", "vote", run):
                found[str(entry.facts.get("envelope"))] = datetime.fromisoformat(entry.time)
        return found
