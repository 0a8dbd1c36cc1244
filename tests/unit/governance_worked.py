"""The worked case as an agreement: two parties, whose facts are those of governance/pack/worked_case.yaml."""

from __future__ import annotations

from typing import Any

from governance_alliance import CODEBOOK, FLOOR, card_of

from isthmus.governance.agreement import Agreement
from isthmus.governance.drafting import Terms, new_agreement
from isthmus.model.canonical import digest, plain
from isthmus.strict import parse

DOCUMENT = {"ref": "doc:1", "sha256": "sha256:" + "a" * 64, "date": "2026-06-01", "outcome": "ok"}


def issued(by: str, **changed: Any) -> dict[str, Any]:
    """A document of a body."""
    return {**DOCUMENT, "issuer": by, **changed}


def flow(name: str, sender: str, receiver: str, what: str) -> dict[str, Any]:
    return {
        "flow": name,
        "senders": [sender],
        "receivers": [receiver],
        "datasets": ["statins"],
        "what": what,
        "personal": False,
        "mechanism": "not_restricted",
        "identifiability_assessment": DOCUMENT,
        "sensitive_flagged": False,
        "journalism": False,
        "onward_ban": True,
    }


UK = {
    "controller": "uk",
    "subjects": ["GB"],
    "identifiability": "pseudonymised",
    "categories": ["health", "ethnicity"],
    "origins": ["nhs_confidential"],
    "people_us": 0,
    "article_6": "6(1)(e)",
    "article_9": "9(2)(j)",
    "schedule_1": "para 4",
    "confidence_basis": "s251",
    "section_251": {"reference": "26/CAG/0001", "expires": "2027-05-01", "opt_out_exempt": False}
    | {"letter": issued("Health Research Authority")},
    "opt_out_applied": True,
    "ethics": {"committee": "26/LO/0001", "irb": "not_hsr", "expires": "2027-12-31", "opinion": issued("London REC")},
    "duo": {"permission": "DUO:0000006", "modifiers": ["DUO:0000021", "DUO:0000045"], "until": "2027-06-30"},
    "territory": ["GB"],
}
US = {
    "controller": "us",
    "subjects": ["US"],
    "identifiability": "hipaa_safe_harbor",
    "categories": ["health"],
    "origins": ["cms"],
    "people_us": 61000,
    "article_6": "none",
    "article_9": "none",
    "schedule_1": "none",
    "confidence_basis": "not_confidential",
    "hipaa_path": "deidentified",
    "deidentification": {
        "identifiers_found": [],
        "no_actual_knowledge": True,
        "zip3_ok": True,
        "zip3_census": "2020",
        "age90_ok": True,
    },
    "ethics": {"committee": "none", "irb": "exempt", "expires": "2027-12-31"}
    | {"determination": issued("IRB of the Center")},
    "duo": {"permission": "DUO:0000042", "modifiers": [], "until": "2027-06-30"},
    "territory": ["US"],
}
CONTROLS = ("mfa", "encrypt_rest", "auto_logoff", "egress_default_deny", "clipboard_block", "isolation")


def facility(name: str, country: str) -> dict[str, Any]:
    return {
        "facility": name,
        "country": country,
        "controls": dict.fromkeys(CONTROLS, True),
        "iso27001_expires": "2027-08-01",
        "nist_800_171": "2026-05-01",
        "satre": {"version": "2.0.1", "mandatory_met": True, "federation_met": True},
    }


DUTIES: dict[str, Any] = {
    "purposes": [
        {
            "purpose": "statins-over-75",
            "text": "Do statins reduce heart attacks in people over 75?",
            "duo": "DUO:0000006",
            "disease": "MONDO:0005068",
            "individual_decisions": False,
            "approved_medical_research": False,
        }
    ],
    "flows": [
        flow("sums-to-hub", "uk", "us", "encrypted_shares"),
        flow("results-to-uk", "us", "uk", "aggregates"),
    ],
    "facilities": [facility("leeds-dc1", "GB"), facility("boston-dc1", "US")],
    "retention": {"data_until": "2027-09-30", "data_action": "destroy", "evidence_until": "2038-06-30"},
    "assessments": dict.fromkeys(
        ("dpia", "joint_control", "necessity", "harm", "processing_record", "privacy_notice", "public_involvement"),
        DOCUMENT,
    ),
    "approvals": [
        {"role": "information_governance", "party": "uk", "person": "bob", "date": "2026-06-21"}
        | {"document": issued("NHS Trust")}
    ],
}


def worked_terms(**changed: Any) -> dict[str, Any]:
    """Terms of the worked agreement, as a file holds them."""
    stated = {
        "id": "urn:isthmus:worked-case",
        "title": "Statins over 75",
        "starts": "2026-07-01",
        "expires": "2027-06-30",
        "datasets": [
            {
                "dataset": "statins",
                "codebook": digest(CODEBOOK),
                "sites": ["trust", "center"],
                "variables": ["age", "sex", "statin", "mi"],
                "custody": [UK, US],
            }
        ],
        "analyses": ["glm", "crosstab"],
        "releases": [],
        "disclosure": plain(FLOOR) | {"minimum_sites": 2, "zeros": "barred"},
        "two_party": True,
        "facilities": {"trust": "leeds-dc1", "center": "boston-dc1", "hub": "boston-dc1"},
        "names": {"uk": "NHS Trust", "us": "US Academic Medical Center"},
        "parties": {
            "uk": {
                "role": "joint_controller",
                "legal_form": "nhs_body",
                "hipaa": "none",
                "covered_person": False,
                "dspt": {"status": "met", "expires": "2027-06-30"},
            },
            "us": {
                "role": "joint_controller",
                "legal_form": "nonprofit",
                "hipaa": "covered_entity",
                "covered_person": False,
                "dpf": {"active": False, "uk_extension": False, "non_hr": False, "checked": "2026-06-01"},
            },
        },
        "people": {
            "alice": {"country": "GB", "training_expires": "2027-01-01", "covered_person": False},
            "carol": {"country": "US", "training_expires": "2027-01-01", "covered_person": False},
            "erin": {"country": "US", "training_expires": "2027-01-01", "covered_person": False},
            "gil": {"country": "US", "training_expires": "2027-01-01", "covered_person": False},
        },
        "duties": DUTIES,
    }
    return {**stated, **changed}


def worked_cards(**moved: str) -> list[Any]:
    """Cards, of `moved` with another country; the custodians' come first, so that parties stay where they are."""
    uk = [("custodian", "alice"), ("site", "trust")]
    us = [("custodian", "carol"), ("site", "center"), ("hub", "hub"), ("researcher", "erin"), ("engineer", "gil")]
    british = [card_of(role, name, "uk", moved.get(name, "GB")) for role, name in uk]
    return british + [card_of(role, name, "us", moved.get(name, "US")) for role, name in us]


def worked_agreement(**changed: Any) -> Agreement:
    return new_agreement(parse(Terms, worked_terms(**changed), "terms"), worked_cards())


def trust_in(country: str, **stated: Any) -> Agreement:
    """The British party's site stands in another country, and its facility says so."""
    places = [facility("leeds-dc1", country) | {"abroad": True} | stated, facility("boston-dc1", "US")]
    terms = worked_terms(duties={**DUTIES, "facilities": places})
    return new_agreement(parse(Terms, terms, "terms"), worked_cards(trust=country))
