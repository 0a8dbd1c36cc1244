"""Each rule at a site, at its limit and one beyond."""

from dataclasses import replace

import numpy as np
import pytest

from isthmus.disclosure.site import SITE_RULES, admits, consider, reaches, reasons, reasons_in_words, weigh
from isthmus.evidence import Evidence, Weights
from isthmus.model.rules import OPEN, Dominance, Rules

OFF = replace(
    OPEN,
    minimum_count=None,
    minimum_count_site=None,
    zeros=None,
    dominance=None,
    minimum_dof=None,
    parameters_per_row=None,
    maximum_leverage=None,
    maximum_weight_share=None,
)


def counts(*values: int):
    return np.asarray(values, dtype=np.int64)


def broken(evidence: Evidence, rules: Rules) -> list[str]:
    return [verdict.rule for verdict in consider(evidence, rules).verdicts if verdict.broken]


def test_every_rule_is_considered_in_a_fixed_order():
    assert [v.rule for v in consider(Evidence(rows=0), OPEN).verdicts] == list(SITE_RULES)


@pytest.mark.parametrize(
    ("evidence", "holds"),
    [
        (Evidence(rows=11), True),
        (Evidence(rows=10), False),
        (Evidence(rows=0), False),
        (Evidence(rows=50, groups={"arm": counts(11, 39)}), True),
        (Evidence(rows=50, groups={"arm": counts(10, 40)}), False),
        (Evidence(rows=50, groups={"arm": counts(0, 50)}), False),
        (Evidence(rows=50, supports={"SEX[F]": counts(11, 39)}), True),
        (Evidence(rows=50, supports={"SEX[F]": counts(1, 49)}), False),
        (Evidence(rows=50, supports={"SEX[F]": counts(50, 0)}), False),
        (Evidence(rows=50, pairs={"SEX[F] x arm[1]": counts(0, 11)}), True),
        (Evidence(rows=50, pairs={"SEX[F] x arm[1]": counts(0, 10)}), False),
        (Evidence(rows=50, sides={"age > 97": counts(50, 0)}), True),
        (Evidence(rows=50, sides={"age > 97": counts(39, 11)}), True),
        (Evidence(rows=50, sides={"age > 97": counts(49, 1)}), False),
    ],
)
def test_minimum_count_covers_populations_groups_supports_pairs_and_sides(evidence, holds):
    assert (broken(evidence, replace(OFF, minimum_count=11)) == []) is holds


def test_an_empty_side_holds_where_zeros_are_barred_and_a_small_one_is_named_without_its_count():
    barred = replace(OFF, minimum_count=11, zeros="barred")
    assert broken(Evidence(rows=50, sides={"age > 97": counts(50, 0)}), barred) == []
    (told,) = reasons(consider(Evidence(rows=50, sides={"age > 97": counts(49, 1)}), barred))
    assert told["broken"] == ["side age > 97"]


@pytest.mark.parametrize(("cell", "holds"), [(0, True), (1, False), (3, False), (4, True)])
def test_cells_are_zero_or_reach_the_floor_of_the_site(cell, holds):
    evidence = Evidence(rows=50, cells={"table": counts(20, cell)})
    assert (broken(evidence, replace(OFF, minimum_count_site=4)) == []) is holds


@pytest.mark.parametrize(
    "evidence", [Evidence(rows=9, cells={"t": counts(0, 9)}), Evidence(rows=9, pairs={"p": counts(0)})]
)
def test_zeros_barred_refuses_an_empty_cell_or_pair(evidence):
    assert broken(evidence, replace(OFF, zeros="barred", minimum_count_site=5)) == ["zeros"]
    assert broken(evidence, replace(OFF, zeros="allowed")) == []


def test_zeros_barred_leaves_cells_of_a_site_alone_where_only_sums_leave():
    evidence = Evidence(rows=9, cells={"t": counts(0, 9)})
    assert broken(evidence, replace(OFF, zeros="barred", minimum_count_site=1)) == []


@pytest.mark.parametrize(("rows", "parameters", "holds"), [(20, 10, True), (19, 10, False), (0, 0, True)])
def test_degrees_of_freedom(rows, parameters, holds):
    evidence = Evidence(rows=rows, parameters=parameters)
    assert (broken(evidence, replace(OFF, minimum_dof=10)) == []) is holds


@pytest.mark.parametrize(
    ("rows", "parameters", "limit", "holds"),
    [(100, 10, 0.1, True), (100, 11, 0.1, False), (100, 29, 0.29, True), (0, 1, 0.1, False)],
)
def test_parameters_per_row(rows, parameters, limit, holds):
    evidence = Evidence(rows=rows, parameters=parameters)
    assert (broken(evidence, replace(OFF, parameters_per_row=limit)) == []) is holds


@pytest.mark.parametrize(("leverage", "holds"), [(0.5, True), (0.51, False), (float("nan"), False)])
def test_leverage(leverage, holds):
    evidence = Evidence(rows=100, parameters=2, leverage=leverage)
    assert (broken(evidence, replace(OFF, maximum_leverage=0.5)) == []) is holds


@pytest.mark.parametrize(
    ("contributions", "holds"),
    [
        ([1.0] * 20, True),
        ([90.0] + [1.0] * 20, True),
        ([900.0] + [1.0] * 20, False),  # one person is 98 % of the sum
        ([450.0, 450.0] + [1.0] * 20, False),  # two are
        ([5.0, 5.0], False),
        ([0.0] * 5, True),
        ([1.0, float("nan"), 1.0], False),
    ],
)
def test_dominance_n_k(contributions, holds):
    evidence = Evidence(rows=30, sums={"cost": np.asarray(contributions)})
    assert (broken(evidence, replace(OFF, dominance=Dominance(n=2, k=0.9, p=0.0))) == []) is holds


@pytest.mark.parametrize(("rest", "holds"), [(1, False), (10, True)])
def test_dominance_p_ratio(rest, holds):
    evidence = Evidence(rows=30, sums={"cost": np.asarray([100.0, 50.0] + [1.0] * rest)})
    assert (broken(evidence, replace(OFF, dominance=Dominance(n=2, k=1.0, p=0.1))) == []) is holds


@pytest.mark.parametrize(
    ("negative", "holds"),
    [([], True), ([-40.0], False), ([-1.0, -1.0], False), ([-1.0] * 20, True), ([-90.0, -1.0, -1.0], False)],
)
def test_dominance_holds_on_each_side_where_signs_mix(negative, holds):
    evidence = Evidence(rows=430, sums={"change": np.asarray([30.0] * 400 + negative)})
    assert (broken(evidence, replace(OFF, dominance=Dominance(n=2, k=0.9, p=0.1))) == []) is holds


@pytest.mark.parametrize(("group", "holds"), [(11, True), (10, False), (0, True)])
def test_degrees_of_freedom_in_each_group_that_has_its_own_fit(group, holds):
    groups = {"arm": counts(50, group)}
    assert (broken(Evidence(rows=60, groups=groups, parameters=1), replace(OFF, minimum_dof=10)) == []) is holds
    assert broken(Evidence(rows=60, groups=groups), replace(OFF, minimum_dof=10)) == []  # nothing is fitted


@pytest.mark.parametrize(("rows", "holds"), [(13, True), (12, False), (0, False)])
def test_degrees_of_freedom_of_each_part_that_is_a_fit(rows, holds):
    """As of the model in each level of a meta-analysis, which is no fit of its own."""
    evidence = Evidence(rows=600, fits={"north fit": (rows, 3), "south fit": (500, 3), "of nothing": (5, 0)})
    assert (broken(evidence, replace(OFF, minimum_dof=10)) == []) is holds


@pytest.mark.parametrize(("leavers", "holds"), [(60, True), (59, False)])
def test_risk_sets_have_ten_leavers_for_each_number_of_a_bin(leavers, holds):
    evidence = Evidence(rows=500, parameters=2, fits={"risk sets": (leavers, 6)})
    assert (broken(evidence, replace(OFF, parameters_per_row=0.1)) == []) is holds


WORST = Evidence(
    rows=1,
    groups={"g": counts(0, 1)},
    supports={"s": counts(1, 0)},
    pairs={"p": counts(0, 1)},
    cells={"c": counts(0, 1)},
    sums={"x": np.asarray([1e9])},
    parameters=40,
    leverage=1.0,
)


@pytest.mark.parametrize("rules", [OPEN, OFF])
@pytest.mark.parametrize("evidence", [WORST, Evidence(rows=0, parameters=3, cells={"c": counts(0, 0)})])
def test_open_rules_restrict_nothing_whatever_the_rows(evidence, rules):
    assert consider(evidence, rules).holds
    assert weigh(Weights(total=0.0, squares=0.0, largest=0.0, parameters=9), rules).holds


def test_the_local_reasons_name_rule_and_limit_but_no_count():
    evidence = Evidence(rows=977, supports={"rare[yes]": counts(7, 970)}, parameters=3)
    considered = consider(evidence, replace(OFF, minimum_count=11))
    said = reasons(considered)
    line = reasons_in_words(considered)
    assert line.startswith("minimum_count 11: ")
    assert set(line.partition(": ")[2].split(", ")) == set(said[0]["broken"])
    assert said == [{"rule": "minimum_count", "limit": "11", "broken": ["support rare[yes]"]}]


def weights(*values: float, parameters: int = 1) -> Weights:
    w = np.asarray(values)
    return Weights(float(w.sum()), float((w**2).sum()), float(w.max(initial=0.0)), parameters)


@pytest.mark.parametrize(
    ("given", "failing"),
    [
        (weights(*[0.25] * 20), []),
        (weights(*[0.1] * 11), []),
        (weights(*[0.1] * 10), ["minimum_count"]),
        (weights(*[0.1] * 25, parameters=3), ["parameters_per_row"]),
        (weights(0.25, *[1e-9] * 500), ["minimum_count", "parameters_per_row", "maximum_weight_share"]),
        (weights(), ["minimum_count", "parameters_per_row", "maximum_weight_share"]),
        (
            Weights(float("inf"), float("inf"), float("inf"), 1),
            ["minimum_count", "parameters_per_row", "maximum_weight_share"],
        ),
    ],
)
def test_weight_guard(given, failing):
    rules = replace(OFF, minimum_count=11, parameters_per_row=0.1, maximum_weight_share=0.1)
    assert [v.rule for v in weigh(given, rules).verdicts if v.broken] == failing


def test_equal_weights_at_the_limit_pass_whatever_their_size():
    rules = replace(OFF, minimum_count=11, maximum_weight_share=1 / 11)
    for size in (1e-12, 1 / 3, 0.1, 7e9):
        assert weigh(weights(*[size] * 11), rules).holds


def test_a_round_without_weights_passes():
    assert weigh(None, replace(OFF, minimum_count=11)).holds


def test_a_cell_of_a_ballot_is_admitted_at_the_floor_and_not_below():
    rules = replace(OPEN, minimum_count_site=11)
    block = np.array([[11, 12], [10, 12], [0, 12]])
    assert admits(block, rules).tolist() == [True, False, True]
    assert admits(block, replace(rules, zeros="barred")).tolist() == [True, False, False]
    assert admits(block, OPEN).all()


def test_what_was_sent_reaches_the_floors_or_is_nobody():
    rules = replace(OPEN, minimum_count=11, minimum_count_site=5)
    for rows, cells, holds in ((11, (5, 0), True), (10, (5, 0), False), (11, (4, 7), False)):
        assert reaches(Evidence(rows=rows, cells={"x": counts(*cells)}), rules) is holds


def test_a_sum_of_nobody_is_dominated_by_nobody():
    rules = replace(OPEN, dominance=Dominance(n=2, k=0.9, p=0.1))
    assert broken(Evidence(rows=0, sums={"x": np.zeros(0)}), rules) == []
