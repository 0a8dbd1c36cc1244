"""What a site has at home: its key, its durable state, its randomness. All given from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from isthmus.crypto.keys import SigningKey
from isthmus.federation.messages import Message
from isthmus.federation.protocol.charter import Step
from isthmus.federation.protocol.gossip import Forgetful, Memory
from isthmus.federation.protocol.journal import Journal
from isthmus.federation.protocol.records import Head
from isthmus.federation.spool import Spool


class History(Protocol):
    """Survivor sets (site -> legal entity) whose sums over this site's same rows were opened, by any run."""

    def sets(self) -> Iterable[Mapping[str, str]]:
        """Those of earlier and other runs; this run's own may be among them."""

    def remember(self, survivors: Mapping[str, str]) -> None:
        """Keep a set beyond the run; durable before this returns. Raises Unavailable when the disk is full."""


class OneRun:
    """The history of a site that lives for one run: a rehearsal in one process, a test."""

    def sets(self) -> Iterable[Mapping[str, str]]:
        """Nothing came before."""
        return ()

    def remember(self, survivors: Mapping[str, str]) -> None:
        """Nothing comes after; within the run the first opened set binds."""


@dataclass(frozen=True, slots=True)
class Local:
    """One site's means for one run.

    Attributes:
        key: its Ed25519 identity.
        journal: of this run.
        spool: a directory of this run's own.
        randomness: n -> n bytes, `secrets.token_bytes`.
        clock: Unix seconds, for the cosignature's time stamp alone.
        snapshot: id of the dataset snapshot the run reads; signed in M1.
        anchor: the newest head of the hub's ledger this site remembers, from any run; None at first.
        history: survivor sets opened by earlier runs over the same rows.
        memory: its ledger, and what it holds of those of its peers.
        egress: takes the result before it is signed; raises Refused where a rule says that nothing may leave.
        leaving: takes a masked reply and its step before the reply is in the journal.
    """

    key: SigningKey
    journal: Journal
    spool: Spool
    randomness: Callable[[int], bytes]
    clock: Callable[[], int]
    snapshot: str
    anchor: Head | None
    history: History = field(default_factory=OneRun)
    memory: Memory = field(default_factory=Forgetful)
    egress: Callable[[Mapping[str, Any]], object] = lambda _result: None
    leaving: Callable[[Message, Step], None] = lambda _message, _step: None
