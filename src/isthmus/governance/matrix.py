"""Dataset x purpose x destination: the legal basis, and the rules that do not pass there.

A cell judges every rule whose facts the agreement and the day hold, on one dataset, one purpose and the flows into one
country: of the agreement, of a run and of operations, for each researcher who may ask and each site that would decide. The
study is the widest that keeps to the agreement: all its question kinds and columns, nothing commercial. What only a real
study or its output shows is judged when it runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from isthmus.governance.agreement import Agreement, DatasetEntry, Person, agreement_digest
from isthmus.governance.duties import AgreedPurpose
from isthmus.governance.facts import (
    ANY,
    Known,
    agreement_facts,
    approvers,
    purpose_facts,
    requester_facts,
    signature_facts,
    site_facts,
)
from isthmus.governance.once import Judge, Question
from isthmus.governance.route import route
from isthmus.governance.rulepack import Pack, Rule
from isthmus.governance.verdicts import Final, Verdict, worst
from isthmus.model.record import record

AT_A_RUN = {"visas"}  # missing here, and not because the agreement left it out
UNSTATED = "not stated"


@record
class Cell:
    """One dataset, purpose and destination country.

    Attributes:
        basis: what the controllers state, and the mechanisms of the flows into the country.
        final: the worst verdict.
        open: rules that fail or are unknown.
        of: rule -> the researchers and sites for which it is open, where it asks about them.
    """

    dataset: str
    purpose: str
    destination: str
    basis: str
    final: Final
    open: tuple[str, ...]
    of: Mapping[str, tuple[str, ...]]


def matrix(agreement: Agreement, pack: Pack, known: Known, day: str) -> tuple[tuple[Cell, ...], tuple[Verdict, ...]]:
    """Every cell, and each verdict that is open in one of them, once.

    Args:
        agreement: signed or not.
        pack: the rules.
        known: whose signatures count.
        day: today, YYYY-MM-DD: what sites take is judged by it; what runs under an agreement that has not begun, by its first.
    """
    facts = agreement_facts(agreement, pack, known)
    signed, later = {"sig": signature_facts(agreement, known.signers)}, {"now": max(day, agreement.starts)}
    rules, taken = _by_whom(pack), pack.at("agreement")
    of_site, judge = _sites(agreement), Judge(pack)
    stated = (agreement.duties.purposes if agreement.duties else None) or (None,)
    cells: list[Cell] = []
    seen: dict[str, Verdict] = {}
    for entry in agreement.datasets:
        legs = route(agreement, entry.dataset)
        for purpose in stated:
            for country in _destinations(entry.dataset, legs, facts):
                inside = _restricted(facts, entry.dataset, country)
                study = _study(agreement, entry, purpose, [x for x in legs if x["to_country"] == country])
                asked = _asked(agreement, [of_site[name] for name in entry.sites], study)
                own: list[tuple[Whom, Question]] = [((), Question(taken, {"now": day}))]
                own += [(w, Question(rules[x], {**later, **more})) for x in rules for w, more in asked[x]]
                found = list(_open(judge, {**signed, "a": inside}, own))
                for verdict, _ in found:
                    seen.setdefault(verdict.rule.id, verdict)
                cells.append(
                    Cell(
                        dataset=entry.dataset,
                        purpose=purpose.purpose if purpose else UNSTATED,
                        destination=country,
                        basis="; ".join(_basis(inside)) or UNSTATED,
                        final=worst([verdict for verdict, _ in found]),
                        open=_in_order(pack, {verdict.rule.id for verdict, _ in found}),
                        of=_whose(found),
                    )
                )
    return tuple(cells), tuple(seen[rule] for rule in _in_order(pack, set(seen)))


Scope = tuple[bool, bool]  # whether a rule asks about the researcher, about the site
Whom = tuple[str, ...]
Asked = list[tuple[Whom, dict[str, Any]]]
Site = tuple[Whom, dict[str, Any], dict[str, Any]]  # its name, the facts `s` of it, and `site`


def _by_whom(pack: Pack) -> dict[Scope, list[Rule]]:
    """Rules of a run and of operations by whether they ask about the researcher and about the site."""
    found: dict[Scope, list[Rule]] = {}
    for rule in (r for r in pack.rules if r.gate not in {"agreement", "egress"}):
        text = f"{rule.applies} {rule.requires}"
        found.setdefault(("s.requester" in text, "site." in text or "s.approvers" in text), []).append(rule)
    return found


def _sites(agreement: Agreement) -> dict[str, Site]:
    return {
        s.site: (
            (s.site,),
            {"approvers": approvers(agreement, s.site)},
            site_facts(agreement, s.site, agreement.disclosure),
        )
        for s in agreement.sites
    }


def _asked(agreement: Agreement, by_site: list[Site], study: dict[str, Any]) -> Mapping[Scope, Asked]:
    """For each scope, who it is about and the facts `s` and `site` then."""
    people: list[Person] = [p for p in agreement.people if "researcher" in p.roles]
    by_person = [((p.person,), {"requester": requester_facts(p)}) for p in people]
    return {
        (False, False): [((), {"s": study})],
        (True, False): [(whom, {"s": {**study, **asker}}) for whom, asker in by_person],
        (False, True): [(whom, {"s": {**study, **keepers}, "site": site}) for whom, keepers, site in by_site],
        (True, True): [
            ((*who, *whom), {"s": {**study, **asker, **keepers}, "site": site})
            for (who, asker), (whom, keepers, site) in product(by_person, by_site)
        ],
    }


def _open(
    judge: Judge, facts: Mapping[str, Any], asked: Sequence[tuple[Whom, Question]]
) -> Iterator[tuple[Verdict, Whom]]:
    for (whom, _), found in zip(asked, judge.verdicts(facts, [question for _, question in asked]), strict=True):
        for verdict in found:
            if verdict.outcome in {"fail", "unknown"} and verdict.missing not in AT_A_RUN:
                yield verdict, whom


def _whose(found: Iterable[tuple[Verdict, Whom]]) -> dict[str, tuple[str, ...]]:
    names: dict[str, dict[str, None]] = {}
    for verdict, whom in found:
        if whom:
            names.setdefault(verdict.rule.id, {}).update(dict.fromkeys(whom))
    return {rule: tuple(whom) for rule, whom in names.items()}


def _in_order(pack: Pack, ids: set[str]) -> tuple[str, ...]:
    return tuple(rule.id for rule in pack.rules if rule.id in ids)


def _destinations(dataset: str, legs: Iterable[Mapping[str, str]], facts: Mapping[str, Any]) -> list[str]:
    agreed = {f["to_country"] for f in facts.get("flows", ()) if dataset in f["datasets"]}
    return sorted(agreed | {leg["to_country"] for leg in legs})


def _restricted(facts: Mapping[str, Any], dataset: str, country: str) -> dict[str, Any]:
    inside = {**facts, "datasets": [d for d in facts["datasets"] if d["dataset"] == dataset]}
    if "flows" in facts:
        inside["flows"] = [f for f in facts["flows"] if dataset in f["datasets"] and f["to_country"] == country]
    return inside


def _study(
    agreement: Agreement, entry: DatasetEntry, purpose: AgreedPurpose | None, legs: list[dict[str, str]]
) -> dict[str, Any]:
    """The facts `s` of the widest study that keeps to the agreement, but for who asks it and who decides."""
    digest = agreement_digest(agreement)
    study: dict[str, Any] = {
        "dataset": entry.dataset,
        "study": digest,  # one of the right form; there is no study yet
        "agreement": digest,
        "signed": True,
        "kinds": sorted(agreement.analyses),
        "columns": sorted(entry.variables or ()),
        "generative": False,
        "rho": float(min(entry.privacy.per_person, entry.privacy.per_project)) if entry.privacy else 0.0,
        "route": legs,
    }
    if purpose is not None:
        stated = purpose_facts(purpose.duo, purpose.disease or ANY, agreement.duties)
        study["purpose"] = {**stated, "commercial": False}
    return study


def _basis(facts: Mapping[str, Any]) -> Iterator[str]:
    for held in facts["datasets"]:
        named = [held.get(k) for k in ("article_6", "article_9", "schedule_1", "confidence_basis", "hipaa_path")]
        said = ", ".join(name for name in named if name and name != "none")
        yield f"{held['controller']}: {said or UNSTATED}"
    for flow in facts.get("flows", ()):
        if flow["from_country"] != flow["to_country"]:
            yield f"{flow['sender']} to {flow['receiver']}: {flow['mechanism']}"
