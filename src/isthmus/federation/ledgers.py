"""A node's ledgers as its auditor sees them: read from the store of its isthmus.toml, exported, and proved."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from isthmus.federation.border import Register, read_register
from isthmus.federation.config import Config, read_config
from isthmus.federation.hub_witness import cosigned_note
from isthmus.federation.identity import Identity, load_identity
from isthmus.federation.leaves import LEAVES, SqlLeaves
from isthmus.federation.named import opened_store, read_agreement
from isthmus.federation.store import BUNDLES, Store
from isthmus.governance.agreement import Agreement
from isthmus.governance.signing import check_signatures
from isthmus.ledger.checkpoint import sign_checkpoint, verify_checkpoint
from isthmus.ledger.entries import Entry, decode_entry
from isthmus.ledger.exported import Cover, Signer, export_lines
from isthmus.ledger.log import Log
from isthmus.ledger.merkle import BLOCK
from isthmus.ledger.proved import proof_of
from isthmus.model.canonical import plain
from isthmus.model.errors import Invalid, Untrusted

PAGE = 1024


@dataclass(frozen=True, slots=True)
class Ledgers:
    """The ledgers in one store, and whose they are. A site has two: what it shows the head of, and its private one."""

    config: Config
    store: Store
    own: str
    key: str
    place: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """Every ledger of the store."""
        return tuple(row[0] for row in self.store.rows(sa.select(LEAVES.c.log).distinct().order_by(LEAVES.c.log)))

    def entries(self, name: str) -> Iterator[Entry]:
        """The entries of one ledger, oldest first."""
        return (decode_entry(leaf) for leaf in self.leaves(name))

    def leaves(self, name: str, size: int | None = None) -> Iterator[bytes]:
        """The same, as they are stored; the first `size` of them where given."""
        return leaves_of(self.store, name, size)

    def register(self) -> Register:
        """The border register of this node, held to its ledger. Untrusted: E-LEDGER."""
        return read_register(self.store, self.entries(self.own))

    def export(self, private: bool, now: datetime) -> Iterator[bytes]:
        """The lines of an exported ledger, the private one where asked.

        Raises:
            Invalid, Untrusted, Unavailable: keys or store cannot be used.
        """
        name = f"{self.own}/private" if private else self.own
        return exported_lines(self.store, name, self._identity(), self._witnesses(), now)

    def prove(self, index: int, now: datetime) -> bytes:
        """An entry's inclusion under the newest cosigned checkpoint that covers it, else under one signed here.

        Raises:
            Invalid: E-PROOF, no such entry; and as `export`.
        """
        return next(self._proofs([index], now))

    def excerpt(self, run: str, agreement: str, now: datetime) -> bytes:
        """Each entry on a run, and each decision on its agreement, with its proof, a line each; empty where there is none.

        Raises:
            Invalid, Untrusted, Unavailable: as `export`.
        """
        found = [e.sequence for e in self.entries(self.own) if concerns(e, run, agreement)]
        return b"".join(proof + b"\n" for proof in self._proofs(found, now)) if found else b""

    def _proofs(self, indices: Sequence[int], now: datetime) -> Iterator[bytes]:
        identity = self._identity()
        log = Log(Glance(self.store.leaves(self.own)), self.own, lambda: now)
        keys, whole = (identity.key.public.hex(), self._witnesses()), log.head().size
        notes = [(sign_checkpoint(self.own, log.head(), identity.key), whole)]
        for held in self._notes():
            size = verify_checkpoint(held, identity.key.public, {}).head.size
            notes += [(held, size)] if size <= whole else []
        for index in indices:
            covering = [note for note in notes[1:] if index < note[1]]
            yield proof_of(log, index, covering[-1] if covering else notes[0], keys)

    def _notes(self) -> Iterator[str]:
        return iter(cosigned_notes(self.store))

    def _identity(self) -> Identity:
        return load_identity(self.config.keys(self.key))

    def _witnesses(self) -> dict[str, str]:
        agreement = check_signatures(read_agreement(self.config, self.place))
        return {site.site: site.key for site in agreement.sites} if self.own == "hub" else {}


def exported_lines(
    store: Store, name: str, identity: Identity, witnesses: Mapping[str, str], now: datetime
) -> Iterator[bytes]:
    """The lines of an exported ledger, as it is now, with its newest cosigned checkpoints.

    Args:
        store: where it is.
        name: of the log.
        identity: its owner's, who signs.
        witnesses: site -> hex key of those that cosign it.
        now: when it is exported.
    """
    log = Log(Glance(store.leaves(name)), name, lambda: now)
    cover = Cover(
        owner=identity.name,
        key=identity.key.public.hex(),
        time=now.isoformat(),
        checkpoint=sign_checkpoint(name, log.head(), identity.key),
        cosigned=() if name.endswith("/private") else tuple(cosigned_notes(store)),
        witnesses=witnesses,
        marks=plain(store.marks()),
    )
    return export_lines(cover, leaves_of(store, name, log.head().size), identity.key)


def leaves_of(store: Store, name: str, size: int | None = None) -> Iterator[bytes]:
    """The leaves of a log, oldest first; the first `size` of them where given."""
    held = store.leaves(name)
    size = held.size() if size is None else size
    for at in range(0, size, PAGE):
        yield from held.read(at, min(at + PAGE, size))


def cosigned_notes(store: Store) -> list[str]:
    """The cosigned checkpoint of every run that concluded, and the newest between runs, oldest first; a site has none."""
    notes = [json.loads(store.bundle(row[0]) or b"{}")["checkpoint"] for row in store.rows(sa.select(BUNDLES.c.run))]
    notes += filter(None, [cosigned_note(store)])
    return sorted(notes, key=lambda note: int(note.split("\n")[1]))


def concerns(entry: Entry, run: str, agreement: str) -> bool:
    """Whether an entry is about a run, but for the rounds of it, or decides on its agreement alone."""
    if "run" in entry.facts:
        return entry.facts["run"] == run and entry.event not in {"round", "history"}
    return entry.event in {"decision", "revocation"} and entry.facts.get("agreement") == agreement


class Glance:
    """A ledger as it was at one moment, while its node may go on writing; nothing is written here."""

    def __init__(self, leaves: SqlLeaves) -> None:
        self._leaves = leaves

    def append(self, leaves: Sequence[bytes], roots: Sequence[bytes]) -> None:
        """Roots of blocks that an older store lacks stay in memory."""

    def read(self, start: int, stop: int) -> Sequence[bytes]:
        """The leaves [start, stop)."""
        return self._leaves.read(start, stop)

    def size(self) -> int:
        """Number of leaves at that moment."""
        return self._leaves.size()

    def roots(self) -> Sequence[bytes]:
        """Roots of the blocks that were full."""
        return self._leaves.roots()[: self.size() // BLOCK]


@contextmanager
def open_ledgers(path: Path, environ: Mapping[str, str]) -> Iterator[Ledgers]:
    """The ledgers of the hub or site whose isthmus.toml this is.

    Raises:
        Invalid: E-CONFIG, neither a hub's nor a site's.
        Unavailable: E-STORE.
    """
    with ledgers_of(read_config(path, environ), environ) as ledgers:
        yield ledgers


@contextmanager
def ledgers_of(config: Config, environ: Mapping[str, str]) -> Iterator[Ledgers]:
    """The same, of a configuration that was read."""
    node = config.tables.hub or config.tables.site
    if node is None:
        hint = "give --from with what was exported: `isthmus audit fetch` takes it from the hub, a site exports its own"
        raise Invalid("E-CONFIG", "only a hub and a site keep a ledger", hint)
    with opened_store(config, environ) as store:
        own = "hub" if config.tables.hub else f"site/{node.name}"
        yield Ledgers(config, store, own, node.key, node.agreement)


def signer_of(agreement: Agreement, origin: str) -> Signer:
    """Who signs the ledger of that name: the hub its own, a site its two.

    Raises:
        Untrusted: E-LEDGER, no hub's and no site's of the agreement.
    """
    if origin == "hub":
        witnesses = {site.site: site.key for site in agreement.sites}
        return Signer(owner=agreement.hub.hub, key=agreement.hub.key, witnesses=witnesses)
    for site in agreement.sites:
        if origin in {f"site/{site.site}", f"site/{site.site}/private"}:
            return Signer(owner=site.site, key=site.key, witnesses={})
    raise Untrusted("E-LEDGER", f"{origin}: no ledger of a hub or site of the agreement", "is it the right agreement?")
