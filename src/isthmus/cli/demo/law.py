"""Invented facts for the demonstration's agreement, as its sites are invented: no one judged anything here.

The patients of ACTG 175 are real, and their data are public; all were in the United States. Here those of a site in the United
Kingdom stand for patients of the NHS, so that the law of both countries has something to say. Every date, document and number
below is a placeholder.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from isthmus.model.record import record

if TYPE_CHECKING:
    from isthmus.governance.duties import Custody, Duties, PartyStatus, Standing

INVENTED = {
    "ref": "placeholder of a demonstration",
    "sha256": f"sha256:{sha256(b'placeholder').hexdigest()}",
    "outcome": "ok",
}

_JUDGED = ("dpia", "necessity", "harm", "processing_record", "privacy_notice", "public_involvement")


@record
class Cast:
    """Who takes part in an alliance on one machine.

    Attributes:
        sites: site -> party.
        countries: site -> country.
        office: the party of the hub, which is called `hub` and stands in the United Kingdom.
        researcher: name, party and country.
        custodian: name of someone who approves for information governance.
        others: everyone else whom the agreement names -> where they work.
    """

    dataset: str
    sites: Mapping[str, str]
    countries: Mapping[str, str]
    office: str
    researcher: tuple[str, str, str]
    custodian: str
    starts: str
    expires: str
    others: Mapping[str, str] | None = None


def invented_terms(cast: Cast) -> dict[str, Any]:
    """`parties`, `people` and `duties` of the terms."""
    from isthmus.governance.duties import Duties, PartyStatus, Standing
    from isthmus.strict import parse

    name, party, country = cast.researcher
    everyone = {**(cast.others or {}), name: country}
    shared = {"training_expires": cast.expires, "covered_person": False}
    named = sorted({*cast.sites.values(), cast.office, party})
    parties: dict[str, PartyStatus] = {p: parse(PartyStatus, _status(cast, p), "parties") for p in named}
    people: dict[str, Standing] = {n: parse(Standing, {**shared, "country": c}, "people") for n, c in everyone.items()}
    duties: Duties = parse(Duties, _duties(cast), "duties")
    return {"parties": parties, "people": people, "duties": duties}


def invented_custody(cast: Cast) -> tuple[Custody, ...]:
    """What each party would state of its data."""
    from isthmus.governance.duties import Custody
    from isthmus.strict import parse

    stated = {p: _american(cast) if p in _american_parties(cast) else _british(cast) for p in cast.sites.values()}
    return tuple(parse(Custody, {**stated[p], "controller": p}, "custody") for p in sorted(stated))


def _american_parties(cast: Cast) -> set[str]:
    return {party for site, party in cast.sites.items() if cast.countries[site] == "US"}


def _status(cast: Cast, party: str) -> dict[str, Any]:
    """Of a party; those in the United Kingdom hold NHS data, or work with those who do."""
    shared = {"role": "controller", "covered_person": False}
    if party in _american_parties(cast):
        return {**shared, "legal_form": "nonprofit", "hipaa": "covered_entity"}
    toolkit = {"status": "met", "expires": cast.expires}
    form = "nhs_body" if party in cast.sites.values() else "nonprofit"
    return {**shared, "legal_form": form, "hipaa": "none", "dspt": toolkit}


def _british(cast: Cast) -> dict[str, Any]:
    """Patients of the NHS, pseudonymised: research under section 251, opt-outs applied, with an ethics committee's opinion."""
    return _held(cast) | {
        "subjects": ["GB"],
        "identifiability": "pseudonymised",
        "origins": ["nhs_confidential"],
        "people_us": 0,
        "article_6": "6(1)(e)",
        "article_9": "9(2)(j)",
        "schedule_1": "para 4",
        "confidence_basis": "s251",
        "section_251": {
            "reference": INVENTED["ref"],
            "expires": cast.expires,
            "opt_out_exempt": False,
            "letter": _issued(cast),
        },
        "opt_out_applied": True,
        "ethics": {
            "committee": INVENTED["ref"],
            "irb": "not_hsr",
            "expires": cast.expires,
            "opinion": _issued(cast),
        },
        "territory": ["GB"],
    }


def _american(cast: Cast) -> dict[str, Any]:
    """People of the United States, de-identified under Safe Harbor, exempt from the Common Rule."""
    gone = {"identifiers_found": [], "no_actual_knowledge": True, "zip3_ok": True, "age90_ok": True}
    return _held(cast) | {
        "subjects": ["US"],
        "identifiability": "hipaa_safe_harbor",
        "origins": ["cohort"],
        "people_us": 3000,
        "article_6": "none",
        "article_9": "none",
        "schedule_1": "none",
        "confidence_basis": "not_confidential",
        "hipaa_path": "deidentified",
        "deidentification": {**gone, "zip3_census": "none"},
        "ethics": {"committee": "none", "irb": "exempt", "expires": cast.expires, "determination": _issued(cast)},
        "territory": ["US"],
    }


def _held(cast: Cast) -> dict[str, Any]:
    return {"categories": ["health"], "duo": {"permission": "DUO:0000042", "modifiers": [], "until": cast.expires}}


def _duties(cast: Cast) -> dict[str, Any]:
    held = sorted({*cast.sites.values()} - {cast.office})
    abroad = sorted(_american_parties(cast) - {cast.office})
    home = sorted({*held, cast.researcher[1]} - {cast.office, *abroad})
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
            *([_flow(cast, "sums-and-results", ([cast.office], home), "aggregates")] if home else []),
            *([_transfer(cast, "sums-and-results-abroad", ([cast.office], abroad))] if abroad else []),
        ],
        "facilities": [_facility(n, at, cast.expires) for n, at in {**cast.countries, "hub": "GB"}.items()],
        "retention": {"data_until": cast.expires, "data_action": "destroy", "evidence_until": until},
        "assessments": dict.fromkeys(_JUDGED, _document(cast)),
        "approvals": [
            {
                "role": "information_governance",
                "person": cast.custodian,
                "party": cast.office,
                "date": cast.starts,
                "document": _issued(cast),
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


def _transfer(cast: Cast, name: str, ends: tuple[list[str], list[str]]) -> dict[str, Any]:
    """What is computed of people in the United Kingdom too is treated as personal when it leaves: with an IDTA and its test."""
    made = _flow(cast, name, ends, "aggregates")
    return made | {"personal": True, "mechanism": "idta", "test": _document(cast)}


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


def _issued(cast: Cast) -> dict[str, Any]:
    return {**_document(cast), "issuer": "nobody, in a demonstration"}
