"""An agreement read out whole: every part that its parties signed, in plain words, with what nobody stated said to be so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from isthmus.crypto.keys import fingerprint
from isthmus.governance.agreement import Agreement, DatasetEntry
from isthmus.governance.signing import SignedAgreement, claims
from isthmus.sdk.artefacts.pages import Part, facts, listed
from isthmus.sdk.artefacts.words import UNSTATED, day, moment, plainly, yes


def terms(signed: SignedAgreement) -> Iterator[Part]:
    """Parties, nodes, data, purposes, flows, facilities, people, documents, approvals, judgements, signatures; no rules."""
    agreement, duties = signed.agreement, signed.agreement.duties
    yield from _each("Party", ((p.party, p) for p in agreement.parties))
    nodes = [(n.site, n.party, n.country, n.facility, fingerprint(bytes.fromhex(n.key))) for n in agreement.sites]
    hub = agreement.hub
    nodes.append((hub.hub, hub.party, hub.country, "hub", fingerprint(bytes.fromhex(hub.key))))
    yield listed("Sites and hub", ("Node", "Party", "Country", "Facility", "Key, as read aloud"), iter(nodes))
    for entry in agreement.datasets:
        yield _dataset(entry)
        yield from _each(f"{entry.dataset}, as stated by", ((held.controller, held) for held in entry.custody or ()))
    if duties is not None:
        yield from _each("Purpose", ((p.purpose, p) for p in duties.purposes or ()))
        yield from _each("Flow", ((f.flow, f) for f in duties.flows or ()))
        yield from _each("Facility", ((f.facility, f) for f in duties.facilities or ()))
    yield from _people(agreement)
    if duties is not None:
        approvals = ((plainly(a.role), a.person, a.party, day(a.date), a.ref or "none") for a in duties.approvals or ())
        yield listed("Approvals", ("As", "Person", "Party", "On", "Reference"), approvals)
        judged = ((j.rule, j.person, day(j.date), j.reason) for j in duties.judgements or ())
        yield listed("Judgements on rules that ask for a person", ("Rule", "Person", "On", "Reason"), judged)
        for title, stated in (("Documents", duties.assessments), ("Retention", duties.retention)):
            if stated is not None:
                yield facts(title, *_stated(stated))
        yield from _each("Passports and visas of", ((p.issuer, p) for p in duties.passport_issuers or ()))
    yield from _signatures(signed)


def _each(kind: str, entries: Iterable[tuple[str, Any]]) -> Iterator[Part]:
    for name, entry in entries:
        yield facts(f"{kind} {name}", *_stated(entry))


def _dataset(entry: DatasetEntry) -> Part:
    variables = "every variable of the codebook" if entry.variables is None else _words(entry.variables)
    return facts(
        f"Dataset {entry.dataset}",
        ("codebook", entry.codebook),
        ("held by", _words(entry.sites)),
        ("variables that studies may read", variables),
        ("questions", "no cap" if entry.questions is None else _words(entry.questions)),
        ("noise", "none: answers are exact" if entry.privacy is None else _words(entry.privacy)),
    )


def _people(agreement: Agreement) -> Iterator[Part]:
    from isthmus.governance.reviewers import country_of_person

    rows = (
        (
            p.person,
            p.party,
            country_of_person(agreement, p),
            plainly(_words(p.roles)),
            day(p.standing.training_expires if p.standing else None),
            yes(p.standing.covered_person if p.standing else None),
            (p.standing.affiliation if p.standing else None) or UNSTATED,
        )
        for p in agreement.people
    )
    headings = ("Person", "Party", "Country", "Roles", "Training until", "Covered person", "Affiliation")
    yield listed("People", headings, rows)
    logins = ((p.person, _words(login)) for p in agreement.people for login in p.logins or ())
    if any(p.logins for p in agreement.people):
        yield listed("Logins", ("Person", "Who they are at a provider"), logins)


def _signatures(signed: SignedAgreement) -> Iterator[Part]:
    rows = ((c.person, c.party, c.meaning, moment(c.time), fingerprint(bytes.fromhex(c.key))) for c in claims(signed))
    headings = ("Signed by", "For", "Meaning", "Time claimed (UTC)", "Key, as read aloud")
    yield listed("Signatures", headings, rows)


def _stated(record: Any) -> Iterator[tuple[str, str]]:
    """Each field of a record in words; a record within it gives its own fields, under its name."""
    coded = _coded(type(record))
    for field in fields(record):
        value, name = getattr(record, field.name), plainly(field.name)
        if is_dataclass(value):
            yield from ((f"{name}: {inner}", said) for inner, said in _stated(value))
        else:
            yield name, plainly(_words(value)) if field.name in coded else _words(value)


def _coded(kind: type) -> frozenset[str]:
    """The fields whose values are words of the format, not names that people chose."""
    return frozenset(name for name, hint in get_type_hints(kind).items() if _literal(hint))


def _literal(hint: Any) -> bool:
    return get_origin(hint) is Literal or any(_literal(inner) for inner in get_args(hint))


def _words(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return yes(value)
    if is_dataclass(value):
        return "; ".join(f"{name} {said}" for name, said in _stated(value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(said)}" for name, said in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(map(_words, value)) or "none"
    return str(value)
