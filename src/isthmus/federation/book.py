"""A site's durable record of the questions on one dataset (`recall.Book`), in its store, bound to its ledger.

Every vote is one transaction: charges, sets, uses, and one link of a chain whose head is a keyed digest over the link
before and all that was written with it. The site's ledger takes the head before the vote leaves, so a history that was
cut short or put back from an older copy no longer holds what the ledger names.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sqlalchemy as sa
from pyroaring import BitMap

from isthmus.data.persons import NOBODY, KeyArray, Keys
from isthmus.disclosure.history import Past
from isthmus.disclosure.traces import GLANCE, SAMPLE, Floors, People, RowSet, Trace, trace_of
from isthmus.federation.recall import Enrolled, enrolled
from isthmus.federation.rowsets import Asked
from isthmus.federation.store import Store
from isthmus.federation.tables import CHAIN, CHARGES, ENTRIES, SETS, USES
from isthmus.model.canonical import canonical
from isthmus.model.errors import Untrusted

SALT = "history-secret"  # in the store, by this name: keys every id and digest of the history
BATCH = 1 << 20  # ids in one row of the table
START = "0" * 64


@dataclass(frozen=True, slots=True)
class Known:
    """A question that was admitted, as this process remembers it: the run and its name there, and its sets by digest."""

    run: str
    name: str
    floors: Floors
    sets: tuple[RowSet, ...]
    digests: tuple[str, ...]


@dataclass(slots=True)
class SqlBook:
    """The record of one dataset.

    Args:
        store: the site's own.
        dataset: its name in the agreement.
        researcher: who asks now.
        cap: questions on this dataset by everyone, and by one researcher; None for no cap.
        snapshots: what `enrol` made of the last snapshot; shared by the books of one process.
        known: questions by dataset and key, as they were admitted last; shared likewise.
    """

    store: Store
    dataset: str
    researcher: str
    cap: tuple[int | None, int | None]
    snapshots: dict[str, tuple[str, Enrolled]] = field(default_factory=dict)
    known: dict[tuple[str, str], Known] = field(default_factory=dict)

    def enrol(self, snapshot: str, read: Callable[[bytes], Keys]) -> Enrolled:
        """Ids of a snapshot's rows."""
        held = self.snapshots.get(self.dataset)
        if held is not None and held[0] == snapshot:
            return held[1]
        keys = read(self.secret())
        made, new = enrolled(*self._entries(), keys)
        batches = [
            {
                "dataset": self.dataset,
                "number": len(rows),
                "rows": rows.tobytes(),
                "persons": new.persons[at : at + BATCH].tobytes(),
            }
            for at in range(0, len(new.rows), BATCH)
            for rows in [new.rows[at : at + BATCH]]
        ]
        self.store.write(*(sa.insert(ENTRIES).values(batch) for batch in batches))
        self.snapshots[self.dataset] = (snapshot, made)
        return made

    def past(self, people: People, floors: Floors) -> Past:
        """Every set that some question uses."""
        past = Past(people, floors, self._rows, lambda key: self._rows(key, SETS.c.prefix))
        live = sa.select(USES.c.set).where(USES.c.live)
        columns = (SETS.c.id, SETS.c.track, SETS.c.population, SETS.c.size, SETS.c.sample)
        query = sa.select(*columns).where(SETS.c.dataset == self.dataset, SETS.c.id.in_(live)).order_by(SETS.c.id)
        for key, track, population, size, sample in self.store.rows(query):
            total = int.from_bytes(sample[SAMPLE // 8 :], "big")
            past.add(key, Trace(track, population, size, bytes(sample[: SAMPLE // 8]), total))
        return past

    def secret(self) -> bytes:
        """The store's own."""
        return secret(self.store)

    def elsewhere(self) -> KeyArray:
        """None: nobody else has the secret."""
        return NOBODY

    def knows(self, one: Asked, floors: Floors) -> bool:
        """Whether this very question was admitted before: the same sets, under these floors, and all still live."""
        held = self.known.get((self.dataset, one.key))
        if held is None or (held.floors, held.sets) != (floors, one.sets):
            return False
        live = sa.and_(USES.c.run == held.run, USES.c.question == held.name, USES.c.live)
        found = self.store.rows(sa.select(sa.func.count()).select_from(USES).where(live))
        return int(found[0][0]) == len(held.sets)

    def record(self, run: str, charged: Sequence[str], admitted: Sequence[Asked], floors: Floors) -> frozenset[str]:
        """Charge, and keep the sets of what is within the cap; one link of the chain."""
        key = secret(self.store)
        new: dict[str, RowSet] = {}
        digests = {one.name: self._digests(one, key, new) for one in admitted}
        people = self.snapshots[self.dataset][1].people
        packed = {found: _packed(rows, people) for found, rows in new.items()}

        def work(connection: sa.Connection) -> frozenset[str]:
            before = connection.execute(sa.select(CHAIN.c.head).order_by(CHAIN.c.id.desc()).limit(1)).scalar() or START
            event = _added(connection, CHAIN, {"run": run, "ids": self._known(connection), "head": ""})
            stopped = self._charge(connection, event, charged)
            kept = [(one.name, found) for one in admitted if one.key not in stopped for found in digests[one.name]]
            keys = self._sets(connection, {found: packed.get(found, {}) for _, found in kept})
            uses = [
                {"event": event, "set": keys[found], "run": run, "question": name, "live": True} for name, found in kept
            ]
            if uses:
                connection.execute(sa.insert(USES), uses)
            content = _contents(connection, event)[event]
            connection.execute(sa.update(CHAIN).where(CHAIN.c.id == event).values(head=_head(key, before, content)))
            return stopped

        stopped = self.store.transact(work)
        self.known |= {
            (self.dataset, one.key): Known(run, one.name, floors, one.sets, digests[one.name])
            for one in admitted
            if one.key not in stopped
        }
        return stopped

    def kept_of(self, run: str) -> frozenset[str]:
        """Questions with a use that is live."""
        found = self.store.rows(sa.select(USES.c.question).where(USES.c.run == run, USES.c.live).distinct())
        return frozenset(str(row[0]) for row in found)

    def settle(self, run: str, agreed: Collection[str]) -> None:
        """Sets of questions that are not asked count no longer."""
        unasked = sa.and_(USES.c.run == run, USES.c.question.not_in(list(agreed)))
        self.store.write(sa.update(USES).where(unasked).values(live=False))

    # -- small things ----------------------------------------------------------------------------------------------

    def _digests(self, one: Asked, key: bytes, new: dict[str, RowSet]) -> tuple[str, ...]:
        """Of its sets; those of a set that is not known to be kept go into `new`."""
        held = self.known.get((self.dataset, one.key))
        if held is not None and held.sets == one.sets:
            return held.digests
        found = tuple(_digest(rows, key) for rows in one.sets)
        new |= dict(zip(found, one.sets, strict=True))
        return found

    def _entries(self) -> tuple[KeyArray, KeyArray]:
        query = sa.select(ENTRIES.c.rows, ENTRIES.c.persons).where(ENTRIES.c.dataset == self.dataset)
        held = self.store.rows(query.order_by(ENTRIES.c.id))
        rows, persons = (b"".join(bytes(row[j]) for row in held) for j in (0, 1))
        return np.frombuffer(rows, dtype=np.uint64), np.frombuffer(persons, dtype=np.uint64)

    def _known(self, connection: sa.Connection) -> int:
        query = sa.select(sa.func.coalesce(sa.func.sum(ENTRIES.c.number), 0))
        return int(connection.execute(query).scalar_one())

    def _rows(self, key: int, column: sa.Column[bytes] = SETS.c.rows) -> BitMap:
        found = self.store.rows(sa.select(column).where(SETS.c.id == key))
        return BitMap.deserialize(bytes(found[0][0]))

    def _charge(self, connection: sa.Connection, event: int, charged: Sequence[str]) -> frozenset[str]:
        """Charge the new ones of `charged` up to the cap; gives those beyond it."""
        mine = CHARGES.c.dataset == self.dataset
        held = connection.execute(sa.select(CHARGES.c.question, CHARGES.c.researcher).where(mine)).all()
        known, total = {row[0] for row in held}, len(held)
        own = sum(row[1] == self.researcher for row in held)
        stopped = set()
        for question in dict.fromkeys(charged):
            if question in known:
                continue
            if _reached(total, self.cap[0]) or _reached(own, self.cap[1]):
                stopped.add(question)
                continue
            values = {"event": event, "dataset": self.dataset, "question": question, "researcher": self.researcher}
            connection.execute(sa.insert(CHARGES).values(values))
            total, own = total + 1, own + 1
        return frozenset(stopped)

    def _sets(self, connection: sa.Connection, wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
        """The key of each set by digest; a set is kept once."""
        same = sa.and_(SETS.c.dataset == self.dataset, SETS.c.digest.in_(list(wanted)))
        keys = {row[0]: int(row[1]) for row in connection.execute(sa.select(SETS.c.digest, SETS.c.id).where(same))}
        for found, values in wanted.items():
            if found not in keys:
                keys[found] = _added(connection, SETS, {**values, "digest": found, "dataset": self.dataset})
        return keys


def secret(store: Store) -> bytes:
    """The store's own secret, made when it is first asked for."""
    held = store.fact(SALT)
    if held is None:
        held = secrets.token_hex(32)
        store.set_fact(SALT, held)
    return bytes.fromhex(held)


def history_head(store: Store) -> str | None:
    """The head of the chain, for the ledger; None before the first vote."""
    found = store.rows(sa.select(CHAIN.c.head).order_by(CHAIN.c.id.desc()).limit(1))
    return str(found[0][0]) if found else None


def check_history(store: Store, remembered: str | None) -> None:
    """The history is whole, and holds the head that the ledger took last.

    Raises:
        Untrusted: E-ROLLBACK.
    """
    key, head, ids = secret(store), START, 0
    heads: set[str | None] = {None}

    def read(connection: sa.Connection) -> tuple[Sequence[Any], Mapping[int, Any], int]:
        chain = connection.execute(sa.select(CHAIN.c.id, CHAIN.c.ids, CHAIN.c.head).order_by(CHAIN.c.id)).all()
        total = connection.execute(sa.select(sa.func.coalesce(sa.func.sum(ENTRIES.c.number), 0))).scalar_one()
        return chain, _contents(connection), int(total)

    chain, contents, total = store.transact(read)
    for event, known, stated in chain:
        head, ids = _head(key, head, contents.get(event, {})), int(known)
        if head != stated:
            raise _rolled_back()
        heads.add(head)
    if remembered not in heads or ids > total:
        raise _rolled_back()


def _rolled_back() -> Untrusted:
    return Untrusted(
        "E-ROLLBACK",
        "the history of questions is older than this site's ledger, or damaged",
        "restore the newest state",
    )


def _contents(connection: sa.Connection, event: int | None = None) -> dict[int, Any]:
    """What each link of the chain (one of them, or all) stands for."""
    links = sa.select(CHAIN.c.id, CHAIN.c.run, CHAIN.c.ids)
    uses = sa.select(USES.c.event, SETS.c.digest, USES.c.question).join_from(USES, SETS, USES.c.set == SETS.c.id)
    charges = sa.select(CHARGES.c.event, CHARGES.c.dataset, CHARGES.c.question, CHARGES.c.researcher)
    if event is not None:
        links, uses = links.where(CHAIN.c.id == event), uses.where(USES.c.event == event)
        charges = charges.where(CHARGES.c.event == event)
    found: dict[int, Any] = {
        row[0]: {"run": row[1], "ids": row[2], "sets": [], "charges": []} for row in connection.execute(links)
    }
    for name, query, order in (("sets", uses, USES.c.id), ("charges", charges, CHARGES.c.id)):
        for row in connection.execute(query.order_by(order)):
            found.get(row[0], {name: []})[name].append(list(row[1:]))
    return found


def _head(key: bytes, before: str, content: Any) -> str:
    return hmac.digest(key, before.encode() + canonical(content), "sha256").hex()


def _digest(rows: RowSet, key: bytes) -> str:
    """Keyed."""
    rows.rows.run_optimize()
    kind = f"{rows.track} {rows.population} ".encode()
    return hashlib.blake2b(kind + rows.rows.serialize(), digest_size=24, key=key).hexdigest()


def _packed(rows: RowSet, people: People) -> dict[str, Any]:
    """A set as its table holds it, beside its digest."""
    trace = trace_of(rows, people)
    return {
        "track": trace.track,
        "population": trace.population,
        "size": trace.size,
        "sample": trace.sample + trace.total.to_bytes(8, "big"),
        "prefix": (rows.rows & BitMap(range(GLANCE))).serialize(),
        "rows": rows.rows.serialize(),
    }


def _added(connection: sa.Connection, table: sa.Table, values: Mapping[str, Any]) -> int:
    key = connection.execute(sa.insert(table).values(values)).inserted_primary_key
    return int(key[0])  # type: ignore[index]


def _reached(number: int, cap: int | None) -> bool:
    return cap is not None and number >= cap
