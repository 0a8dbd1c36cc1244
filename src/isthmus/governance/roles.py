"""Who may do what: one table, one function.

A role is written in the agreement; a token or a session never brings one. `ask`, `approve`, `review`, `sign` and
`revoke` need the person's Ed25519 signature besides: a session alone opens only what begins with `see`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

from isthmus.model.errors import Refused

if TYPE_CHECKING:
    from isthmus.governance.agreement import PersonRole

Action: TypeAlias = Literal[
    "ask", "approve", "review", "sign", "revoke", "see_runs", "see_results", "see_reviews", "see_people", "see_ledger"
]

MAY: Mapping[PersonRole, frozenset[Action]] = {
    "researcher": frozenset({"ask", "see_runs", "see_results"}),
    "custodian": frozenset({"approve", "sign", "revoke", "see_runs", "see_reviews", "see_people", "see_ledger"}),
    "output_checker": frozenset({"review", "see_runs", "see_results", "see_reviews"}),
    "manager": frozenset({"see_runs", "see_reviews", "see_people"}),
    "engineer": frozenset({"see_runs"}),
    "auditor": frozenset({"see_runs", "see_results", "see_reviews", "see_people", "see_ledger"}),
}


def may(roles: Collection[str], action: Action) -> bool:
    """Whether one of the roles allows it; an unknown role allows nothing."""
    return any(role in roles and action in actions for role, actions in MAY.items())


def permit(roles: Collection[str], action: Action) -> None:
    """Nothing, where one of the roles allows it.

    Raises:
        Refused: E-ROLE.
    """
    if not may(roles, action):
        able = " or ".join(role for role, actions in MAY.items() if action in actions)
        raise Refused("E-ROLE", f"your role in the agreement does not allow {action!r}", f"this is for: {able}")
