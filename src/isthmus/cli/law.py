"""What the rules of law say of an agreement, for people and for programs. Nothing here is legal advice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isthmus.cli.screen import Screen

if TYPE_CHECKING:
    from isthmus.governance.agreement import Agreement
    from isthmus.governance.verdicts import RuleRefused, Verdict

_FINAL = {"stops": "stops", "asks": "asks a person", "warns": "warns", "passes": "passes"}
NOTICE = (
    "Not legal advice. Rules of the UK and the US as read in November 2026; Scotland, Wales, Northern Ireland and US"
    " states other than Washington are not modelled."
)


def law_document(agreement: Agreement) -> dict[str, Any]:
    """The matrix and the open rules, for programs."""
    from isthmus.governance.facts import Known
    from isthmus.governance.matrix import matrix
    from isthmus.governance.rulepack import own_pack, pack_digest
    from isthmus.model.canonical import plain

    pack = own_pack()
    cells, verdicts = matrix(agreement, pack, Known(parties=frozenset(p.party for p in agreement.parties)))
    rules = [
        {
            "rule": v.rule.id,
            "verdict": v.outcome,
            "missing": v.missing,
            "severity": v.rule.severity,
            "citation": v.rule.citation,
            "why": v.rule.why,
        }
        for v in verdicts
    ]
    return {"pack": pack_digest(pack), "notice": NOTICE, "matrix": plain(cells), "open": rules}


def taken(agreement: Agreement) -> RuleRefused | None:
    """Why no site takes the agreement, with the rules that come with Isthmus; None when sites do."""
    from isthmus.governance.facts import Known, agreement_facts
    from isthmus.governance.rulepack import own_pack
    from isthmus.governance.verdicts import RuleRefused, check_decision, decide

    known = Known(parties=frozenset(p.party for p in agreement.parties))
    decision = decide(own_pack(), "agreement", {"a": agreement_facts(agreement, own_pack(), known)})
    try:
        check_decision(decision, agreement.judged())
    except RuleRefused as refused:
        return refused
    return None


def say_law(screen: Screen, agreement: Agreement) -> None:
    """The matrix dataset x purpose x destination, then each open rule once."""
    from isthmus.governance.facts import Known
    from isthmus.governance.matrix import matrix
    from isthmus.governance.rulepack import own_pack
    from isthmus.sdk.tables import Table

    pack = own_pack()
    cells, verdicts = matrix(agreement, pack, Known(parties=frozenset(p.party for p in agreement.parties)))
    rows = tuple(
        (c.dataset, c.purpose, c.destination, c.basis, _FINAL[c.final], " ".join(c.open) or "nothing") for c in cells
    )
    headings = ("Dataset", "Purpose", "To", "Legal basis", "Rules", "Missing or not kept")
    screen.table(Table(title=f"Law: {pack.title}", headings=headings, rows=rows, labels=6, notes=(NOTICE,)))
    for verdict in verdicts:
        screen.say(f"{verdict.rule.id}  {_state(verdict)}. {verdict.rule.why}")
        screen.say(f"    {verdict.rule.severity}; {verdict.rule.citation}", style="dim")


def _state(verdict: Verdict) -> str:
    if verdict.outcome == "fail":
        return "not kept"
    return f"not known: {verdict.missing}" if verdict.missing else "cannot be decided"
