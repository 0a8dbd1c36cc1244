"""Gossip: what the sites of a run hold of each other's ledgers and of the hub's, checked before anything is masked.

Every M1 carries, under its site's signature, the newest head that the site holds of the hub's ledger, the head of its own,
and those it holds of the others. The hub relays all M1 in M2, and cannot alter one. It adds its ledger's head now with a
proof from each head that a site holds of it: two histories shown to two sites have no such proof. A site whose own ledger
lacks what a peer holds of it (an old backup, put back) goes no further.

A hub may keep two sites apart for ever; it can never let them meet again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from isthmus.federation.protocol.records import Head, Roster
from isthmus.federation.protocol.witness import NOTHING, check_growth
from isthmus.model.errors import Untrusted

WITNESSES = (
    8  # sites that each site speaks of in M1: one honest one is enough, and M2 stays small with hundreds of sites
)


def spoken_of(me: str, sites: Sequence[str]) -> tuple[str, ...]:
    """The sites whose heads `me` tells in M1: those that follow it in the roster, as in a ring."""
    at = sites.index(me)
    return tuple([*sites[at + 1 :], *sites[:at]][:WITNESSES])


class Memory(Protocol):
    """This site's own ledger, and what it holds of the ledgers of other sites."""

    def own(self) -> Head:
        """The head of its ledger now."""

    def holds(self, head: Head) -> bool:
        """Whether its ledger was once at `head`."""

    def of(self, sites: tuple[str, ...]) -> Mapping[str, Head]:
        """The newest heads it holds of other sites' ledgers; nothing of those it never met."""

    def remember(self, heads: Mapping[str, Head]) -> None:
        """Keep heads of other sites' ledgers; durable before this returns. Raises Unavailable when the disk is full."""


class Forgetful:
    """A site without a ledger: a rehearsal in one process, a test."""

    def own(self) -> Head:
        """Nothing."""
        return NOTHING

    def holds(self, head: Head) -> bool:
        """Whether it is nothing."""
        return head == NOTHING

    def of(self, sites: tuple[str, ...]) -> Mapping[str, Head]:
        """Nothing came before."""
        return {}

    def remember(self, heads: Mapping[str, Head]) -> None:
        """Nothing comes after."""


def check_heads(me: str, roster: Roster, memory: Memory) -> None:
    """Return when the ledgers that M2 speaks of are one story each; its cards are signed.

    Raises:
        Untrusted: E-LEDGER, the hub's ledger does not continue what a site holds of it, or a site's is another than it
            was; E-ROLLBACK, a site holds more of this site's ledger than is here. `where` is the site.
    """
    if set(roster.growth) != set(roster.cards):
        raise Untrusted("E-LEDGER", "not one proof of its ledger's growth for every site")
    for site, card in roster.cards.items():
        _check_hub(site, card.keys.head, roster)
    others = {site: card.keys for site, card in roster.cards.items() if site != me}
    for site, keys in others.items():
        claim = keys.peers.get(me)
        if claim is not None and not memory.holds(claim):
            message = "a peer holds more of this site's ledger than is here"
            raise Untrusted("E-ROLLBACK", message, "restore the newest state", site)
    for site, held in memory.of(tuple(others)).items():
        own = others[site].own
        if own.size == held.size and own.root != held.root:
            raise Untrusted("E-LEDGER", "a site's ledger is another than it was", "ask it for its ledger", site)


def _check_hub(site: str, seen: Head, roster: Roster) -> None:
    try:
        check_growth(seen, roster.head, seen.size, roster.growth[site])
    except Untrusted as error:
        message = "the hub's ledger does not continue what a site of this run holds of it"
        raise Untrusted("E-LEDGER", message, "compare ledgers: isthmus audit export, audit verify", site) from error
