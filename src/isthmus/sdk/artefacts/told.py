"""What a node's own files say, read once: every artefact is a pure function of it.

Of a site's two ledgers only the one whose head it shows is read: the private one holds reasons that stay at the site.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.model.errors import IsthmusError, Untrusted

if TYPE_CHECKING:
    from isthmus.federation.config import Config
    from isthmus.federation.ledgers import Ledgers
    from isthmus.federation.store import RunRow
    from isthmus.governance.agreement import Agreement
    from isthmus.governance.signing import SignedAgreement
    from isthmus.ledger.entries import Entry
    from isthmus.ledger.merkle import Tree

# What a folder may not know, and what to call it.
UNKNOWN: Mapping[str, str] = {
    "ledger": "what the ledger holds",
    "part": "the rest of the ledger, of which a bundle or crate proves a part",
    "runs": "what was asked",
    "results": "results",
    "border": "the border register",
    "machine": "the machine and its files",
    "store": "what the store keeps",
}
_ASK_NODES = "the hub, which `isthmus audit fetch` does, and each site, which exports it with `isthmus audit export`; then give --from"
BULKY = frozenset({"round", "history"})  # events of the protocol: counted, and told by no artefact


@dataclass(frozen=True, slots=True)
class Asked:
    """A run of this node: its state, and the request as it was signed (`None` where it cannot be read any more)."""

    run: str
    created: str
    state: str
    request: Mapping[str, Any] | None
    person: str


@dataclass(frozen=True, slots=True)
class Book:
    """This node's ledger, as it was read.

    Attributes:
        name: of the log.
        size: number of entries.
        root: Merkle root over them, hex, computed again from every leaf.
        span: times of the first and the last entry; empty without entries.
        counts: event -> entries.
        misplaced: entries that do not stand at their own number.
        backward: entries whose time lies before the one above.
        checkpoints: cosigned checkpoints kept here: size, cosigners, and whether the log still holds them.
        marks: peer -> the size of its log that this node has seen.
    """

    name: str
    size: int
    root: str
    span: tuple[str, ...]
    counts: Mapping[str, int]
    misplaced: int
    backward: int
    checkpoints: tuple[tuple[int, int, bool], ...]
    marks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Told:
    """Everything the artefacts are made of.

    Attributes:
        agreement: as the node's file has it.
        unsigned: why its signatures do not hold; empty when they do.
        now: when this is made.
        node: `hub`, `site NAME` or `person NAME`.
        entries: of the ledger but for the bulky events, oldest first.
        bundles: of concluded runs, parsed; a hub's alone.
        machine: what was looked at on this machine: name, what was found.
        spent: dataset -> rho spent at this site.
        snapshots: dataset -> frozen copies of its rows kept here.
        crossed: what left this site or hub, by day, study and way; `None` where the register is not what the ledger sealed.
        previous: the version before, when given.
        aware: when someone became aware of an incident, when given.
        absent: kinds of what is not known here (`UNKNOWN`), since this is no node's own folder.
        ask: who knows it.
    """

    signed: SignedAgreement
    agreement: Agreement
    unsigned: str
    now: datetime
    node: str
    entries: tuple[Entry, ...] = ()
    book: Book | None = None
    asked: tuple[Asked, ...] = ()
    bundles: tuple[Mapping[str, Any], ...] = ()
    machine: tuple[tuple[str, str], ...] = ()
    spent: Mapping[str, float] | None = None
    snapshots: Mapping[str, int] | None = None
    crossed: tuple[Mapping[str, Any], ...] | None = ()
    previous: Agreement | None = None
    aware: datetime | None = None
    absent: frozenset[str] = frozenset()
    ask: str = ""

    def unknown(self, *kinds: str) -> str:
        """That something is not known here, and whom to ask; empty where all of it is known."""
        missing = [UNKNOWN[kind] for kind in kinds if kind in self.absent]
        return f"Not known here: {', '.join(missing)}. Ask {self.ask}." if missing else ""

    def of(self, *events: str) -> Iterator[Entry]:
        """The entries of some events."""
        return (entry for entry in self.entries if entry.event in events)


def gather(path: Path, environ: Mapping[str, str], now: datetime) -> Told:
    """What the hub, site or person whose isthmus.toml this is can tell.

    Raises:
        Invalid, Unavailable: configuration, agreement or store cannot be read.
    """
    from isthmus.federation.config import read_config
    from isthmus.federation.named import read_agreement
    from isthmus.sdk.artefacts.machine import machine

    config = read_config(path, environ)
    node, place = _whose(config)
    signed = read_agreement(config, place)
    unsigned = unsigned_for(signed)
    own: dict[str, Any] = {"machine": tuple(machine(config))}
    if node.startswith("person"):
        own |= {"absent": frozenset({"ledger", "runs", "results", "border", "store"}), "ask": _ASK_NODES}
    else:
        own |= _kept(path, environ, signed.agreement)
    return Told(signed=signed, agreement=signed.agreement, unsigned=unsigned, now=now, node=node, **own)


def unsigned_for(signed: SignedAgreement) -> str:
    """Why an agreement's signatures do not hold; empty when they do."""
    from isthmus.governance.signing import check_signatures

    try:
        check_signatures(signed)
    except IsthmusError as error:
        return error.message
    return ""


def read_request(raw: bytes) -> Mapping[str, Any] | None:
    """The request inside an envelope as a node keeps it; it was verified when it was admitted."""
    told = payload(json.loads(raw))
    return told if isinstance(told.get("study"), dict) else None


def payload(envelope: Any) -> Mapping[str, Any]:
    """What an envelope says, unverified; empty where it cannot be read."""
    try:
        told = json.loads(base64.b64decode(envelope["payload"]))
    except (ValueError, RecursionError, KeyError, TypeError):
        return {}
    return told if isinstance(told, dict) else {}


def place_of(config: Config) -> str | None:
    """Where the agreement of a configuration is."""
    return _whose(config)[1]


def _whose(config: Config) -> tuple[str, str | None]:
    tables = config.tables
    if tables.hub is not None:
        return "hub", tables.hub.agreement
    if tables.site is not None:
        return f"site {tables.site.name}", tables.site.agreement
    person = config.person()
    return f"person {person.name}", person.agreement


def _kept(path: Path, environ: Mapping[str, str], agreement: Agreement) -> dict[str, Any]:
    """What the store of a hub or site tells."""
    from isthmus.federation.ledgers import open_ledgers
    from isthmus.ledger.bundle import read_bundle

    with open_ledgers(path, environ) as ledgers:
        store = ledgers.store
        rows = store.runs()
        bundles = tuple(read_bundle(raw) for row in rows if (raw := store.bundle(row.run)) is not None)
        entries, book = read_book(ledgers, bundles, bytes.fromhex(agreement.hub.key))
        return {
            "entries": entries,
            "book": book,
            "asked": tuple(_asked(row, agreement) for row in rows),
            "bundles": bundles,
            "spent": _spent(ledgers, agreement) if ledgers.own.startswith("site/") else None,
            "snapshots": _snapshots(ledgers) if ledgers.own.startswith("site/") else None,
            "crossed": _crossed(ledgers),
        }


def read_book(ledgers: Ledgers, bundles: tuple[Mapping[str, Any], ...], hub: bytes) -> tuple[tuple[Entry, ...], Book]:
    """The ledger of a node: its entries, and what reading it shows."""
    import sqlalchemy as sa

    from isthmus.federation.store import MARKS

    marks = {row.peer: int(row.size) for row in ledgers.store.rows(sa.select(MARKS).order_by(MARKS.c.peer))}
    tree, kept, book = book_of(ledgers.own, ledgers.leaves(ledgers.own), marks)
    return kept, replace(book, checkpoints=tuple(checkpoint_of(bundle, tree, hub) for bundle in bundles))


def book_of(name: str, leaves: Iterable[bytes], marks: Mapping[str, int]) -> tuple[Tree, tuple[Entry, ...], Book]:
    """What reading a log's leaves shows: its tree, its entries but for the bulky events, and its book without checkpoints."""
    from isthmus.ledger.entries import decode_entry
    from isthmus.ledger.merkle import Tree

    tree, counts, misplaced, backward = Tree(), Counter[str](), 0, 0
    kept: list[Entry] = []
    first = last = ""
    for leaf in leaves:
        entry = decode_entry(leaf)
        misplaced += entry.sequence != tree.size
        tree.append(leaf)
        counts[entry.event] += 1
        backward += entry.time < last
        first, last = first or entry.time, entry.time
        if entry.event not in BULKY:
            kept.append(entry)
    book = Book(
        name=name,
        size=tree.size,
        root=tree.root(tree.size).hex(),
        span=(first, last) if first else (),
        counts=dict(sorted(counts.items())),
        misplaced=misplaced,
        backward=backward,
        checkpoints=(),
        marks=marks,
    )
    return tree, tuple(kept), book


def checkpoint_of(bundle: Mapping[str, Any], tree: Tree, hub: bytes) -> tuple[int, int, bool]:
    """Size and cosigners of a bundle's checkpoint, and whether the log still holds it."""
    from isthmus.ledger.checkpoint import verify_checkpoint

    keys = {member["site"]: bytes.fromhex(member["key"]) for member in bundle["charter"]["roster"]}
    try:
        seen = verify_checkpoint(bundle["checkpoint"], hub, keys)
        held = seen.head.size <= tree.size and tree.root(seen.head.size) == seen.head.root
    except IsthmusError:
        return 0, 0, False
    return seen.head.size, len(seen.cosigners), held


def _asked(row: RunRow, agreement: Agreement) -> Asked:
    return Asked(
        row.run, row.created, row.state, read_request(row.request), asker_of(json.loads(row.request), agreement)
    )


def asker_of(request: Mapping[str, Any], agreement: Agreement) -> str:
    """Who signed a request, by the keys of the agreement."""
    keys = {p.key: p.person for p in agreement.people}
    signers = [keys.get(str(s.get("keyid")), "") for s in request.get("signatures", ())]
    return next(filter(None, signers), "someone of another version")


def _spent(ledgers: Ledgers, agreement: Agreement) -> dict[str, float]:
    from isthmus.disclosure.budget import Account
    from isthmus.federation.purse import SqlPurse, budget_of

    nobody = Account(person="", project="")
    return {
        entry.dataset: float(
            SqlPurse(ledgers.store, budget_of(agreement, entry.dataset), entry.privacy, nobody).spent()
        )
        for entry in agreement.datasets
        if entry.privacy is not None
    }


def _crossed(ledgers: Ledgers) -> tuple[Mapping[str, Any], ...] | None:
    from isthmus.federation.border import read_register

    try:
        return tuple(read_register(ledgers.store, ledgers.entries(ledgers.own)).by_day())
    except Untrusted:
        return None


def _snapshots(ledgers: Ledgers) -> dict[str, int]:
    import sqlalchemy as sa

    from isthmus.federation.tables import SNAPSHOTS

    held = ledgers.store.rows(sa.select(SNAPSHOTS.c.dataset))
    return dict(sorted(Counter(str(row.dataset) for row in held).items()))
