"""The disclosure report: for each rule that restricts a question, its status and the party whose rule it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from isthmus.disclosure.rules import Finding, Status
from isthmus.disclosure.site import SITE_RULES
from isthmus.model.rules import Rules, applies

_WORST_LAST: tuple[Status, ...] = ("Passed", "Passed after suppression", "Look", "Blocked")


def passed_at_every_site(rules: Rules) -> tuple[Finding, ...]:
    """What a unanimous vote shows people: every site rule that restricts, passed at every site."""
    names = (*SITE_RULES, "maximum_weight_share")
    return tuple(Finding(rule=rule, status="Passed") for rule in names if applies(rules, rule))


def findings_json(findings: Iterable[Finding], whose: Mapping[str, str]) -> list[dict[str, str]]:
    """`[{rule, status, whose}]`, each rule once with its worst status, in the order first found."""
    worst: dict[str, Status] = {}
    for finding in findings:
        before = worst.get(finding.rule, finding.status)
        worst[finding.rule] = max(before, finding.status, key=_WORST_LAST.index)
    shown = ({"rule": rule, "status": status, "whose": whose.get(rule)} for rule, status in worst.items())
    return [{key: value for key, value in entry.items() if value is not None} for entry in shown]
