"""Attack: somebody finds a person's key after its certificate ended: asks, or approves a study, with a signature of an earlier day.

The claimed time is the signer's to choose. A person with such a key cannot connect, but a malicious hub hands on what was signed.

Defence: what is received after the signer's certificate ended counts for nothing, whatever day it claims; what came before stays.
A standing rule ends with it.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from governance_alliance import NOW, key_of
from reviewed_alliance import AGREEMENT, ASKER, KEEPER, PACK, READS, case, envelope, person, request

from attack import Attack, Say
from isthmus.federation.tls import make_certificate
from isthmus.governance import admission, approval
from isthmus.governance.admission import admit_at_hub, sign_request
from isthmus.governance.agreement import Agreement, Person, agreement_digest
from isthmus.governance.approval import Decided, check_approval, read_approval
from isthmus.governance.standing_rules import StandingTerms, make_rule, outside, read_rule, sign_rule
from isthmus.model.errors import Untrusted

ATTACK = Attack("A person's key after its end", "the signer's certificate at the time of reception")

LATER = NOW + timedelta(days=8)


def ending(name: str) -> Person:
    """A person of the agreement, whose certificate ends in a week."""
    _, made = make_certificate(name, NOW - timedelta(days=300), timedelta(days=307))
    return replace(person(name), certificate=made.decode())


def asked() -> tuple[dict[str, Any], Agreement]:
    """A request that claims to be of today, and the agreement that its asker's certificate stands in."""
    agreement = replace(AGREEMENT, people=tuple(ending(ASKER) if p.person == ASKER else p for p in AGREEMENT.people))
    return sign_request(replace(request(), agreement=agreement_digest(agreement)), key_of(ASKER)), agreement


def backdated() -> Decided:
    """An approval that claims to be of the day of the request; its signer's certificate ended a week after that."""
    return replace(read_approval(envelope(KEEPER, case(request())), AGREEMENT), person=ending(KEEPER))


def test_it_works_where_the_claimed_day_alone_counts(leak: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (admission, approval):
        monkeypatch.setattr(module, "check_current", lambda _signer, _at: None)
    admit_at_hub(*asked(), "federated", LATER)
    check_approval(backdated(), case(request()), LATER)
    leak("a study is asked and approved by keys that nobody holds any more")


def test_what_comes_after_the_end_counts_for_nothing(stop: Say) -> None:
    with pytest.raises(Untrusted, match="had ended"):
        check_approval(backdated(), case(request()), LATER)
    check_approval(backdated(), case(request()), NOW + timedelta(days=6))  # received in time
    stop("E-CLOCK; what was received before it ended stays")


def test_nor_is_such_a_request_admitted(stop: Say) -> None:
    with pytest.raises(Untrusted, match="had ended"):
        admit_at_hub(*asked(), "federated", LATER)
    admit_at_hub(*asked(), "federated", NOW + timedelta(days=6))
    stop("nor is it admitted")


def test_a_standing_rule_ends_with_its_signers_certificate() -> None:
    terms = StandingTerms(
        kinds=("glm", "count"), purpose="DUO:0000007", people=(ASKER,), dataset="trial", variables=READS, monthly=9,
        expires="2026-12-31",
    )  # fmt: skip
    made = sign_rule(make_rule(terms, AGREEMENT, PACK, person(KEEPER), NOW), key_of(KEEPER))
    told = replace(read_rule(made, AGREEMENT), person=ending(KEEPER))
    assert outside(told, AGREEMENT, request(), ASKER, (NOW + timedelta(days=6)).date()) == []
    (why,) = outside(told, AGREEMENT, request(), ASKER, LATER.date())
    assert "had ended" in why
