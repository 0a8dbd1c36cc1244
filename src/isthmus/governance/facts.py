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
from isthmus.governance.claims import (
    approval_facts,
    categories,
    dated,
    documents,
    flow_facts,
    held_facts,
    people_facts,
    processors,
)
from isthmus.governance.duties import AgreedPurpose, Custody, Duties, Facility
from isthmus.governance.identifiers import Scan, scan
from isthmus.governance.reviewers import checkers, country_of_person
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
        parties: those whose custodian's signature was verified.
        codebooks: dataset -> its codebook, where it is at hand: its variables may be read, and it is scanned for identifiers.
        revoked: by a party.
        reached: people of the United States whom the site's studies reached within twelve months.
    """

    parties: frozenset[str] = frozenset()
    codebooks: Mapping[str, Codebook] | None = None
    revoked: bool = False
    reached: Reached | None = None


def signed_by_all(agreement: Agreement) -> Known:
    """What there is to know once every party has signed, and nothing besides."""
    return Known(parties=frozenset(p.party for p in agreement.parties))


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
        "approvals": approval_facts(agreement, known.parties, duties.approvals or ()),
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
            "commercial": study.purpose.commercial,
        },
        "route": route(agreement, study.dataset, frozenset({person.person})),
    }


def requester_facts(person: Person) -> dict[str, Any]:
    """Of a researcher whom the agreement names: what it says of them."""
    standing = plain(person.standing) if person.standing else {}
    return {"person": person.person, "party": person.party, "named": True, **standing}


def approvers(agreement: Agreement, site: str) -> list[str]:
    """The custodians who decide at a site."""
    return sorted(p.person for p in agreement.custodians(agreement.site(site).party))


def site_facts(agreement: Agreement, site: str, rules: Rules) -> dict[str, Any]:
    """The facts `site`. Three controls are Isthmus's own: one key stands for one person, TLS 1.3 alone, a ledger."""
    place = _facility(agreement, site)
    stated: dict[str, Any] = plain(place) if place else {}
    own = {"unique_ids": True, "encrypt_transit": True, "audit_chain": True}
    limits = {"minimum_count": rules.minimum_count, "minimum_count_site": rules.minimum_count_site}
    return {**stated, **limits, "controls": {**stated.get("controls", {}), **own}}


def signature_facts(parties: Collection[str]) -> dict[str, Any]:
    """The facts `sig` of an agreement whose signatures `signing.check_signatures` has verified, by these parties."""
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


def route(agreement: Agreement, dataset: str, askers: Collection[str] | None = None) -> list[dict[str, str]]:
    """Every way that numbers of a study on a dataset take between parties or countries.

    Each site's masked sums go to the hub; pooled sums go from the hub to every site, results to who asks and, where the
    agreement has results reviewed, to the output checkers who may look at them first.

    Args:
        agreement: its sites, hub and people.
        dataset: by name.
        askers: researchers by name; all of them when not given.
    """
    hub = (agreement.hub.party, agreement.hub.country)
    sites = {(agreement.site(s).party, country_of(agreement, s)) for s in agreement.dataset(dataset).sites}
    people = [p for p in agreement.people if "researcher" in p.roles and (askers is None or p.person in askers)]
    if agreement.review is not None and agreement.review.egress:
        people += checkers(agreement, askers or ())
    asking = {(p.party, country_of_person(agreement, p)) for p in people}
    legs = [(site, hub, "encrypted_shares") for site in sites]
    legs += [(hub, other, "aggregates") for other in sites | asking]
    found = sorted({(*a, *b, what) for a, b, what in legs if a != b})
    names = ("sender", "from_country", "receiver", "to_country", "what")
    return [dict(zip(names, leg, strict=True)) for leg in found]


def country_of(agreement: Agreement, site: str) -> str:
    """The country of a site's facility where the agreement states it, else of the site's card."""
    place = _facility(agreement, site)
    return place.country if place else agreement.site(site).country


def _home(agreement: Agreement, party: str) -> str:
    return next(p.country for p in agreement.parties if p.party == party)


def _facility(agreement: Agreement, site: str) -> Facility | None:
    places = (agreement.duties or EMPTY).facilities or ()
    return next((f for f in places if f.facility == agreement.site(site).facility), None)


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
        found["flows"] = list(_flows(agreement, duties))
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
    holders = {agreement.site(site).party for site in entry.sites} - processors(agreement, entry)
    book = (known.codebooks or {}).get(entry.dataset)
    allowed = entry.variables
    if allowed is None and book is not None:
        allowed = tuple(book.variables)
    shared: dict[str, Any] = {"dataset": entry.dataset, "noise": entry.privacy is not None}
    if allowed is not None:
        shared["columns"] = sorted(allowed)
    if entry.privacy is not None:
        shared["rho_each"] = float(min(entry.privacy.per_person, entry.privacy.per_project))
    for party in sorted({*stated, *holders}):
        held = plain(stated.get(party) or {})
        if book is not None and "deidentification" in held:
            held["deidentification"] = _seen(held["deidentification"], scan(book, agreement.expires))
        yield {"controller": party, **shared, **held, **held_facts(agreement, party, stated.get(party))}


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


def _flows(agreement: Agreement, duties: Duties) -> Iterator[dict[str, Any]]:
    places = _places(agreement)
    for flow in duties.flows or ():
        shared = {k: v for k, v in plain(flow).items() if k not in {"senders", "receivers", "personal"}}
        shared |= flow_facts(agreement, flow)
        ends = ((a, c, b, d) for a in flow.senders for c in places[a] for b in flow.receivers for d in places[b])
        for sender, left, receiver, entered in ends:
            if (sender, left) != (receiver, entered):
                yield shared | {"sender": sender, "receiver": receiver, "from_country": left, "to_country": entered}


def _places(agreement: Agreement) -> dict[str, list[str]]:
    """Party -> countries in which it has a site, the hub or a researcher; else its own."""
    found: dict[str, set[str]] = {p.party: set() for p in agreement.parties}
    for site in agreement.sites:
        found[site.party].add(country_of(agreement, site.site))
    found[agreement.hub.party].add(agreement.hub.country)
    for person in agreement.people:
        if "researcher" in person.roles and person.standing is not None:
            found[person.party].add(person.standing.country)
    return {party: sorted(countries or {_home(agreement, party)}) for party, countries in found.items()}


def _rho(study: Study) -> float:
    """What the analyses ask of the privacy budget together."""
    asked = [a.get("privacy") for analysis in study.analyses.values() for a in analysis.values()]
    return float(sum(p["rho"] for p in asked if isinstance(p, Mapping) and isinstance(p.get("rho"), int | float)))
