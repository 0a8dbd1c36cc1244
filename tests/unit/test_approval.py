"""Approvals and standing rules: whose signature counts, over what, and what each refuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from governance_alliance import CODEBOOK, NOW, key_of
from reviewed_alliance import AGREEMENT, ASKER, CHECKER, KEEPER, PACK, PASSES, READS, STUDY, alliance, person, request

from isthmus.crypto.envelope import sign_envelope
from isthmus.governance.agreement import Agreement
from isthmus.governance.approval import (
    MEANINGS,
    PAYLOAD_TYPE,
    Approval,
    Case,
    Decided,
    check_approval,
    make_approval,
    read_approval,
    sign_approval,
)
from isthmus.governance.standing_rules import (
    Proposal,
    StandingTerms,
    make_rule,
    outside,
    read_rule,
    sign_rule,
    uncovered,
)
from isthmus.model.canonical import canonical, digest
from isthmus.model.errors import IsthmusError
from isthmus.model.study import Study

CASE = Case(run=digest("request"), study=digest(STUDY), asker=ASKER, created=NOW, result=digest("result"))


def approved(kind: Any = "study", decision: Any = "accept", who: str = KEEPER, **changed: Any) -> Approval:
    reason = "the follow-up is too short" if decision in {"return", "reject"} else ""
    return replace(make_approval(CASE, kind, decision, person(who), (NOW, reason)), **changed)


def received(approval: Approval, signer: str = KEEPER, agreement: Agreement = AGREEMENT) -> Decided:
    found = read_approval(sign_approval(approval, key_of(signer)), agreement)
    check_approval(found, CASE, NOW)
    return found


def code_of(action: Any) -> str:
    with pytest.raises(IsthmusError) as caught:
        action()
    return caught.value.code


@pytest.mark.parametrize(("kind", "decision"), MEANINGS)
def test_each_decision_is_read_back_with_its_meaning(kind: Any, decision: Any) -> None:
    who = {"custodian": KEEPER, "output_checker": CHECKER, "researcher": ASKER}[MEANINGS[kind, decision][1]]
    found = received(approved(kind, decision, who), who)
    assert (found.person.person, found.approval.meaning) == (who, MEANINGS[kind, decision][0])


@pytest.mark.parametrize(
    ("approval", "signer", "code"),
    [
        (approved(), "boston", "E-SIGNER"),  # a site's key is no person's
        (approved(name="someone"), KEEPER, "E-APPROVAL"),
        (approved(meaning="was seen"), KEEPER, "E-APPROVAL"),
        (replace(approved(), decision="reject"), KEEPER, "E-APPROVAL"),  # a decision under the meaning of another
        (approved(who=CHECKER), CHECKER, "E-ROLE"),
        (approved("result", who=KEEPER), KEEPER, "E-ROLE"),
        (approved("study", "return", reason=None), KEEPER, "E-REASON"),
        (approved("study", "return", reason="  "), KEEPER, "E-REASON"),
        (approved("study", "return", reason="."), KEEPER, "E-REASON"),
        (approved("study", "reject", reason="n/a"), KEEPER, "E-REASON"),
        (approved("study", "return", reason="x" * 1001), KEEPER, "E-REASON"),
        (approved("study", "return", reason="\x1b[2J"), KEEPER, "E-REASON"),  # nothing that moves a reader's terminal
        (approved(subject=digest("amended")), KEEPER, "E-APPROVAL"),
        (approved(run=digest("another number")), KEEPER, "E-APPROVAL"),
        (approved("result", who=CHECKER, subject=digest("another result")), CHECKER, "E-APPROVAL"),
        (approved(time="2026-11-23"), KEEPER, "E-APPROVAL"),
        (approved(time="banana"), KEEPER, "E-APPROVAL"),
        (approved(time=(NOW + timedelta(hours=1)).isoformat()), KEEPER, "E-CLOCK"),
        (approved(time="2001-01-01T00:00:00+00:00"), KEEPER, "E-CLOCK"),
        (replace(approved(), kind="money"), KEEPER, "E-TYPE"),
    ],
)
def test_what_is_no_approval_counts_for_nothing(approval: Approval, signer: str, code: str) -> None:
    assert code_of(lambda: received(approval, signer)) == code


def test_an_approval_is_not_older_than_the_request_it_is_over() -> None:
    found = read_approval(sign_approval(approved(), key_of(KEEPER)), AGREEMENT)
    check_approval(found, replace(CASE, created=NOW + timedelta(minutes=4)), NOW + timedelta(hours=1))
    with pytest.raises(IsthmusError, match="before what it is over was made") as caught:
        check_approval(found, replace(CASE, created=NOW + timedelta(minutes=6)), NOW + timedelta(hours=1))
    assert caught.value.code == "E-CLOCK"


def test_a_forged_signature_and_two_signers_are_refused() -> None:
    envelope = sign_approval(approved(), key_of("boston"))
    envelope["signatures"][0]["keyid"] = key_of(KEEPER).public.hex()
    assert code_of(lambda: read_approval(envelope, AGREEMENT)) == "E-SIGNATURE"
    signers = [(key_of(name).public.hex(), key_of(name)) for name in (KEEPER, "custodian of hub-trust")]
    assert (
        code_of(lambda: read_approval(sign_envelope(PAYLOAD_TYPE, canonical(approved()), signers), AGREEMENT))
        == "E-ENVELOPE"
    )


def test_nobody_decides_on_their_own_request() -> None:
    both = replace(
        AGREEMENT,
        people=tuple(replace(p, roles=("custodian", "researcher", "output_checker")) for p in AGREEMENT.people),
    )
    for kind in ("study", "result"):
        assert code_of(lambda kind=kind: received(approved(kind, who=ASKER), ASKER, both)) == "E-SELF"
        received(approved(kind, who=KEEPER), KEEPER, both)
    assert code_of(lambda: received(approved("study", "withdraw", KEEPER), KEEPER, both)) == "E-SELF"


def test_an_expired_or_unstated_training_is_refused_and_may_still_withdraw() -> None:
    old = alliance("2026-11-01")
    assert code_of(lambda: received(approved(), KEEPER, old)) == "E-TRAINING"
    bare = replace(AGREEMENT, people=tuple(replace(p, standing=None) for p in AGREEMENT.people))
    assert code_of(lambda: received(approved(), KEEPER, bare)) == "E-TRAINING"
    received(approved("study", "withdraw", ASKER), ASKER, bare)


def test_a_result_is_decided_on_once_there_is_one() -> None:
    early = replace(CASE, result=None)
    assert code_of(lambda: make_approval(early, "result", "accept", person(CHECKER), (NOW, ""))) == "E-STATE"


# ---- standing rules

TERMS = StandingTerms(
    kinds=("glm", "count"),
    purpose="DUO:0000007",
    people=(ASKER,),
    dataset="trial",
    variables=("age", "sex", "died"),
    monthly=4,
    expires="2026-12-31",
)


def rule(agreement: Agreement = AGREEMENT, **changed: Any) -> Any:
    made = make_rule(replace(TERMS, **changed), agreement, PACK, person(KEEPER), NOW)
    return read_rule(sign_rule(made, key_of(KEEPER)), agreement)


def considered(study: Study = STUDY, **changed: Any) -> Proposal:
    stated = {"request": request(study), "asker": ASKER, "reads": READS, "verdicts": PASSES}
    return Proposal(**{**stated, "asked": 0, "of_sites": False, "refused": False, **changed})


def why(told: Any, seen: Proposal, now: datetime = NOW) -> str:
    return "; ".join(uncovered(told, AGREEMENT, seen, now))


def test_a_standing_rule_covers_what_it_names() -> None:
    assert why(rule(), considered()) == ""
    assert why(rule(), considered(asked=2)) == ""
    assert outside(rule(), AGREEMENT, considered().request, ASKER, NOW.date()) == []


SITE_RESULTS = replace(STUDY, analyses={"n": {"count": {"release": ["site_results"]}}})
NESTED = replace(STUDY, analyses={"m": {"meta_analysis": {"of": {"cox": {}}}}})


@pytest.mark.parametrize(
    ("told", "seen", "reason"),
    [
        (rule(kinds=("count",)), considered(), "question kinds glm"),
        (rule(kinds=("glm", "count", "meta_analysis")), considered(NESTED), "question kinds cox"),
        (rule(purpose="DUO:0000042"), considered(), "purpose DUO:0000007"),
        (rule(people=("dr bo",)), considered(), "does not name dr ada"),
        (rule(variables=("age", "died")), considered(), "variables sex"),
        (rule(monthly=4), considered(asked=3), "more than 4 questions"),
        (rule(), considered(refused=True), "rejected before"),
        (rule(), considered(SITE_RESULTS), "results of single sites"),
        (rule(), considered(of_sites=True), "results of single sites"),
        (rule(), considered(verdicts={**PASSES, "pack": digest("another")}), "another rule pack"),
        (rule(), considered(verdicts={**PASSES, "rules": {"pass": ["a"], "unknown": ["b"]}}), "does not pass"),
        (rule(), considered(verdicts={"pack": PACK}), "does not pass"),
        (rule(people=(KEEPER,)), considered(asker=KEEPER), "own request"),
    ],
)
def test_a_standing_rule_covers_nothing_else(told: Any, seen: Proposal, reason: str) -> None:
    assert reason in why(told, seen)


def test_a_standing_rule_ends_with_its_day_its_agreement_its_codebook_and_its_custodians_training() -> None:
    assert "expired" in why(rule(), considered(), NOW + timedelta(days=60))
    later = replace(AGREEMENT, title="another version")
    assert "another version" in why(rule(later), considered())
    (entry,) = AGREEMENT.datasets
    other = replace(AGREEMENT, datasets=(replace(entry, codebook=digest(replace(CODEBOOK, name="new"))),))
    assert "codebook" in why(rule(other), considered())
    assert "training expired" in why(rule(expires="2028-12-31"), considered(), NOW + timedelta(days=400))


def test_a_standing_rule_is_a_custodians() -> None:
    assert code_of(lambda: make_rule(TERMS, AGREEMENT, PACK, person(ASKER), NOW)) == "E-ROLE"
    made = make_rule(TERMS, AGREEMENT, PACK, person(KEEPER), NOW)
    assert code_of(lambda: read_rule(sign_rule(made, key_of(ASKER)), AGREEMENT)) == "E-SIGNER"
    assert code_of(lambda: read_rule(sign_rule(made, key_of("custodian of oslo-health")), AGREEMENT)) == "E-STANDING"
    assert code_of(lambda: read_rule(sign_rule(replace(made, time="soon"), key_of(KEEPER)), AGREEMENT)) == "E-STANDING"
    old = replace(made, time="2001-01-01T00:00:00+00:00")
    assert code_of(lambda: read_rule(sign_rule(old, key_of(KEEPER)), AGREEMENT)) == "E-CLOCK"
    assert code_of(lambda: rule(monthly=0)) == "E-STANDING"
    assert code_of(lambda: rule(expires="soon")) == "E-STANDING"
