"""What a site has at home: its key, its durable state, its randomness. All given from outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from isthmus.crypto.keys import SigningKey
from isthmus.federation.protocol.journal import Journal
from isthmus.federation.protocol.records import Head
from isthmus.federation.spool import Spool


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
    """

    key: SigningKey
    journal: Journal
    spool: Spool
    randomness: Callable[[int], bytes]
    clock: Callable[[], int]
    snapshot: str
    anchor: Head | None
