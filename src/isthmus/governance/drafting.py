"""How an agreement is made: from public cards and the terms people decide, or from a YAML file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Literal

import yaml

from isthmus.data.yaml_text import load_yaml
from isthmus.governance.agreement import (
    PEOPLE,
    Agreement,
    DatasetEntry,
    HubEntry,
    Party,
    Person,
    Review,
    SiteEntry,
    agreement_digest,
)
from isthmus.governance.card import Card
from isthmus.governance.consistency import check_agreement
from isthmus.governance.duties import Duties, PartyStatus, Standing
from isthmus.governance.identities import Login
from isthmus.governance.rulepack import own_pack, pack_digest
from isthmus.model.canonical import plain
from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.model.rules import Rules
from isthmus.strict import parse


@record
class Terms:
    """What people decide; everything else of an agreement comes from the cards.

    `parties` and `people` are what the law asks of those whom the cards name, by their names; `logins` who people are
    at OpenID providers and passport issuers.
    """

    id: str
    title: str
    starts: str
    expires: str
    datasets: tuple[DatasetEntry, ...]
    analyses: tuple[str, ...]
    releases: tuple[Literal["vcov", "baseline", "site_results"], ...]
    disclosure: Rules
    two_party: bool
    facilities: Mapping[str, str]
    names: Mapping[str, str]
    site_rules: Mapping[str, Rules] | None = None
    parties: Mapping[str, PartyStatus] | None = None
    people: Mapping[str, Standing] | None = None
    logins: Mapping[str, tuple[Login, ...]] | None = None
    duties: Duties | None = None
    review: Review | None = None


def new_agreement(terms: Terms, cards: Iterable[Card], previous: Agreement | None = None) -> Agreement:
    """An unsigned agreement from cards and terms; the next version when there is a previous one.

    It names the rule pack that comes with this version where the terms name none.

    Args:
        terms: `facilities`: site or hub -> facility; `names`: party -> full name (its short name where left out);
            `site_rules`: site -> rules stricter than the floor.
        cards: checked cards of one hub, the sites and the people.
        previous: the version it replaces.

    Raises:
        Invalid: E-AGREEMENT, not exactly one hub, terms for someone who has no card, or what `check_agreement` finds.
    """
    cards = tuple(cards)
    hubs = [c for c in cards if c.role == "hub"]
    _check_named(terms, cards)
    if len(hubs) != 1:
        raise Invalid("E-AGREEMENT", "an agreement names exactly one hub", "pass one card of role hub", "hub")
    decided = {key: getattr(terms, key) for key in _DECIDED} | {"duties": _pinned(terms.duties)}
    made = Agreement(
        isthmus="agreement/1",
        version=previous.version + 1 if previous else 1,
        previous=agreement_digest(previous) if previous else None,
        parties=tuple(_parties(cards, terms)),
        people=tuple(_people(cards, terms)),
        sites=tuple(
            SiteEntry(
                site=c.name,
                party=c.party,
                country=c.country,
                facility=terms.facilities.get(c.name, c.name),
                key=c.key,
                certificate=c.certificate,
                tls=c.tls,
                rules=(terms.site_rules or {}).get(c.name),
            )
            for c in cards
            if c.role == "site"
        ),
        hub=_hub(hubs[0], terms),
        **decided,
    )
    check_agreement(made)
    return made


def read_agreement(text: str, where: str = "agreement") -> Agreement:
    """An unsigned agreement from YAML (or JSON) text.

    Raises:
        Invalid: E-YAML, E-UNKNOWN-KEY, E-MISSING-KEY, E-TYPE, E-AGREEMENT, E-RULES.
        Refused: E-RULES-FLOOR.
    """
    agreement = parse(Agreement, load_yaml(text), where)
    check_agreement(agreement)
    return agreement


def write_text(value: object) -> str:
    """YAML of a record, keys in their order; `NO` and dates stay text."""
    written: str = yaml.safe_dump(plain(value), sort_keys=False, allow_unicode=True, width=120)
    return written


_DECIDED = (
    "id",
    "title",
    "starts",
    "expires",
    "datasets",
    "analyses",
    "releases",
    "disclosure",
    "two_party",
    "duties",
    "review",
)


def _pinned(duties: Duties | None) -> Duties | None:
    """With the digest of the rule pack that comes with this version, where they state none."""
    if duties is None or duties.rule_pack is not None:
        return duties
    return replace(duties, rule_pack=pack_digest(own_pack()))


def _check_named(terms: Terms, cards: Iterable[Card]) -> None:
    """Terms name only sites, parties and people that have a card."""
    cards = tuple(cards)
    known = {
        "site_rules": {c.name for c in cards if c.role == "site"},
        "parties": {c.party for c in cards},
        "people": {c.name for c in cards if c.role in PEOPLE},
        "logins": {c.name for c in cards if c.role in PEOPLE},
    }
    for key, names in known.items():
        unknown = set(getattr(terms, key) or {}) - names
        if unknown:
            raise Invalid("E-AGREEMENT", f"{key} names someone who has no card", "pass the card", min(unknown))


def _parties(cards: Iterable[Card], terms: Terms) -> list[Party]:
    countries = {c.party: c.country for c in reversed(tuple(cards))}
    status = terms.parties or {}
    return [
        Party(party=p, name=terms.names.get(p, p), country=countries[p], status=status.get(p))
        for p in sorted(countries)
    ]


def _people(cards: Iterable[Card], terms: Terms) -> Iterator[Person]:
    standing, logins = terms.people or {}, terms.logins or {}
    for card in cards:
        if card.role != "site" and card.role != "hub":
            yield Person(
                person=card.name,
                party=card.party,
                roles=(card.role,),
                key=card.key,
                certificate=card.certificate,
                tls=card.tls,
                standing=standing.get(card.name),
                logins=logins.get(card.name),
            )


def _hub(card: Card, terms: Terms) -> HubEntry:
    return HubEntry(
        hub=card.name,
        party=card.party,
        country=card.country,
        facility=terms.facilities.get(card.name, card.name),
        key=card.key,
        certificate=card.certificate,
        tls=card.tls,
    )
