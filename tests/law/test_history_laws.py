"""Whatever is asked, in whatever order: what the history lets through leaves no small difference."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from isthmus.disclosure.history import Past
from isthmus.disclosure.traces import Floors, RowSet, people_of

PEOPLE = 48
TAGS = np.random.default_rng(1).integers(0, 2**64, size=3 * PEOPLE, dtype=np.uint64)


@st.composite
def questions(draw):
    """A floor, rows per person, and sets made of few blocks of people, so that they nest and complement each other."""
    floor, of = draw(st.integers(2, 6)), draw(st.integers(1, 3))
    cuts = sorted(draw(st.sets(st.integers(1, PEOPLE * of - 1), min_size=2, max_size=5)))
    blocks = list(zip([0, *cuts], [*cuts, PEOPLE * of], strict=True))
    some = st.lists(st.sampled_from(blocks), min_size=1, max_size=len(blocks), unique=True)
    asked = draw(st.lists(st.tuples(some, st.booleans()), min_size=3, max_size=10))
    return floor, of, [(BitMap(i for low, high in one for i in range(low, high)), whole) for one, whole in asked]


def brute(sets: list[BitMap], signs: tuple[int, ...], of: int) -> int:
    """People on whom a sum of sets with signs is not zero."""
    total = np.zeros(PEOPLE * of, dtype=np.int64)
    for rows, sign in zip(sets, signs, strict=True):
        total[np.asarray(rows.to_array(), dtype=np.intp)] += sign
    return len(np.unique(np.flatnonzero(total) // of))


def accepted(floor: int, of: int, sets: list[tuple[BitMap, bool]]) -> list[tuple[BitMap, bool]]:
    """Those of `sets` that may be asked, one after another."""
    person = np.arange(PEOPLE * of, dtype=np.uint64) // np.uint64(of)
    past = Past(people_of(person, TAGS[: len(person)]), Floors(floor, floor), lambda _key: BitMap())
    kept = []
    for rows, whole in sets:
        if past.clash(RowSet("rows", whole, rows)) is None:
            past.hold(RowSet("rows", whole, rows))
            past.close(admitted=True)
            kept.append((rows, whole))
    return kept


@given(questions())
def test_no_two_accepted_sets_leave_few_people(asked):
    floor, of, sets = asked
    for (one, first), (two, second) in combinations(accepted(floor, of, sets), 2):
        assert brute([one, two], (1, -1), of) not in range(1, floor)
        if first and second:
            assert brute([one - two], (1,), of) not in range(1, floor)
            assert brute([two - one], (1,), of) not in range(1, floor)


@given(questions())
def test_no_accepted_set_is_nearly_a_union_of_two_or_populations_of_three(asked):
    floor, of, sets = asked
    kept = accepted(floor, of, sets)
    families = [*combinations([rows for rows, _ in kept], 3), *combinations([rows for rows, whole in kept if whole], 4)]
    for family in families:
        for i in range(len(family)):
            signs = tuple(1 if j == i else -1 for j in range(len(family)))
            assert brute(list(family), signs, of) not in range(1, floor)
