"""Every artefact: its name, title, the duties that it serves, and the function that makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from isthmus.sdk.artefacts import decisions, forms, people, registers, satre, system
from isthmus.sdk.artefacts.pages import Document, Part
from isthmus.sdk.artefacts.told import Told


@dataclass(frozen=True, slots=True)
class Artefact:
    """What a name stands for."""

    title: str
    serves: str
    make: Callable[[Told], Iterator[Part]]


ARTEFACTS: Mapping[str, Artefact] = MappingProxyType(
    {
        "agreement": Artefact("Signed agreement", "SATRE 1.4.01; ISO 27001 A.5.31; 21 CFR 11", people.agreement),
        "projects": Artefact("Register of projects", "SATRE 1.4.06, 2.2.14, 5.3.01", registers.projects),
        "public": Artefact("Page for the public", "SATRE 1.7.02, 1.4.07", registers.public),
        "decisions": Artefact("Decision records", "SATRE 1.1.02; 28 CFR 202.1101", decisions.decisions),
        "releases": Artefact("Release records", "SATRE 3.3.04 to 3.3.09; CMS data use agreement", registers.releases),
        "ledger": Artefact(
            "Verification of the ledger", "SATRE 2.5.03; 45 CFR 164.312(b); 21 CFR 11.10(e)", system.ledger
        ),
        "access": Artefact("Access review", "ISO 27001 A.5.15 to A.5.18; SATRE 1.6.04", people.access),
        "transfers": Artefact("Transfer register", "UK GDPR Art 30, 44A, 46(1A)", registers.transfers),
        "bulk": Artefact("Bulk data and screening", "28 CFR 202.205, 202.206, 202.211", registers.bulk),
        "provenance": Artefact("Provenance of the code", "SLSA; 21 CFR 11.10(a)", system.provenance),
        "configuration": Artefact("Configuration report", "45 CFR 164.312; SATRE 2.8.02, 5.5.01", system.configuration),
        "calendar": Artefact("Expiry calendar", "SATRE 1.4.02", people.calendar),
        "incidents": Artefact("Incident timeline", "UK GDPR Art 33; 28 CFR 202.302; SATRE 5.4.02", system.incidents),
        "satre": Artefact("SATRE self-assessment", "SATRE 2.0.1, item 5.1.03", satre.satre),
        "dpia": Artefact("Data protection impact assessment: skeleton", "UK GDPR Art 35; SATRE 1.3.02", forms.dpia),
        "budget": Artefact("Privacy budget statement", "SATRE 3.3.06; UK GDPR Art 5(1)(c)", forms.budget),
        "destruction": Artefact(
            "Certificate of destruction", "UK GDPR Art 5(1)(e), 17; SATRE 1.4.04, 3.1.09, 3.1.10", forms.destruction
        ),
        "keys": Artefact("Key ceremony log", "21 CFR 11.100, 11.300; SATRE 2.8.05, 5.4.01", people.keys),
    }
)


def document(name: str, told: Told) -> Document:
    """The artefact of that name, made of what a node tells."""
    from isthmus import __version__
    from isthmus.governance.agreement import agreement_digest
    from isthmus.sdk.artefacts.words import moment

    artefact, agreement = ARTEFACTS[name], told.agreement
    about = (
        ("Made", f"{moment(told.now.isoformat())} UTC, by Isthmus {__version__}"),
        ("At", told.node),
        ("Agreement", f"{agreement.title} ({agreement.id}, version {agreement.version})"),
        ("Digest", agreement_digest(agreement)),
        ("Signatures", "hold, of every party" if not told.unsigned else f"DO NOT HOLD: {told.unsigned}"),
    )
    parts = tuple(artefact.make(told))
    return Document(artefact=name, title=artefact.title, serves=artefact.serves, about=about, parts=parts)
