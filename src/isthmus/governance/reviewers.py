"""Who may decide on what by an agreement's review, and whether enough people are there to do so."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import combinations

from isthmus.governance.agreement import Agreement, Person
from isthmus.governance.duties_check import Problems


def checkers(agreement: Agreement, askers: Collection[str] = ()) -> tuple[Person, ...]:
    """Output checkers who may decide on results of these askers: trained, and nobody checks what they asked for."""
    return tuple(p for p in agreement.people if "output_checker" in p.roles and p.person not in askers and _trained(p))


def country_of_person(agreement: Agreement, person: Person) -> str:
    """Where someone works: as the agreement states it, else the country of their party."""
    if person.standing is not None:
        return person.standing.country
    return next(p.country for p in agreement.parties if p.party == person.party)


def may_decide_together(agreement: Agreement, people: Iterable[Person]) -> bool:
    """Whether these output checkers are as many, and from as many countries, as the agreement asks for."""
    review, named = agreement.review, {p.person: p for p in people}
    if review is None or len(named) < review.egress:
        return review is None
    countries = {country_of_person(agreement, p) for p in named.values()}
    return not review.one_per_country or len(countries) >= review.egress


def review_problems(agreement: Agreement) -> Problems:
    """Places and problems; none when the people whom the review asks for are there."""
    review = agreement.review
    if review is None:
        return
    parties = {s.party for s in agreement.sites} if review.study == "custodians" else set()
    for party in sorted(parties):
        if not any(_trained(p) for p in agreement.custodians(party)):
            yield "review.study", f"no custodian of {party!r} has a training that is stated (`training_expires`)"
    if review.one_per_country and review.egress == 0:
        yield "review.one_per_country", "one output checker per country, but egress asks for none"
    if review.egress == 0:
        return
    for asker in [p.person for p in agreement.people if "researcher" in p.roles] or [""]:
        pairs = combinations(checkers(agreement, {asker}), review.egress)
        if not any(may_decide_together(agreement, pair) for pair in pairs):
            where = " of different countries" if review.one_per_country else ""
            whose = f" for the results of {asker!r}" if asker else ""
            yield "review.egress", f"there are not {review.egress} trained output checkers{where}{whose}"


def _trained(person: Person) -> bool:
    """Whether the agreement states a training; whether it still holds is looked at when the person decides."""
    return person.standing is not None and person.standing.training_expires is not None


def review_words(agreement: Agreement) -> list[str]:
    """The review in plain words, one sentence for each decision."""
    review = agreement.review
    if review is None:
        return ["Review: the rules alone decide on studies and results."]
    study = "by a custodian of each party whose site takes part, or a standing rule of theirs"
    egress = "by two output checkers" + (", in different countries" if review.one_per_country else "")
    return [
        f"Review of studies: {study if review.study == 'custodians' else 'by the rules alone'}.",
        f"Review of results: {egress if review.egress else 'by the rules alone'}.",
    ]
