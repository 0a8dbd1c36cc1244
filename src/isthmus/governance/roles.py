"""Who may do what: one table, one function.

A role is written in the agreement; a token or a session never brings one. `ask`, `approve`, `review`, `sign` and
`revoke` need the person's Ed25519 signature besides: a session alone opens only what begins with `see`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

from isthmus.model.errors import Refused

if TYPE_CHECKING:
    from isthmus.governance.agreement import Person, PersonRole

Action: TypeAlias = Literal[
    "ask", "approve", "review", "sign", "revoke", "see_runs", "see_reviews", "see_people", "see_ledger"
]

MAY: Mapping[PersonRole, frozenset[Action]] = {
    "researcher": frozenset({"ask", "see_runs"}),
    "custodian": frozenset({"approve", "sign", "revoke", "see_runs", "see_reviews", "see_people", "see_ledger"}),
    "output_checker": frozenset({"review", "see_runs", "see_reviews"}),
    "manager": frozenset({"see_runs", "see_reviews", "see_people"}),
    "engineer": frozenset({"see_runs"}),
    "auditor": frozenset({"see_runs", "see_reviews", "see_people", "see_ledger"}),  # read-only, by SATRE's separation
}


def may(person: Person, action: Action) -> bool:
    """Whether one of the person's roles allows it."""
    return any(action in MAY[role] for role in person.roles)


def permit(person: Person, action: Action) -> None:
    """Nothing, where the person may.

    Raises:
        Refused: E-ROLE.
    """
    if not may(person, action):
        able = ", ".join(role for role, actions in MAY.items() if action in actions)
        raise Refused("E-ROLE", f"your roles do not allow {action!r}", f"it takes one of: {able}")
