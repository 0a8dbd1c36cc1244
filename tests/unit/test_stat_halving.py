"""Public cuts inside a cell."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isthmus.model.codebook import Variable
from isthmus.statistics import halving

NONE = np.zeros(0)
NUMBER = Variable(type="number", range=(3.0, 10.0))
WHOLE = Variable(type="integer", range=(3, 9))


def tree(low: float, high: float, variable: Variable, most: int) -> halving.Trees | None:
    """Of one cell, given by its ends."""
    edges = np.array([end for end in (low, high) if math.isfinite(end)])
    found = halving.trees(edges, np.array([int(math.isfinite(low))]), variable, most)
    return found[0] if found else None


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
    made = tree(-math.inf, math.inf, WHOLE, 10)
    assert made is not None
    assert made.cuts[0].tolist() == [3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    assert tree(4.0, 5.0, WHOLE, 10) is None
    assert tree(-math.inf, math.inf, Variable(type="number"), 3) is None


def test_the_first_cut_of_a_half_open_cell_is_the_end_of_the_range() -> None:
    for low, high, end in ((-math.inf, 5.0, 2.5), (7.0, math.inf, 10.5)):
        made = tree(low, high, NUMBER, 3)
        assert made is not None
        assert made.cuts[0, 3] == end
    assert tree(-math.inf, 2.0, NUMBER, 3) is None
    assert tree(12.0, math.inf, NUMBER, 3) is None


def test_single_cuts_come_from_the_middle_outwards() -> None:
    made = tree(-math.inf, math.inf, NUMBER, 6)
    assert made is not None
    single = made.single[0]
    away = np.abs(single - 6.5)
    assert single[0] == 6.5
    assert np.all(np.diff(away) >= 0.0)
    assert {2.625, 3.0, 10.0, 10.375} <= set(single.tolist())
    assert len(set(single.tolist())) == len(single)


def leaves(made: halving.Trees, *groups: np.ndarray) -> np.ndarray:
    return halving.leaves(groups, NONE, made)


def test_the_choices_of_a_cut_hold_every_half_around_it() -> None:
    made = tree(-math.inf, math.inf, WHOLE, 3)
    assert made is not None
    values = np.array([2.0, 2, 3, 4, 6, 6, 6, 9])
    halves, single = halving.choices(leaves(made, values), made)
    assert halves[3].tolist() == [4, 4, 4, 4, 4, 4]  # the first cut, at 6
    assert halves[1].tolist() == [4, 4, 3, 1, 3, 1]  # at 4, inside the lower half
    assert halves[0].tolist() == [4, 4, 3, 1, 2, 1]  # at 3, inside both
    assert single[0].tolist() == [4, 4]


def test_groups_are_counted_apart_and_together_refused() -> None:
    made = tree(-math.inf, math.inf, WHOLE, 1)
    assert made is not None
    halves, single = halving.choices(leaves(made, np.array([2.0]), np.array([3.0, 7, 8])), made)
    assert halves.tolist() == [[1, 0, 1, 2]]
    assert single.tolist() == [[1, 1, 1, 2]]  # group 0 has no row above: as if there were one


def test_a_single_cut_is_taken_only_where_no_half_passed() -> None:
    made = tree(-math.inf, math.inf, WHOLE, 3)
    assert made is not None
    none, every = np.zeros(made.words, dtype=bool), np.ones(made.words, dtype=bool)
    assert halving.refined(np.array([1.0]), (made,), none).tolist() == [1.0]
    assert halving.refined(np.array([1.0]), (made,), every).tolist() == [1.0, *made.cuts[0].tolist()]
    alone = none.copy()
    alone[made.cuts.size + 1 :] = True
    assert halving.refined(NONE, (made,), alone).tolist() == [made.single[0, 1]]


def test_trees_of_several_cells_are_those_of_each_alone() -> None:
    """Cells of two widths, one of them as narrow as cells become: words, choices and what passes are those of each cell."""
    edges, values = np.array([4.5, 6.5, 6.5 + 8.0 * halving.FINEST]), np.linspace(2.6, 10.4, 90)
    groups = (values[::3], np.sort(np.concatenate([values[1::3], values[2::3]])))
    made = halving.trees(edges, np.array([0, 1, 2, 3]), NUMBER, 4)
    assert [one.cells.tolist() for one in made] == [[0, 1, 3]]
    passed = np.random.default_rng(1).random(made[0].words) < 0.3
    halved, alone = (part.reshape(3, -1) for part in np.split(passed, [made[0].cuts.size]))
    both = halving.choices(halving.leaves(groups, edges, made[0]), made[0])
    found = [edges]
    for at, cell in enumerate(made[0].cells):
        (single,) = halving.trees(edges, np.array([cell]), NUMBER, 4)
        own = halving.choices(halving.leaves(groups, edges, single), single)
        assert all(np.array_equal(one, np.split(all_, 3)[at]) for one, all_ in zip(own, both, strict=True))
        found.append(halving.refined(edges, (single,), np.concatenate([halved[at], alone[at]])))
    assert halving.refined(edges, made, passed).tolist() == np.unique(np.concatenate(found)).tolist()
    kept = halving.of_cells(made, np.array([1]))
    assert halving.refined(edges, made, passed & kept).tolist() == found[2].tolist()


def test_cells_are_grouped_by_how_often_they_may_be_halved() -> None:
    edges = np.array([6.5, 6.5 + 32.0 * halving.FINEST])
    made = halving.trees(edges, np.array([0, 1, 2]), NUMBER, 10)
    assert [(one.depth, one.cells.tolist()) for one in made] == [(2, [1]), (10, [0, 2])]
    assert made[0].cuts.shape == (1, 3)


@pytest.mark.parametrize("cells", [1, 3, 15, 16, 64, 4_000])
def test_a_ballot_has_a_most_of_words(cells: int) -> None:
    wide = Variable(type="number", range=(0.0, 2.0**20))
    edges = np.arange(1.0, cells) * 2.0**20 / cells
    made = halving.trees(edges, np.arange(cells), wide, 10)
    assert 0 < sum(one.words for one in made) <= halving.MOST_WORDS


def test_a_cell_of_one_floating_point_number_is_not_cut() -> None:
    edges = np.array([5.0, np.nextafter(5.0, 6.0), 5.0 + 2.0**-48])
    (made,) = halving.trees(edges, np.array([1, 2]), NUMBER, 1, halving.ONE_NUMBER)
    assert made.cells.tolist() == [2]
    assert edges[1] < made.cuts[0, 0] < edges[2]
