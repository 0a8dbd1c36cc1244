"""What a site recalls of earlier questions when it votes, and what it keeps of this run's.

A question counts from the moment its vote may leave: its sets are kept before that, and forgotten only when the vote
shows that it will not be asked. A refused question leaves its charge.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from isthmus.data.persons import NOBODY, KeyArray, Keys
from isthmus.disclosure.history import Past
from isthmus.disclosure.traces import Floors, People, RowSet, people_of, set_of, trace_of
from isthmus.federation.plan import POPULATION
from isthmus.federation.rowsets import Asked, IdArray

CAP = "questions: the agreement's number of questions on this dataset is used up"


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The rows of a snapshot by id.

    Attributes:
        ids: (n,) in the source's order.
        people: who stands behind every id there is, of earlier snapshots too.
        everyone: the ids as a set.
    """

    ids: IdArray
    people: People
    everyone: BitMap


class Book(Protocol):
    """A site's own record of one dataset."""

    def enrol(self, snapshot: str, read: Callable[[bytes], Keys]) -> Enrolled:
        """The ids of a snapshot's rows, new ones for rows not seen before; durable.

        Args:
            snapshot: fingerprint.
            read: makes the keys from the book's own secret; not asked again for the snapshot it knows.
        """

    def secret(self) -> bytes:
        """This site's own, the same whenever it is asked for."""

    def elsewhere(self) -> KeyArray:
        """Hashes of rows that have the same secret and are not this site's (`persons.read_hashes`)."""

    def past(self, people: People, floors: Floors) -> Past:
        """Every set that counts."""

    def knows(self, one: Asked, floors: Floors) -> bool:
        """Whether this very question was admitted before under these floors, and all its sets count since then.

        It asks for the same sums again, and what came after it was set against it. Another question on the same sets is
        no such question: two of them may part what no single one does.
        """

    def record(self, run: str, charged: Sequence[str], admitted: Sequence[Asked], floors: Floors) -> frozenset[str]:
        """Charge questions by key (a key once) and keep the sets of those admitted; all or nothing, durable.

        Returns:
            Keys beyond the cap: they are not charged, and their sets are not kept.
        """

    def kept_of(self, run: str) -> frozenset[str]:
        """Names of the run's questions whose sets count."""

    def settle(self, run: str, agreed: Collection[str]) -> None:
        """The vote is counted: sets of this run's questions whose names are not among `agreed` count no longer."""


def judge(
    book: Book, run: str, rows: Enrolled, floors: Floors, asked: Sequence[Asked], charged: Sequence[str]
) -> dict[str, str]:
    """Which of `asked` this site refuses, and why (for its own log): earlier questions first, then those listed before.

    When this returns, the rest count as asked.
    """
    new = [one for one in asked if not book.knows(one, floors)]
    refused = _refused(book, rows, floors, new) if new else {}
    if POPULATION in refused:
        refused |= {one.name: refused[POPULATION] for one in asked}
    stopped = book.record(run, charged, [one for one in asked if one.name not in refused], floors)
    return {one.name: CAP for one in asked if one.key in stopped} | refused


def _refused(book: Book, rows: Enrolled, floors: Floors, asked: Sequence[Asked]) -> dict[str, str]:
    """Which of `asked` may not be asked after what is recorded and those before, and why."""
    past = book.past(rows.people, floors)
    past.everyone(rows.everyone)
    refused: dict[str, str] = {}
    for one in asked:
        why = past.crowded(one.decided) or _clash(past, one.sets)
        if why is not None:
            refused[one.name] = why
        past.close(admitted=why is None)
    return refused


def _clash(past: Past, sets: Sequence[RowSet]) -> str | None:
    """Why a question with `sets` may not be asked; those before each are held beside it."""
    for rowset in sets:
        why = past.clash(rowset)
        if why is not None:
            return why
        past.hold(rowset)
    return None


def enrolled(known: KeyArray, persons: KeyArray, keys: Keys) -> tuple[Enrolled, Keys]:
    """Ids of `keys`, after those `known` (by id, with their `persons`); and the keys that are new, in order of their ids.

    Keys are keyed hashes, so new ids come in an order that has nothing to do with the data.
    """
    order = np.argsort(known)
    at = np.searchsorted(known, keys.rows, sorter=order)
    place = order[np.minimum(at, max(len(known) - 1, 0))] if len(known) else np.zeros(len(keys.rows), dtype=np.intp)
    old = known[place] == keys.rows if len(known) else np.zeros(len(keys.rows), dtype=np.bool_)
    fresh = np.flatnonzero(~old)
    fresh = fresh[np.argsort(keys.rows[fresh])]
    ids = place.astype(np.uint32)
    ids[fresh] = np.arange(len(known), len(known) + len(fresh), dtype=np.uint32)
    new = Keys(keys.rows[fresh], keys.persons[fresh])
    people = people_of(np.concatenate([persons, new.persons]), np.concatenate([known, new.rows]))
    return Enrolled(ids, people, set_of(ids)), new


@dataclass(slots=True)
class MemoryBook:
    """A record that lives as long as it is held: for a rehearsal, one run.

    `before`: reads the hashes of the rows of sites before this one; equal rows are numbered through all sites.
    """

    before: Callable[[], KeyArray] = lambda: NOBODY
    rows: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    persons: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    kept: list[tuple[str, str, RowSet]] = field(default_factory=list)

    def enrol(self, snapshot: str, read: Callable[[bytes], Keys]) -> Enrolled:
        """Ids of rows."""
        made, new = enrolled(self.rows, self.persons, read(self.secret()))
        self.rows = np.concatenate([self.rows, new.rows])
        self.persons = np.concatenate([self.persons, new.persons])
        return made

    def secret(self) -> bytes:
        """None: the rows are of one's own, and the same rows give the same answer however they are dealt to sites."""
        return b""

    def elsewhere(self) -> KeyArray:
        """Of sites before this one."""
        return self.before()

    def past(self, people: People, floors: Floors) -> Past:
        """Every set kept."""
        held = [rows for _, _, rows in self.kept]
        past = Past(people, floors, lambda key: held[key].rows)
        for key, rows in enumerate(held):
            past.add(key, trace_of(rows, people))
        return past

    def knows(self, one: Asked, floors: Floors) -> bool:
        """Nothing is known twice."""
        del one, floors
        return False

    def record(self, run: str, charged: Sequence[str], admitted: Sequence[Asked], floors: Floors) -> frozenset[str]:
        """Keep the sets; nobody counts questions here."""
        del charged, floors
        self.kept += [(run, one.name, rows) for one in admitted for rows in one.sets]
        return frozenset()

    def kept_of(self, run: str) -> frozenset[str]:
        """Those of which a set is kept."""
        return frozenset(name for of, name, _ in self.kept if of == run)

    def settle(self, run: str, agreed: Collection[str]) -> None:
        """Forget what will not be asked."""
        self.kept = [kept for kept in self.kept if kept[0] != run or kept[1] in agreed]
