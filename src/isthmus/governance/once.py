"""Verdicts over many sets of facts that have much in common: each rule is asked once of each set of those that it reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from isthmus.governance.rulepack import Pack, Rule
from isthmus.governance.verdicts import Facts, Verdict, judged

Path = tuple[str, str]  # a root and a part of it; "" for all of it
Key = tuple[str, ...]
_READ = re.compile(r"(?<![.\w])(a|s|site|sig|o|now)\b(?:\s*\.\s*(\w+))?")


class Question(NamedTuple):
    """Rules, and the facts of theirs that differ between questions, by root."""

    rules: Sequence[Rule]
    own: Facts


class Judge:
    """Keeps each verdict by the facts that its rule reads; facts that it was given must not be changed afterwards."""

    def __init__(self, pack: Pack) -> None:
        self._constants = pack.values()
        self._held: dict[Key, Verdict] = {}
        self._told: dict[int, tuple[Any, str]] = {}  # by identity, and kept so that nothing else takes its place

    def verdicts(self, shared: Facts, questions: Sequence[Question]) -> list[list[Verdict]]:
        """Of each question, as `verdicts.verdicts` of the shared facts and its own; all name the same roots, or read none else."""
        keys = [[self._key(rule, {**shared, **q.own}) for rule in q.rules] for q in questions]
        new: dict[Key, tuple[Rule, Facts]] = {}
        for question, row in zip(questions, keys, strict=True):
            new |= {
                key: (rule, question.own)
                for key, rule in zip(row, question.rules, strict=True)
                if key not in self._held and key not in new
            }
        self._judge(shared, new)
        return [[self._held[key] for key in row] for row in keys]

    def _judge(self, shared: Facts, new: Mapping[Key, tuple[Rule, Facts]]) -> None:
        from cel import Context

        if not new:
            return
        few = only(shared, {path for rule, _ in new.values() for path in reads(rule)})
        context, set_ = Context({**few, "k": self._constants}), None
        for key, (rule, own) in new.items():
            if own is not set_:
                context.update(dict(own))
                set_ = own
            self._held[key] = judged(rule, context)

    def _key(self, rule: Rule, facts: Facts) -> Key:
        return (rule.id, *(self._part(facts, path) for path in reads(rule)))

    def _part(self, facts: Facts, path: Path) -> str:
        root, name = path
        value = facts.get(root)
        if name:
            value = value.get(name) if isinstance(value, Mapping) else None
        if id(value) not in self._told:
            self._told[id(value)] = (value, json.dumps(value, sort_keys=True))
        return self._told[id(value)][1]


def reads(rule: Rule) -> tuple[Path, ...]:
    """What a rule may read, and perhaps more: a root that stands alone is read whole."""
    return _reads(f"{rule.applies} {rule.requires}")


@cache
def _reads(text: str) -> tuple[Path, ...]:
    return tuple(sorted(set(_READ.findall(text))))


def only(facts: Facts, paths: Iterable[Path]) -> dict[str, Any]:
    """The facts at these paths; what is missing stays missing."""
    found: dict[str, Any] = {}
    for root, name in sorted(paths, reverse=True):  # the whole of a root after its parts
        if root in facts and name and isinstance(facts[root], Mapping):
            part = facts[root]
            found.setdefault(root, {}).update({name: part[name]} if name in part else {})
        elif root in facts:
            found[root] = facts[root]
    return found
