"""The rule pack: law and policy as data, and what a load refuses.

A pack is a YAML file of rules in the Common Expression Language over facts (`facts.py`), with the constants they use. Its
content address is the SHA-256 of its canonical JSON, so comments and layout do not matter. Nobody signs a pack by itself:
an agreement may hold its digest, which every custodian then signs (docs/adr/0025).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from isthmus.data.yaml_text import load_yaml
from isthmus.governance.expressions import CONSTANTS, constants, hushes
from isthmus.model.canonical import digest
from isthmus.model.errors import Invalid
from isthmus.model.names import Digest
from isthmus.model.record import record
from isthmus.strict import parse

if TYPE_CHECKING:
    from cel import Program

Gate = Literal["agreement", "run", "egress", "operations"]
Severity = Literal["deny", "require-human", "warn"]

# What a rule of each gate may speak of: nothing else is known there.
ROOTS: Mapping[str, frozenset[str]] = {
    "agreement": frozenset({"a", "k", "now"}),
    "run": frozenset({"a", "k", "s", "site", "sig", "now"}),
    "egress": frozenset({"a", "k", "s", "site", "o", "now"}),
    "operations": frozenset({"a", "k", "site", "now"}),
}
_ALL_ROOTS = frozenset().union(*ROOTS.values())
_ID = re.compile(r"[A-Z0-9]+(-[A-Z0-9]+)+\Z")


@record
class Constant:
    """A value that rules use: where it comes from and when that was read.

    `entries` is how many entries a list or mapping has (1 for a number): one that was lost is noticed.
    """

    value: int | float | str | list[str] | Mapping[str, int] | Mapping[str, str]
    entries: int
    source: str
    read: str


@record
class Rule:
    """One rule: `applies` and `requires` in CEL, and a planted `fault` on which it must fail."""

    id: str
    gate: Gate
    jurisdiction: str
    severity: Severity
    citation: str
    why: str
    applies: str
    requires: str
    fault: Mapping[str, Any]


@record
class Pack:
    """A rule pack as its file says it."""

    isthmus: Literal["rule-pack/1"]
    id: str
    version: int
    date: str
    title: str
    constants: Mapping[str, Constant]
    rules: tuple[Rule, ...]

    def __hash__(self) -> int:
        """Packs are few and are looked up by content; the digest is made once for each."""
        return hash((self.id, self.version, self.date))

    def values(self) -> dict[str, Any]:
        """Constants by name: the facts `k`."""
        return {name: constant.value for name, constant in self.constants.items()}

    def at(self, gate: Gate) -> tuple[Rule, ...]:
        """The rules of one gate, in the pack's order."""
        return tuple(rule for rule in self.rules if rule.gate == gate)

    def lasting(self) -> tuple[Rule, ...]:
        """The rules that hold as long as a site operates: of operations, and those of a run that speak of today and no study.

        A certificate, an approval or a lawful basis that was in date when a study began may run out before its end.
        """
        dated = {rule.id for rule in self.at("run") if "now" in set().union(*_roots(rule)) <= ROOTS["operations"]}
        return tuple(rule for rule in self.rules if rule.gate == "operations" or rule.id in dated)


def read_pack(text: str, where: str = "rules") -> Pack:
    """A pack from YAML text, checked.

    Raises:
        Invalid: E-YAML, E-UNKNOWN-KEY, E-MISSING-KEY, E-TYPE; E-PACK, an id twice, an expression that cannot be read,
            that is about no fact or asks for one that may be missing, a fact that the gate does not have, a constant
            that is missing or incomplete.
    """
    pack = parse(Pack, load_yaml(text, frozenset()), where)
    for place, problem in _problems(pack):
        raise Invalid("E-PACK", problem, "take the pack as it was signed, or correct it and agree on it anew", place)
    return pack


@cache
def own_pack() -> Pack:
    """The pack that comes with this version of Isthmus."""
    return read_pack(packed("rules.yaml"))


def packed(name: str, folder: str = "pack") -> str:
    """The text of a file that comes with governance: of the pack, or of a folder beside it."""
    return resources.files("isthmus.governance").joinpath(folder, name).read_text(encoding="utf-8")


@cache
def pack_digest(pack: Pack) -> Digest:
    """Content address."""
    return digest(pack)


def extended(pack: Pack, more: Pack) -> Pack:
    """`pack` with a consortium's own rules and constants after its own; nothing of it can be replaced.

    Raises:
        Invalid: E-PACK, an id or a constant that is there already.
    """
    taken = {rule.id for rule in pack.rules} & {rule.id for rule in more.rules}
    taken |= set(pack.constants) & set(more.constants)
    if taken:
        raise Invalid("E-PACK", f"{min(taken)} is in the pack already", "a pack of your own only adds", more.id)
    return Pack(
        isthmus="rule-pack/1",
        id=f"{pack.id} {more.id}",
        version=pack.version,
        date=max(pack.date, more.date),
        title=f"{pack.title}; {more.title}",
        constants={**pack.constants, **more.constants},
        rules=(*pack.rules, *more.rules),
    )


def compiled(rule: Rule) -> tuple[Program, Program]:
    """`applies` and `requires`, ready to run.

    Raises:
        Invalid: E-PACK, a syntax error, with the rule.
    """
    return _program(rule.id, rule.applies), _program(rule.id, rule.requires)


@cache
def _program(rule: str, expression: str) -> Program:
    from cel import compile as compile_cel

    try:
        return compile_cel(expression)
    except ValueError as error:
        hint = "applies and requires are expressions of the Common Expression Language"
        raise Invalid("E-PACK", f"rule {rule}: an expression cannot be read", hint, rule) from error


Problems = Iterator[tuple[str, str]]


def _problems(pack: Pack) -> Problems:
    yield from _of_rules(pack.rules)
    yield from _of_constants(pack)


def _of_rules(rules: Sequence[Rule]) -> Problems:
    ids = [rule.id for rule in rules]
    for rule in rules:
        if not _ID.match(rule.id) or ids.count(rule.id) > 1:
            yield rule.id, f"rule {rule.id!r}: ids are capitals, digits and dashes, each once"
        if not rule.fault:
            yield rule.id, f"rule {rule.id} has no planted fault"
        for problem in _of_rule(rule):
            yield rule.id, f"rule {rule.id}: {problem}"


def _of_rule(rule: Rule) -> Iterator[str]:
    applies, requires = _roots(rule)
    for name in sorted((applies | requires) - ROOTS[rule.gate]):
        yield f"it speaks of {name!r}, which the {rule.gate} gate does not know"
    if rule.applies.strip() != "true" and not applies - {CONSTANTS}:
        yield "`applies` is 'true' or about facts"
    if rule.requires.strip() != "false" and not requires - {CONSTANTS}:
        yield "`requires` is about no fact"
    try:
        if hushes(rule.applies):  # a deleted fact would then switch the rule off
            yield "`applies` may not ask has(), nor for an optional part"
        _used(rule)
    except ValueError as error:
        yield str(error)


def _roots(rule: Rule) -> tuple[set[str], set[str]]:
    """Facts that `applies` and `requires` begin with: names that are not bound inside them."""
    applies, requires = compiled(rule)
    return _free(applies, rule.applies), _free(requires, rule.requires)


def _free(program: Program, text: str) -> set[str]:
    bound = set(re.findall(r"\.(?:all|exists|exists_one|map|filter)\(\s*(\w+)\s*,", text))
    found = {name for name in program.variables() if name in _ALL_ROOTS or name not in bound}
    return {name for name in found if not name.startswith("@")}


def _used(rule: Rule) -> set[str]:
    """Constants of a rule. ValueError where that cannot be told."""
    return {*constants(rule.applies), *constants(rule.requires)}


def _of_constants(pack: Pack) -> Problems:
    used = {name for rule in pack.rules for name in _used(rule)}
    for name in sorted(used - set(pack.constants)):
        yield f"constants.{name}", f"the constant {name!r} is missing: rules use it"
    for name, constant in pack.constants.items():
        size = len(constant.value) if isinstance(constant.value, list | Mapping) else 1
        if size != constant.entries:
            yield f"constants.{name}", f"the constant {name!r} says {constant.entries} entries and has {size}"
