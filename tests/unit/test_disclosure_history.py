"""The rule of the differencing history: which set may follow which, whatever the order, and by people, not rows."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from pyroaring import BitMap

from isthmus.disclosure.history import FAMILY, NEAR, Past
from isthmus.disclosure.traces import GLANCE, SAMPLE, Floors, RowSet, Track, people_of, trace_of

FLOOR = 5
TAGS = np.random.default_rng(1).integers(0, 2**64, size=5 * SAMPLE, dtype=np.uint64)


def past(people: int = 400, of: int = 1, floor: int = FLOOR) -> Past:
    """`of` rows for each person; every set is held in memory."""
    person = np.arange(people * of, dtype=np.uint64) // np.uint64(of)
    return Past(people_of(person, TAGS[: len(person)]), Floors(floor, floor), lambda _key: BitMap())


def population(*ranges: tuple[int, int], track: Track = "rows") -> RowSet:
    return RowSet(track, True, BitMap(i for low, high in ranges for i in range(low, high)))


def part(*ranges: tuple[int, int]) -> RowSet:
    return RowSet("rows", False, population(*ranges).rows)


def verdict(*sets: RowSet, held: Past | None = None) -> str | None:
    """What the last of them meets, when those before were asked."""
    history = held or past()
    for one in sets[:-1]:
        assert history.clash(one) is None
        history.hold(one)
        history.close(admitted=True)
    return history.clash(sets[-1])


ALL, MOST = population((0, 400)), population((0, 397))

POPULATIONS = [
    ([ALL, MOST], NEAR),
    ([MOST, ALL], NEAR),
    ([ALL, population((0, 395))], None),  # five people: the floor
    ([ALL, ALL], None),
    ([population((0, 200)), population((100, 300))], None),
    ([population((0, 200)), population((3, 300))], NEAR),  # three of the first are not in the second
    ([population((0, 200)), population((200, 400))], None),
    ([population((0, 200)), population((197, 400))], None),  # three in common, and their union was not asked for
    ([ALL, population((0, 200)), population((197, 400))], FAMILY),  # it was: 1 to 200 + 197 to 400 - all = three people
    ([population((0, 200)), population((197, 400)), ALL], FAMILY),
    ([population((0, 200)), population((200, 400)), ALL], None),  # the union of what was answered tells nothing new
    ([population((0, 200)), population((200, 397)), ALL], FAMILY),  # the complement of a subgroup, but for three
    ([ALL, population((0, 200)), population((200, 397))], FAMILY),
    ([population((0, 100)), population((100, 250)), population((250, 397)), ALL], FAMILY),
    ([ALL, population((0, 100)), population((100, 250)), population((250, 397))], FAMILY),
    ([population((0, 100)), population((100, 250)), population((250, 400)), ALL], None),
]


@pytest.mark.parametrize(("sets", "expected"), POPULATIONS)
def test_populations(sets, expected):
    assert verdict(*sets) == expected


def test_the_order_does_not_matter():
    whole, two = [ALL, population((0, 200)), population((200, 397))], [MOST, ALL]
    three = [population((0, 100)), population((100, 250)), population((250, 397)), ALL]
    for sets in (whole, two, three):
        assert {verdict(*order) is not None for order in permutations(sets)} == {True}


PARTS = [
    ([ALL, part((0, 397))], NEAR),
    ([part((0, 200)), part((0, 197))], NEAR),
    ([part((0, 200)), part((3, 300))], None),  # two ordinary cells: they differ by enough people in all
    ([part((0, 200)), population((3, 300))], None),
    ([part((0, 200)), part((0, 198), (398, 400))], NEAR),
    ([ALL, part((0, 200)), part((200, 397))], FAMILY),
]


@pytest.mark.parametrize(("sets", "expected"), PARTS)
def test_parts(sets, expected):
    assert verdict(*sets) == expected


def together(earlier: RowSet, *parts: RowSet) -> list[str | None]:
    """What each part of one question meets beside an earlier set."""
    history, met = past(), []
    history.hold(earlier)
    history.close(admitted=True)
    for one in parts:
        met.append(history.clash(one))
        history.hold(one)
    return met


def test_parts_of_one_question_are_set_together_beside_an_earlier_set():
    lower, upper = part((0, 150)), part((150, 303))
    assert together(part((0, 300)), lower, upper) == [None, FAMILY]  # 1_lower + 1_upper - 1_earlier is three people
    assert together(part((153, 303)), population((0, 303)), lower) == [
        None,
        FAMILY,
    ]  # so is 1_all - 1_lower - 1_earlier
    assert together(part((0, 350)), lower, upper) == [None, None]


def test_parts_of_one_question_alone_are_left_to_its_own_rules():
    assert together(part((0, 50)), population((0, 300)), part((0, 298))) == [None, None]
    assert together(part((0, 50)), population((0, 300)), part((0, 200)), part((200, 297))) == [None, None, None]


def test_a_question_that_is_refused_is_forgotten():
    history = past()
    history.hold(ALL)
    history.close(admitted=False)
    assert history.clash(MOST) is None
    history.hold(MOST)
    history.close(admitted=True)
    assert history.clash(ALL) == NEAR


def test_what_filters_keep_is_not_compared_with_complete_cases():
    assert verdict(population((0, 400), track="asked"), MOST) is None
    assert verdict(population((0, 400), track="asked"), population((0, 397), track="asked")) == NEAR
    halves = population((0, 200), track="asked"), population((200, 397), track="asked")
    assert verdict(population((0, 400), track="asked"), *halves) is None  # a filter like others
    snapshot = past()
    snapshot.everyone(ALL.rows)
    assert verdict(*halves, held=snapshot) == FAMILY  # how many the snapshot has is known to many


def test_people_count_not_rows():
    """Three people with four rows each are three people."""
    everyone, without = population((0, 400)), population((0, 388))
    assert verdict(everyone, without, held=past(100, of=4)) == NEAR
    assert verdict(everyone, without) is None
    one_visit = RowSet("rows", True, everyone.rows - BitMap([4 * i for i in range(4)]))
    assert verdict(everyone, one_visit, held=past(100, of=4)) == NEAR


def test_a_floor_of_one_refuses_nothing():
    assert verdict(ALL, MOST, held=past(floor=1)) is None


def test_beyond_the_sample_rows_are_looked_at():
    big = past(4 * SAMPLE)
    everyone = population((0, 4 * SAMPLE))
    assert verdict(everyone, population((0, 4 * SAMPLE - 3)), held=big) == NEAR
    big = past(4 * SAMPLE)
    halves = population((0, 3 * SAMPLE)), population((3 * SAMPLE, 4 * SAMPLE - 2))
    assert verdict(*halves, everyone, held=big) == FAMILY


def test_sets_of_a_store_are_loaded_only_when_the_sample_cannot_tell():
    loaded = []
    kept = {1: population((0, 200)), 2: population((100, 300)), 3: population((0, 203))}
    people = people_of(np.arange(400, dtype=np.uint64), TAGS)
    history = Past(people, Floors(FLOOR, FLOOR), lambda key: loaded.append(key) or kept[key].rows)
    for key, rows in kept.items():
        history.add(key, trace_of(rows, people))
    assert history.clash(population((0, 200))) == NEAR
    assert 2 not in loaded


def cell(*ranges: tuple[int, int]) -> RowSet:
    return RowSet("cells", False, population(*ranges).rows)


LEVEL = (0, 120)  # a level of 120 people; a cell of it with 113, the other with 7
CELLS = [
    ([part(LEVEL), cell((0, 113))], None),  # the other cell of the table: 7 people, by the rule for cells
    ([cell((0, 113)), part(LEVEL)], None),
    ([part(LEVEL), cell((0, 117))], NEAR),  # 3 people: fewer than a cell may have
    ([part(LEVEL), part((0, 113))], NEAR),  # sums over both give the sum over 7 people
    ([part(LEVEL), population((0, 113))], NEAR),
    ([cell((0, 113)), cell((0, 200)), part((113, 207))], None),
    ([cell((0, 113)), cell((0, 200)), part((113, 203))], FAMILY),
    ([part((0, 113)), part((0, 200)), part((113, 207))], FAMILY),
]


@pytest.mark.parametrize(("sets", "expected"), CELLS)
def test_where_only_a_number_leaves_the_floor_is_that_of_cells(sets: list[RowSet], expected: str | None) -> None:
    person = np.arange(400, dtype=np.uint64)
    held = Past(people_of(person, TAGS), Floors(11, 4), lambda _key: BitMap())
    assert verdict(*sets, held=held) == expected


def test_a_glance_at_a_set_spares_its_rows() -> None:
    """Some hundred people of many are outside: too few for the sample of 8,192 to tell, enough for a glance."""
    ids, loaded = 3 * GLANCE, []
    people = people_of(np.arange(ids, dtype=np.uint64), np.arange(ids, dtype=np.uint64))
    old = RowSet("rows", True, BitMap(range(0, 100_000, 2)))
    new = RowSet("rows", True, BitMap(range(100_000)) - BitMap(range(8_192, 100_000, 250)))

    def load(key: int) -> BitMap:
        loaded.append(key)
        return old.rows

    for glance, loads in ((None, [1]), (lambda _key: old.rows & BitMap(range(GLANCE)), [])):
        loaded.clear()
        history = Past(people, Floors(FLOOR, FLOOR), load, glance)
        history.add(1, trace_of(old, people))
        assert history.clash(new) is None
        assert loaded == loads
