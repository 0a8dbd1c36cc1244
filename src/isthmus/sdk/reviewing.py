"""A study or a result as the people who decide on it see it: in plain words, with the risk that the checks found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from isthmus.model.canonical import digest, plain
from isthmus.model.errors import IsthmusError, Refused
from isthmus.sdk.asked import amended, changes, stated

if TYPE_CHECKING:
    from pathlib import Path

    from isthmus.federation.agreed import Researcher
    from isthmus.governance.admission import RunRequest
    from isthmus.governance.agreement import Agreement
    from isthmus.governance.approval import Case, Choice, Kind
    from isthmus.governance.route import Leg
    from isthmus.model.codebook import Codebook
    from isthmus.model.study import Study


def kind_of(shown: Mapping[str, Any]) -> Kind:
    """What is to be decided now: a study in review, or a result in egress review.

    Raises:
        Refused: E-STATE, neither.
    """
    state = shown["review"]["state"]
    if state == "In review":
        return "study"
    if state == "Results in egress review":
        return "result"
    raise Refused("E-STATE", f"nothing is to be decided: the study is {state}", "see `isthmus approve list`")


def decision(me: Researcher, shown: Mapping[str, Any], choice: Choice, reason: str, now: datetime) -> dict[str, Any]:
    """A person's signed decision; a withdrawal is always of the study.

    Args:
        me: who decides.
        shown: what the hub says of the run, with the digest of the result as it was looked at here.
        choice: accept, return, reject or withdraw.
        reason: in one line; a return and a refusal have one.
        now: when it is signed.

    Raises:
        Refused: E-STATE, E-SIGNER. Invalid: E-REASON, and what the request itself raises.
    """
    from isthmus.governance.approval import make_approval, sign_approval

    person = next((p for p in me.agreement.people if p.key == me.identity.card.key), None)
    if person is None:
        raise Refused("E-SIGNER", "the agreement does not name you", "use the keys whose card is in the agreement")
    kind: Kind = "study" if choice == "withdraw" else kind_of(shown)
    return sign_approval(make_approval(_case(me, shown), kind, choice, person, (now, reason)), me.identity.key)


def require_checker(me: Researcher, shown: Mapping[str, Any]) -> None:
    """Refuse who may not decide on a result before they are refused the result itself, which would not say why.

    Raises:
        Refused: E-SELF, who asked for it; E-ROLE, no output checker.
    """
    from isthmus.governance.citations import cited

    person = next((p for p in me.agreement.people if p.key == me.identity.card.key), None)
    if person is not None and person.person == _case(me, shown).asker:
        raise cited(
            Refused("E-SELF", "nobody decides on their own request", "an output checker who did not ask decides")
        )
    if person is None or "output_checker" not in person.roles:
        raise cited(
            Refused("E-ROLE", "only an output checker decides on a result", "`isthmus approve list` says who is asked")
        )


def explained(me: Researcher, shown: Mapping[str, Any], codebooks: Mapping[str, Path]) -> dict[str, Any]:
    """What is to be decided, as plain data: who asks what and why, what would leave to where, what the checks found.

    Args:
        me: who decides.
        shown: what the hub says of the run; the request in it is verified here.
        codebooks: dataset -> file, where this machine has one: what would leave is then looked at.

    Raises:
        Refused, Untrusted, Invalid: the request is not a researcher's of the agreement.
    """
    from isthmus.governance.admission import open_request
    from isthmus.governance.route import legs

    agreement = me.agreement
    request, case = open_request(shown["request"], agreement), _case(me, shown)
    book = None if shown["result"] else codebooks.get(request.study.dataset)
    leaving = _leaving(request, agreement, book)
    study = request.study
    lines = {
        "title": study.title,
        "asked by": _who(agreement, case.asker),
        "dataset": f"{study.dataset} at {', '.join(request.roster)}",
        "population": "everyone",
        **stated(study),
        "reads": _columns(leaving),
        "route": [_leg(leg) for leg in legs(agreement, study.dataset)],
        "amends": f"{study.amends}: {study.reason}" if study.amends else None,
        "changes": _changes(study, shown.get("amended")),
    }
    return {
        "run": case.run,
        "study": case.study,
        "result": case.result,
        "asked": plain(study),
        "about": {name: said for name, said in lines.items() if said},
        "review": shown["review"],
        "answers": shown["answers"],
        "rules": [*by_rule(shown["answers"]), *by_agreement(agreement, request.created[:10])],
        "risk": risk(request, agreement, shown["answers"], {} if shown["result"] else leaving),
        "mine": shown["mine"],
    }


def by_rule(answers: Mapping[str, Any]) -> list[dict[str, str]]:
    """Every rule of law that is about the study at some site: `rule`, `said` (outcome: sites), `citation`; then the rest."""
    from isthmus.governance.rulepack import own_pack

    known = {rule.id: rule.citation for rule in own_pack().rules}
    found: dict[str, dict[str, list[str]]] = {}
    for site, answer in sorted(answers.items()):
        for outcome in _OUTCOMES:
            for rule in (answer.get("verdicts") or {}).get(outcome, ()):
                found.setdefault(rule, {}).setdefault(outcome, []).append(site)
    order = {rule: min(_OUTCOMES.index(outcome) for outcome in said) for rule, said in found.items()}
    return [
        {
            "rule": rule,
            "said": "; ".join(f"{outcome} at {', '.join(sites)}" for outcome, sites in found[rule].items()),
            "citation": known.get(rule, "of a consortium's own pack"),
        }
        for rule in sorted(found, key=lambda name: (order[name], name))
    ]


def by_agreement(agreement: Agreement, day: str) -> list[dict[str, str]]:
    """The rules on the agreement itself, which sites held it against when they took it: judged again here, on a day."""
    from isthmus.governance.asked import on_agreement

    judged, made = agreement.judged(), on_agreement(agreement, day)
    found = sorted(made.verdicts, key=lambda v: (_OUTCOMES.index(v.outcome), v.rule.id))
    return [
        {
            "rule": v.rule.id,
            "said": f"{v.outcome} on the agreement"
            + (f", decided by {judged[v.rule.id]}" if v.rule.id in judged else ""),
            "citation": v.rule.citation,
        }
        for v in found
    ]


def _leg(leg: Leg) -> str:
    places = f", {', '.join(leg.facilities)}" if leg.facilities else ""
    ours, theirs = (places, "") if leg.what == "encrypted_shares" else ("", places)
    way = f"{leg.sender} ({leg.from_country}{ours}) to {leg.receiver} ({leg.to_country}{theirs}): {_WHAT[leg.what]}"
    return f"{way}; flow {leg.flow}, {leg.mechanism}" if leg.flow else f"{way}; no flow of the agreement permits it"


def risk(
    request: RunRequest,
    agreement: Agreement,
    answers: Mapping[str, Any],
    leaving: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """`{level, sentence}`: low where every check passed; else what a person should look at.

    Args:
        request: what was asked.
        agreement: under which.
        answers: what each site said of it.
        leaving: the preview; None where there is none, empty where it is past, for the result is there to be looked at.
    """
    from isthmus.governance.agreement import shared_rules
    from isthmus.governance.route import legs

    rules = shared_rules(agreement, request.study.dataset).rules
    looks = list(_looks(request, agreement, answers, leaving))
    ways = [leg for leg in legs(agreement, request.study.dataset) if leg.what == "aggregates"]
    abroad = sorted({leg.to_country for leg in ways} - {agreement.hub.country})
    onward = f" and go on to {' and '.join(abroad)}, to sites and to who receives the result" if abroad else ""
    kept = (
        f"Only sums over at least {rules.minimum_sites} legal entities are opened: they are pooled at the hub in "
        f"{agreement.hub.country}{onward}. No row leaves; nothing about fewer than {rules.minimum_count or 1} people is shown."
    )
    asked = f"{len(answers)} of {len(request.roster)} sites have held it against the rules of law"
    if looks:
        return {"level": "look", "sentence": f"Risk: look at this first: {'; '.join(looks)}. {asked}. {kept}"}
    return {"level": "low", "sentence": f"Risk: low. {asked}, and every rule on a run that applies passes. {kept}"}


def checked(body: Mapping[str, Any]) -> dict[str, Any]:
    """`{level, sentence}` of a result: what disclosure control says of each of its questions."""
    found: dict[str, list[str]] = {}
    for name, analysis in body["analyses"].items():
        for finding in analysis.get("disclosure", ()):
            found.setdefault(finding["status"], []).append(f"{name} ({finding['rule']})")
    said = [f"{status.lower()}: {', '.join(found[status])}" for status in _LOOKED_AT if status in found]
    kept = f"Disclosure control: {len(found.get('Passed', ()))} checks passed"
    level = "look" if {"Look", "Blocked"} & set(found) else "low"
    return {"level": level, "sentence": "; ".join([kept, *said]) + "."}


_OUTCOMES = ("fail", "unknown", "pass", "n/a")
_LOOKED_AT = ("Passed after suppression", "Look", "Blocked")
_WHAT = {"encrypted_shares": "masked sums", "aggregates": "pooled sums and results"}


def _looks(
    request: RunRequest, agreement: Agreement, answers: Mapping[str, Any], leaving: Mapping[str, Any] | None
) -> Iterator[str]:
    from isthmus.governance.standing_rules import releases

    for site in request.roster:
        law = (answers.get(site) or {}).get("verdicts") or {}
        open_rules = [*law.get("fail", ()), *law.get("unknown", ())]
        if site not in answers:
            yield f"{site} has not looked at it yet"
        elif open_rules:
            yield f"at {site} a rule does not pass: {', '.join(open_rules)}"
    if leaving is None:
        yield "what would leave was not looked at, for this machine has no codebook of the dataset"
    elif "problem" in leaving:
        yield f"it does not fit the codebook: {leaving['problem']}"
    yield from (leaving or {}).get("identifiers", ())
    if "site_results" in releases(request.study):
        yield "numbers of single sites are asked for"
    yield from (f"{name} is refused: the agreement does not allow it" for name in (leaving or {}).get("refused", ()))
    if agreement.two_party:
        yield "two sites see each other's part of a sum"


def _leaving(request: RunRequest, agreement: Agreement, codebook: Path | None) -> dict[str, Any] | None:
    """The preview of a study under its agreement, or why there is none."""
    from isthmus.data.dictionary import read_codebook
    from isthmus.federation.preview import Party, preview
    from isthmus.federation.request import outside
    from isthmus.governance.agreement import shared_rules

    if codebook is None:
        return None
    study = request.study
    countries = {name: agreement.site(name).country for name in request.roster}
    entities = {name: agreement.site(name).party for name in request.roster}
    privacy = agreement.dataset(study.dataset).privacy
    try:
        book = read_codebook(codebook)
        if digest(book) != agreement.dataset(study.dataset).codebook:
            return {"problem": "this machine has another codebook than the agreed one"}
        rules, barred = shared_rules(agreement, study.dataset), outside(study, agreement, book)
        found = preview(study, book, Party(rules, countries, privacy, entities, agreement.releases, barred))
        return found | {"identifiers": list(_identifiers(found, book, agreement.expires))}
    except IsthmusError as error:
        return {"problem": error.message}


def _identifiers(preview: Mapping[str, Any], book: Codebook, day: str) -> Iterator[str]:
    """What the codebook calls an identifier of what a study reads, whatever its controllers claim."""
    from isthmus.governance.identifiers import scan

    read = {name for analysis in preview["analyses"].values() for name in analysis["reads"]} | {*preview["population"]}
    for letter, names in scan(book, day).found.items():
        asked = [name for name in names if name in read]
        if asked:
            yield f"by the codebook {', '.join(asked)} is an identifier of 45 CFR 164.514(b)(2)(i)({letter})"


def _changes(study: Study, before: Any) -> list[str]:
    """What an amended study changes, part by part; that is said where this client cannot tell, too."""
    if study.amends is None:
        return []
    old = amended(study, before)
    if old is None:
        return ["the hub does not show the study that this one amends: read it as a new one"]
    return changes(old, study) or ["nothing but the words on what it amends"]


def _columns(leaving: Mapping[str, Any] | None) -> list[str]:
    if leaving is None or "problem" in leaving:
        return []
    return [
        f"{name}: {', '.join(a['reads'])}; {len(a['leaves'])} rounds of masked sums, "
        f"{sum(r['masked_bytes'] for r in a['leaves'])} bytes from each site"
        for name, a in leaving["analyses"].items()
    ]


def _who(agreement: Agreement, name: str) -> str:
    from isthmus.governance.reviewers import country_of_person

    person = next(p for p in agreement.people if p.person == name)
    return f"{name}, {person.party} ({country_of_person(agreement, person)})"


def _case(me: Researcher, shown: Mapping[str, Any]) -> Case:
    from isthmus.federation.site_review import case_of

    return case_of(shown["request"], me.agreement, shown["result"])
