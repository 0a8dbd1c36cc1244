"""A small alliance for tests: three hospitals, a hub, a researcher, everyone's keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from isthmus.crypto.keys import SigningKey
from isthmus.governance.agreement import Agreement, DatasetEntry
from isthmus.governance.card import Card, Role, pin, sign_card
from isthmus.governance.drafting import Terms, new_agreement
from isthmus.governance.duties import Standing
from isthmus.governance.signing import SignedAgreement, sign_agreement, unsigned
from isthmus.model.canonical import digest
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.rules import Dominance, Rules

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PARTIES = {"leeds-nhs": "GB", "boston-hospital": "US", "oslo-health": "NO", "hub-trust": "GB"}
SITES = {"leeds": "leeds-nhs", "boston": "boston-hospital", "oslo": "oslo-health"}

CODEBOOK = Codebook(
    name="trial",
    variables={
        "age": Variable(type="number", range=(0.0, 120.0)),
        "sex": Variable(type="category", levels=("M", "F")),
        "died": Variable(type="integer"),
        "postcode": Variable(type="category", levels=("LS1", "LS2")),
        "pid": Variable(type="integer"),
    },
    person="pid",
)

FLOOR = Rules(
    minimum_count=11,
    minimum_count_site=11,
    round_to=5,
    zeros="allowed",
    dominance=Dominance(n=2, k=0.9, p=0.1),
    minimum_dof=10,
    parameters_per_row=0.1,
    maximum_leverage=0.5,
    maximum_weight_share=0.1,
    minimum_sites=3,
    digits=4,
)


def key_of(name: str) -> SigningKey:
    """The same key for the same name, in every test."""
    return SigningKey.from_bytes(bytes.fromhex(digest(name).removeprefix("sha256:")))


CERTIFICATES: dict[str, str] = {}


def certificate_of(name: str) -> str:
    from isthmus.federation.tls import make_certificate

    if name not in CERTIFICATES:
        CERTIFICATES[name] = make_certificate(name, NOW)[1].decode()
    return CERTIFICATES[name]


def card_of(role: Role, name: str, party: str, country: str = "") -> Card:
    certificate = certificate_of(name)
    blank = Card(
        schema="isthmus/card/1",
        role=role,
        name=name,
        party=party,
        country=country or PARTIES[party],
        key=key_of(name).public.hex(),
        certificate=certificate,
        tls=pin(certificate),
        signature="",
    )
    return sign_card(blank, key_of(name))


def cards() -> list[Card]:
    return [
        *(card_of("site", site, party) for site, party in SITES.items()),
        card_of("hub", "hub", "hub-trust"),
        *(card_of("custodian", f"custodian of {party}", party) for party in PARTIES),
        card_of("researcher", "dr ada", "leeds-nhs"),
    ]


def terms(**changed: object) -> Terms:
    stated = {
        "id": "urn:alliance:trial",
        "title": "A trial across an ocean",
        "starts": "2026-11-01",
        "expires": "2027-10-31",
        "datasets": (DatasetEntry(dataset="trial", codebook=digest(CODEBOOK), sites=("leeds", "boston", "oslo")),),
        "analyses": ("count", "glm", "kaplan_meier"),
        "releases": (),
        "disclosure": FLOOR,
        "two_party": False,
        "facilities": {"leeds": "leeds-dc1"},
        "names": {"leeds-nhs": "Leeds Teaching Hospitals"},
    }
    return Terms(**{**stated, **changed})


def trained(everyone: list[Card], until: str = "2027-10-31") -> dict[str, Standing]:
    """Standing of everyone who has a person's card."""
    people = [card for card in everyone if card.role not in {"site", "hub"}]
    return {card.name: Standing(country=card.country, training_expires=until) for card in people}


def draft(**changed: object) -> Agreement:
    return new_agreement(terms(**changed), cards())


def signed_by_all(agreement: Agreement, when: datetime = NOW) -> SignedAgreement:
    signed = unsigned(agreement)
    for party in PARTIES:
        signed = sign_agreement(signed, key_of(f"custodian of {party}"), when)
    return signed


@dataclass(frozen=True)
class Signed:
    agreement: Agreement
    signed: SignedAgreement


OWN_CUSTODIAN = key_of("custodian of leeds-nhs").public
