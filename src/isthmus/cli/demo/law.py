"""Invented facts for the demonstration's agreement, as its sites are invented: no one judged anything here.

The patients of ACTG 175 are real, and their data are public. Every date, document and number below is a placeholder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from isthmus.model.record import record

if TYPE_CHECKING:
    from isthmus.governance.duties import Custody, Duties, PartyStatus, Standing

INVENTED = {"ref": "placeholder of a demonstration", "sha256": "sha256:" + "0" * 64, "outcome": "ok"}


@record
class Cast:
    """Who takes part in an alliance on one machine.

    Attributes:
        sites: site -> party.
        countries: site -> country.
        office: the party of the hub.
        researcher: name, party and country.
        custodian: name of someone who approves for information governance.
    """

    dataset: str
    sites: Mapping[str, str]
    countries: Mapping[str, str]
    office: str
    researcher: tuple[str, str, str]
    custodian: str
    starts: str
    expires: str


def invented_terms(cast: Cast) -> dict[str, Any]:
    """`parties`, `people` and `duties` of the terms."""
    from isthmus.governance.duties import Duties, PartyStatus, Standing
    from isthmus.strict import parse

    name, party, country = cast.researcher
    status = {"role": "controller", "legal_form": "nonprofit", "hipaa": "none", "covered_person": False}
    standing = {"country": country, "training_expires": cast.expires, "covered_person": False}
    parties: dict[str, PartyStatus] = {
        p: parse(PartyStatus, status, "parties") for p in {*cast.sites.values(), cast.office, party}
    }
    people: dict[str, Standing] = {name: parse(Standing, standing, "people")}
    duties: Duties = parse(Duties, _duties(cast), "duties")
    return {"parties": parties, "people": people, "duties": duties}


def invented_custody(cast: Cast) -> tuple[Custody, ...]:
    """What each party would state of its data."""
    from isthmus.governance.duties import Custody
    from isthmus.strict import parse

    stated = {
        "subjects": ["US"],
        "identifiability": "anonymous_ico",
        "anonymisation_test": _document(cast),
        "categories": ["health"],
        "origins": ["cohort"],
        "people_us": 1000,
        "confidence_basis": "not_confidential",
        "hipaa_path": "not_phi",
        "ethics": {"committee": "none", "irb": "exempt", "expires": cast.expires},
        "duo": {"permission": "DUO:0000042", "modifiers": [], "until": cast.expires},
        "territory": ["GB", "US"],
    }
    return tuple(parse(Custody, {**stated, "controller": p}, "custody") for p in sorted(set(cast.sites.values())))


def _duties(cast: Cast) -> dict[str, Any]:
    held = sorted({*cast.sites.values()} - {cast.office})
    receivers = sorted({*held, cast.researcher[1]} - {cast.office})
    until = f"{int(cast.expires[:4]) + 10}{cast.expires[4:]}"
    return {
        "purposes": [
            {
                "purpose": "demonstration",
                "text": "Show how an alliance answers a question.",
                "duo": "DUO:0000007",
                "individual_decisions": False,
                "approved_medical_research": False,
            }
        ],
        "flows": [
            _flow(cast, "sums-to-hub", (held, [cast.office]), "encrypted_shares"),
            _flow(cast, "sums-and-results", ([cast.office], receivers), "aggregates"),
        ],
        "facilities": [_facility(site, cast.countries[site], cast.expires) for site in cast.sites],
        "retention": {"data_until": cast.expires, "data_action": "destroy", "evidence_until": until},
        "assessments": {},
        "approvals": [
            {
                "role": "information_governance",
                "person": cast.custodian,
                "party": cast.office,
                "date": cast.starts,
                "ref": "placeholder of a demonstration",
            }
        ],
    }


def _flow(cast: Cast, name: str, ends: tuple[list[str], list[str]], what: str) -> dict[str, Any]:
    return {
        "flow": name,
        "senders": ends[0],
        "receivers": ends[1],
        "datasets": [cast.dataset],
        "what": what,
        "personal": False,
        "mechanism": "not_restricted",
        "onward_ban": True,
        "identifiability_assessment": _document(cast),
    }


def _facility(site: str, country: str, expires: str) -> dict[str, Any]:
    controls = ("mfa", "encrypt_rest", "auto_logoff", "egress_default_deny", "clipboard_block", "isolation")
    return {
        "facility": site,
        "country": country,
        "controls": dict.fromkeys(controls, True),
        "iso27001_expires": expires,
        "satre": {"version": "2.0.1", "mandatory_met": True, "federation_met": True},
    }


def _document(cast: Cast) -> dict[str, Any]:
    return {**INVENTED, "date": cast.starts}
