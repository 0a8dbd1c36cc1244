"""Facts that follow from what an agreement states, so that nobody can state them otherwise.

Whether UK law asks about a dataset follows from its people and from where its controller is (UK GDPR Art 3(1)), and whether it
is personal data there from no label of HIPAA. Whether records that move are personal follows from the records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from isthmus.governance.duties import Assessments, Category, Custody, Duties, Flow, Origin
from isthmus.model.canonical import plain

if TYPE_CHECKING:
    from isthmus.governance.agreement import Agreement

# Called so, data are about nobody under UK law; rule XB-08 asks for the signed test.
NOBODY = frozenset({"anonymous_ico", "synthetic"})
RECORDS = frozenset({"records", "remote_access_records"})
_OF_PATIENTS: frozenset[Origin] = frozenset({"nhs_confidential", "nhs_england_dars", "cms"})


def held_facts(agreement: Agreement, controller: str, stated: Custody | None) -> dict[str, Any]:
    """Of what a controller holds: `uk` and `us`, whose law asks; `personal` under UK law; `hipaa`, what the controller is to it."""
    party = next(p for p in agreement.parties if p.party == controller)
    hipaa = party.status.hipaa if party.status else None
    found: dict[str, Any] = {} if hipaa is None else {"hipaa": hipaa}
    for name, country in (("uk", "GB"), ("us", "US")):
        about = stated is not None and country in stated.subjects
        here = party.country == country and (stated is None or stated.identifiability != "synthetic")
        if stated is not None or here:
            found[name] = about or here
    if stated is not None:
        found["personal"] = stated.identifiability not in NOBODY
        found["categories"] = list(categories(stated))
    return found


def categories(held: Custody) -> tuple[Category, ...]:
    """As stated; what comes from patients' records is about health."""
    patients = not _OF_PATIENTS.isdisjoint(held.origins) and "health" not in held.categories
    return ("health", *held.categories) if patients else held.categories


def flow_facts(agreement: Agreement, flow: Flow) -> dict[str, bool]:
    """`personal`: of records, whatever is stated, if anyone's records are; of other things as stated. Unknown is left out."""
    if flow.personal or flow.what not in RECORDS:
        return {"personal": flow.personal}
    entries = [entry for entry in agreement.datasets if entry.dataset in flow.datasets]
    held = [custody for entry in entries for custody in entry.custody or ()]
    if any(custody.identifiability not in NOBODY for custody in held):
        return {"personal": True}
    told = all(entry.custody for entry in entries)
    return {"personal": False} if told and entries else {}


def people_facts(agreement: Agreement) -> Iterator[dict[str, Any]]:
    """Everyone of the agreement: for whom they act and how, where they work, their training and screening as stated."""
    homes = {p.party: p.country for p in agreement.parties}
    for person in agreement.people:
        standing = plain(person.standing) if person.standing else {"country": homes[person.party]}
        yield {"person": person.person, "party": person.party, "roles": sorted(person.roles), **standing}


def documents(agreement: Agreement, duties: Duties) -> Iterator[dict[str, str]]:
    """Every document that the agreement points to, by what it is about: its day and outcome."""
    stated = {f.name: getattr(duties.assessments, f.name) for f in fields(Assessments)} if duties.assessments else {}
    for flow in duties.flows or ():
        stated[f"flow {flow.flow}"] = flow.identifiability_assessment
        stated[f"test of {flow.flow}"] = flow.test
    for entry in agreement.datasets:
        for held in entry.custody or ():
            stated[f"{entry.dataset} of {held.controller}"] = held.anonymisation_test
    for what, document in stated.items():
        if document is not None:
            yield {"what": what, "date": document.date, "outcome": document.outcome}


def dated(agreement: Agreement, duties: Duties, pointed: Iterable[Mapping[str, str]]) -> Iterator[dict[str, str]]:
    """Everything that is said to have happened, and when: documents, approvals, judgements, attestations, look-ups."""
    for document in pointed:
        yield {"what": document["what"], "date": document["date"]}
    for approval in duties.approvals or ():
        yield {"what": f"approval by {approval.person}", "date": approval.date}
    for judgement in duties.judgements or ():
        yield {"what": f"judgement on {judgement.rule}", "date": judgement.date}
    for facility in duties.facilities or ():
        if facility.nist_800_171 is not None:
            yield {"what": f"attestation of {facility.facility}", "date": facility.nist_800_171}
    for party in agreement.parties:
        if party.status is not None and party.status.dpf is not None:
            yield {"what": f"look-up of {party.party}", "date": party.status.dpf.checked}
