"""Attack: the second output checker reads the first one's vote, and follows it.

Two people who look at each other's answer are one. A vote is sealed until as many are there as the agreement asks for: in
what the hub shows to anybody, the auditor too, and in its ledger.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from governance_alliance import NOW
from reviewed_alliance import AGREEMENT, asked, case, envelope, request

from attack import Attack, Say
from isthmus.federation.hub_cases import VOTE, HubCases
from isthmus.federation.hub_runs import new_row
from isthmus.federation.parties import parties_of
from isthmus.federation.request import charter_of
from isthmus.federation.store import RunRow, open_store
from isthmus.ledger.bundle import SCHEMA
from isthmus.model.canonical import canonical, digest

ATTACK = Attack("The second output checker reads the first one's vote", "votes are sealed until both are there")

REQUEST = request()
RESULT = {"analyses": {}}
PARTS: dict[str, Any] = {
    "schema": SCHEMA,
    "mode": "federated",
    "charter": {},
    "agreement": [],
    "study": {},
    "result": RESULT,
    "transcript_digest": "",
    "signatures": {},
    "checkpoint": "",
    "entries": [],
    "inclusion": [],
    "seal": "",
}


def opened(folder: Path) -> tuple[HubCases, RunRow]:
    store = open_store(folder / "state.db")
    row = new_row(charter_of(REQUEST, AGREEMENT), asked(REQUEST), NOW.isoformat())
    store.add_run(row)
    raw = canonical(PARTS)
    store.finish(row.run, (raw, raw), json.dumps({"sites": {}}), "egress")
    cases = HubCases(store, AGREEMENT)
    return cases, cases.row(row.run)


def vote(cases: HubCases, row: RunRow, who: str, choice: Any) -> dict[str, Any]:
    made = envelope(who, case(REQUEST, digest(RESULT)), choice, "result")
    cases.kept.put(row.run, VOTE, who, made)
    return made


def seen(cases: HubCases, row: RunRow) -> str:
    """Everything that the hub shows of a run, to everybody."""
    people = parties_of(AGREEMENT).values()
    told = [(cases.shown(row.run, p), cases.listed(p)) for p in people if p.role == "person"]
    return json.dumps([told, cases.beside(row, {"state": row.state}), cases.approvals(row.run)])


def test_in_the_hubs_store_the_vote_can_be_read(tmp_path: Path, leak: Say) -> None:
    cases, row = opened(tmp_path)
    vote(cases, row, "cleo", "reject")
    assert cases.votes(row)[0].approval.decision == "reject"
    leak("a hub that shows what it holds tells the second checker how the first one voted")


def test_through_the_window_it_cannot(tmp_path: Path, stop: Say) -> None:
    cases, row = opened(tmp_path)
    before = seen(cases, row)
    first = vote(cases, row, "cleo", "reject")
    alone = seen(cases, row)
    for word in ("reject", "too short", first["payload"], first["signatures"][0]["sig"]):
        assert word not in alone
    assert '"whom": "cleo"' in before
    assert '"whom": "cleo"' not in alone  # that she voted is told
    vote(cases, row, "cora", "accept")
    assert "too short" in seen(cases, row)
    stop("the first vote shows nowhere until the second is given; then both do")
