"""The small alliance with people who decide: custodians on studies, output checkers of two countries on results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from governance_alliance import NOW, card_of, cards, key_of, terms, trained

from isthmus.governance.admission import RunRequest, sign_request
from isthmus.governance.agreement import Agreement, Review, agreement_digest
from isthmus.governance.approval import Case, Choice, Kind, make_approval, sign_approval
from isthmus.governance.drafting import new_agreement
from isthmus.model.canonical import digest
from isthmus.model.study import Purpose, Study

KEEPER, ASKER, CHECKER = "custodian of leeds-nhs", "dr ada", "cleo"
PACK = digest("a pack")
PASSES = {"pack": PACK, "rules": {"pass": ["DP-01"], "n/a": ["US-01"]}}
READS = ("age", "sex", "old", "died")


def alliance(until: str = "2027-10-31") -> Agreement:
    checkers = [
        card_of("output_checker", "cleo", "leeds-nhs"),
        card_of("output_checker", "carl", "hub-trust"),
        card_of("output_checker", "cora", "boston-hospital"),
    ]
    everyone = [*cards(), *checkers]
    review = Review(study="custodians", egress=2, one_per_country=True)
    return new_agreement(terms(review=review, people=trained(everyone, until)), everyone)


AGREEMENT = alliance()
STUDY = Study(
    isthmus="study/1",
    title="Does age matter?",
    dataset="trial",
    purpose=Purpose(duo="DUO:0000007", text="a trial"),
    derive={"old": "age > 80"},
    analyses={"death": {"glm": {"formula": "died ~ age + sex + old", "family": "binomial"}}, "n": {"count": {}}},
)


def request(study: Study = STUDY, number: int = 1) -> RunRequest:
    return RunRequest(
        isthmus="request/1",
        study=study,
        agreement=agreement_digest(AGREEMENT),
        roster=("boston", "leeds", "oslo"),
        mode="federated",
        number=number,
        created=NOW.isoformat(),
    )


def asked(made: RunRequest, by: str = ASKER) -> dict[str, Any]:
    return sign_request(made, key_of(by))


def case(made: RunRequest, result: str | None = None) -> Case:
    return Case(run=digest(made), study=digest(made.study), asker=ASKER, created=NOW, result=result)


def person(name: str, agreement: Agreement = AGREEMENT) -> Any:
    return next(p for p in agreement.people if p.person == name)


def envelope(
    who: str, over: Case, choice: Choice = "accept", kind: Kind = "study", signer: str | None = None
) -> dict[str, Any]:
    """What `who` signs; with `signer` what another signs in their name."""
    reason = "the follow-up is too short" if choice in {"return", "reject"} else ""
    return sign_approval(make_approval(over, kind, choice, person(who), (NOW, reason)), key_of(signer or who))


def lent(made: dict[str, Any], name: str) -> dict[str, Any]:
    """An envelope that says it was signed by the key of `name`."""
    return {**made, "signatures": [{**made["signatures"][0], "keyid": person(name).key}]}


def with_roles(agreement: Agreement, name: str, *roles: Any) -> Agreement:
    people = tuple(replace(p, roles=roles) if p.person == name else p for p in agreement.people)
    return replace(agreement, people=people)
