"""Decision records: each rule's citation, verdict and facts, and whether judging it again from the entry gives the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from isthmus.model.errors import Invalid
from isthmus.sdk.artefacts.pages import Lines, Part, facts, listed
from isthmus.sdk.artefacts.told import Told
from isthmus.sdk.artefacts.words import moment

if TYPE_CHECKING:
    from isthmus.federation.grounds import Again
    from isthmus.governance.rulepack import Pack
    from isthmus.ledger.entries import Entry

_OPEN = ("fail", "unknown")
_AT_HUB = "The hub judges no rule. These are what sites told it, each signed; the facts stand in the site's own ledger."

_ELSEWHERE = "Not judged again: the facts stand in the ledger of the site that told it."


def decisions(told: Told) -> Iterator[Part]:
    """Each decision of this node, rule by rule, what it rests on, and who decided where a rule asks for a person."""
    from isthmus.federation.grounds import decisions as by_rules
    from isthmus.governance.rulepack import own_pack, pack_digest
    from isthmus.ledger.words import in_words, short

    pack = own_pack()
    taken = [(e, each) for e in told.of("decision") for each in by_rules(e.facts)]
    rows = (
        (
            moment(e.time),
            str(e.sequence),
            _about(e.facts, each),
            str(each.get("gate")),
            str(each.get("verdict") or e.facts.get("verdict")),
            ", ".join(f"{v} {len(r)}" for v, r in each["rules"].items()),
            " ".join(rule for verdict in _OPEN for rule in each["rules"].get(verdict, ())) or "none",
            short(each.get("facts", "at the site")),
        )
        for e, each in taken
    )
    headings = ("Time (UTC)", "Entry", "About", "Gate", "Verdict", "Rules", "Failed or unknown", "Facts")
    note = "Facts: the first digits of their digest. Below, each decision rule by rule."
    notes = (note, _AT_HUB) if told.node == "hub" else (note,)
    unknown = told.unknown("ledger", "part")
    yield listed("Decisions by the rules of law", headings, rows, *notes, unknown=unknown)
    own = pack_digest(pack)
    packs = sorted({str(each.get("pack")) for _, each in taken})
    here = ((digest, "comes with this installation" if digest == own else "another; keep its file") for digest in packs)
    yield listed("Rule packs decided by", ("Digest", "Where it is"), here, unknown=unknown)
    for entry, each in taken:
        yield from _whole(told, pack, entry, each)
    judged = ((rule, said) for rule, said in told.agreement.judged().items())
    yield listed("Decided by a person, as every custodian signed", ("Rule", "Who, when and why"), judged)
    others = (e for e in told.of("decision", "approval", "refusal") if not by_rules(e.facts))
    rest = ((moment(e.time), str(e.sequence), in_words(e)) for e in others)
    yield listed("Other decisions", ("Time (UTC)", "Entry", "What"), rest, unknown=unknown)


def _whole(told: Told, pack: Pack, entry: Entry, each: Mapping[str, Any]) -> Iterator[Part]:
    name = f"Entry {entry.sequence}: {each.get('gate')}, {_about(entry.facts, each)}"
    from isthmus.federation.grounds import facts_read

    known = {rule.id: rule for rule in pack.rules}
    again, why = _again(told, pack, each) if "site" not in entry.facts else (None, _ELSEWHERE)
    verdicts = {v.rule.id: v.outcome for v in again.verdicts} if again else {}
    rows = (
        (
            rule,
            outcome,
            known[rule].citation if rule in known else "a consortium's own pack; see its file",
            ", ".join(facts_read(known[rule])) if rule in known else "",
            verdicts.get(rule, "not judged"),
        )
        for rule, outcome in sorted((rule, v) for v, rules in each["rules"].items() for rule in rules)
    )
    yield listed(name, ("Rule", "Verdict", "Citation", "Reads", "Judged again"), rows, why)
    read = each.get("read")
    if read:
        shown = ((path, json.dumps(value, ensure_ascii=False)) for path, value in _flat("", read))
        yield facts(f"Entry {entry.sequence}: facts", *shown, ("rule pack", str(each.get("pack"))))
    else:
        yield Lines(
            title=f"Entry {entry.sequence}: facts",
            lines=(f"{each.get('facts', 'not told')}; rule pack {each.get('pack')}",),
        )


def _again(told: Told, pack: Pack, each: Mapping[str, Any]) -> tuple[Again | None, str]:
    """The decision judged again, and what to say of it."""
    from isthmus.federation.grounds import judged_again
    from isthmus.governance.rulepack import pack_digest

    if each.get("pack") != pack_digest(pack):
        return None, "Not judged again: it was decided by another rule pack than this installation has."
    try:
        again = judged_again(each, told.agreement, pack)
    except Invalid as error:
        return None, f"Not judged again: {error.message}."
    if not again.whole:
        return again, "The facts below are NOT those of the digest that was entered."
    withheld = ", ".join(each["read"].get("withheld", ()))
    but = f", but for {withheld}, which no ledger holds: a rule that reads it is unknown here" if withheld else ""
    return again, f"Judged again from the facts below, which are those of the digest{but}."


def _about(entry: Mapping[str, Any], decision: Mapping[str, Any]) -> str:
    from isthmus.ledger.words import short

    if "site" in entry:
        return f"run {short(entry['run'])} at {entry['site']}" + _outputs(decision)
    if "run" not in entry:
        return f"agreement {short(entry.get('agreement'))}"
    return f"run {short(entry['run'])}" + _outputs(decision)


def _outputs(decision: Mapping[str, Any]) -> str:
    return f": {', '.join(decision['outputs'])}" if "outputs" in decision else ""


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, each in value.items():
            yield from _flat(f"{path}/{name}" if path else name, each)
    elif value != []:
        yield path, value
