"""Roles of people, and whether those whom an agreement's review asks for are there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from governance_alliance import NOW, PARTIES, card_of, cards, draft, terms, trained

from isthmus.federation.grpc_hub import Party
from isthmus.federation.hub_window import require_role, require_trained
from isthmus.federation.parties import parties_of
from isthmus.governance.agreement import Agreement, Review, agreement_digest
from isthmus.governance.consistency import check_agreement
from isthmus.governance.difference import differences
from isthmus.governance.drafting import new_agreement, read_agreement, write_text
from isthmus.governance.reviewers import checkers, may_decide_together, review_words
from isthmus.model.errors import Invalid, Refused

BOTH = Review(study="custodians", egress=2, one_per_country=True)


def staffed(review: Review | None, *more: tuple[str, str, str]) -> Agreement:
    """The alliance with output checkers: (role, name, party); everyone is trained."""
    everyone = [*cards(), *(card_of(*each) for each in more)]
    return new_agreement(terms(review=review, people=trained(everyone)), everyone)


UK = ("output_checker", "cleo", "leeds-nhs")
UK2 = ("output_checker", "carl", "hub-trust")
US = ("output_checker", "cora", "boston-hospital")


def test_an_agreement_without_review_keeps_its_digest() -> None:
    assert "review" not in write_text(draft())
    assert read_agreement(write_text(staffed(BOTH, UK, US))).review == BOTH
    assert agreement_digest(staffed(BOTH, UK, US)) != agreement_digest(staffed(None, UK, US))


@pytest.mark.parametrize(
    ("review", "people"),
    [
        (BOTH, ()),
        (BOTH, (UK,)),
        (BOTH, (UK, UK2)),  # two, of one country
        (replace(BOTH, one_per_country=False), (UK,)),
        (replace(BOTH, egress=0), (UK, US)),  # one per country of none
    ],
)
def test_reviewers_who_are_not_there_are_an_error(review: Review, people: tuple[tuple[str, str, str], ...]) -> None:
    with pytest.raises(Invalid) as caught:
        staffed(review, *people)
    assert (caught.value.code, caught.value.where.split(".")[0]) == ("E-AGREEMENT", "review")


def test_people_without_a_stated_training_do_not_count() -> None:
    made = staffed(BOTH, UK, US)
    untrained = {"cora": "review.egress", "custodian of leeds-nhs": "review.study"}
    for name, where in untrained.items():
        people = tuple(replace(p, standing=None) if p.person == name else p for p in made.people)
        with pytest.raises(Invalid) as caught:
            check_agreement(replace(made, people=people))
        assert caught.value.where == where


def test_a_researcher_who_checks_outputs_does_not_count_for_their_own() -> None:
    made = staffed(BOTH, UK, US)
    both = tuple(replace(p, roles=("output_checker", "researcher")) if p.person == "cora" else p for p in made.people)
    with pytest.raises(Invalid, match="for the results of 'cora'"):
        check_agreement(replace(made, people=both))
    check_agreement(made)


def test_who_may_decide_together() -> None:
    made = staffed(BOTH, UK, UK2, US)
    cleo, carl, cora = (next(p for p in made.people if p.person == name) for name in ("cleo", "carl", "cora"))
    assert may_decide_together(made, (cleo, cora))
    assert not may_decide_together(made, (cleo, carl))
    assert not may_decide_together(made, (cleo, cleo))
    assert [p.person for p in checkers(made, {"cleo"})] == ["carl", "cora"]


def test_a_change_of_review_is_said_in_words() -> None:
    none, some = staffed(replace(BOTH, study="none"), UK, US), staffed(BOTH, UK, US)
    assert "review: study: custodians, was none (stricter)" in differences(none, some)
    assert "review: study: none, was custodians (weaker)" in differences(some, none)
    assert "different countries" in " ".join(review_words(some))


def test_everyone_may_connect_and_ask_what_their_roles_allow() -> None:
    parties = parties_of(staffed(BOTH, UK, US, ("auditor", "ann", "leeds-nhs")))
    assert set(parties) >= {"cleo", "cora", "ann", "dr ada", *(f"custodian of {p}" for p in PARTIES)}
    allowed = {"submit": {"dr ada"}, "bundle": {"dr ada", "cleo", "ann"}, "status": {"dr ada", "cleo", "ann"}}
    for what, people in allowed.items():
        for name in ("dr ada", "cleo", "ann", "custodian of leeds-nhs"):
            assert _may(parties[name], what) == (name in people or what == "status"), (name, what)


def test_a_result_is_for_the_trained_in_every_role_on_the_day() -> None:
    parties = parties_of(staffed(BOTH, UK, US, ("auditor", "ann", "leeds-nhs")))
    last = datetime(2027, 10, 31, 23, tzinfo=UTC)
    for name in ("cleo", "cora", "ann"):
        require_trained(parties[name], last)
        with pytest.raises(Refused, match=f"expired on 2027-10-31 of {name}") as caught:
            require_trained(parties[name], last + timedelta(hours=1))
        assert caught.value.code == "E-TRAINING"
    with pytest.raises(Refused, match="no training is stated"):
        require_trained(parties_of(draft())["dr ada"], NOW)


def _may(person: Party, what: str) -> bool:
    try:
        require_role(person, what)
    except Refused:
        return False
    return True
