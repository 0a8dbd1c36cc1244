"""A study that rules of law refuse: whoever asked reads which, what is not kept first, and the hub's ledger holds all of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from test_hub_review import REQUEST, review

from isthmus.cli.live import overview
from isthmus.cli.screen import Screen
from isthmus.federation.by_law import StoppedByLaw, as_told, refusal_of, rules_of
from isthmus.federation.reasons import error_of, facts
from isthmus.governance.rulepack import own_pack
from isthmus.governance.verdicts import Decision, RuleRefused, Verdict, check_decision
from isthmus.model.canonical import digest
from isthmus.model.errors import Refused

RULES = {rule.id: rule for rule in own_pack().rules}
NAMED = ("GOV-04", "DUO-01", "UK-LAW-05")


def refused() -> RuleRefused:
    """As a site finds it where the purpose is outside the agreement: one rule unknown for that reason alone."""
    found = [("UK-LAW-05", "unknown"), ("GOV-04", "fail"), ("DUO-01", "fail"), ("GOV-02", "pass")]
    verdicts = tuple(Verdict(rule=RULES[name], outcome=outcome) for name, outcome in found)  # type: ignore[arg-type]
    made = Decision(gate="run", pack=digest("pack"), facts=digest("facts"), verdicts=verdicts)
    with pytest.raises(RuleRefused) as caught:
        check_decision(made, {})
    return caught.value


def crossed() -> Any:
    """The refusal at the hub."""
    error = refused()
    return as_told(error_of(facts(error)), rules_of(error)["rules"])


def test_what_is_not_kept_is_named_before_what_is_unknown() -> None:
    error = refused()
    assert (error.code, error.where, error.rules) == ("E-RULE", "GOV-04", NAMED)
    assert error.message.startswith("rule GOV-04 is not kept: ")
    for name in NAMED:
        assert RULES[name].citation in error.hint
    assert "UK-LAW-05 (unknown)" in error.hint


def test_who_asked_is_told_every_rule_and_the_hubs_ledger_holds_them(tmp_path: Path) -> None:
    cause = crossed()
    assert (cause.where, cause.rules) == ("GOV-04", NAMED)
    hub, made, run = review(tmp_path)
    asyncio.run(made.declined("leeds", run, cause))
    entry = hub.ledger.log.entry(0).facts
    assert (entry["code"], entry["rule"], tuple(entry["rules"])) == ("E-RULE", "GOV-04", NAMED)
    assert entry["citation"] == RULES["GOV-04"].citation
    assert digest(REQUEST) == run


def test_a_status_says_why_a_study_was_refused(capsys: pytest.CaptureFixture[str]) -> None:
    state = {"run": "sha256:1", "state": "refused", "sites": {}, "error": facts(crossed())}
    overview(Screen.of(json=False, quiet=False), state)
    said = " ".join(capsys.readouterr().out.split())
    assert "E-RULE a rule of law stops the study at a site (GOV-04)" in said
    for name in NAMED:
        assert f"rule {name}: {' '.join(RULES[name].citation.split())}" in said


@pytest.mark.parametrize("rules", [None, "GOV-04", [1, "patient 17 of leeds", "A" * 60], {"a": 1}])
def test_what_a_site_says_of_rules_is_a_list_of_ids_or_nothing(rules: Any) -> None:
    error = Refused("E-RULE", "at a site", "", "GOV-03")
    told = as_told(error, rules)
    assert isinstance(told, StoppedByLaw)
    assert told.rules == ("GOV-03",)
    assert refusal_of(told) == {"code": "E-RULE", "rule": "GOV-03"}


def test_other_refusals_are_as_before() -> None:
    assert rules_of(Refused("E-EXPIRED", "over")) == {}
    told = as_told(Refused("E-EXPIRED", "words of a site"), ["GOV-04"])
    assert "DUO-07" in told.hint
    assert "words of a site" not in told.message
    assert refusal_of(told) == {"code": "E-EXPIRED", "rule": "DUO-07"}
    assert refusal_of(Refused("E-RANGE", "no rule")) == {"code": "E-RANGE"}
