"""The rule behind a refusal that is decided in code, and where it stands: whoever is refused is told both.

Signatures, keys, dates, columns and clocks are checked where they are used, before any rule is evaluated. Each of these
checks is a rule of the pack too; a rule that was evaluated names itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.governance.rulepack import own_pack
from isthmus.governance.verdicts import RuleRefused
from isthmus.model.errors import IsthmusError

EVALUATED = frozenset({"E-RULE", "E-HUMAN"})
BEHIND: Mapping[str, str] = {
    **dict.fromkeys(("E-AGREEMENT-UNSIGNED", "E-AGREEMENT-VERSION", "E-CUSTODIAN", "E-SIGNATURE"), "GOV-01"),
    **dict.fromkeys(("E-KEY-PINNED", "E-PIN", "E-ENVELOPE", "E-PACK", "E-AGREEMENT"), "GOV-01"),
    **dict.fromkeys(("E-SELF", "E-ROLE"), "GOV-02"),
    "E-TRAINING": "GOV-12",
    **dict.fromkeys(("E-UNSIGNED", "E-KIND", "E-APPROVAL", "E-NOT-APPROVED", "E-STANDING"), "GOV-04"),
    **dict.fromkeys(("E-STATE", "E-AMENDS"), "GOV-04"),
    **dict.fromkeys(("E-EXPIRED", "E-NOT-YET", "E-REVOKED"), "DUO-07"),
    **dict.fromkeys(("E-CODEBOOK", "E-VARIABLE", "E-PERSON"), "US-HIP-08"),
    "E-SIGNER": "GOV-13",
    "E-TLS": "GOV-05",
    **dict.fromkeys(("E-LEDGER", "E-ROLLBACK", "E-CLOCK"), "GOV-14"),
    **dict.fromkeys(("E-MIN-SITES", "E-ROSTER"), "OUT-07"),
    **dict.fromkeys(("E-ONE-PER-COUNTRY", "E-DECIDED", "E-NOT-CHECKED", "E-NOT-RELEASED"), "OUT-13"),
    **dict.fromkeys(("E-DATASET", "E-MODE", "E-REQUEST"), "GOV-04"),
    **dict.fromkeys(("E-RELEASE", "E-SITE-RESULTS"), "OUT-01"),
    "E-RULES-FLOOR": "OUT-02",
    "E-FLOW": "XB-10",
    "E-IDENTIFIERS": "US-HIP-02",
    "E-PEOPLE": "US-DSP-04",
}


def rule_behind(error: IsthmusError) -> str:
    """The id of the rule that an error stands for; "" where none does."""
    return error.where if error.code in EVALUATED else BEHIND.get(error.code, "")


def grounded(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A ledger entry of a refusal (it has a `code`) with the rule behind it and its citation, where there is one."""
    rule = str(facts.get("rule") or BEHIND.get(str(facts.get("code")), ""))
    known = {} if "citation" in facts or not rule else {r.id: r.citation for r in own_pack().rules if r.id == rule}
    return {**facts, **({"rule": rule} if rule else {}), **({"citation": known[rule]} if known else {})}


def cited(error: IsthmusError) -> IsthmusError:
    """The same error, whose hint names the rule and its citation; as it is where no rule stands behind it."""
    rule = next((r for r in own_pack().rules if r.id == rule_behind(error)), None)
    if rule is None or isinstance(error, RuleRefused) or rule.citation in error.hint:
        return error
    hint = f"{error.hint}; rule {rule.id}: {rule.citation}" if error.hint else f"rule {rule.id}: {rule.citation}"
    return type(error)(error.code, error.message, hint, error.where)
