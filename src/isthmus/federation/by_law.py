"""Which rules of law stopped a study at a site: told with the refusal, those that are not kept before those that are unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.federation.protocol.stopped import rule_of, told_of
from isthmus.governance.citations import EVALUATED, cited, rule_behind
from isthmus.governance.rulepack import own_pack
from isthmus.governance.verdicts import RuleRefused
from isthmus.model.errors import IsthmusError, Refused

MOST = 50  # rules named in one refusal

_OURS = "of a consortium's own pack"


class StoppedByLaw(Refused):
    """A site's rules of law stopped a study, as everyone is told it.

    Attributes:
        rules: all that stop it, by id.
    """

    rules: tuple[str, ...] = ()


def rules_of(error: IsthmusError) -> dict[str, list[str]]:
    """What a site adds to a refusal: the rules that stop the study, `{}` for a refusal of another kind."""
    return {"rules": list(error.rules)} if isinstance(error, RuleRefused) else {}


def as_told(error: IsthmusError, rules: Any) -> IsthmusError:
    """A site's refusal as everyone is told it, whose hint cites every rule; `rules` is what came with it, which may be anything."""
    said = told_of(error)
    if said.code not in EVALUATED:
        return cited(said)
    listed = rules[:MOST] if isinstance(rules, list) else []
    others = (rule_of(said.code, rule) for rule in listed if isinstance(rule, str))
    named = tuple(dict.fromkeys(filter(None, (said.where, *others))))
    known = {rule.id: rule.citation for rule in own_pack().rules}
    cites = [f"rule {rule}: {known.get(rule, _OURS)}" for rule in named]
    made = StoppedByLaw(said.code, said.message, "; ".join((said.hint, *cites)), said.where)
    made.rules = named
    return made


def refusal_of(error: IsthmusError) -> Mapping[str, Any]:
    """What a hub's ledger holds of a refusal: its code, the rule behind it, and every rule of law that stopped it."""
    rule = rule_behind(error)
    more = {"rules": list(error.rules)} if isinstance(error, StoppedByLaw) and len(error.rules) > 1 else {}
    return {"code": error.code, **({"rule": rule} if rule else {}), **more}
