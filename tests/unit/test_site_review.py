"""What a site makes of decisions: whose refusal ends standing rules, and a genuine one that comes before its clock is right."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from governance_alliance import NOW, key_of
from reviewed_alliance import (
    AGREEMENT,
    ASKER,
    KEEPER,
    PACK,
    PASSES,
    READS,
    STUDY,
    asked,
    case,
    envelope,
    person,
    request,
)

from isthmus.federation.review_store import SqlReviews
from isthmus.federation.site_review import Admitted, Shown, SiteReview
from isthmus.federation.store import open_store
from isthmus.governance.approval import Choice
from isthmus.governance.standing_rules import StandingTerms, make_rule, read_rule, refusals, sign_rule
from isthmus.model.study import Population, Purpose, Study

BO = "dr bo"
TERMS = StandingTerms(
    kinds=("glm", "count"),
    purpose="DUO:0000007",
    people=(ASKER, BO),
    dataset="trial",
    variables=("age", "sex", "died"),
    monthly=99,
    expires="2026-12-31",
)


def review(folder: Path) -> SiteReview:
    made = sign_rule(make_rule(TERMS, AGREEMENT, PACK, person(KEEPER), NOW), key_of(KEEPER))
    kept = SqlReviews(open_store(folder / "site.db"))
    return SiteReview(AGREEMENT, "leeds", kept, ((read_rule(made, AGREEMENT), made),))


def shown(study: Study, *decisions: Choice) -> Shown:
    over = case(request(study))
    return Shown(over.run, asked(request(study)), tuple(envelope(KEEPER, over, choice) for choice in decisions))


def verdict(site: SiteReview, study: Study, by: str = ASKER) -> str:
    return site.answer(Admitted(request(study, 2), by, READS, PASSES), NOW).answer.verdict


P1 = replace(STUDY, project="p1")
RENAMED = replace(
    STUDY,
    project="p2",
    title="Another one",
    question="Is it?",
    purpose=Purpose(duo="DUO:0000007", text="other words"),
    analyses={"other": {"glm": {"formula": "died~age+sex + old", "family": "binomial"}}, "m": {"count": {}}},
)
OTHER = replace(STUDY, project="p3", analyses={"n": {"count": {}}}, population=Population(where="age > 50"))


def test_a_standing_rule_covers_nothing_of_a_person_whose_study_was_refused(tmp_path: Path) -> None:
    site = review(tmp_path)
    assert [verdict(site, s) for s in (P1, RENAMED, OTHER)] == ["approved"] * 3
    assert site.take(shown(P1, "reject"), NOW) == ()
    assert [verdict(site, s) for s in (P1, RENAMED, OTHER)] == ["waiting"] * 3


def test_nor_the_same_questions_or_the_same_project_from_anybody_else(tmp_path: Path) -> None:
    site = review(tmp_path)
    site.take(shown(P1, "reject"), NOW)
    assert verdict(site, RENAMED, BO) == "waiting"  # the same questions under other names
    assert verdict(site, replace(OTHER, project="p1"), BO) == "waiting"
    assert verdict(site, OTHER, BO) == "approved"


def test_a_return_ends_no_standing_rule(tmp_path: Path) -> None:
    site = review(tmp_path)
    site.take(shown(P1, "return"), NOW)
    assert verdict(site, replace(P1, title="Amended")) == "approved"


def test_what_makes_the_questions_the_same() -> None:
    def content(study: Study) -> str:
        return next(said for said in refusals(study, ASKER) if said.startswith("content "))

    assert content(RENAMED) == content(STUDY)
    for other in (
        replace(STUDY, population=Population(where="age > 1")),
        replace(STUDY, derive={"old": "age > 79"}),
        OTHER,
    ):
        assert content(other) != content(STUDY)


@pytest.mark.parametrize("choice", ["accept", "return", "reject"])
def test_a_decision_signed_ahead_of_a_slow_clock_is_looked_at_again(tmp_path: Path, choice: Choice) -> None:
    site, slow = review(tmp_path), NOW - timedelta(minutes=10)
    asks = shown(P1, choice)
    assert site.take(asks, slow) == ("E-CLOCK",)
    assert site.take(asks, slow) == ()  # told once
    assert site.ended(asks.request, slow) is None
    assert site.take(asks, NOW) == ()
    assert len(site.kept.of(asks.run, "approval")) == 1
    ended = site.ended(asks.request, NOW)
    assert (ended.answer.verdict if ended else None) == {"return": "returned", "reject": "rejected"}.get(choice)


def test_what_is_forged_stays_so(tmp_path: Path) -> None:
    site = review(tmp_path)
    over = case(request(P1))
    forged: Any = envelope(KEEPER, over, signer=ASKER)
    asks = Shown(over.run, asked(request(P1)), (forged,))
    assert len(site.take(asks, NOW)) == 1
    assert site.take(asks, NOW + timedelta(minutes=1)) == ()
    assert site.kept.of(over.run, "approval") == {}
