"""Which rules of law an agreement comes under: what they say of it on a day, and, piece by piece, what another version is no
longer asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from isthmus.governance.facts import Known, agreement_facts, signed_by_all
from isthmus.governance.rulepack import Pack, own_pack
from isthmus.governance.verdicts import Decision, decide, verdicts

if TYPE_CHECKING:
    from isthmus.governance.agreement import Agreement

Pieces = dict[str, dict[str, Any]]  # what it is -> the facts `a` with nothing else of its sort


def on_agreement(agreement: Agreement, day: str, known: Known | None = None) -> Decision:
    """What the rules on agreements that come with Isthmus say of one, on a day, once every custodian has signed it, or as `known`."""
    pack, known = own_pack(), known or signed_by_all(agreement)
    return decide(pack, "agreement", {"a": agreement_facts(agreement, pack, known), "now": day})


def no_longer_asked(old: Agreement, new: Agreement, pack: Pack) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(piece, rules): of what one controller holds, or of a flow, that both versions have, the rules that now do not apply.

    A rule that could not be decided counts as asked. Rules on a study, its output or the day are for every agreement alike.
    """
    before, after = _pieces(old, pack), _pieces(new, pack)
    for piece, facts in before.items():
        if piece in after and facts != after[piece]:
            lost = _asked(pack, facts) - _asked(pack, after[piece])
            if lost:
                yield piece, tuple(rule.id for rule in pack.rules if rule.id in lost)


def _pieces(agreement: Agreement, pack: Pack) -> Pieces:
    facts = agreement_facts(agreement, pack, signed_by_all(agreement))
    shared: dict[str, Any] = {
        "id": "",
        "flows": [],
        "datasets": [],
        "parties": [],
        "people": [],
        "bulk": [],
        "assessments": {},
    }
    found: Pieces = {}
    for held in facts["datasets"]:
        name = f"{held['dataset']} of {held['controller']}"
        found[name] = {**shared, "datasets": [held]}
    for flow in facts.get("flows", ()):
        name = f"flow {flow['flow']} from {flow['sender']} to {flow['receiver']}"
        found[name] = {**shared, "flows": [*found.get(name, shared)["flows"], flow]}
    return found


def _asked(pack: Pack, facts: Mapping[str, Any]) -> set[str]:
    """Rules that apply, or of which that is not known."""
    held = facts["datasets"][0]["dataset"] if facts["datasets"] else ""
    found = verdicts(pack, pack.rules, {"a": facts, "s": {"dataset": held}})
    return {verdict.rule.id for verdict in found if verdict.outcome != "n/a"}
