"""The output gate: tables, curves, implied cells, rounding, digits, and the report of findings."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.disclosure.gate import refusal
from isthmus.disclosure.output import check_fit, gate_counts, round_numbers
from isthmus.disclosure.report import blocked, findings_json, passed_at_every_site
from isthmus.disclosure.rules import Finding
from isthmus.evidence import Counts
from isthmus.model.errors import Invalid, Refused
from isthmus.model.rules import OPEN

FLOOR = replace(OPEN, minimum_count=10)
NAN = float("nan")


def gated(kind, values, rules=FLOOR):
    return gate_counts({"it": Counts(kind, np.asarray(values, dtype=np.int64))}, rules).counts["it"].values


def statuses(kind, values, rules=FLOOR):
    found = gate_counts({"it": Counts(kind, np.asarray(values, dtype=np.int64))}, rules).findings
    return {finding.rule: finding.status for finding in found}


# ---- tables


def test_a_table_above_the_floor_passes_untouched():
    assert gated("cells", [[10, 20], [30, 40]]).tolist() == [[10, 20], [30, 40]]
    assert statuses("cells", [10, 20]) == {"minimum_count": "Passed"}


def test_a_small_cell_takes_another_of_each_line_with_it():
    shown = gated("cells", [[3, 50, 60], [70, 20, 80], [90, 95, 99]])
    # the row's 50 and the column's 70 protect the 3; 20 protects them in turn
    np.testing.assert_array_equal(shown, [[NAN, NAN, 60], [NAN, NAN, 80], [90, 95, 99]])
    assert statuses("cells", [3, 50, 60]) == {"minimum_count": "Passed after suppression"}


def test_hidden_cells_hold_the_floor_together():
    np.testing.assert_array_equal(gated("cells", [2, 3, 40, 50]), [NAN, NAN, NAN, 50])


def test_zeros_by_source():
    np.testing.assert_array_equal(gated("cells", [0, 20, 30]), [0, 20, 30])
    barred = gated("cells", [0, 20, 30], replace(FLOOR, zeros="barred"))
    np.testing.assert_array_equal(barred, [NAN, NAN, 30])


def test_a_lone_count_is_only_itself():
    np.testing.assert_array_equal(gated("cells", [7]), [NAN])
    np.testing.assert_array_equal(gated("cells", [12]), [12])


@pytest.mark.parametrize(("events", "shown"), [(95, NAN), (5, NAN), (50, 50), (100, 100), (0, 0)])
def test_the_rest_of_a_count_is_a_cell_too(events, shown):
    """95 of 100 with an event are 5 without."""
    counted = Counts("cells", np.array([events]), of=np.array([100]))
    np.testing.assert_array_equal(gate_counts({"it": counted}, FLOOR).counts["it"].values, [shown])


def test_the_rest_of_each_group_is_a_row_of_the_table():
    counted = Counts("cells", np.array([95, 40, 50]), of=np.array([100, 80, 90]))
    shown = gate_counts({"it": counted}, FLOOR).counts["it"].values
    assert np.isnan(shown[0])
    assert np.isnan(shown).sum() == 2  # one more group hides the 5 in the total


# ---- curves


def test_steps_merge_forward_until_none_shows_a_few():
    at_risk = [100, 97, 93, 80, 60]
    events = [3, 4, 13, 0, 12]
    censored = [0, 0, 0, 20, 0]
    shown = gated("survival", [at_risk, events, censored])
    np.testing.assert_array_equal(shown, [[NAN, NAN, 100, 80, 60], [NAN, NAN, 20, 0, 12], [NAN, NAN, 0, 20, 0]])
    assert statuses("survival", [at_risk, events, censored]) == {"minimum_count": "Passed after suppression"}


def test_the_tail_is_cut_where_few_are_at_risk_or_would_be_left():
    shown = gated("survival", [[40, 25, 9], [15, 16, 5], [0, 0, 0]])
    # after the second step 9 people would be left and after the third 4: both stay away
    np.testing.assert_array_equal(shown, [[40, NAN, NAN], [15, NAN, NAN], [0, NAN, NAN]])


def test_a_step_of_exactly_the_floor_is_shown_to_its_end():
    whole = [[22, 11], [11, 11], [0, 0]]
    np.testing.assert_array_equal(gated("survival", whole), whole)


def test_a_curve_of_few_shows_nothing():
    assert np.isnan(gated("survival", [[9, 5], [4, 5], [0, 0]])).all()


curves = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), min_size=1, max_size=30)


@given(curves, st.integers(0, 30))
def test_every_count_that_a_curve_shows_is_none_or_many(leavers, stay):
    events, censored = np.asarray(leavers).T
    left = np.cumsum((events + censored)[::-1])[::-1] + stay
    shown = gated("survival", [left, events, censored])
    kept = shown[:, ~np.isnan(shown[0])]
    assert np.all(kept[0] >= 10)
    assert not np.any((kept[1:] > 0) & (kept[1:] < 10))
    # what differencing the numbers at risk tells: leavers of each step, and those left in the end
    remaining = kept[0] - kept[1] - kept[2]
    assert not np.any((remaining > 0) & (remaining < 10))
    np.testing.assert_array_equal(remaining[:-1], kept[0, 1:])


@given(curves, st.integers(0, 30), st.sampled_from([5, 7, 25]))
def test_a_rounded_curve_stays_a_curve(leavers, stay, step):
    events, censored = np.asarray(leavers).T
    left = np.cumsum((events + censored)[::-1])[::-1] + stay
    shown = gated("survival", [left, events, censored], replace(FLOOR, round_to=step))
    kept = shown[:, ~np.isnan(shown[0])]
    assert np.all(kept[0] > 0)
    assert np.all(kept % step == 0)
    assert np.all((kept[1] >= 0) & (kept[1] <= kept[0]))


def test_rounding_a_curve_does_not_drift():
    steps = 40
    events = [12] * steps
    at_risk = [1000 - 12 * k for k in range(steps)]
    shown = gated("survival", [at_risk, events, [0] * steps], replace(FLOOR, round_to=5))
    assert abs(np.nansum(shown[1]) - 12 * steps) <= 2.5


# ---- implied cells and sizes


@pytest.mark.parametrize(("values", "holds"), [([0, 10, 500], True), ([0, 9, 500], False), ([1], False)])
def test_implied_cells_are_none_or_many_and_never_shown(values, holds):
    if holds:
        assert np.isnan(gated("implied", values)).all()
        assert statuses("implied", values) == {"minimum_count": "Passed"}
        return
    with pytest.raises(Refused) as caught:
        gated("implied", values)
    assert caught.value.to_dict() == refusal("").to_dict()


@pytest.mark.parametrize("size", [0, 9])
def test_a_small_population_is_refused_zero_included(size):
    with pytest.raises(Refused):
        gated("size", [size])


def test_sizes_are_rounded():
    assert gated("size", [2139, 1062], replace(FLOOR, round_to=5)).tolist() == [2140, 1060]
    assert gated("size", [12], replace(FLOOR, round_to=5)).tolist() == [10]


def test_halves_round_up_whatever_the_machine():
    assert gated("size", [25, 35, 45], replace(FLOOR, round_to=10)).tolist() == [30, 40, 50]


@pytest.mark.parametrize(
    ("kind", "values"),
    [("cells", [[0, 1], [2, 3]]), ("survival", [[3, 2, 1], [1, 0, 1], [0, 1, 0]]), ("size", [0, 1])],
)
def test_open_rules_show_everything(kind, values):
    assert gated(kind, values, OPEN).tolist() == values
    assert statuses(kind, values, OPEN) == {}


# ---- fits


@pytest.mark.parametrize(("n", "parameters", "holds"), [(100, 10, True), (99, 10, False), (0, 0, True)])
def test_a_pooled_fit_needs_rows_per_parameter(n, parameters, holds):
    rules = replace(OPEN, minimum_dof=10, parameters_per_row=0.1)
    if holds:
        expected = ["minimum_dof", "parameters_per_row"] if parameters else []
        assert [f.rule for f in check_fit(n, parameters, rules)] == expected
        return
    with pytest.raises(Refused):
        check_fit(n, parameters, rules)


def test_an_open_fit_may_be_saturated():
    assert check_fit(3, 3, OPEN) == ()


# ---- digits


def test_numbers_keep_their_significant_digits():
    body = {
        "fit": {"loglik": -1234.5678, "p_value": 1.23456e-30, "n": 19435, "ok": True, "none": None},
        "x": [0.123456],
    }
    assert round_numbers(body, 4) == {
        "fit": {"loglik": -1235.0, "p_value": 1.235e-30, "n": 19435, "ok": True, "none": None},
        "x": [0.1235],
    }


def test_all_digits_when_all_are_stated_or_none_are():
    body = {"x": 0.1 + 0.2}
    assert round_numbers(body, 17) == body
    assert round_numbers(body, None) == body


def test_public_grids_are_shown_as_they_are():
    body = {
        "curves": [{"time": [182.625, 365.25], "survival": [0.98765]}],
        "grid": {"every": 30.4375},
        "conf_level": 0.95,
    }
    assert round_numbers(body, 2) == {
        "curves": [{"time": [182.625, 365.25], "survival": [0.99]}],
        "grid": {"every": 30.4375},
        "conf_level": 0.95,
    }


def test_arrays_and_missing_values_become_plain_json():
    body = {"a": np.asarray([1.25, NAN]), "b": np.float64(NAN), "c": np.int64(3), "d": (1.0,), "e": np.bool_(True)}
    assert round_numbers(body, 17) == {"a": [1.25, None], "b": None, "c": 3, "d": [1.0], "e": True}


def test_an_infinite_result_is_an_error():
    with pytest.raises(Invalid) as caught:
        round_numbers({"x": float("inf")}, 4)
    assert caught.value.code == "E-RANGE"


# ---- the report


def test_rounding_without_digits_is_for_a_person_to_look_at():
    assert statuses("size", [50], replace(FLOOR, round_to=5))["digits"] == "Look"
    assert statuses("size", [50], replace(FLOOR, round_to=5, digits=4))["digits"] == "Passed"


def test_each_rule_is_reported_once_with_its_worst_status_and_whose_it_is():
    found = [
        Finding(rule="minimum_count", status="Passed"),
        Finding(rule="minimum_dof", status="Passed"),
        Finding(rule="minimum_count", status="Passed after suppression"),
    ]
    assert findings_json(found, {"minimum_count": "agreement"}) == [
        {"rule": "minimum_count", "status": "Passed after suppression", "whose": "agreement"},
        {"rule": "minimum_dof", "status": "Passed"},
    ]


def test_a_refused_question_lists_what_could_have_refused_it():
    shown = [f.rule for f in blocked("crosstab", replace(OPEN, minimum_count=5, maximum_leverage=0.5))]
    assert shown == ["minimum_count"]  # in force, and of this kind: leverage is not


def test_a_table_of_three_variables_that_lost_cells_is_for_a_person_to_look_at():
    counts = np.full((2, 3, 4), 40)
    assert statuses("cells", counts)["minimum_count"] == "Passed"
    counts[0, 0, 0] = 2
    assert statuses("cells", counts)["minimum_count"] == "Look"


def test_a_site_floor_that_subtraction_undoes_is_for_a_person_to_look_at():
    found = passed_at_every_site(replace(OPEN, minimum_count=10, minimum_count_site=5))
    assert {f.rule: f.status for f in found} == {"minimum_count": "Passed", "minimum_count_site": "Look"}


def test_a_unanimous_vote_passes_every_site_rule_that_restricts():
    assert passed_at_every_site(OPEN) == ()
    rules = replace(OPEN, minimum_count=5, minimum_count_site=5, maximum_weight_share=0.2)
    assert [f.rule for f in passed_at_every_site(rules) if f.status == "Passed"] == [
        "minimum_count",
        "minimum_count_site",
        "maximum_weight_share",
    ]
