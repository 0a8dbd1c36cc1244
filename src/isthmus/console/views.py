"""View models of the console, read from the hub's store and the agreement: what a page shows, and its JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from isthmus.console.app import View
from isthmus.federation.hub_cases import WORDS, HubCases
from isthmus.federation.hub_window import head_of_row
from isthmus.federation.parties import parties_of
from isthmus.federation.store import RunRow, Store
from isthmus.governance.agreement import Agreement, Person
from isthmus.ledger.entries import decode_entry

LATEST = 200  # entries of the ledger on a page


def views(agreement: Agreement, store: Store) -> dict[str, View]:
    """Every page, by name, in the order of the navigation."""
    cases = HubCases(store, agreement)
    return {
        "runs": View("Runs", "see_runs", lambda _: {"runs": [_run(row, cases) for row in reversed(store.runs())]}),
        "reviews": View(
            "Reviews", "see_reviews", lambda person: {"cases": _cases(cases, person), "standing": cases.standing()}
        ),
        "people": View("People", "see_people", lambda _: {"people": _people(agreement)}),
        "ledger": View("Ledger", "see_ledger", lambda _: _ledger(store)),
    }


def _run(row: RunRow, cases: HubCases) -> dict[str, Any]:
    """A run as it was last written down; a live one's progress is the hub's own to tell."""
    head = head_of_row(row)
    told: Mapping[str, Any] = json.loads(row.note) if row.note else {}
    sites = {name: str(site.get("state", "")) for name, site in told.get("sites", {}).items()}
    error = told.get("error") or {}
    state = WORDS[row.state] if cases.agreement.review else str(head["state"]).capitalize()
    waiting = _waiting(cases.told(row)) if cases.agreement.review else ""
    return {
        **head,
        "state": state,
        "waiting": waiting,
        "sites": sites,
        "code": error.get("code", ""),
        "message": error.get("message", ""),
    }


def _cases(cases: HubCases, person: Person) -> list[dict[str, Any]]:
    """What waits for people, what this person is asked first; a vote on a result is sealed until all are there."""
    found = cases.listed(parties_of(cases.agreement)[person.person])
    shown = [{**case, "state": case["review"]["state"], "waiting": _waiting(case["review"])} for case in found]
    return sorted(shown, key=lambda case: not case["mine"])


def _waiting(review: Mapping[str, Any]) -> str:
    return ", ".join(dict.fromkeys(str(entry["whom"]) for entry in review["waiting"]))


def _people(agreement: Agreement) -> list[dict[str, Any]]:
    """The access review: who, for whom, in which roles, trained until when."""
    return [
        {
            "person": p.person,
            "party": p.party,
            "roles": list(p.roles),
            "training_expires": (p.standing.training_expires if p.standing else None) or "",
            "login": bool(p.logins),
        }
        for p in agreement.people
    ]


def _ledger(store: Store) -> dict[str, Any]:
    leaves = store.leaves("hub")
    size = leaves.size()
    found = [decode_entry(leaf) for leaf in leaves.read(max(0, size - LATEST), size)]
    entries = [
        {"sequence": e.sequence, "time": e.time, "event": e.event, "run": str(e.facts.get("run", ""))}
        for e in reversed(found)
    ]
    return {"size": size, "entries": entries}
