"""Sizes that add up: what is found is what trying every combination finds."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from isthmus.disclosure.adding import BLOCK, bits, blocks, pairs, singles, triples

SIZES = st.lists(st.integers(1, 30), max_size=12).map(lambda sizes: np.array(sorted(sizes), dtype=np.int64))
SPANS = st.tuples(st.integers(-5, 60), st.integers(0, 20)).map(lambda span: (span[0], span[0] + span[1]))


def every(sizes: np.ndarray, k: int, span: tuple[int, int]) -> list[tuple[int, ...]]:
    found = combinations(range(len(sizes)), k)
    return [some for some in found if span[0] <= sum(int(sizes[i]) for i in some) <= span[1]]


def rows(found) -> list[tuple[int, ...]]:
    return sorted(tuple(int(i) for i in row) for block in found for row in block)


@given(SIZES, SPANS)
def test_one_and_two(sizes, span):
    assert rows(singles(sizes, *span)) == every(sizes, 1, span)
    assert rows(pairs(sizes, *span)) == every(sizes, 2, span)


@given(SIZES, SPANS, st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_three_of_which_the_largest_is_apart_from_the_others(sizes, span, most, seed):
    words = np.random.default_rng(seed).integers(0, 256, (len(sizes), 1), dtype=np.uint64)
    apart = [some for some in every(sizes, 3, span) if all(bits(words[i] & words[some[2]]) <= most for i in some[:2])]
    assert rows(triples(sizes, words, span, most)) == apart


def test_blocks_hold_every_row_once():
    parts = [np.full((m, 2), m) for m in (1, 3, BLOCK - 5, 3 * BLOCK, 2)]
    made = list(blocks(iter(parts)))
    assert max(map(len, made)) <= BLOCK
    assert np.array_equal(np.concatenate(made), np.concatenate(parts))
