"""What a site's store holds for gossip: its own ledger, and the newest heads it met of other sites' (`protocol.gossip.Memory`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.federation.node import Ledger
from isthmus.federation.protocol.records import Head
from isthmus.federation.protocol.witness import wire_head
from isthmus.federation.store import Mark, Store
from isthmus.ledger.log import head_of
from isthmus.model.errors import Untrusted


@dataclass(frozen=True, slots=True)
class SqlMemory:
    """Marks of peers lie beside the hub's: no site may be called `hub`."""

    store: Store
    ledger: Ledger

    def hub(self) -> Head | None:
        """The newest head of the hub's ledger that a quorum signed."""
        mark = self.store.mark("hub")
        return Head(size=mark.size, root=mark.root) if mark else None

    def check_remembered(self, remembered: Any) -> None:
        """The hub says which head of this site's ledger it holds: ours must contain it (an old backup does not).

        Raises:
            Untrusted: E-ROLLBACK. Invalid: E-HEAD.
        """
        if remembered is not None and not self.holds(wire_head(head_of(remembered))):
            message = "the hub remembers more of this site's ledger than is here"
            raise Untrusted("E-ROLLBACK", message, "restore the newest state")

    def own(self) -> Head:
        """The head of this site's ledger now."""
        return wire_head(self.ledger.log.head())

    def holds(self, head: Head) -> bool:
        """Whether this site's ledger was once at `head`."""
        log = self.ledger.log
        return head.size <= log.head().size and wire_head(log.head(head.size)) == head

    def of(self, sites: tuple[str, ...]) -> Mapping[str, Head]:
        """The newest heads it holds of other sites' ledgers."""
        return {site: Head(size=m.size, root=m.root) for site, m in self.store.marks().items() if site in sites}

    def remember(self, heads: Mapping[str, Head]) -> None:
        """Keep heads of other sites' ledgers."""
        self.store.set_marks({site: Mark(size=head.size, root=head.root) for site, head in heads.items()})
