"""Facts that follow from what an agreement states, so that nobody can state them otherwise.

Whether UK law asks about a dataset follows from its people and from where its controller is (UK GDPR Art 3(1)), and whether it
is personal data there from no label of HIPAA. Whether records that move are personal follows from the records.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from isthmus.governance.duties import Approval, Assessments, Category, Custody, Document, Duties, Flow, Origin
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


def approval_facts(agreement: Agreement, parties: Collection[str], stated: Iterable[Approval]) -> list[dict[str, Any]]:
    """What custodians approved by signing for these parties, and what is stated; `signed` is true of no other than they."""
    custodians = {(p.party, p.person): p for party in sorted(parties) for p in agreement.custodians(party)}
    own = [{"role": "data_custodian", "party": a, "person": b, "signed": True} for a, b in custodians]
    return [*own, *({**plain(x), "signed": (x.party, x.person) in custodians} for x in stated)]


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


def approving(agreement: Agreement, duties: Duties) -> Iterator[tuple[str, Document | None]]:
    """Every document by which a body or a person said yes, by what it is about. They end by days of their own."""
    for approval in duties.approvals or ():
        yield f"approval by {approval.person}", approval.document
    for entry in agreement.datasets:
        for held in entry.custody or ():
            whose = f"{entry.dataset} of {held.controller}"
            yield f"confidence of {whose}", held.confidence_document
            yield f"HIPAA route of {whose}", held.hipaa_document
            if held.section_251 is not None:
                yield f"section 251 support of {whose}", held.section_251.letter
                yield f"opt-out exemption of {whose}", held.section_251.exemption
            if held.ethics is not None:
                yield f"ethics opinion of {whose}", held.ethics.opinion
                yield f"ethics determination of {whose}", held.ethics.determination
            if held.deidentification is not None:
                yield f"expert report of {whose}", held.deidentification.expert_report


def dated(agreement: Agreement, duties: Duties, pointed: Iterable[Mapping[str, str]]) -> Iterator[dict[str, str]]:
    """Everything that is said to have happened, and when: documents, approvals, judgements, attestations, look-ups."""
    said = [(document["what"], document["date"]) for document in pointed]
    said += [(what, shown.date) for what, shown in approving(agreement, duties) if shown is not None]
    said += [(f"approval by {approval.person}", approval.date) for approval in duties.approvals or ()]
    said += [(f"judgement on {judgement.rule}", judgement.date) for judgement in duties.judgements or ()]
    said += [(f"attestation of {f.facility}", f.nist_800_171) for f in duties.facilities or () if f.nist_800_171]
    held = ((party.party, party.status.dpf) for party in agreement.parties if party.status is not None)
    said += [(f"look-up of {party}", listing.checked) for party, listing in held if listing is not None]
    yield from ({"what": what, "date": date} for what, date in said)
