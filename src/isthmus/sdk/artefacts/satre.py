"""Self-assessment against SATRE 2.0.1: what live controls of this node show of each of its 185 requirements.

Items stand by number alone (sa-tre/satre-specification, CC BY 4.0): the sentences stay there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from isthmus.data.yaml_text import load_yaml
from isthmus.federation.grounds import decisions as by_rules
from isthmus.governance.rulepack import packed
from isthmus.model.record import record
from isthmus.sdk.artefacts.machine import OPEN
from isthmus.sdk.artefacts.pages import BLANK, Part, facts, listed
from isthmus.sdk.artefacts.told import Book, Told
from isthmus.sdk.artefacts.words import days_left, plainly

WHOLE, PART = "met by evidence", "met in part by evidence"
STATED, UNMET = "stated by the parties", "not shown now"
LEFT = "not covered: for the organisation to show"
STATES = (WHOLE, PART, STATED, UNMET, LEFT)
_PILLARS = ("Information governance", "Computing technology", "Data management", "Supporting capability", "Federation")


@record
class Answer:
    """One requirement: its number and importance, what is shown of it, and how to see that."""

    item: str
    importance: str
    state: str
    shown: str
    command: str


def satre(told: Told) -> Iterator[Part]:
    """Every requirement with its state and the command that shows it."""
    found = answers(told)
    counts = Counter((answer.importance, answer.state) for answer in found)
    kinds = list(dict.fromkeys(answer.importance for answer in found))
    rows = ((kind, *(str(counts[kind, state]) for state in STATES)) for kind in kinds)
    yield listed("Summary", ("Importance", *(state.capitalize() for state in STATES)), rows, _NOTE)
    for number, pillar in enumerate(_PILLARS, 1):
        here = [answer for answer in found if answer.item.startswith(f"{number}.")]
        lines = ((a.item, a.importance, a.state, a.shown, a.command) for a in here)
        yield listed(f"{number}. {pillar}", ("Item", "Importance", "State", "What is shown", "Command"), lines)
    yield facts("Signed off", ("by (name, role)", BLANK), ("on", BLANK), ("exceptions", BLANK))


def coverage() -> dict[str, Any]:
    """The items by importance, what commands show of them, and what parties state of them."""
    data: dict[str, Any] = load_yaml(packed("satre.yaml"), frozenset({"items", "item"}))
    return data


def answers(told: Told) -> list[Answer]:
    """One for each requirement, in their order."""
    data = coverage()
    covered = {entry["item"]: entry for entry in data["covered"]}
    stated = {entry["item"]: entry for entry in data["stated"]}
    listed_ = {item: kind for kind, items in data["items"].items() for item in items.split()}
    return [_answer(told, item, listed_[item], covered.get(item), stated.get(item)) for item in sorted(listed_)]


def _answer(told: Told, item: str, kind: str, covered: Any, stated: Any) -> Answer:
    said = _said(told, stated["fact"]) if stated else ""
    if covered is not None and CHECKS[covered.get("needs", "always")](told):
        state = WHOLE if covered["extent"] == "whole" else PART
        shown = "; ".join(filter(None, (covered["evidence"], said)))
        return Answer(item=item, importance=kind, state=state, shown=shown, command=covered["command"])
    if said:
        return Answer(item=item, importance=kind, state=STATED, shown=said, command="isthmus agreement show")
    if covered is not None or stated is not None:
        needs = covered.get("needs", "always") if covered else ""
        unknown = told.unknown(*_KINDS.get(needs, ()))
        shown = unknown or NEEDED[needs] if covered else f"nobody states {FACTS[stated['fact']]}"
        command = covered["command"] if covered else "isthmus agreement show"
        return Answer(item=item, importance=kind, state=UNMET, shown=shown, command=command)
    return Answer(item=item, importance=kind, state=LEFT, shown="", command="")


def _said(told: Told, fact: str) -> str:
    """Who states a fact: facilities of themselves, or the agreement by a document."""
    duties = told.agreement.duties
    if duties is None:
        return ""
    document = getattr(duties.assessments, fact, None) if duties.assessments else None
    if document is not None:
        return f"{FACTS[fact]}: {document.ref}, outcome {plainly(document.outcome)}"
    places = duties.facilities or ()
    yes = [p.facility for p in places if getattr(p.controls, fact, None) or getattr(p, fact, None)]
    return f"{len(yes)} of {len(places)} facilities state {FACTS[fact]}" if yes else ""


def _sound(book: Book) -> bool:
    return not book.misplaced and all(holds for _, _, holds in book.checkpoints)


def _trained(told: Told) -> bool:
    until = [p.standing.training_expires if p.standing else None for p in told.agreement.people]
    return all(day is not None and days_left(day, told.now) >= 0 for day in until)


def _kept(told: Told) -> bool:
    from isthmus.governance.asked import on_agreement
    from isthmus.governance.facts import today
    from isthmus.governance.verdicts import worst

    return worst(on_agreement(told.agreement, today(told.now)).verdicts) != "stops"


def _duty(name: str) -> Callable[[Told], bool]:
    return lambda told: getattr(told.agreement.duties, name, None) is not None


# What facilities state of themselves, and documents of the agreement, as people say it.
FACTS: Mapping[str, str] = {
    "mfa": "multi-factor sign-in",
    "encrypt_rest": "encryption at rest",
    "egress_default_deny": "egress that is closed by default",
    "clipboard_block": "a blocked clipboard",
    "isolation": "isolation of projects",
    "iso27001_expires": "an ISO 27001 certificate",
    "cages": "cages of their own",
    "satre": "an assessment by SATRE",
    "dpia": "a data protection impact assessment",
    "harm": "an assessment of harm",
    "public_involvement": "involvement of the public",
    "processor_contract": "a contract with processors",
}
# What must be there now for a command to show something; `NEEDED` says so where it is not.
CHECKS: Mapping[str, Callable[[Told], bool]] = {
    "always": lambda told: True,
    "signed": lambda told: not told.unsigned,
    "law": lambda told: not told.unsigned and _kept(told),
    "ledger": lambda told: told.book is not None and told.book.size > 0 and _sound(told.book),
    "runs": lambda told: bool(told.asked),
    "decided": lambda told: any(by_rules(e.facts) for e in told.of("decision")),
    "released": lambda told: any(True for _ in told.of("release")),
    "training": _trained,
    "purposes": _duty("purposes"),
    "flows": _duty("flows"),
    "retention": _duty("retention"),
    "custody": lambda told: all(e.custody for e in told.agreement.datasets),
    "review": lambda told: told.agreement.review is not None and told.agreement.review.egress == 2,
    "closed": lambda told: bool(told.machine) and not any(OPEN in found for _, found in told.machine),
}
# Of what a check looks at, what an auditor's folder may not know.
_KINDS: Mapping[str, tuple[str, ...]] = {
    "ledger": ("ledger", "part"),
    "runs": ("runs",),
    "decided": ("ledger", "part"),
    "released": ("ledger", "part"),
    "closed": ("machine",),
}
NEEDED: Mapping[str, str] = {
    "always": "",
    "signed": "the agreement is not signed by every party",
    "law": "a rule of law stops the agreement, or it is not signed",
    "ledger": "this node has no entry, or a checkpoint that its ledger does not hold",
    "runs": "nobody has asked anything here yet",
    "decided": "no decision by the rules of law is in this node's ledger",
    "released": "nothing was released yet",
    "training": "training of someone has expired, or is not stated",
    "purposes": "the agreement states no purposes",
    "flows": "the agreement states no flows",
    "retention": "the agreement states no retention",
    "custody": "a dataset has no statement of its controllers",
    "review": "the agreement asks for no output checkers",
    "closed": "a private file is open to others, or missing",
}
_NOTE = (
    "Made from this node's agreement, ledger and files at the time above. What the parties state, Isthmus did not look at."
    " Items by number: SATRE 2.0.1, sa-tre/satre-specification, CC BY 4.0."
)
