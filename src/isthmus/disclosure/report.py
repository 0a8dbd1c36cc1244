"""The disclosure report: for each rule that restricts a question, its status and the party whose rule it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from isthmus.disclosure.gate import could_apply
from isthmus.disclosure.rules import Finding, Status, subtraction_safe
from isthmus.disclosure.site import SITE_RULES
from isthmus.model.rules import Rules, applies

_WORST_LAST: tuple[Status, ...] = ("Passed", "Passed after suppression", "Look", "Blocked")


def passed_at_every_site(rules: Rules) -> tuple[Finding, ...]:
    """What a unanimous vote shows people: every site rule that restricts, passed at every site.

    `minimum_count_site` asks for a look where a party that subtracts its own part may be left with few people.
    """
    names = (*SITE_RULES, "maximum_weight_share")
    found = {rule: Finding(rule=rule, status="Passed") for rule in names if applies(rules, rule)}
    if not subtraction_safe(rules):
        found["minimum_count_site"] = Finding(rule="minimum_count_site", status="Look")
    return tuple(found.values())


def blocked(kind: str, rules: Rules) -> tuple[Finding, ...]:
    """What people see of a refused question: every rule that could have refused this kind, never which did."""
    return tuple(Finding(rule=rule, status="Blocked") for rule in could_apply(kind) if applies(rules, rule))


def findings_json(findings: Iterable[Finding], whose: Mapping[str, str]) -> list[dict[str, str]]:
    """`[{rule, status, whose}]`, each rule once with its worst status, in the order first found."""
    worst: dict[str, Status] = {}
    for finding in findings:
        before = worst.get(finding.rule, finding.status)
        worst[finding.rule] = max(before, finding.status, key=_WORST_LAST.index)
    shown = ({"rule": rule, "status": status, "whose": whose.get(rule)} for rule, status in worst.items())
    return [{key: value for key, value in entry.items() if value is not None} for entry in shown]
