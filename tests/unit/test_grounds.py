"""An entry holds what a decision rests on: judged again from it, every rule gives the same; no secret and no small count in it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from governance_alliance import CODEBOOK
from governance_worked import worked_agreement
from test_governance_facts import PACK, SIGNED, facts

from isthmus.federation.grounds import by_text, decisions, entered, grounds, judged_again, of_output
from isthmus.governance.agreement import Agreement
from isthmus.governance.facts import Known
from isthmus.governance.selfcheck import worked_case
from isthmus.governance.verdicts import decide, recorded
from isthmus.model.canonical import canonical
from isthmus.model.errors import Invalid

WORKED = worked_agreement()
KNOWN = replace(SIGNED, codebooks={"statins": CODEBOOK}, revoked=True)


def entry(agreement: Agreement, known: Known, private: tuple[str, ...] = (), **changed: Any) -> dict[str, Any]:
    """A run's entry, as it comes back from a ledger's bytes."""
    found = facts(agreement, known=known) | changed
    read = grounds(agreement, by_text(agreement, PACK), found, private)
    made = entered(recorded(decide(PACK, "run", found), {}), read, agreement, PACK)
    return json.loads(canonical(made))


@pytest.mark.parametrize("known", [SIGNED, KNOWN, Known()])
def test_every_verdict_is_the_same_when_judged_again_from_the_entry(known: Known) -> None:
    kept = entry(WORKED, known)
    (decision,) = decisions(kept)
    again = judged_again(decision, WORKED, PACK)
    assert again.whole
    assert {v.rule.id: v.outcome for v in again.verdicts} == {r: v for v, rules in kept["rules"].items() for r in rules}
    assert len(again.verdicts) > 20
    assert len(canonical(kept["read"])) < 4000  # of the agreement its digest


def test_a_fact_that_was_changed_is_noticed() -> None:
    kept = entry(WORKED, SIGNED)
    kept["read"]["s"]["requester"]["training_expires"] = "2020-01-01"
    again = judged_again(kept, WORKED, PACK)
    assert not again.whole
    assert "DUO-07" not in kept["rules"].get("fail", ())
    assert any(v.outcome == "fail" for v in again.verdicts)


def test_a_limit_of_the_sites_own_is_in_no_entry() -> None:
    own = facts(WORKED)["site"] | {"minimum_count": 77}
    kept = entry(WORKED, SIGNED, ("minimum_count",), site=own)
    assert kept["read"]["withheld"] == ["site/minimum_count"]
    assert "77" not in str(kept["read"]["site"])
    again = judged_again(kept, WORKED, PACK)
    assert again.whole  # the digest is of what the entry holds
    assert {v.rule.id: v.outcome for v in again.verdicts} == {r: v for v, rules in kept["rules"].items() for r in rules}
    kept["read"]["site"]["country"] = "XX"
    assert not judged_again(kept, WORKED, PACK).whole


@pytest.mark.parametrize(("people", "shown"), [(3, False), (4000, True)])
def test_fewer_people_than_the_floor_are_not_told(people: int, shown: bool) -> None:
    reached = {"elsewhere cohort us": {"genomic": people}}
    kept = entry(WORKED, replace(SIGNED, reached=reached))
    assert (f"'people': {people}" in str(kept["read"])) == shown
    assert kept["read"]["withheld"] == ([] if shown else ["a/bulk"])


def test_outputs_share_what_is_common() -> None:
    found = {root: fact for root, fact in facts(WORKED).items() if root in {"a", "s", "site"}}
    one = dict(worked_case()["o"]) | {"share": 1.0}
    whole = {**found, "o": one}
    told = [{"outputs": ["death"], **recorded(decide(PACK, "egress", whole), {}), "read": of_output(one)}]
    kept = {"gate": "egress", "decisions": told, "read": grounds(WORKED, by_text(WORKED, PACK), found)}
    (decision,) = decisions(json.loads(canonical(kept)))
    again = judged_again(decision, WORKED, PACK)
    assert again.whole  # 1.0 came back as a double, though JSON says 1
    assert {v.rule.id: v.outcome for v in again.verdicts if v.outcome == "pass"}.keys() == set(told[0]["rules"]["pass"])


def test_without_facts_or_under_another_agreement_nothing_is_judged() -> None:
    kept = entry(WORKED, SIGNED)
    other = worked_agreement(title="Another")
    with pytest.raises(Invalid, match="E-GROUNDS"):
        judged_again(kept, other, PACK)
    with pytest.raises(Invalid, match="E-GROUNDS"):
        judged_again({**kept, "read": None}, WORKED, PACK)
