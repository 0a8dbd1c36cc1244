"""The rule pack: what a load refuses, verdicts, each rule on the worked case and its fault, and every fact taken away."""

import re
from collections import Counter

import pytest
import yaml

from isthmus.data.yaml_text import load_yaml
from isthmus.governance.rulepack import extended, own_pack, pack_digest, packed, read_pack
from isthmus.governance.selfcheck import deletions, planted, proven, shown, silenced_faults, worked_case
from isthmus.governance.verdicts import check_decision, decide, recorded, verdicts, worst
from isthmus.model.errors import Invalid, Refused

PACK = own_pack()
FACTS = worked_case()
SHOWN = {s.rule.id: s for s in shown(PACK, FACTS)}


def changed(edit) -> str:
    data = load_yaml(packed("rules.yaml"), frozenset())
    edit(data)
    return yaml.safe_dump(data, sort_keys=False)


def load_code(text: str) -> tuple[str, str]:
    with pytest.raises(Invalid) as caught:
        read_pack(text)
    assert caught.value.hint or caught.value.where
    return caught.value.code, caught.value.where


# ---- the pack itself


def test_the_pack_is_what_it_says():
    assert len(PACK.rules) == 79
    assert Counter(r.severity for r in PACK.rules) == {"deny": 64, "require-human": 13, "warn": 2}
    assert Counter(r.gate for r in PACK.rules) == {"run": 35, "agreement": 32, "egress": 10, "operations": 2}
    assert re.fullmatch("sha256:[0-9a-f]{64}", pack_digest(PACK))


def test_comments_and_order_of_keys_do_not_change_the_digest():
    data = load_yaml(packed("rules.yaml"), frozenset())
    assert pack_digest(read_pack("# other\n" + yaml.safe_dump(data, sort_keys=True))) == pack_digest(PACK)


@pytest.mark.parametrize("name", sorted(PACK.constants))
def test_a_constant_that_was_deleted_or_lost_an_entry_is_an_error(name):
    if name not in {"evidence_years", "statbarns"}:  # the facts' adapter reads these two
        assert load_code(changed(lambda d: d["constants"].pop(name))) == ("E-PACK", f"constants.{name}")
    value = PACK.constants[name].value
    if isinstance(value, list):
        assert load_code(changed(lambda d: d["constants"][name]["value"].pop())) == ("E-PACK", f"constants.{name}")
    elif isinstance(value, dict):
        entry = next(iter(value))
        assert load_code(changed(lambda d: d["constants"][name]["value"].pop(entry))) == (
            "E-PACK",
            f"constants.{name}",
        )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("requires", "a.parties.all(p, "),
        ("applies", "a.x &&"),
        ("applies", "has(a.datasets) && true"),  # would switch the rule off when the fact is gone
        ("applies", "has (a.datasets) && true"),
        ("applies", "has\n(a.datasets) && true"),
        ("applies", "has // (\n (a.datasets) && true"),
        ("applies", "a.?datasets.hasValue()"),
        ("applies", "'''it's''' == a.id || has(a.x) || '''it's''' == a.id"),  # a string that hides code
        ("applies", "a.id == r'\\' && has(a.x) && a.id != '\\''"),
        ("applies", "false"),
        ("applies", "k.evidence_years > 99"),
        ("requires", "true"),
        ("requires", "1 == 1"),
        ("requires", "k.nothing == 1 && a.version > 0"),
        ("requires", "a.version in k['nothing']"),
        ("requires", "a.version == k [ 'evidence_years' ]"),
        ("requires", "a.parties.all(k, k.party != '')"),
        ("requires", "a.version == k\n.nothing"),
        ("requires", "o.rows"),  # the agreement gate knows no output
        ("requires", "b.c"),
        ("fault", {}),
        ("id", "DUO-01"),
        ("id", "lower case"),
    ],
)
def test_a_rule_that_cannot_be_used_is_an_error(key, value):
    code, _ = load_code(changed(lambda d: d["rules"][0].__setitem__(key, value)))
    assert code == "E-PACK"


@pytest.mark.parametrize(("key", "code"), [("why", "E-MISSING-KEY"), ("severity", "E-MISSING-KEY")])
def test_a_rule_without_a_reason_or_severity_is_an_error(key, code):
    assert load_code(changed(lambda d: d["rules"][0].pop(key)))[0] == code


def test_a_pack_of_ones_own_adds_and_never_replaces():
    rule = load_yaml(packed("rules.yaml"), frozenset())["rules"][0]
    own = {"isthmus": "rule-pack/1", "id": "urn:ours", "version": 1, "date": "2026-11-25", "title": "Ours"}
    more = read_pack(yaml.safe_dump({**own, "constants": {}, "rules": [{**rule, "id": "OURS-01"}]}))
    both = extended(PACK, more)
    assert both.rules[-1].id == "OURS-01"
    assert pack_digest(both) != pack_digest(PACK)
    with pytest.raises(Invalid) as caught:
        extended(PACK, read_pack(yaml.safe_dump({**own, "constants": {}, "rules": [rule]})))
    assert caught.value.code == "E-PACK"


OWN = {"isthmus": "rule-pack/1", "id": "urn:ours", "version": 1, "date": "2026-11-25", "title": "Ours", "constants": {}}
RULE = {
    "id": "OURS-01", "gate": "agreement", "jurisdiction": "ours", "severity": "deny", "citation": "our committee",
    "why": "Ours.", "applies": "true", "requires": "a.assessments.dpia.outcome == 'ok'",
    "fault": {"a.assessments.dpia.outcome": "open"},
}  # fmt: skip


def ours(**changed):
    return proven(PACK, read_pack(yaml.safe_dump({**OWN, "rules": [{**RULE, **changed}]})))


def test_a_rule_of_ones_own_that_shows_itself_is_taken():
    assert ours().rules[-1].id == "OURS-01"
    has = {"requires": "has(a.assessments.dpia)", "fault": {"a.assessments.dpia": None}}
    assert ours(**has).rules[-1].requires == has["requires"]
    text = ours(requires="a.id != 'has(k)' && a.assessments.dpia.outcome == 'ok'", applies="a.id != 'has(k)'")
    assert text.rules[-1].applies == "a.id != 'has(k)'"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"fault": {"a.id": "x"}}, "does not fire"),
        ({"fault": {"a.nowhere.title": "x"}}, "does not have"),
        ({"fault": {"a.parties.9.country": "x"}}, "does not have"),
        ({"requires": "true || a.assessments.dpia.outcome == 'ok'"}, "does not fire"),
        ({"applies": "'dpia' in a.assessments"}, "falls silent where the fact a.assessments.dpia is missing"),
        ({"applies": "a.assessments.exists(x, x == 'dpia')"}, "falls silent where the fact a.assessments.dpia"),
        ({"applies": "size(a.datasets) > 999"}, "does not fire"),
    ],
)
def test_a_rule_of_ones_own_that_does_not_is_refused(changed, told):
    with pytest.raises(Invalid, match=told) as caught:
        ours(**changed)
    assert (caught.value.code, caught.value.where) == ("E-PACK", "OURS-01")


# ---- each rule


@pytest.mark.parametrize("rule", [r.id for r in PACK.rules])
def test_a_rule_holds_on_the_worked_case_and_fires_on_its_fault(rule):
    assert SHOWN[rule].worked in {"pass", "n/a"}
    assert SHOWN[rule].fault == "fail"


def test_no_fact_can_be_taken_away_to_silence_a_rule():
    taken = deletions(PACK, FACTS)
    assert len(taken) > 250
    assert not [(d.fact, d.silenced) for d in taken if d.silenced]


def test_no_missing_fact_hides_a_fault():
    assert not silenced_faults(PACK, FACTS)


def test_the_deletion_test_is_alive():
    """The trap it is for: a rule that asks has() in `applies` goes quiet."""
    (rule,) = (r for r in PACK.rules if r.id == "UK-LAW-03")
    from dataclasses import replace

    quiet = replace(PACK, rules=(replace(rule, applies="has(a.assessments.necessity)"),))
    assert ("UK-LAW-03",) in [d.silenced for d in deletions(quiet, FACTS)]


# ---- verdicts


def test_a_missing_fact_is_unknown_and_named():
    facts = planted(FACTS, {"a.datasets.0.article_6": None})
    (verdict,) = (v for v in verdicts(PACK, PACK.rules, facts) if v.rule.id == "UK-LAW-01")
    assert (verdict.outcome, verdict.missing, verdict.stops) == ("unknown", "article_6", True)


def test_a_fact_of_the_wrong_type_is_unknown():
    facts = planted(FACTS, {"a.flows.0.personal": "no"})
    assert "unknown" in {v.outcome for v in verdicts(PACK, PACK.rules, facts) if v.rule.id == "XB-01"}


def test_deny_stops_with_rule_and_citation():
    decision = decide(PACK, "agreement", planted(FACTS, {"a.flows.0.personal": True}))
    with pytest.raises(Refused) as caught:
        check_decision(decision, {})
    assert (caught.value.code, caught.value.where) == ("E-RULE", "XB-01")
    assert "UK GDPR Art 44A" in caught.value.hint
    assert worst(decision.verdicts) == "stops"


def test_what_needs_a_person_waits_for_one_and_names_who_decided():
    decision = decide(PACK, "agreement", planted(FACTS, {"a.assessments.privacy_notice": None}))
    with pytest.raises(Refused) as caught:
        check_decision(decision, {})
    assert (caught.value.code, caught.value.where) == ("E-HUMAN", "UK-LAW-10")
    assert worst(decision.verdicts) == "asks"
    judged = {"UK-LAW-10": "alice: the notice is in print"}
    check_decision(decision, judged)
    assert recorded(decision, {**judged, "XB-07": "nobody asked"})["judged"] == judged


def test_nobody_can_decide_away_a_rule_that_denies():
    decision = decide(PACK, "agreement", planted(FACTS, {"a.flows.0.personal": True}))
    with pytest.raises(Refused):
        check_decision(decision, {"XB-01": "alice: it will be fine"})


def test_a_warning_warns():
    facts = planted(FACTS, {"a.retention.evidence_until": "2030-01-01"})
    decision = decide(PACK, "agreement", facts)
    check_decision(decision, {})
    assert worst(decision.verdicts) == "warns"


def test_a_record_holds_ids_and_digests_only():
    entry = recorded(decide(PACK, "run", FACTS), {})
    assert (entry["gate"], entry["pack"]) == ("run", pack_digest(PACK))
    assert sorted(rule for rules in entry["rules"].values() for rule in rules) == sorted(r.id for r in PACK.at("run"))


def test_the_same_facts_are_judged_once():
    cache = {}
    first = decide(PACK, "run", FACTS, cache)
    assert decide(PACK, "run", worked_case(), cache) is first
    assert decide(PACK, "run", planted(FACTS, {"a.revoked": True}), cache) is not first
