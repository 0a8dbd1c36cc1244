"""Facts that follow from what an agreement states, so that nobody can state them otherwise.

Whether UK law asks about a dataset follows from its people and from where its controller is (UK GDPR Art 3(1)), and whether it
is personal data there from no label of HIPAA. Whether records that move are personal follows from the records.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from isthmus.governance.duties import Approval, Assessments, Category, Custody, Document, Duties, Flow, Origin
from isthmus.governance.reviewers import country_of_person
from isthmus.model.canonical import plain

if TYPE_CHECKING:
    from isthmus.governance.agreement import Agreement, DatasetEntry, Party

# Called so, data are about nobody under UK law; rule XB-08 asks for the signed test.
NOBODY = frozenset({"anonymous_ico", "synthetic"})
RECORDS = frozenset({"records", "remote_access_records"})
_OF_PATIENTS: frozenset[Origin] = frozenset({"nhs_confidential", "nhs_england_dars", "cms"})


def controllers(agreement: Agreement, entry: DatasetEntry) -> set[str]:
    """Who is answerable for a dataset: who says so, and every party with rows of it that holds them for nobody else."""
    holders = {agreement.site(site).party for site in entry.sites} - processors(agreement, entry)
    return {c.controller for c in entry.custody or ()} | holders


def held_facts(agreement: Agreement, entry: DatasetEntry, controller: str, stated: Custody | None) -> dict[str, Any]:
    """Of what a controller holds: `stored`, the countries its rows lie in; `uk` and `us`, whose law asks; `personal` under UK
    law; `hipaa`, what the controller is to it; where the data come from and what they are about.
    """
    party = _party(agreement, controller)
    keepers = {controller, *((stated and stated.processors) or ())}
    stored = {site.country for site in map(agreement.site, entry.sites) if site.party in keepers}
    hipaa = party.status.hipaa if party.status else None
    found: dict[str, Any] = {"stored": sorted(stored)} | ({} if hipaa is None else {"hipaa": hipaa})
    held_in = {*stored, *(_party(agreement, name).country for name in keepers)}
    for name, country in (("uk", "GB"), ("us", "US")):
        about = stated is not None and country in stated.subjects
        here = country in held_in and (stated is None or stated.identifiability != "synthetic")
        if stated is not None or here:
            found[name] = about or here
    if stated is not None:
        found["personal"] = stated.identifiability not in NOBODY
        found["origins"] = list(origins(agreement, stated))
        found["categories"] = list(categories(agreement, stated))
    return found


def processors(agreement: Agreement, entry: DatasetEntry) -> set[str]:
    """Parties that hold a dataset for others: those that are processors, and are named so by a controller."""
    roles = {p.party: p.status.role for p in agreement.parties if p.status}
    named = {name for held in entry.custody or () for name in held.processors or ()}
    return {name for name in named if roles.get(name) == "processor"}


def origins(agreement: Agreement, held: Custody) -> tuple[Origin, ...]:
    """As stated; of people, what an NHS body holds and what section 251 opens are confidential records of NHS patients."""
    party = _party(agreement, held.controller)
    body = party.country == "GB" and party.status is not None and party.status.legal_form == "nhs_body"
    patients = held.identifiability not in NOBODY and (body or held.confidence_basis == "s251")
    return ("nhs_confidential", *held.origins) if patients and "nhs_confidential" not in held.origins else held.origins


def categories(agreement: Agreement, held: Custody) -> tuple[Category, ...]:
    """As stated; what comes from patients' records is about health."""
    patients = not _OF_PATIENTS.isdisjoint(origins(agreement, held)) and "health" not in held.categories
    return ("health", *held.categories) if patients else held.categories


def _party(agreement: Agreement, name: str) -> Party:
    return next(p for p in agreement.parties if p.party == name)


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
    for person in agreement.people:
        named = {"person": person.person, "party": person.party, "roles": sorted(person.roles)}
        yield named | plain(person.standing or {}) | {"country": country_of_person(agreement, person)}


def approval_facts(agreement: Agreement, signers: Collection[str], stated: Iterable[Approval]) -> list[dict[str, Any]]:
    """What these custodians approved by signing, and what is stated; `signed` is true of no other than they."""
    found = sorted(agreement.people, key=lambda p: p.party)
    custodians = [(p.party, p.person) for p in found if "custodian" in p.roles and p.person in signers]
    own = [{"role": "data_custodian", "party": a, "person": b, "signed": True} for a, b in custodians]
    return [*own, *({**plain(x), "signed": (x.party, x.person) in custodians} for x in stated)]


def documents(agreement: Agreement, duties: Duties) -> Iterator[dict[str, str]]:
    """Every document in which people judged, by what it is about, but for those that end by a day of their own."""
    stated = {f.name: getattr(duties.assessments, f.name) for f in fields(Assessments)} if duties.assessments else {}
    for flow in duties.flows or ():
        stated[f"flow {flow.flow}"] = flow.identifiability_assessment
        stated[f"test of {flow.flow}"] = flow.test
    for number, approval in enumerate(duties.approvals or (), 1):
        stated[f"approval {number} by {approval.person}"] = approval.document
    for whose, held in _custody(agreement):
        support = held.section_251
        stated[whose] = held.anonymisation_test
        stated[f"HIPAA route of {whose}"] = held.hipaa_document
        stated[f"opt-out exemption of {whose}"] = support.exemption if support else None
        stated[f"expert report of {whose}"] = held.deidentification.expert_report if held.deidentification else None
    for what, document in stated.items():
        if document is not None:
            yield {"what": what, "date": document.date, "outcome": document.outcome}


def _ending(agreement: Agreement) -> Iterator[tuple[str, Document | None]]:
    """Documents that hold until a day that stands beside them, and consent, which holds until it is withdrawn."""
    for whose, held in _custody(agreement):
        yield f"consent or statute of {whose}", held.confidence_document
        yield f"section 251 support of {whose}", held.section_251.letter if held.section_251 else None
        yield f"ethics opinion of {whose}", held.ethics.opinion if held.ethics else None
        yield f"ethics determination of {whose}", held.ethics.determination if held.ethics else None


def _custody(agreement: Agreement) -> Iterator[tuple[str, Custody]]:
    for entry in agreement.datasets:
        yield from ((f"{entry.dataset} of {held.controller}", held) for held in entry.custody or ())


def dated(agreement: Agreement, duties: Duties, pointed: Iterable[Mapping[str, str]]) -> Iterator[dict[str, str]]:
    """Everything that is said to have happened, and when: documents, approvals, judgements, attestations, look-ups."""
    said = [(document["what"], document["date"]) for document in pointed]
    said += [(what, shown.date) for what, shown in _ending(agreement) if shown is not None]
    said += [(f"approval by {approval.person}", approval.date) for approval in duties.approvals or ()]
    said += [(f"judgement on {judgement.rule}", judgement.date) for judgement in duties.judgements or ()]
    said += [(f"attestation of {f.facility}", f.nist_800_171) for f in duties.facilities or () if f.nist_800_171]
    held = ((party.party, party.status.dpf) for party in agreement.parties if party.status is not None)
    said += [(f"look-up of {party}", listing.checked) for party, listing in held if listing is not None]
    yield from ({"what": what, "date": date} for what, date in said)
