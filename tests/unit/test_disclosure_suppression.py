"""Suppression of table cells: what may be worked out from cells shown and margins, by flows and by linear programmes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.disclosure.audit import audit
from isthmus.disclosure.suppression import gate_table, intervals
from isthmus.model.errors import Invalid

FLOOR = 11


def hidden_of(counts, bars_zero=False, floor=FLOOR):
    counts = np.asarray(counts, dtype=np.int64)
    small = (counts < floor) & ((counts > 0) | bars_zero)
    return np.isnan(gate_table(counts.astype(np.float64), small, floor, bars_zero))


def margins_alone(counts):
    """Bounds that the totals of all lines give, whatever is hidden (Frechet)."""
    counts = np.asarray(counts)
    if counts.ndim == 1:
        return np.zeros(counts.shape), np.full(counts.shape, counts.sum())
    rows, columns = counts.sum(axis=1, keepdims=True), counts.sum(axis=0, keepdims=True)
    return np.maximum(0, rows + columns - counts.sum()), np.minimum(rows, columns)


def check(counts, bounds, hidden, floor=FLOOR):
    """No hidden cell's interval is narrower than the floor, or than all that the margins leave."""
    low, high = bounds
    least, most = margins_alone(counts)
    required = np.minimum(floor, most - least)
    assert np.all((high - low)[hidden] >= required[hidden] - 1e-6)


def check_without_zeros(counts, hidden):
    """Who knows that no zero is hidden learns no more, of every cell that other cells than zeros can protect."""
    widest = np.subtract(*reversed(intervals(counts, counts > 0, 1)))
    width = np.subtract(*reversed(intervals(counts, hidden, 1)))
    assert np.all(width[hidden & (widest >= FLOOR)] >= FLOOR)


def made(draw, number):
    """Tables as studies have them: few and many levels, sparse and dense, a rare level, zeros."""
    shape = tuple(int(k) for k in draw.integers(2, 9, size=2)) if number % 5 else (int(draw.integers(3, 15)),)
    rate = draw.choice([3.0, 12.0, 30.0, 80.0])
    counts = draw.negative_binomial(1.0, 1.0 / (1.0 + rate), shape)
    counts[draw.random(shape) < draw.choice([0.0, 0.3])] = 0
    return counts


# ---- the promise, on 1,000 random tables


@pytest.mark.parametrize("bars_zero", [False, True])
def test_no_hidden_cell_of_a_thousand_tables_is_told(bars_zero):
    draw = np.random.default_rng(20261125)
    suppressed = 0
    for number in range(500):
        counts = made(draw, number)
        hidden = hidden_of(counts, bars_zero)
        assert np.all(hidden[(counts < FLOOR) & ((counts > 0) | bars_zero)])
        check(counts, intervals(counts, hidden, 0), hidden)
        suppressed += bool(hidden.any())
        if not bars_zero and number % 4 == 0 and not np.any(hidden & (counts == 0)):
            check_without_zeros(counts, hidden)
    assert suppressed > 400  # the test is alive


def test_flows_and_linear_programmes_find_the_same_intervals():
    draw = np.random.default_rng(7)
    for number in range(25):
        counts = made(draw, number)[..., :6]
        hidden = hidden_of(counts)
        for least in (0, 1) if np.all(counts[hidden] > 0) else (0,):
            for ours, theirs in zip(intervals(counts, hidden, least), audit(counts, hidden, least), strict=True):
                np.testing.assert_allclose(ours, theirs, atol=1e-6)


tables = st.integers(2, 5).flatmap(
    lambda width: st.lists(
        st.lists(st.one_of(st.integers(0, 12), st.integers(0, 60)), min_size=width, max_size=width),
        min_size=2,
        max_size=5,
    )
)


@settings(max_examples=60)
@given(tables, st.booleans())
def test_an_audit_pins_no_cell_below_the_floor(cells, bars_zero):
    counts = np.asarray(cells)
    hidden = hidden_of(counts, bars_zero)
    _, high = audit(counts, hidden, 0)
    least, most = margins_alone(counts)
    told = hidden & (high < FLOOR - 1e-6)
    assert np.all(most[told] - least[told] < FLOOR)  # only where the margins say it by themselves


@settings(max_examples=60)
@given(tables)
def test_where_zeros_are_barred_nobody_learns_that_a_small_cell_is_not_zero(cells):
    counts = np.asarray(cells)
    hidden = hidden_of(counts, bars_zero=True)
    low, _ = intervals(counts, hidden, 0)
    least, _ = margins_alone(counts)
    small = counts < FLOOR
    assert np.array_equal(low[small], least[small])


# ---- cases


def test_a_lone_small_cell_takes_a_cycle_with_it():
    hidden = hidden_of([[3, 50, 60], [70, 20, 80], [90, 95, 99]])
    assert hidden.tolist() == [[True, True, False], [True, True, False], [False, False, False]]


def test_small_cells_that_protect_each_other_are_not_enough():
    """Four hidden cells in two rows and two columns, two in each line: yet each can move by 2 only."""
    counts = np.array([[3, 4, 60], [5, 2, 80], [90, 95, 99]])
    four = counts < FLOOR
    low, high = intervals(counts, four, 1)
    assert np.max((high - low)[four]) < FLOOR
    hidden = hidden_of(counts)
    assert hidden.sum() > 4
    low, high = intervals(counts, hidden, 1)
    assert np.min((high - low)[hidden]) >= FLOOR


def test_zeros_stay_where_others_protect():
    counts = np.array([[3, 40, 0, 50], [30, 60, 20, 0], [0, 45, 50, 60]])
    assert not np.any(hidden_of(counts) & (counts == 0))


def test_zeros_go_where_nothing_else_protects():
    counts = np.array([[5, 30, 0], [0, 40, 0], [60, 0, 50]])
    hidden = hidden_of(counts)
    assert np.any(hidden & (counts == 0))
    check(counts, intervals(counts, hidden, 0), hidden)


def test_a_list_with_a_known_total_hides_enough():
    assert hidden_of([2, 3, 40, 50]).tolist() == [True, True, True, False]
    assert hidden_of([2, 30, 40, 50]).tolist() == [True, True, False, False]
    assert hidden_of([7]).tolist() == [True]


def test_a_table_with_one_group_is_a_list():
    assert hidden_of([[2], [30], [40], [50]]).reshape(-1).tolist() == [True, True, False, False]


def test_three_dimensions_guard_each_line():
    counts = np.full((2, 3, 4), 40)
    counts[0, 0, 0] = 2
    hidden = hidden_of(counts)
    for axis in range(3):
        lines = np.moveaxis(hidden, axis, -1).reshape(-1, counts.shape[axis]).sum(axis=1)
        assert not np.any(lines == 1)


def test_the_same_table_gives_the_same_cells_whatever_its_type():
    draw = np.random.default_rng(3)
    counts = draw.poisson(12, (12, 9))
    small = (counts > 0) & (counts < FLOOR)
    first = gate_table(counts.astype(np.float64), small, FLOOR, False)
    again = gate_table(np.asfortranarray(counts.astype(np.float64)), small.copy(), FLOOR, False)
    np.testing.assert_array_equal(first, again)


def test_an_audit_refuses_what_a_reader_could_not_know():
    with pytest.raises(Invalid, match="E-RANGE"):
        audit(np.array([0, 5, 20]), np.array([True, True, False]), 1)
