"""Registers: projects, decisions, releases, transfers, and the thresholds of 28 CFR 202."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from isthmus.sdk.artefacts.pages import Lines, Part, listed
from isthmus.sdk.artefacts.told import Asked, Told
from isthmus.sdk.artefacts.words import UNSTATED, day, moment, plainly, yes

if TYPE_CHECKING:
    from isthmus.governance.verdicts import Verdict

_DOJ = "28 CFR 202"

RELEASED = "released"


def projects(told: Told) -> Iterator[Part]:
    """Every study that was asked for."""
    rows = (
        (
            str(study["title"]),
            str(study["purpose"]["text"]),
            str(study["purpose"]["duo"]),
            str(study["dataset"]),
            str(study.get("project", "")) or "none",
            ", ".join(sorted({run.person for run in runs})),
            moment(min(run.created for run in runs)),
            _states(runs),
        )
        for study, runs in _studies(told)
    )
    headings = ("Study", "Purpose", "DUO", "Dataset", "Project", "Asked by", "First asked (UTC)", "Runs")
    yield listed("Register of projects", headings, rows, unknown=told.unknown("runs"))
    yield _purposes(told)


def public(told: Told) -> Iterator[Part]:
    """What may be told to everyone: studies, why, whose data; nobody who asked is named."""
    parties = {p.party: p.name for p in told.agreement.parties}
    rows = (
        (
            str(study["title"]),
            str(study["purpose"]["text"]),
            _holders(told, str(study["dataset"]), parties),
            day(min(run.created for run in runs)),
            _states(runs),
        )
        for study, runs in _studies(told)
    )
    headings = ("Study", "Why, in plain words", "Whose data", "Since", "State")
    yield listed("Studies", headings, rows, unknown=told.unknown("runs"))
    yield _purposes(told)
    held = ((e.dataset, _holders(told, e.dataset, parties)) for e in told.agreement.datasets)
    yield listed("Data that studies may ask about", ("Dataset", "Held by"), held, "Rows stay where they are.")


def releases(told: Told) -> Iterator[Part]:
    """Each output that was released: by which criteria, whose, and who checked."""
    from isthmus.ledger.words import short

    state = {run.run: run.state for run in told.asked}
    given = {e.facts.get("run"): e.time for e in told.of("approval") if e.facts.get("step") == "release"}
    reviewed = told.agreement.review is not None and told.agreement.review.egress > 0
    none = "not in this ledger" if reviewed else "with the conclusion"
    rows = (
        (
            moment(e.time),
            str(e.sequence),
            moment(given[e.facts.get("run")]) if e.facts.get("run") in given else none,
            short(e.facts.get("run")),
            short(e.facts.get("result")),
            _released(told, state.get(str(e.facts.get("run")))),
        )
        for e in told.of("release")
    )
    unknown = told.unknown("ledger", "part", "results")
    yield listed(
        "Results in the ledger",
        ("Concluded (UTC)", "Entry", "Released (UTC)", "Run", "Result", "State"),
        rows,
        unknown=unknown,
    )
    for bundle in told.bundles:
        if _released(told, state.get(bundle["charter"]["run"])) != RELEASED:
            continue  # output checkers have not released it, or a person refused it
        name = f"Run {short(bundle['charter']['run'])}: {bundle['result']['title']}"
        note = f"Signed by {len(bundle['signatures'])} of {len(bundle['charter']['roster'])} sites."
        yield listed(name, ("Output", "Kind", "State", "Passed", "Other findings"), outputs(bundle), note)
        yield listed(
            f"{name}: people who checked",
            ("Person", "Decision", "Meaning", "Reason", "Time claimed"),
            _checkers(bundle),
        )
    for entry in told.agreement.datasets:
        yield _criteria(told, entry.dataset)


def transfers(told: Told) -> Iterator[Part]:
    """What crosses a border: ways that were agreed on, and what the ledger entered as having left."""
    from isthmus.governance.route import route

    flows = (told.agreement.duties.flows if told.agreement.duties else None) or ()
    legs = [(entry.dataset, leg) for entry in told.agreement.datasets for leg in route(told.agreement, entry.dataset)]
    rows = (
        (
            dataset,
            f"{leg['sender']} ({leg['from_country']})",
            f"{leg['receiver']} ({leg['to_country']})",
            "border" if leg["from_country"] != leg["to_country"] else "same country",
            plainly(leg["what"]),
            *_mechanism(flows, dataset, leg),
        )
        for dataset, leg in legs
    )
    headings = ("Dataset", "From", "To", "Crosses", "What", "Personal data", "Mechanism", "Data protection test")
    yield listed("Ways that a study's numbers take", headings, rows, "Rows never leave a site: no way carries records.")
    left = (
        f"Left this {'hub' if told.node == 'hub' else 'site'}" if not told.node.startswith("person") else "Left sites"
    )
    if told.crossed is None:
        said = "The border register is NOT what this node's ledger sealed: a row was changed, lost or added."
        yield Lines(title=left, lines=(said,))
    else:
        lines = (_crossing(line) for line in told.crossed)
        named = ("Day", "Study", "From", "To", "Statistics", "Flow", "Mechanism", "Rules", "Messages", "Bytes")
        note = "Every message of a study, written down before it left and held to the ledger: `isthmus audit border`."
        yield listed(left, named, lines, note, unknown=told.unknown("border"))


def bulk(told: Told) -> Iterator[Part]:
    """28 CFR 202: people of the United States in reach by category, and who was screened."""
    from isthmus.governance.facts import agreement_facts, signed_by_all
    from isthmus.governance.rulepack import own_pack
    from isthmus.governance.verdicts import verdicts

    pack = own_pack()
    known = signed_by_all(told.agreement)
    found = agreement_facts(told.agreement, pack, known)
    limits: Any = pack.constants["bulk"].value
    floor = told.agreement.disclosure.minimum_count or 0
    rows = (
        (
            plainly(held["category"]),
            _reach(held.get("people"), floor),
            str(limits.get(held["category"], "none")),
            _bulky(held.get("people"), limits.get(held["category"])),
        )
        for held in found["bulk"]
    )
    note = f"Threshold: {pack.constants['bulk'].source}. People in reach are at least what twelve months can show."
    yield listed("Bulk thresholds", ("Category", "US persons in reach", "Bulk from", "State"), rows, note)
    screened = {True: "COVERED PERSON", False: "screened, not a covered person"}
    parties = (
        (p.name, p.country, yes(p.status.covered_person if p.status else None, screened))
        for p in told.agreement.parties
    )
    yield listed("Parties", ("Party", "Country", "Screening (28 CFR 202.211)"), parties)
    people = (
        (p.person, p.party, yes(p.standing.covered_person if p.standing else None, screened))
        for p in told.agreement.people
    )
    yield listed("People", ("Person", "Party", "Screening (28 CFR 202.211)"), people)
    rules = [rule for rule in pack.rules if _DOJ in rule.citation and rule.gate == "agreement"]
    yield listed(
        "Rules",
        ("Rule", "Verdict today", "Citation", "Why"),
        ((v.rule.id, _verdict(v), v.rule.citation, v.rule.why) for v in verdicts(pack, rules, {"a": found})),
    )


def _purposes(told: Told) -> Part:
    stated = (told.agreement.duties.purposes if told.agreement.duties else None) or ()
    rows = ((p.purpose, p.text, p.duo, p.disease or "any", p.public_benefit or UNSTATED) for p in stated)
    return listed("Purposes agreed on", ("Purpose", "In words", "DUO", "Disease", "Public benefit"), rows)


def _studies(told: Told) -> Iterator[tuple[Mapping[str, Any], list[Asked]]]:
    from isthmus.model.canonical import digest

    found: dict[str, tuple[Mapping[str, Any], list[Asked]]] = {}
    for run in told.asked:
        if run.request is not None:
            study = run.request["study"]
            found.setdefault(digest(study), (study, []))[1].append(run)
    yield from found.values()


def _states(runs: list[Asked]) -> str:
    states = [run.state for run in runs]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


def _holders(told: Told, dataset: str, parties: Mapping[str, str]) -> str:
    held = next((d for d in told.agreement.datasets if d.dataset == dataset), None)
    sites = held.sites if held else ()
    return ", ".join(sorted({parties[told.agreement.site(site).party] for site in sites})) or UNSTATED


def outputs(bundle: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Each output of a bundle: kind, state, rules that it passed, what else they found."""
    for name, body in bundle["result"]["analyses"].items():
        found = body.get("disclosure", [])
        passed = ", ".join(f["rule"] for f in found if f["status"] == "Passed")
        others = "; ".join(f"{f['rule']}: {f['status']}" for f in found if f["status"] != "Passed")
        error = body.get("error")
        state = f"{body.get('status')}: {error['code']}" if isinstance(error, Mapping) else "released"
        yield name, plainly(body["kind"]), state, passed or "none", others or "none"


def _checkers(bundle: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    from isthmus.sdk.artefacts.told import payload

    for envelope in bundle.get("approvals", ()):
        said = payload(envelope)
        what = f"{said.get('kind', 'study')}: {said.get('decision', 'standing rule')}"
        yield (
            str(said.get("name", "")),
            what,
            str(said.get("meaning", "")),
            str(said.get("reason", "")),
            moment(str(said.get("time"))),
        )


def _released(told: Told, state: str | None) -> str:
    """What became of a concluded result; where people release results, a site does not know it."""
    review = told.agreement.review
    if review is None or review.egress == 0:
        return RELEASED
    if told.node != "hub":
        return "concluded; the hub's ledger says who released it"
    return {"released": RELEASED, "egress": "waits for output checkers"}.get(state or "", state or UNSTATED)


def _criteria(told: Told, dataset: str) -> Part:
    from isthmus.governance.agreement import shared_rules
    from isthmus.model.canonical import plain

    effective = shared_rules(told.agreement, dataset)
    rows = ((rule, limit_in_words(limit), effective.whose[rule]) for rule, limit in plain(effective.rules).items())
    return listed(f"Criteria in force: {dataset}", ("Rule", "Limit", "Whose"), rows)


def limit_in_words(limit: Any) -> str:
    """The limit of a rule as text."""
    return ", ".join(f"{name} {value}" for name, value in limit.items()) if isinstance(limit, dict) else str(limit)


def _mechanism(flows: Any, dataset: str, leg: Mapping[str, str]) -> tuple[str, str, str]:
    ends = (leg["sender"], leg["receiver"])
    for flow in flows:
        if dataset in flow.datasets and flow.what == leg["what"] and _between(flow, ends):
            test = flow.test or flow.identifiability_assessment
            tested = f"{test.ref}, {day(test.date)}: {plainly(test.outcome)}" if test else UNSTATED
            return yes(flow.personal), plainly(flow.mechanism), tested
    return UNSTATED, UNSTATED, UNSTATED


def _between(flow: Any, ends: tuple[str, str]) -> bool:
    return ends[0] in flow.senders and ends[1] in flow.receivers


def _crossing(line: Mapping[str, Any]) -> tuple[str, ...]:
    from isthmus.ledger.words import short

    ways = (f"{line['sender']} ({line['from_country']})", f"{line['receiver']} ({line['to_country']})")
    kinds = ", ".join(plainly(kind) for kind in line["statistics"]) or "signatures and shares"
    permits = (
        line["flow"] or UNSTATED,
        plainly(line["mechanism"] or UNSTATED),
        ", ".join(line["rules"]) or "none needed",
    )
    return day(line["day"]), short(line["study"]), *ways, kinds, *permits, str(line["messages"]), f"{line['bytes']:,}"


def _reach(people: int | None, floor: int) -> str:
    if people is None:
        return UNSTATED
    return f"{people:,}" if people == 0 or people >= floor else f"fewer than {floor}"


def _bulky(people: int | None, limit: int | None) -> str:
    if people is None or limit is None:
        return "not known"
    return "BULK" if people >= limit else "below"


def _verdict(verdict: Verdict) -> str:
    return f"{verdict.outcome} ({verdict.missing})" if verdict.missing else verdict.outcome
