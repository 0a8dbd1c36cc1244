"""Decisions: the verdicts of a gate's rules on facts. Rules only restrict, and what is unknown never passes.

pass     the rule is about these facts, and they keep it
n/a      it is not about them
fail     it is, and they do not
unknown  a fact that decides it is missing, or is not what the rule can read
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from isthmus.governance.rulepack import Gate, Pack, Rule, compiled, pack_digest
from isthmus.model.errors import Refused
from isthmus.model.names import Digest
from isthmus.model.record import record

if TYPE_CHECKING:
    from cel import Context, Program

Outcome = Literal["pass", "n/a", "fail", "unknown"]
Facts = Mapping[str, Any]
Final = Literal["stops", "asks", "warns", "passes"]
OPEN: frozenset[Outcome] = frozenset({"fail", "unknown"})
_UNREADABLE = (KeyError, RuntimeError, TypeError, ValueError)  # what `cel` raises over missing or mistyped facts


@record
class Verdict:
    """One rule's outcome; `missing` names the fact that made it unknown, where that can be told."""

    rule: Rule
    outcome: Outcome
    missing: str = ""

    @property
    def stops(self) -> bool:
        """Whether nothing goes on."""
        return self.outcome in OPEN and self.rule.severity == "deny"

    @property
    def asks(self) -> bool:
        """Whether a person must decide."""
        return self.outcome in OPEN and self.rule.severity == "require-human"

    @property
    def warns(self) -> bool:
        """Whether people are told, and nothing else."""
        return self.outcome in OPEN and self.rule.severity == "warn"


class RuleRefused(Refused):
    """A rule of the pack says no, or asks for a person.

    Attributes:
        record: what a ledger entry holds of the decision.
        rules: every rule that does so by itself, the one that is told first.
    """

    def __init__(self, code: str, of: Sequence[Verdict], hint: str, record: Mapping[str, Any]) -> None:
        verdict = of[0]
        super().__init__(code, _sentence(verdict), hint, verdict.rule.id)
        self.rules = tuple(each.rule.id for each in of)
        self.record = {**record, "rule": verdict.rule.id, "citation": verdict.rule.citation}


@record
class Decision:
    """Verdicts of one gate on facts.

    Attributes:
        pack: digest of the rule pack.
        facts: SHA-256 of the facts.
    """

    gate: Gate
    pack: Digest
    facts: Digest
    verdicts: tuple[Verdict, ...]


def decide(pack: Pack, gate: Gate, facts: Facts, cache: MutableMapping[str, Decision] | None = None) -> Decision:
    """The verdicts of a gate's rules.

    Args:
        pack: its constants are the facts `k`, whatever `facts` says.
        gate: which rules.
        facts: what is known, by the roots of `rulepack.ROOTS`.
        cache: the last decision of each gate; the same facts are not judged twice in a row.
    """
    key, seen = pack_digest(pack), facts_digest(facts)
    held = None if cache is None else cache.get(gate)
    if held is not None and (held.pack, held.facts) == (key, seen):
        return held
    rules = pack.lasting() if gate == "operations" else pack.at(gate)
    made = Decision(gate=gate, pack=key, facts=seen, verdicts=tuple(verdicts(pack, rules, facts)))
    if cache is not None:
        cache[gate] = made
    return made


def verdicts(pack: Pack, rules: Iterable[Rule], facts: Facts) -> list[Verdict]:
    """The verdict of each rule; the facts are converted once for all of them."""
    from cel import Context

    context = Context({**facts, "k": pack.values()})
    return [judged(rule, context) for rule in rules]


def facts_digest(facts: Facts) -> Digest:
    """SHA-256 over the facts as JSON, keys sorted."""
    raw = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return Digest("sha256:" + hashlib.sha256(raw.encode()).hexdigest())


def check_decision(decision: Decision, judged: Mapping[str, str], whole: Mapping[str, Any] | None = None) -> None:
    """Refuse what a rule stops, and what a person must decide and nobody has.

    Args:
        decision: of any gate.
        judged: rule -> who decided on it and why, as the agreement states and every custodian signed.
        whole: what the ledger holds of all decisions taken together, where this is one of several.

    Raises:
        RuleRefused: E-RULE, the first rule that stops, its reason and citation; E-HUMAN, the first that asks for a
            person. One that is not kept comes before one that cannot be decided, which often only follows from it.
    """
    entry = recorded(decision, judged) if whole is None else whole
    in_order = sorted(decision.verdicts, key=lambda verdict: verdict.outcome == "unknown")
    stopping = [verdict for verdict in in_order if verdict.stops]
    if stopping:
        raise RuleRefused("E-RULE", stopping, f"see {_cites(stopping)}", entry)
    asking = [verdict for verdict in in_order if verdict.asks and verdict.rule.id not in judged]
    if asking:
        hint = f"a custodian decides and the agreement says so in `judgements`; see {_cites(asking)}"
        raise RuleRefused("E-HUMAN", asking, hint, entry)


def recorded(decision: Decision, judged: Mapping[str, str]) -> dict[str, Any]:
    """What a ledger entry holds of a decision: gate, digests, and rules by outcome; no fact."""
    found: dict[str, list[str]] = {}
    for verdict in decision.verdicts:
        found.setdefault(verdict.outcome, []).append(verdict.rule.id)
    people = sorted({v.rule.id for v in decision.verdicts if v.asks} & set(judged))
    return {
        "gate": decision.gate,
        "pack": decision.pack,
        "facts": decision.facts,
        "rules": found,
        "judged": {rule: judged[rule] for rule in people},
    }


def _cites(verdicts: Sequence[Verdict]) -> str:
    """The citation of the rule that is told, and the other rules with theirs."""
    first, *others = verdicts
    more = "; ".join(f"{v.rule.id} ({v.outcome}): {v.rule.citation}" for v in others)
    return f"{first.rule.citation}; it is stopped by these too: {more}" if more else first.rule.citation


def _sentence(verdict: Verdict) -> str:
    missing = f" (not known: {verdict.missing})" if verdict.missing else ""
    how = "is not kept" if verdict.outcome == "fail" else f"cannot be decided{missing}"
    return f"rule {verdict.rule.id} {how}: {verdict.rule.why}"


def judged(rule: Rule, context: Context) -> Verdict:
    """The verdict of one rule on facts that were converted before."""
    applies, requires = compiled(rule)
    about = _truth(applies, context)
    if about is False:
        return Verdict(rule=rule, outcome="n/a")
    if about is not True:
        return Verdict(rule=rule, outcome="unknown", missing=about)
    kept = _truth(requires, context)
    if isinstance(kept, bool):
        return Verdict(rule=rule, outcome="pass" if kept else "fail")
    return Verdict(rule=rule, outcome="unknown", missing=kept)


def _truth(program: Program, context: Context) -> bool | str:
    """True, False, or the name of what is missing ("" where that cannot be told)."""
    try:
        value = program.execute(context)
    except KeyError as error:
        return str(error.args[0]) if error.args else ""
    except _UNREADABLE:
        return ""
    return value if isinstance(value, bool) else ""


def worst(verdicts: Sequence[Verdict]) -> Final:
    """The final verdict: the worst of all."""
    if any(v.stops for v in verdicts):
        return "stops"
    if any(v.asks for v in verdicts):
        return "asks"
    return "warns" if any(v.warns for v in verdicts) else "passes"
