"""The differencing history: may these rows be asked about, after all that was asked before?

Two sums over nearly the same rows give away, by subtraction, the few that differ. So a site remembers the row set of
every question, not its text, and refuses a question whose sets leave few people when set against earlier ones.

    near     two sets differ, and by fewer people than the floor: in all, or, for two populations, on either side
    family   one set is nearly the union of two or three nearly disjoint ones: what is left over, counted with
             what overlaps, is fewer people than the floor. The new set may be the whole or a member.

Sets of one question count together beside an earlier set, and not by themselves. Docs: docs/adr says why this catches
every sum and difference of two, three and (with a union) four sets.
Rows are ids of a site's own making; nothing here leaves the site.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from isthmus.disclosure.adding import IndexArray, WordArray, bits, blocks, pairs, singles, triples, union_once
from isthmus.disclosure.traces import (
    GLANCE,
    GLANCED,
    SAMPLE,
    Floors,
    People,
    RowSet,
    Trace,
    Track,
    sample_of,
    total_of,
    trace_of,
)

BoolArray: TypeAlias = NDArray[np.bool_]

WORDS = SAMPLE // 64
FEW_WORDS = 8  # of a sample, looked at first
EVERYONE = -1  # key of the snapshot's own rows
SOME_WORDS = 16  # of a sample, where members of three are looked for
NEAR = "differencing: nearly an earlier set"
FAMILY = "differencing: nearly a union of earlier sets"


@dataclass(slots=True)
class _Table:
    """Traces of one track as arrays that grow; from `earlier` on they are of the question that is judged now."""

    earlier: int = 0
    keys: list[int] = field(default_factory=list)
    sizes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(64, dtype=np.int64))
    whole: BoolArray = field(default_factory=lambda: np.zeros(64, dtype=np.bool_))
    cells: BoolArray = field(default_factory=lambda: np.zeros(64, dtype=np.bool_))
    totals: WordArray = field(default_factory=lambda: np.zeros(64, dtype=np.uint64))
    ones: NDArray[np.int64] = field(default_factory=lambda: np.zeros(64, dtype=np.int64))
    words: WordArray = field(default_factory=lambda: np.zeros((64, WORDS), dtype=np.uint64))

    def add(self, key: int, trace: Trace) -> None:
        n = len(self.keys)
        if n == len(self.sizes):
            self.sizes, self.whole = np.resize(self.sizes, 2 * n), np.resize(self.whole, 2 * n)
            self.cells, self.totals = np.resize(self.cells, 2 * n), np.resize(self.totals, 2 * n)
            self.ones, self.words = np.resize(self.ones, 2 * n), np.resize(self.words, (2 * n, WORDS))
        self.keys.append(key)
        self.sizes[n], self.whole[n], self.cells[n] = trace.size, trace.population, trace.track == "cells"
        self.totals[n] = trace.total
        self.words[n] = np.frombuffer(trace.sample, dtype=np.uint64)
        self.ones[n] = bits(self.words[n])


class Past:
    """The sets of earlier questions. Traces are in memory; rows are loaded when a trace cannot tell.

    Args:
        people: who stands behind the ids.
        floors: `minimum_count`, and for cells `minimum_count_site` where that is lower.
        load: the rows of a set by its key.
        glance: those of its rows whose ids are below `GLANCE`, where that costs less.
    """

    def __init__(
        self,
        people: People,
        floors: Floors,
        load: Callable[[int], BitMap],
        glance: Callable[[int], BitMap] | None = None,
    ) -> None:
        self._people = people
        self._floors = floors
        self._most = (floors.people - 1) * people.most  # ids that fewer people than the floor can have
        self._load = load
        self._glance = glance
        self._held: dict[int, BitMap] = {}
        summed = _Table()
        self._tables: dict[Track, _Table] = {"asked": _Table(), "hinges": _Table(), "rows": summed, "cells": summed}

    def add(self, key: int, trace: Trace) -> None:
        """Remember a set of an earlier question, whose rows `load` knows."""
        table = self._tables[trace.track]
        table.add(key, trace)
        table.earlier = len(table.keys)

    def everyone(self, rows: BitMap) -> None:
        """Remember who the snapshot holds. How many they are is known to many, whether it was asked or not."""
        self._held[EVERYONE] = rows
        self.add(EVERYONE, trace_of(RowSet("asked", True, rows), self._people))

    def hold(self, rows: RowSet) -> None:
        """Remember a set of the question that is judged: until `close`, it counts only together with an earlier set."""
        key = EVERYONE - 1 - len(self._held)
        self._held[key] = rows.rows
        self._tables[rows.track].add(key, trace_of(rows, self._people))

    def close(self, *, admitted: bool) -> None:
        """The question is judged: its sets count as earlier ones from here on, or are forgotten."""
        for table in self._tables.values():
            if not admitted:
                del table.keys[table.earlier :]
            table.earlier = len(table.keys)

    def clash(self, new: RowSet) -> str | None:
        """Why `new` may not be asked about, as a text without any number; None when it may.

        The rules for cells, pairs and indicators see the sets of one question jointly, so a difference of these alone
        is left to them.
        """
        if self._floors.people <= 1 or not new.rows:
            return None
        look = _Look(self, self._tables[new.track], new)
        if look.near():
            return NEAR
        if new.track != "hinges" and look.family():
            return FAMILY
        return None

    def crowded(self, sets: Sequence[RowSet]) -> str | None:
        """Why two of `sets`, parts of one question, may not be told apart: few people are in one and not the other."""
        floor = self._floors.people
        for at, one in enumerate(sets):
            for other in sets[at + 1 :]:
                alike = one.track == other.track and abs(len(one.rows) - len(other.rows)) <= self._most
                if alike and self.few(one.rows ^ other.rows, floor):
                    return NEAR
        return None

    def rows(self, key: int) -> BitMap:
        """The rows of a set."""
        found = self._held.get(key)
        return self._load(key) if found is None else found

    def glance(self, key: int) -> BitMap | None:
        """The rows of a set below `GLANCE`, where that tells more than its sample and costs less than all of them."""
        if self._glance is None or key in self._held or self.ids <= 2 * GLANCE:
            return None
        return self._glance(key)

    def few(self, rows: BitMap, floor: int) -> bool:
        """Whether 1 to floor - 1 people stand behind `rows`."""
        return 0 < len(rows) <= self._most and self._people.count(rows) < floor

    def floor(self, cells: bool) -> int:
        """The floor of a difference, by whether a set of `cells` is in it."""
        return self._floors.cells if cells else self._floors.people

    def total(self, rows: BitMap) -> np.uint64:
        """Sum of the tags of `rows`."""
        return np.uint64(total_of(rows, self._people))

    @property
    def ids(self) -> int:
        """Ids that there are."""
        return len(self._people.tag)

    @property
    def most(self) -> int:
        """Ids that fewer people than the floor can have: a difference of more ids is of enough people."""
        return self._most


class _Look:
    """One new set beside all earlier ones of its track. `common`, `out` and `over` are lower bounds, in ids, of what an
    earlier set shares, has beyond the new one, and the other way about; exact once the rows were loaded."""

    def __init__(self, past: Past, table: _Table, new: RowSet) -> None:
        self._past = past
        self._new = new
        n = len(table.keys)
        self._own = np.arange(n) >= table.earlier
        used = min(WORDS, max(1, -(-_extent(new.rows, table, n) // 64)))
        self._keys, self._sizes, self._whole = table.keys, table.sizes[:n], table.whole[:n]
        self._cells, self._cell = table.cells[:n], new.track == "cells"
        self._totals = table.totals[:n]
        self._words = table.words[:n, :used]
        self._word = np.frombuffer(sample_of(new.rows), dtype=np.uint64)[:used]
        self._total: WordArray | None = None
        self._first = new.rows & GLANCED
        self._rest = _rest(new.rows, past.ids)
        size, ids = len(new.rows), past.ids
        self._common = bits(self._words & self._word)
        self._out = np.maximum(table.ones[:n] - self._common, self._sizes - size)
        self._over = np.maximum(int(bits(self._word)) - self._common, size - self._sizes)
        self._known = (self._sizes == ids) | (size == ids)  # beside all ids there are, sizes say everything
        self._out[self._known] = np.maximum(self._sizes - size, 0)[self._known]
        self._over[self._known] = np.maximum(size - self._sizes, 0)[self._known]

    def near(self) -> bool:
        """Whether an earlier set differs by few people: in all, or between two populations on one side."""
        most, new = self._past.most, self._new.rows
        inside, around = (self._out <= most) & ~self._own, (self._over <= most) & ~self._own
        strict = self._whole & self._new.population
        for i in np.flatnonzero(np.where(strict, inside | around, inside & around)):
            if self._told(i, (any if strict[i] else all)):
                continue
            old = self._past.rows(self._keys[i])
            both = self._both(old)
            self._common[i], self._out[i], self._over[i] = both, len(old) - both, len(new) - both
            if strict[i] and (self._few(old, new, self._out[i]) or self._few(new, old, self._over[i])):
                return True
            if not strict[i] and self._out[i] + self._over[i] <= most and self._past.few(old ^ new, self._floor([i])):
                return True
        return False

    def family(self) -> bool:
        """Whether the new set is nearly a union of earlier ones, or with one or two earlier ones nearly another; what
        filters keep, whether it nearly completes everyone: what entered sums says the rest."""
        if self._new.track == "asked":
            return self._completes([i for i, key in enumerate(self._keys) if key == EVERYONE])
        inside = np.flatnonzero((self._out <= self._past.most) & (self._sizes > 0))
        size = len(self._new.rows)
        if any(self._left(None, members) for members in self._covers(inside, size, 2)):
            return True
        if self._new.population and any(
            self._left(None, m) for m in self._covers(inside[self._whole[inside]], size, 3)
        ):
            return True
        return self._completes(np.flatnonzero((self._over <= self._past.most) & (self._sizes > 0)))

    def _completes(self, wholes: Sequence[int] | IndexArray) -> bool:
        """Whether one of `wholes` is nearly the new set and one or two earlier ones."""
        apart = np.flatnonzero((self._common <= self._past.most) & (self._sizes > 0))
        apart = apart[np.argsort(self._sizes[apart], kind="stable")]  # sorting again costs little
        for i in wholes:
            rest = int(self._sizes[i]) - len(self._new.rows)
            if any(self._left(i, members) for members in self._covers(apart, rest, 1)):
                return True
            if not (self._new.population and self._whole[i]):
                continue
            if any(self._left(i, members) for members in self._covers(apart[self._whole[apart]], rest, 2)):
                return True
        return False

    def _covers(self, among: IndexArray, size: int, k: int) -> Iterator[IndexArray]:
        """(m, k) blocks of k different sets of `among` whose sizes add up to nearly `size`.

        Where at most `slack` ids are left over or overlap, and each overlaps at most three times, the sum of sizes is
        at least size - slack and at most size + 3 slack.
        """
        if len(among) < k:
            return
        slack = self._past.most
        order = among[np.argsort(self._sizes[among], kind="stable")]
        sizes, low, high = self._sizes[order], size - slack, size + 3 * slack
        if k == 1:
            found = singles(sizes, low, high)
        elif k == 2:
            found = pairs(sizes, low, high)
        else:
            found = triples(sizes, self._words[order, :SOME_WORDS], (low, high), slack)
        yield from (order[some] for some in blocks(found))

    def _left(self, whole: int | np.intp | None, members: IndexArray) -> bool:
        """Whether some row of `members` (with the new set where `whole` is another one) nearly makes the whole."""
        if whole is None or self._own[whole]:
            members = members[~self._own[members].all(axis=1)]
        for words in (slice(0, FEW_WORDS), slice(None)):
            members = members[self._apart(whole, members, words) <= self._past.most]
            if not len(members):
                return False
        return any(self._exactly(whole, row) for row in members[self._uneven(whole, members)])

    def _apart(self, whole: int | np.intp | None, members: IndexArray, words: slice) -> NDArray[np.int64]:
        """Of each row of `members`, ids of the sample that are left over or overlap."""
        parts = [self._words[members[:, j], words] for j in range(members.shape[1])]
        top: WordArray = self._word[words]
        if whole is not None:
            top, parts = self._words[whole, words], [np.broadcast_to(top, parts[0].shape), *parts]
        union, once = union_once(parts)
        return bits((union | top) & ~(once & top))

    def _uneven(self, whole: int | np.intp | None, members: IndexArray) -> BoolArray:
        """Where totals differ. Equal totals mean equal sets: nothing is left over, and no rows need be loaded."""
        if self._total is None:
            self._total = np.array([self._past.total(self._new.rows)])
        total: WordArray = self._totals[members].sum(axis=1, dtype=np.uint64)
        return np.asarray(total != (self._total if whole is None else self._totals[whole, None] - self._total))

    def _exactly(self, whole: int | np.intp | None, members: IndexArray) -> bool:
        sets = [self._past.rows(self._keys[m]) for m in members]
        top = self._new.rows if whole is None else self._past.rows(self._keys[whole])
        sets = sets if whole is None else [self._new.rows, *sets]
        seen, twice = BitMap(), BitMap()
        for rows in sets:
            twice |= seen & rows
            seen |= rows
        earlier = members if whole is None else [whole, *members]
        return self._past.few((seen | top) - ((seen - twice) & top), self._floor(earlier))

    def _floor(self, earlier: Sequence[int | np.intp] | IndexArray) -> int:
        return self._past.floor(self._cell or any(self._cells[i] for i in earlier))

    def _both(self, old: BitMap) -> int:
        """Ids of an earlier set that are in the new one."""
        if self._rest is None:
            return old.intersection_cardinality(self._new.rows)
        return len(old) - old.intersection_cardinality(self._rest)

    def _told(self, i: np.intp, sides: Callable[[tuple[bool, bool]], bool]) -> bool:
        """Whether sizes, or a larger sample of the set, tell that it is not near: not few ids on `sides` (any or all)."""
        most = self._past.most
        if self._known[i]:
            return not (0 < self._out[i] <= most or 0 < self._over[i] <= most)
        old = self._past.glance(self._keys[i])
        if old is None:
            return False
        both = old.intersection_cardinality(self._first)
        self._common[i] = max(int(self._common[i]), both)
        self._out[i] = max(int(self._out[i]), len(old) - both)
        self._over[i] = max(int(self._over[i]), len(self._first) - both)
        return not sides((bool(self._out[i] <= most), bool(self._over[i] <= most)))

    def _few(self, more: BitMap, less: BitMap, bound: np.int64) -> bool:
        return 0 < int(bound) <= self._past.most and self._past.few(more - less, self._past.floor(cells=False))


def _rest(rows: BitMap, ids: int) -> BitMap | None:
    """Ids not in `rows`, where those are fewer: nearly everyone is held in runs, slow to count beside other sets."""
    return BitMap.flip(rows, 0, ids) if 2 * len(rows) > ids else None


def _extent(rows: BitMap, table: _Table, n: int) -> int:
    """Ids beyond which no sample has a bit."""
    top = int(rows.max()) + 1
    used = np.flatnonzero(table.words[:n].any(axis=0))
    return max(min(top, SAMPLE), 64 * (int(used[-1]) + 1) if len(used) else 0)
