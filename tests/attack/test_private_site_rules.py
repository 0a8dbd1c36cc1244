"""What a result tells of the rules that a site keeps to itself: that not every site allowed it, as always."""

import json
from dataclasses import replace

import pytest
from hole_lab import STRICT, ask, sites

from attack import Attack
from isthmus.disclosure.report import findings_json
from isthmus.disclosure.rules import Finding, read_rules, strictest, with_own
from isthmus.federation import rehearsal
from isthmus.model.rules import OwnRules

ATTACK = Attack("A site's private rule read off a result", "constant refusal; the report names agreed rules alone")


QUESTION = {"variables": ["AGE", "HIV"], "by": "ARM"}
OWN = OwnRules(minimum_count=250)  # an arm has about 200 people at each site


def rules_of(stated):
    return read_rules(stated, "rehearsal")


def with_private(monkeypatch, name, own):
    made = rehearsal.site_work

    def site_work(staged, plan, site, *rest):
        mine = replace(staged, rules=with_own(staged.rules, own)) if site == name else staged
        return made(mine, plan, site, *rest)

    monkeypatch.setattr(rehearsal, "site_work", site_work)


def answer(monkeypatch, name, own):
    with monkeypatch.context() as patch:
        with_private(patch, name, own)
        return ask("table_one", QUESTION, sites(), STRICT)


def test_bare_a_report_that_names_whose_rule_decided_tells_the_sites_floor(leak):
    stated = {"agreement": rules_of(STRICT), "s1": with_own(rules_of(STRICT), OWN)}
    found = strictest(stated)
    shown = findings_json([Finding(rule="minimum_count", status="Passed")], found.whose)
    assert shown == [{"rule": "minimum_count", "status": "Passed", "whose": "s1"}]
    leak("that s1 has a stricter floor than it agreed")


@pytest.mark.parametrize("name", ["s0", "s2"])
def test_a_sites_own_rule_refuses_and_the_text_is_the_same(stop, monkeypatch, name):
    assert "n" in ask("table_one", QUESTION, sites(), STRICT)
    found = answer(monkeypatch, name, OWN)
    assert found["status"] == "refused"
    plain = ask("table_one", QUESTION, sites(), {**STRICT, "minimum_count": 250, "minimum_count_site": 250})
    assert found["error"] == plain["error"]
    assert found == answer(monkeypatch, "s1", OWN)
    assert "250" not in json.dumps(found)
    stop("the same text as any refusal")


def test_a_result_that_a_stricter_site_let_pass_is_the_same(monkeypatch):
    held = answer(monkeypatch, "s1", OwnRules(minimum_count=20, maximum_leverage=0.4))
    assert held == ask("table_one", QUESTION, sites(), STRICT)
