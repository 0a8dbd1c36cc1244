"""The rule pack's facts, derived from the agreement, the request, its route and the site: the one adapter.

What is not stated is left out, and a rule that needs it is unknown. What can be derived is derived and cannot be stated:
who holds what, the countries of a flow, the route that a study's numbers really take, which kind of output a question
kind gives, who approved by signing, how many people of the United States are in reach.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from isthmus.governance.admission import RunRequest, barred, without
from isthmus.governance.agreement import Agreement, DatasetEntry, Person, agreement_digest
from isthmus.governance.anonymity import shown_against
from isthmus.governance.claims import (
    approval_facts,
    categories,
    controllers,
    dated,
    documents,
    held_facts,
    people_facts,
)
from isthmus.governance.duties import AgreedPurpose, Custody, Duties
from isthmus.governance.identifiers import Scan, scan
from isthmus.governance.route import flows, route
from isthmus.governance.rulepack import Pack
from isthmus.model.canonical import plain
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.study import Study, study_digest

if TYPE_CHECKING:
    from isthmus.model.rules import Rules

Reached = Mapping[str, Mapping[str, int | None]]  # agreement, dataset and controller -> category -> people
EMPTY = Duties()
ANY = "any"
METHODS, ANCESTRY, GENETIC = {"DUO:0000031"}, {"DUO:0000011", "DUO:0000033"}, {"DUO:0000016", "DUO:0000038"}


@dataclass(frozen=True, slots=True)
class Known:
    """What a site knows of an agreement besides its text.

    Attributes:
        signers: custodians by name whose signature was verified.
        codebooks: dataset -> its codebook, where it is at hand: its variables may be read, and it is scanned for identifiers.
        revoked: by a party.
        reached: people of the United States whom the site's studies reached within twelve months.
    """

    signers: frozenset[str] = frozenset()
    codebooks: Mapping[str, Codebook] | None = None
    revoked: bool = False
    reached: Reached | None = None


def signed_by_all(agreement: Agreement) -> Known:
    """What there is to know once every custodian has signed, and nothing besides."""
    return Known(signers=frozenset(p.person for p in agreement.people if "custodian" in p.roles))


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, by name, and the visas of their passport that count."""

    person: str
    visas: Sequence[Mapping[str, Any]] = ()


def agreement_facts(agreement: Agreement, pack: Pack, known: Known) -> dict[str, Any]:
    """The facts `a`."""
    duties = agreement.duties or EMPTY
    datasets = [fact for entry in agreement.datasets for fact in _datasets(agreement, entry, known)]
    pointed = list(documents(agreement, duties))
    years, statbarns = _constant(pack, "evidence_years"), _constant(pack, "statbarns")
    return {
        "id": agreement.id,
        "version": agreement.version,
        "digest": agreement_digest(agreement),
        "starts": agreement.starts,
        "expires": agreement.expires,
        "revoked": known.revoked,
        "two_party": agreement.two_party,
        "releases": sorted(agreement.releases),
        "evidence_least": f"{int(agreement.expires[:4]) + years}{agreement.expires[4:]}",
        "parties": [
            {"party": p.party, "country": p.country, **(plain(p.status) if p.status else {})} for p in agreement.parties
        ],
        "hub": _facility(agreement, agreement.hub.facility),
        "datasets": datasets,
        "bulk": list(_bulk(agreement, known.reached or {})),
        "analyses": [
            {"kind": kind, **({"statbarn": statbarns[kind]} if kind in statbarns else {})}
            for kind in agreement.analyses
        ],
        "people": list(people_facts(agreement)),
        "documents": pointed,
        "dated": list(dated(agreement, duties, pointed)),
        "disclosure": plain(agreement.disclosure),
        "approvals": approval_facts(agreement, known.signers, duties.approvals or ()),
        **_stated(agreement, duties),
    }


def study_facts(request: RunRequest, asking: Asking, agreement: Agreement, site: str, reads: Collection[str]) -> Any:
    """The facts `s`: of an admitted request, so its signature holds and its asker is a researcher of the agreement.

    Args:
        request: as admitted.
        asking: who signed it, and what their passport shows.
        agreement: in force.
        site: which decides; its custodians are the approvers.
        reads: every name that the study reads; those in no codebook (`site`, `country`, derived) are left out.
    """
    study = request.study
    asked = without(study, barred(study, agreement, None, None))  # the rest is refused, and does not run
    person = next(p for p in agreement.people if p.person == asking.person)
    return {
        "dataset": study.dataset,
        "study": study_digest(study),
        "agreement": request.agreement,
        "signed": True,
        "kinds": sorted({kind for analysis in asked.analyses.values() for kind in analysis}),
        "columns": sorted(set(reads) - {"site", "country", *(study.derive or {})}),
        "generative": False,  # the catalogue is closed, and no kind in it generates
        "rho": _rho(study),
        "requester": {**requester_facts(person), "visas": list(asking.visas)},
        "approvers": approvers(agreement, site),
        "purpose": {
            **purpose_facts(study.purpose.duo, study.purpose.disease or ANY, agreement.duties),
            **_commercial(study, person, agreement),
        },
        "route": route(agreement, study.dataset),
    }


def _commercial(study: Study, person: Person, agreement: Agreement) -> dict[str, bool]:
    """As the request states it; where it does not, nobody's but a company's is not commercial."""
    if study.purpose.commercial is not None:
        return {"commercial": study.purpose.commercial}
    status = next(p.status for p in agreement.parties if p.party == person.party)
    return {"commercial": False} if status is not None and status.legal_form != "company" else {}


def requester_facts(person: Person) -> dict[str, Any]:
    """Of a researcher whom the agreement names: what it says of them."""
    standing = plain(person.standing) if person.standing else {}
    return {"person": person.person, "party": person.party, "named": True, **standing}


def approvers(agreement: Agreement, site: str) -> list[str]:
    """The custodians who decide at a site."""
    return sorted(p.person for p in agreement.custodians(agreement.site(site).party))


def site_facts(agreement: Agreement, site: str, rules: Rules) -> dict[str, Any]:
    """The facts `site`. Three controls are Isthmus's own: one key stands for one person, TLS 1.3 alone, a ledger."""
    limits = {"minimum_count": rules.minimum_count, "minimum_count_site": rules.minimum_count_site}
    return {**_facility(agreement, agreement.site(site).facility), **limits}


def signature_facts(agreement: Agreement, signers: Collection[str]) -> dict[str, Any]:
    """The facts `sig` of an agreement whose signatures `signing.check_signatures` has verified, by these custodians."""
    parties = {p.party for p in agreement.people if "custodian" in p.roles and p.person in signers}
    return {"parties": sorted(parties), "digest_match": True, "meanings": True, "algorithm": "Ed25519"}


def purpose_facts(duo: str, disease: str, duties: Duties | None) -> dict[str, Any]:
    """Of a purpose by its DUO term and disease (`any` for any): what they say, and what the agreement says of it."""
    agreed = [p for p in (duties or EMPTY).purposes or () if p.duo == duo and p.disease in {None, disease}]
    stated = {}
    for name in ("individual_decisions", "approved_medical_research"):
        values = [getattr(p, name) for p in agreed]
        if values and None not in values:
            stated[name] = any(values) if name == "individual_decisions" else all(values)
    return {
        "duo": duo,
        "disease": disease,
        "methods_only": duo in METHODS,
        "ancestry": duo in ANCESTRY,
        "genetic": duo in GENETIC,
        **stated,
    }


def today(now: datetime) -> str:
    """The fact `now`."""
    return now.date().isoformat()


def _facility(agreement: Agreement, name: str) -> dict[str, Any]:
    """What is stated of a place, and what Isthmus itself controls there."""
    places = (agreement.duties or EMPTY).facilities or ()
    stated: dict[str, Any] = next((plain(f) for f in places if f.facility == name), {})
    own = {"unique_ids": True, "encrypt_transit": True, "audit_chain": True}
    return {**stated, "controls": {**stated.get("controls", {}), **own}}


def _constant(pack: Pack, name: str) -> Any:
    if name not in pack.constants:
        hint = "take the pack as it was signed, or correct it and agree on it anew"
        raise Invalid("E-PACK", f"the constant {name!r} is missing: facts are made with it", hint, f"constants.{name}")
    return pack.constants[name].value


def _stated(agreement: Agreement, duties: Duties) -> dict[str, Any]:
    """Parts of the agreement as they stand; a part that is left out is no fact."""
    found: dict[str, Any] = {}
    if duties.purposes is not None:
        found["purposes"] = [_purpose_fact(p) for p in duties.purposes]
    if duties.flows is not None:
        found["flows"] = list(flows(agreement))
    for name in ("retention", "assessments", "rule_pack"):
        if getattr(duties, name) is not None:
            found[name] = plain(getattr(duties, name))
    return found


def _purpose_fact(purpose: AgreedPurpose) -> dict[str, Any]:
    return {"purpose": purpose.purpose, "duo": purpose.duo, "disease": purpose.disease or ANY}


def _datasets(agreement: Agreement, entry: DatasetEntry, known: Known) -> Iterator[dict[str, Any]]:
    """One fact for each controller; a party that holds the data and states nothing is there, and nothing of it is known.

    So is one that calls itself a processor, and whom no controller names as its own.
    """
    stated: dict[str, Custody | None] = {c.controller: c for c in entry.custody or ()}
    book = (known.codebooks or {}).get(entry.dataset)
    allowed = entry.variables
    if allowed is None and book is not None:
        allowed = tuple(book.variables)
    shared: dict[str, Any] = {"dataset": entry.dataset, "noise": entry.privacy is not None}
    if allowed is not None:
        shared["columns"] = sorted(allowed)
    if entry.privacy is not None:
        shared["rho_each"] = float(min(entry.privacy.per_person, entry.privacy.per_project))
    for party in sorted(controllers(agreement, entry)):
        held = plain(stated.get(party) or {}) | {"shown": []}
        if book is not None:
            held |= _looked_at(held, stated.get(party), scan(book, agreement.expires))
        yield {"controller": party, **shared, **held, **held_facts(agreement, entry, party, stated.get(party))}


def _looked_at(held: dict[str, Any], stated: Custody | None, found: Scan) -> dict[str, Any]:
    """What a codebook shows against a controller's claim: nothing speaks for it."""
    gone = {"deidentification": _seen(held["deidentification"], found)} if "deidentification" in held else {}
    return gone | {"shown": sorted(shown_against(stated, found)) if stated is not None else []}


def _seen(stated: dict[str, Any], found: Scan) -> dict[str, Any]:
    """What a controller states of de-identification, held against the codebook: it can only become worse."""
    seen = dict(stated)
    if "identifiers_found" in stated:
        seen["identifiers_found"] = sorted({*stated["identifiers_found"], *found.found})
    for name in ("zip3_ok", "age90_ok"):
        if name in stated:
            seen[name] = stated[name] and getattr(found, name)
    if not found.zips:
        seen["zip3_census"] = "none"
    elif stated.get("zip3_census") == "none":
        del seen["zip3_census"]  # there is one
    return seen


def in_reach(agreement: Agreement, datasets: Collection[str]) -> Reached:
    """People of the United States in datasets: by agreement, dataset and controller, and category, as stated."""
    return {
        f"{agreement.id} {entry.dataset} {custody.controller}": dict.fromkeys(
            categories(agreement, custody), custody.people_us
        )
        for entry in agreement.datasets
        if entry.dataset in datasets
        for custody in entry.custody or ()
        if "US" in custody.subjects
    }


def _bulk(agreement: Agreement, reached: Reached) -> Iterator[dict[str, Any]]:
    """People of the United States by category: in reach of this agreement, and reached by others within twelve months."""
    now = in_reach(agreement, {entry.dataset for entry in agreement.datasets})
    every = [
        (who, category, n) for people in (now, reached) for who, each in people.items() for category, n in each.items()
    ]
    for category in sorted({category for _, category, _ in every}):
        whose = sorted({who for who, named, _ in every if named == category})
        numbers = [[n for other, named, n in every if (other, named) == (who, category)] for who in whose]
        if any(None in stated for stated in numbers):
            yield {"category": category}
        else:
            yield {"category": category, "people": sum(max(n for n in stated if n is not None) for stated in numbers)}


def _rho(study: Study) -> float:
    """What the analyses ask of the privacy budget together."""
    asked = [a.get("privacy") for analysis in study.analyses.values() for a in analysis.values()]
    return float(sum(p["rho"] for p in asked if isinstance(p, Mapping) and isinstance(p.get("rho"), int | float)))
