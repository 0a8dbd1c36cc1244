"""What a result tells of the rules that a site keeps to itself: that not every site allowed it, as always."""

import json
from dataclasses import replace

import pytest
from hole_lab import STRICT, ask, sites

from isthmus.disclosure.rules import with_own
from isthmus.federation import rehearsal
from isthmus.model.rules import OwnRules

QUESTION = {"variables": ["AGE", "HIV"], "by": "ARM"}
OWN = OwnRules(minimum_count=250)  # an arm has about 200 people at each site


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


@pytest.mark.parametrize("name", ["s0", "s2"])
def test_a_sites_own_rule_refuses_and_the_text_is_the_same(monkeypatch, name):
    assert "n" in ask("table_one", QUESTION, sites(), STRICT)
    found = answer(monkeypatch, name, OWN)
    assert found["status"] == "refused"
    plain = ask("table_one", QUESTION, sites(), {**STRICT, "minimum_count": 250, "minimum_count_site": 250})
    assert found["error"] == plain["error"]
    assert found == answer(monkeypatch, "s1", OWN)
    assert "250" not in json.dumps(found)


def test_a_result_that_a_stricter_site_let_pass_is_the_same(monkeypatch):
    held = answer(monkeypatch, "s1", OwnRules(minimum_count=20, maximum_leverage=0.4))
    assert held == ask("table_one", QUESTION, sites(), STRICT)
