"""Which rules may be stated, and whose is the strictest."""

from dataclasses import replace

import pytest

from isthmus.disclosure.rules import (
    check_at_least,
    check_rules,
    is_open,
    read_rules,
    strictest,
    subtraction_floor,
    subtraction_safe,
    with_own,
)
from isthmus.model.errors import Invalid, Refused
from isthmus.model.rules import OPEN, Dominance, OwnRules, Rules
from stated_rules import STRICT

FLOOR = Rules(
    minimum_count=11,
    minimum_count_site=11,
    round_to=5,
    zeros="allowed",
    dominance=Dominance(n=2, k=0.9, p=0.1),
    minimum_dof=10,
    parameters_per_row=0.1,
    maximum_leverage=0.5,
    maximum_weight_share=0.1,
    minimum_sites=3,
    digits=4,
)


def test_a_file_that_states_every_rule_is_read():
    assert read_rules(STRICT, "federated") == FLOOR


@pytest.mark.parametrize("rule", sorted(set(STRICT) - {"digits"}))
def test_no_rule_has_a_default(rule):
    with pytest.raises(Invalid) as caught:
        read_rules({k: v for k, v in STRICT.items() if k != rule}, "rehearsal")
    assert caught.value.code == "E-MISSING-KEY"
    assert rule in str(caught.value)


@pytest.mark.parametrize("rule", sorted(set(STRICT) - {"minimum_sites"}))
def test_null_switches_a_rule_off_in_a_rehearsal_only(rule):
    rules = replace(FLOOR, **{rule: None})
    check_rules(rules, "rehearsal")
    with pytest.raises(Invalid) as caught:
        check_rules(rules, "federated")
    assert caught.value.code == "E-RULES"
    assert caught.value.where == rule


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("minimum_count", 0),
        ("minimum_count_site", -1),
        ("round_to", 0),
        ("zeros", "sometimes"),
        ("dominance", Dominance(n=0, k=0.9, p=0.1)),
        ("dominance", Dominance(n=2, k=1.1, p=0.1)),
        ("minimum_dof", 0),
        ("parameters_per_row", float("nan")),
        ("maximum_leverage", 0.0),
        ("maximum_weight_share", 1.5),
        ("minimum_sites", 1),
        ("digits", 18),
    ],
)
def test_a_value_out_of_range_is_invalid_in_every_mode(rule, value):
    with pytest.raises(Invalid) as caught:
        check_rules(replace(FLOOR, **{rule: value}), "rehearsal")
    assert caught.value.code == "E-RULES"


@pytest.mark.parametrize(("rule", "value"), [("minimum_count", 4), ("minimum_sites", 2)])
def test_an_agreement_has_a_floor(rule, value):
    rules = replace(FLOOR, **{rule: value})
    check_rules(rules, "rehearsal")
    with pytest.raises(Refused) as caught:
        check_rules(rules, "federated")
    assert caught.value.code == "E-RULES-FLOOR"


def test_two_sites_need_the_two_party_flag():
    check_rules(replace(FLOOR, minimum_sites=2), "federated", least_sites=2)


def test_the_strictest_party_wins_rule_by_rule():
    dataset = replace(FLOOR, minimum_count=20, zeros="barred", digits=6)
    site = replace(FLOOR, minimum_count=15, parameters_per_row=0.05, round_to=10)
    effective = strictest({"agreement": FLOOR, "dataset": dataset, "site": site})
    assert effective.rules == replace(FLOOR, minimum_count=20, zeros="barred", parameters_per_row=0.05, round_to=10)
    assert effective.whose == {
        **dict.fromkeys(STRICT, "agreement"),
        "minimum_count": "dataset",
        "zeros": "dataset",
        "parameters_per_row": "site",
        "round_to": "site",
    }


def test_rules_that_nobody_states_are_no_rules():
    with pytest.raises(Invalid) as caught:
        strictest({})
    assert caught.value.code == "E-RULES"


def test_dominance_is_combined_part_by_part():
    site = replace(FLOOR, dominance=Dominance(n=3, k=0.95, p=0.2))
    effective = strictest({"agreement": FLOOR, "site": site})
    assert effective.rules.dominance == Dominance(n=3, k=0.9, p=0.2)
    assert effective.whose["dominance"] == "site and agreement"


def test_a_rule_switched_off_by_one_is_kept_by_the_other():
    effective = strictest({"study": replace(FLOOR, minimum_dof=None), "site": FLOOR})
    assert effective.rules.minimum_dof == 10
    assert effective.whose["minimum_dof"] == "site"


def test_weaker_rules_than_the_floor_are_refused_by_name():
    check_at_least(replace(FLOOR, minimum_count=20), FLOOR)
    with pytest.raises(Refused) as caught:
        check_at_least(replace(FLOOR, minimum_count=10, zeros="allowed", digits=5), FLOOR)
    assert caught.value.code == "E-RULES-FLOOR"
    assert "minimum_count, digits" in caught.value.message


def test_open_rules_are_known_as_such():
    assert is_open(OPEN)
    assert not is_open(replace(OPEN, minimum_count=2))
    assert not is_open(replace(OPEN, digits=4))


# ---- a site's own rules, and subtraction


def test_own_rules_are_stricter_or_change_nothing():
    assert with_own(FLOOR, None) == FLOOR
    own = OwnRules(minimum_count=20, maximum_leverage=0.9, zeros="barred", dominance=Dominance(n=1, k=0.5, p=0.2))
    held = with_own(FLOOR, own)
    assert held == replace(FLOOR, minimum_count=20, zeros="barred", dominance=Dominance(n=2, k=0.5, p=0.2))


def test_own_rules_are_within_range():
    with pytest.raises(Invalid, match="E-RULES"):
        with_own(FLOOR, OwnRules(maximum_leverage=2.0))


@pytest.mark.parametrize(
    ("changes", "least"),
    [
        ({}, 11),  # with zeros, all of the rest may be one party's
        ({"zeros": "barred"}, 6),
        ({"zeros": "barred", "minimum_sites": 4}, 4),
        ({"zeros": "barred", "minimum_sites": 2}, 11),
        ({"minimum_count": None}, 1),
    ],
)
def test_the_floor_of_a_site_that_holds_after_subtraction(changes, least):
    rules = replace(FLOOR, **changes)
    assert subtraction_floor(rules) == least
    assert subtraction_safe(replace(rules, minimum_count_site=least))
    assert least == 1 or not subtraction_safe(replace(rules, minimum_count_site=least - 1))


@pytest.mark.parametrize("zeros", ["allowed", "barred"])
def test_the_floor_of_a_site_is_the_least_that_implies_it(zeros):
    """Every way that two other parties can hold the rest of a cell, each 0 (where allowed) or at least the floor."""
    rules = replace(FLOOR, minimum_count=5, zeros=zeros)
    for stated in range(1, 7):
        parts = [k for k in range(13) if k >= stated or (k == 0 and zeros == "allowed")]
        rests = {a + b for a in parts for b in parts}
        assert subtraction_safe(replace(rules, minimum_count_site=stated)) == all(r == 0 or r >= 5 for r in rests)
