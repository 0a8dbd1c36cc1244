"""View models of the console, read from the hub's store and the agreement: what a page shows, and its JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from isthmus.console.app import View
from isthmus.federation.hub_window import head_of_row
from isthmus.federation.store import RunRow, Store
from isthmus.governance.agreement import Agreement
from isthmus.ledger.entries import decode_entry

LATEST = 200  # entries of the ledger on a page
WORDS = {
    "in_review": "In review",
    "egress": "Results in egress review",
    "concluded": "Concluded",
    "refused": "Refused",
    "failed": "Failed",
    "waiting": "Waiting",
    "running": "Running",
}


def views(agreement: Agreement, store: Store) -> dict[str, View]:
    """Every page, by name, in the order of the navigation."""
    return {
        "runs": View("Runs", "see_runs", lambda _: {"runs": [_run(row) for row in reversed(store.runs())]}),
        "people": View("People", "see_people", lambda _: {"people": _people(agreement)}),
        "ledger": View("Ledger", "see_ledger", lambda _: _ledger(store)),
    }


def _run(row: RunRow) -> dict[str, Any]:
    """A run as it was last written down; a live one's progress is the hub's own to tell."""
    head = head_of_row(row)
    told: Mapping[str, Any] = json.loads(row.note) if row.note else {}
    sites = {name: str(site.get("state", "")) for name, site in told.get("sites", {}).items()}
    error = told.get("error") or {}
    state = WORDS.get(head["state"], str(head["state"]).capitalize())
    return {**head, "state": state, "sites": sites, "code": error.get("code", ""), "message": error.get("message", "")}


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
