"""What a rule pack must show of itself: it holds on a worked case, fires on planted faults, and is never silenced.

The same checks run on a consortium's own pack (docs/reference/governance.md).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from isthmus.data.yaml_text import load_yaml
from isthmus.governance.rulepack import Pack, Rule, extended, packed
from isthmus.governance.verdicts import Facts, Outcome, verdicts
from isthmus.model.errors import Invalid
from isthmus.model.record import record

# From an outcome to one of these when a fact is taken away: the rule was silenced. `pass` to `pass` is not: the rule
# passes whatever the fact would have said (`true || x` in CEL).
SILENT: Mapping[Outcome, frozenset[Outcome]] = {
    "pass": frozenset({"n/a"}),
    "n/a": frozenset({"pass"}),
    "fail": frozenset({"pass", "n/a"}),
    "unknown": frozenset({"pass", "n/a"}),
}


@record
class Shown:
    """One rule: its outcome on the worked case and on its planted fault."""

    rule: Rule
    worked: Outcome
    fault: Outcome

    @property
    def good(self) -> bool:
        """It holds, and it fires."""
        return self.worked in {"pass", "n/a"} and self.fault == "fail"


@record
class Deletion:
    """One fact taken away from the worked case: rules that then fail or are unknown, and rules that fell silent."""

    fact: str
    noticed: tuple[str, ...]
    silenced: tuple[str, ...]


def worked_case() -> dict[str, Any]:
    """Facts on which every rule of the pack that comes with Isthmus holds or does not apply."""
    facts: dict[str, Any] = load_yaml(packed("worked_case.yaml"), frozenset())
    return facts


def proven(pack: Pack, more: Pack) -> Pack:
    """`pack` with a consortium's own rules, once each has fired on its planted fault and no missing fact silences one.

    Raises:
        Invalid: E-PACK, with the rule; and as `extended`.
    """
    both = extended(pack, more)
    for rule in more.rules:
        problem = _unproven(replace(both, rules=(rule,)), rule, worked_case())
        if problem:
            hint = "see `A pack of your own` in docs/reference/governance.md"
            raise Invalid("E-PACK", f"rule {rule.id}: {problem}", hint, rule.id)
    return both


def _unproven(pack: Pack, rule: Rule, facts: Facts) -> str:
    """Why a rule cannot be relied on; "" where it can. `pack` holds it alone."""
    try:
        fault = _on_fault(pack, rule, facts)
    except (LookupError, TypeError, ValueError, AttributeError):
        return "its planted fault changes a fact that the worked case does not have"
    if fault != "fail":
        return f"it does not fire on its planted fault (it says {fault})"
    named = _named(rule)
    (before,) = verdicts(pack, (rule,), facts)
    taken = (_deletion(pack, facts, path, [before.outcome]) for path in paths(facts) if _last(path) in named)
    silent = next((deleted.fact for deleted in taken if deleted.silenced), "")
    silent = silent or next((fact for _, fact in silenced_faults(pack, facts)), "")
    return f"it falls silent where the fact {silent} is missing" if silent else ""


def _named(rule: Rule) -> set[str]:
    """Every word of a rule: it reads no fact that it does not name."""
    return set(re.findall(r"\w+", f"{rule.applies} {rule.requires}"))


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def shown(pack: Pack, facts: Facts) -> tuple[Shown, ...]:
    """Every rule on the worked case and on its own fault."""
    held = verdicts(pack, pack.rules, facts)
    return tuple(Shown(rule=v.rule, worked=v.outcome, fault=_on_fault(pack, v.rule, facts)) for v in held)


def deletions(pack: Pack, facts: Facts) -> tuple[Deletion, ...]:
    """Every fact of the worked case taken away, one at a time, and what each rule says then."""
    before = [v.outcome for v in verdicts(pack, pack.rules, facts)]
    return tuple(_deletion(pack, facts, path, before) for path in paths(facts))


def silenced_faults(pack: Pack, facts: Facts) -> list[tuple[str, str]]:
    """(rule, fact): a rule that fires on its fault, and no longer does once a fact is missing too. Should be empty."""
    found = []
    for rule in pack.rules:
        faulty = planted(facts, rule.fault)
        named = _named(rule)
        for path in (p for p in paths(faulty) if _last(p) in named):
            (verdict,) = verdicts(pack, (rule,), planted(faulty, {path: None}))
            if verdict.outcome in SILENT["fail"]:
                found.append((rule.id, path))
    return found


def planted(facts: Facts, changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the facts with values at dotted paths; None takes a fact away."""
    made = copy.deepcopy(dict(facts))
    for path, value in changes.items():
        *way, last = path.split(".")
        holder: Any = made
        for part in way:
            holder = holder[int(part)] if isinstance(holder, list) else holder[part]
        if value is None:
            holder.pop(last, None)
        else:
            holder[int(last) if isinstance(holder, list) else last] = copy.deepcopy(value)
    return made


def paths(facts: Any, within: str = "") -> Iterator[str]:
    """The dotted path of every fact, groups of facts too; entries of lists are no facts of their own."""
    if isinstance(facts, Mapping):
        for name, value in facts.items():
            yield f"{within}{name}"
            yield from paths(value, f"{within}{name}.")
    elif isinstance(facts, list):
        for at, value in enumerate(facts):
            yield from paths(value, f"{within}{at}.")


def _on_fault(pack: Pack, rule: Rule, facts: Facts) -> Outcome:
    (verdict,) = verdicts(pack, (rule,), planted(facts, rule.fault))
    return verdict.outcome


def _deletion(pack: Pack, facts: Facts, path: str, before: Sequence[Outcome]) -> Deletion:
    after = verdicts(pack, pack.rules, planted(facts, {path: None}))
    pairs = [(v.rule.id, was, v.outcome) for v, was in zip(after, before, strict=True)]
    return Deletion(
        fact=path,
        noticed=tuple(rule for rule, was, now in pairs if now != was and now in {"fail", "unknown"}),
        silenced=tuple(rule for rule, was, now in pairs if now in SILENT[was]),
    )
