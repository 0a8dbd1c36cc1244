"""Public cuts inside a cell."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isthmus.model.codebook import Variable
from isthmus.statistics import halving

NUMBER = Variable(type="number", range=(3.0, 10.0))
WHOLE = Variable(type="integer", range=(3, 9))


def test_the_range_becomes_a_width_that_is_a_power_of_two() -> None:
    assert halving.span(NUMBER) == (2.5, 10.5)
    assert halving.span(Variable(type="integer", range=(3, 9))) == (2.0, 10.0)
    assert halving.span(Variable(type="integer", range=(1, 5))) == (-1.0, 7.0)
    assert halving.span(Variable(type="number", range=(5.0, 5.0))) == (4.5, 5.5)
    low, high = halving.span(Variable(type="number", range=(0.07, 1.06)))
    assert low <= 0.07
    assert high > 1.06
    assert math.log2(high - low).is_integer()


def test_a_whole_number_is_not_cut_below_one() -> None:
    made = halving.tree(-math.inf, math.inf, WHOLE, 10)
    assert made is not None
    assert made.cuts.tolist() == [3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    assert halving.tree(4.0, 5.0, WHOLE, 10) is None
    assert halving.tree(-math.inf, math.inf, Variable(type="number"), 3) is None


def test_the_first_cut_of_a_half_open_cell_is_the_end_of_the_range() -> None:
    for low, high, end in ((-math.inf, 5.0, 2.5), (7.0, math.inf, 10.5)):
        made = halving.tree(low, high, NUMBER, 3)
        assert made is not None
        assert made.cuts[3] == end
    assert halving.tree(-math.inf, 2.0, NUMBER, 3) is None
    assert halving.tree(12.0, math.inf, NUMBER, 3) is None


def test_single_cuts_come_from_the_middle_outwards() -> None:
    made = halving.tree(-math.inf, math.inf, NUMBER, 6)
    assert made is not None
    away = np.abs(made.single - 6.5)
    assert made.single[0] == 6.5
    assert np.all(np.diff(away) >= 0.0)
    assert {2.625, 3.0, 10.0, 10.375} <= set(made.single.tolist())
    assert len(set(made.single.tolist())) == len(made.single)


def leaves(made: halving.Tree, *groups: np.ndarray) -> np.ndarray:
    return halving.between(groups, np.array([-math.inf, *made.cuts, math.inf]))


def test_the_choices_of_a_cut_hold_every_half_around_it() -> None:
    made = halving.tree(-math.inf, math.inf, WHOLE, 3)
    assert made is not None
    values = np.array([2.0, 2, 3, 4, 6, 6, 6, 9])
    tree, single = halving.choices(leaves(made, values), made)
    assert tree[3].tolist() == [4, 4, 4, 4, 4, 4]  # the first cut, at 6
    assert tree[1].tolist() == [4, 4, 3, 1, 3, 1]  # at 4, inside the lower half
    assert tree[0].tolist() == [4, 4, 3, 1, 2, 1]  # at 3, inside both
    assert single[0].tolist() == [4, 4]


def test_groups_are_counted_apart_and_together_refused() -> None:
    made = halving.tree(-math.inf, math.inf, WHOLE, 1)
    assert made is not None
    tree, single = halving.choices(leaves(made, np.array([2.0]), np.array([3.0, 7, 8])), made)
    assert tree.tolist() == [[1, 0, 1, 2]]
    assert single.tolist() == [[1, 1, 1, 2]]  # group 0 has no row above: as if there were one


def test_a_single_cut_is_taken_only_where_no_half_passed() -> None:
    made = halving.tree(-math.inf, math.inf, WHOLE, 3)
    assert made is not None
    none, every = np.zeros(made.words, dtype=bool), np.ones(made.words, dtype=bool)
    assert halving.refined((1.0,), (made,), none) == (1.0,)
    assert halving.refined((1.0,), (made,), every) == (1.0, *made.cuts.tolist())
    alone = none.copy()
    alone[len(made.cuts) + 1 :] = True
    assert halving.refined((), (made,), alone) == (float(made.single[1]),)


@pytest.mark.parametrize(("cells", "times"), [(1, 10), (16, 10), (64, 8), (100_000, 1)])
def test_a_ballot_has_a_most_of_words(cells: int, times: int) -> None:
    assert halving.depth(cells) == times
