"""What a site's store holds for gossip: its own ledger, and the newest heads it met of other sites' (`protocol.gossip.Memory`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isthmus.federation.node import Ledger
from isthmus.federation.protocol.records import Head
from isthmus.federation.protocol.witness import wire_head
from isthmus.federation.store import Mark, Store


@dataclass(frozen=True, slots=True)
class SqlMemory:
    """Marks of peers lie beside the hub's: no site may be called `hub`."""

    store: Store
    ledger: Ledger

    def own(self) -> Head:
        """The head of this site's ledger now."""
        return wire_head(self.ledger.log.head())

    def holds(self, head: Head) -> bool:
        """Whether this site's ledger was once at `head`."""
        log = self.ledger.log
        return head.size <= log.head().size and wire_head(log.head(head.size)) == head

    def of(self, sites: tuple[str, ...]) -> Mapping[str, Head]:
        """The newest heads it holds of other sites' ledgers."""
        marks = {site: self.store.mark(site) for site in sites}
        return {site: Head(size=mark.size, root=mark.root) for site, mark in marks.items() if mark is not None}

    def remember(self, heads: Mapping[str, Head]) -> None:
        """Keep heads of other sites' ledgers."""
        for site, head in heads.items():
            self.store.set_mark(site, Mark(size=head.size, root=head.root))
