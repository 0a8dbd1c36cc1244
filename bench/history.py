"""What a check against the differencing history costs: 10 million people, 10,000 earlier populations.

Earlier populations hold 1 to 90 % of the people: half are unrelated to each other, half are age bands, regions and
their crossings, so that thousands nest and add up. They are made from recipes, and made again whenever the check loads
one; what reading one from a real store costs instead is measured beside it. Totals of sets that are in no family are
filled at random, which can only cost time: a total that fits saves a load, and never refuses.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from bench.table import Measure
from bench.targets import HISTORY
from isthmus.data.persons import Keys
from isthmus.disclosure.history import Past
from isthmus.disclosure.traces import GLANCE, SAMPLE, Floors, People, RowSet, Trace, trace_of
from isthmus.federation.book import SqlBook
from isthmus.federation.rowsets import Asked
from isthmus.federation.store import open_store

PEOPLE = 10_000_000
SETS = 10_000
FLOOR = 11
CLOSE = 100  # earlier sets whose size is within the floor of the asked one's
PLANES = 64
BITS = 6  # of a draw that decides who is in: sizes are multiples of 1/64 of the people
CUTS = 40  # of each of three nested variables
BANDS = 3 * CUTS * (CUTS - 1) // 2

Recipe = tuple[str, tuple[int, ...]]


@dataclass
class World:
    """Ten million people, and recipes for sets of them."""

    draw: np.random.Generator
    tag: NDArray[np.uint64]
    planes: list[BitMap]
    cuts: list[list[BitMap]]
    everyone: BitMap = field(default_factory=lambda: BitMap(range(PEOPLE)))

    def make(self, recipe: Recipe) -> BitMap:
        """The set of a recipe."""
        kind, numbers = recipe
        if kind == "draw":
            return self._below(numbers[0], numbers[1:])
        if kind == "close":
            return self._close(numbers[0], numbers[1])
        variable, low, high, *other = numbers
        band = self.cuts[variable][high] - self.cuts[variable][low]
        return band & self.make(("band", tuple(other))) if other else band

    def _below(self, threshold: int, planes: tuple[int, ...]) -> BitMap:
        """People whose draw is below `threshold`; a bit of it is the sum of two of `planes`, hardly ever the same two."""
        found = BitMap()
        for at in range(BITS):
            bit = self.planes[planes[2 * at]] ^ self.planes[planes[2 * at + 1]]
            found = (self.everyone - bit) | found if threshold >> at & 1 else found - bit
        return found

    def _close(self, size: int, turn: int) -> BitMap:
        """`size` people of a random plane and its neighbour: of the asked set's size, and of other people."""
        rows = self.planes[turn % PLANES] | self.planes[(turn + 1) % PLANES]
        return rows if len(rows) <= size else BitMap(rows.to_array()[:size])


def world(seed: int = 1) -> World:
    """Everything that sets are made from."""
    draw = np.random.default_rng(seed)
    planes = [_ids(np.unpackbits(draw.integers(0, 256, PEOPLE // 8, dtype=np.uint8))) for _ in range(PLANES)]
    cuts = []
    for _ in range(3):
        value = draw.integers(0, CUTS - 1, PEOPLE, dtype=np.uint8)
        cuts.append([_ids(value < cut) for cut in range(CUTS)])
    tag = draw.integers(0, 2**64, PEOPLE, dtype=np.uint64)
    return World(draw, tag, planes, cuts)


def _ids(mask: NDArray[np.uint8] | NDArray[np.bool_]) -> BitMap:
    return BitMap(np.flatnonzero(mask).astype(np.uint32))


def recipes(made: World, size: int) -> list[Recipe]:
    """The earlier populations; `CLOSE` of them are of nearly `size` people."""
    bands = [("band", (v, low, high)) for v in range(3) for high in range(CUTS) for low in range(high)][:BANDS]
    crossed = [("band", (0, *_wide(made), 1, *_wide(made))) for _ in range(SETS // 2 - len(bands))]
    drawn = [
        ("draw", (int(made.draw.integers(1, 58)), *(int(p) for p in made.draw.choice(PLANES, 2 * BITS, replace=False))))
        for _ in range(SETS // 2 - CLOSE)
    ]
    close = [("close", (size + int(made.draw.integers(-FLOOR, FLOOR)), i)) for i in range(CLOSE)]
    return [*bands, *crossed, *drawn, *close]


def _wide(made: World) -> tuple[int, int]:
    """A band of at least six levels, so that a crossing of two holds 1 % of the people or more."""
    low = int(made.draw.integers(0, CUTS - 6))
    return low, int(made.draw.integers(low + 6, CUTS))


def measure() -> list[Measure]:
    """Seconds of a check against everything, and of what else a vote does."""
    print(f"history: {PEOPLE:,} people, {SETS:,} populations", file=sys.stderr, flush=True)
    made = world()
    people = People(np.arange(PEOPLE, dtype=np.uint64), made.tag, 1)
    asked = dict(questions(made))
    kept = recipes(made, len(asked["unrelated 0"]))
    loads: list[float] = []

    def load(key: int) -> BitMap:
        start = process_time()
        rows = made.make(kept[key])
        loads.append(process_time() - start)
        return rows

    prefixes: list[bytes] = []
    past = Past(people, Floors(FLOOR, FLOOR), load, lambda key: BitMap.deserialize(prefixes[key]))
    for key, (trace, prefix) in enumerate(traces(made, people, kept)):
        past.add(key, trace)
        prefixes.append(prefix)
    took: dict[str, list[float]] = {}
    for name, rows in asked.items():
        start = process_time()
        found = past.clash(RowSet("rows", True, rows))
        took.setdefault(name.rpartition(" ")[0], []).append(1000 * (process_time() - start))
        print(f"  {name}: {took[name.rpartition(' ')[0]][-1]:.0f} ms, {found or 'let through'}", file=sys.stderr)
    every = tuple(t for times in took.values() for t in times)
    unrelated = tuple(took.pop("unrelated"))
    note = f"{len(loads):,} sets loaded in all, {1000 * float(np.median(loads or [0.0])):.1f} ms each; processor time, on one core"
    return [
        Measure(HISTORY, "check, unrelated to earlier sets", "ms", unrelated, note),
        Measure(HISTORY, "worst check", "ms", (max(every),), "of all"),
        *(Measure(HISTORY, f"check, {name}", "ms", tuple(times)) for name, times in took.items()),
        *stored(made, people),
    ]


def questions(made: World) -> Iterator[tuple[str, BitMap]]:
    """Populations to ask about: unrelated ones, bands, a union but for a few, one that leaves a few."""
    for i in range(20):
        planes = tuple(int(p) for p in made.draw.choice(PLANES, 2 * BITS, replace=False))
        yield f"unrelated {i}", made.make(("draw", (int(made.draw.integers(1, 58)), *planes)))
    yield "everyone 0", made.everyone
    for i, (low, high) in enumerate([(0, 38), (3, 30), (10, 20), (18, 19), (0, 20)]):
        rows = made.make(("band", (2, low, high)))
        yield f"band {i}", rows
        yield f"band and one more {i}", rows | BitMap([int((made.everyone - rows).min())])
        yield f"crossing {i}", rows & made.planes[i]
        yield f"crossing of bands {i}", rows & made.make(("band", (0, low, high)))


def traces(made: World, people: People, kept: list[Recipe]) -> Iterator[tuple[Trace, bytes]]:
    """Of every earlier set, and its prefix; the totals of bands are right, the others' random."""
    prefix = [[int(made.tag[np.asarray(c.to_array())].sum(dtype=np.uint64)) for c in cuts] for cuts in made.cuts]
    sample, first = BitMap(range(SAMPLE)), BitMap(range(GLANCE))
    for kind, numbers in kept:
        rows = made.make((kind, numbers))
        total = int(made.draw.integers(0, 2**63))
        if kind == "band" and len(numbers) == 3:
            total = (prefix[numbers[0]][numbers[2]] - prefix[numbers[0]][numbers[1]]) % 2**64
        small = trace_of(RowSet("rows", True, rows & sample), people)
        yield Trace("rows", True, len(rows), small.sample, total), (rows & first).serialize()


def stored(made: World, people: People) -> list[Measure]:
    """A real store: keeping and reading the largest kind of set."""
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as folder:
        store = open_store(Path(folder) / "site.db")
        book = SqlBook(store, "bench", "ada", (None, None))
        rows = np.arange(1, PEOPLE + 1, dtype=np.uint64)
        enrol = _seconds(lambda: book.enrol("one", lambda _secret: Keys(rows, rows)))
        sets = [RowSet("rows", True, made.planes[i]) for i in range(20)]
        keep = [_seconds(lambda s=s: book.record("run", (), [Asked("a", str(id(s)), (s,))])) for s in sets]  # type: ignore[misc]
        past = book.past(people, Floors(FLOOR, FLOOR))
        glance = [_seconds(lambda key=key: past.glance(key)) for key in range(1, 21)]  # type: ignore[misc]
        read = [_seconds(lambda key=key: book.past(people, Floors(FLOOR, FLOOR)).rows(key)) for key in range(1, 21)]  # type: ignore[misc]
        store.close()
    return [
        Measure(HISTORY, "ids of a new snapshot", "s", (enrol,), "keys made before; once for each snapshot"),
        Measure(HISTORY, "keep a set of half the people", "ms", tuple(1000 * t for t in keep), "durable"),
        Measure(HISTORY, f"read its first {GLANCE:,} ids", "ms", tuple(1000 * t for t in glance), "from the store"),
        Measure(HISTORY, "read a set of half the people", "ms", tuple(1000 * t for t in read), "from the store"),
    ]


def _seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start
