"""What the rules of law say of an agreement, for people and for programs. Nothing here is legal advice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isthmus.cli.screen import Screen

if TYPE_CHECKING:
    from isthmus.governance.agreement import Agreement
    from isthmus.governance.facts import Known
    from isthmus.governance.matrix import Cell
    from isthmus.governance.verdicts import RuleRefused, Verdict

    Law = tuple[tuple[Cell, ...], tuple[Verdict, ...]]

_FINAL = {"stops": "stops", "asks": "asks a person", "warns": "warns", "passes": "passes"}
NOTICE = (
    "Not legal advice. Rules of the UK and the US as read in November 2026; Scotland, Wales, Northern Ireland and US"
    " states other than Washington are not modelled."
)


def law(agreement: Agreement, day: str, known: Known | None = None) -> Law:
    """The matrix and the open rules as if every custodian had signed, or as `known`; `day` is today, YYYY-MM-DD."""
    from isthmus.governance.facts import signed_by_all
    from isthmus.governance.matrix import matrix
    from isthmus.governance.rulepack import own_pack

    return matrix(agreement, own_pack(), known or signed_by_all(agreement), day)


def law_document(found: Law) -> dict[str, Any]:
    """The matrix and the open rules, for programs."""
    from isthmus.governance.rulepack import own_pack, pack_digest
    from isthmus.model.canonical import plain

    cells, verdicts = found
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
    return {"pack": pack_digest(own_pack()), "notice": NOTICE, "matrix": plain(cells), "open": rules}


def taken(agreement: Agreement, day: str, known: Known | None = None) -> RuleRefused | None:
    """Why no site takes the agreement today, with the rules that come with Isthmus; None when sites do. `known` as in `law`."""
    from isthmus.governance.asked import on_agreement
    from isthmus.governance.verdicts import RuleRefused, check_decision

    try:
        check_decision(on_agreement(agreement, day, known), agreement.judged())
    except RuleRefused as refused:
        return refused
    return None


def stopped(found: Law) -> tuple[str, ...]:
    """The rules that stop every study today: none where a cell remains in which one could run."""
    cells, verdicts = found
    if any(c.final != "stops" for c in cells):
        return ()
    return tuple(v.rule.id for v in verdicts if v.stops)


def say_law(screen: Screen, found: Law) -> None:
    """The matrix dataset x purpose x destination, then each open rule once."""
    from isthmus.governance.rulepack import own_pack
    from isthmus.sdk.tables import Table

    cells, verdicts = found
    rows = tuple(
        (c.dataset, c.purpose, c.destination, c.basis, _FINAL[c.final], ", ".join(_named(c)) or "nothing")
        for c in cells
    )
    headings = ("Dataset", "Purpose", "To", "Legal basis", "Rules", "Missing or not kept")
    screen.table(Table(title=f"Law: {own_pack().title}", headings=headings, rows=rows, labels=6, notes=(NOTICE,)))
    for verdict in verdicts:
        screen.say(f"{verdict.rule.id}  {_state(verdict)}. {verdict.rule.why}")
        screen.say(f"    {verdict.rule.severity}; {verdict.rule.citation}", style="dim")


def _named(cell: Cell) -> list[str]:
    """Its open rules, and for whom where they ask about researchers and sites."""
    return [rule + (f" ({', '.join(cell.of[rule])})" if rule in cell.of else "") for rule in cell.open]


def _state(verdict: Verdict) -> str:
    if verdict.outcome == "fail":
        return "not kept"
    return f"not known: {verdict.missing}" if verdict.missing else "cannot be decided"
