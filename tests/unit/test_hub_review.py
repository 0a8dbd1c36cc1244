"""Steps of review at a hub that come at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from governance_alliance import NOW, key_of
from reviewed_alliance import AGREEMENT, KEEPER, asked, case, envelope, request

from isthmus.federation.hub_cases import APPROVAL, OPEN
from isthmus.federation.hub_review import HubReview
from isthmus.federation.hub_runs import new_row
from isthmus.federation.parties import parties_of
from isthmus.federation.request import charter_of
from isthmus.federation.store import open_store
from isthmus.governance.agreement import Agreement
from isthmus.ledger.log import Log, MemoryStore

REQUEST = request()
SITES = ("boston", "leeds", "oslo")
APPROVED = {"verdict": "approved", "since": NOW.isoformat(), "by": [KEEPER]}


def steps(hub: Any) -> list[Any]:
    return [hub.ledger.log.entry(i).facts.get("step") for i in range(hub.ledger.log.head().size)]


class Hub:
    """What review needs of a hub: a store, a ledger whose writes take a moment, and who is told what."""

    def __init__(self, folder: Path) -> None:
        self.store, self.started, self.told = open_store(folder / "state.db"), list[str](), list[str]()
        log = Log(MemoryStore(), "hub", lambda: NOW)
        self.ledger = SimpleNamespace(log=log, append=log.append)
        self.worker = SimpleNamespace(run=self.later)
        self.means: Any = SimpleNamespace(
            store=self.store, identity=SimpleNamespace(name="hub", key=key_of("hub")), clock=lambda: NOW
        )
        self.runs: dict[str, Any] = {}
        self.desk = SimpleNamespace(desk=SimpleNamespace(in_force=lambda _now: None))

    async def later(self, _job: str, work: Callable[..., Any], *arguments: Any) -> Any:
        await asyncio.sleep(0)
        return work(*arguments)

    async def start_run(self, row: Any) -> None:
        await asyncio.sleep(0)  # the hub admits the request again
        self.started.append(row.run)
        self.store.set_state(row.run, "running")

    def link(self, _site: str) -> None:
        return None

    def said(self, run: str, state: str) -> None:
        self.told.append(state)


def review(folder: Path, agreement: Agreement = AGREEMENT) -> tuple[Hub, HubReview, str]:
    hub: Any = Hub(folder)
    row = new_row(charter_of(REQUEST, agreement), asked(REQUEST), NOW.isoformat())
    hub.store.add_run(row)
    hub.store.set_state(row.run, "in_review")
    made = HubReview(hub, agreement)
    for party in {agreement.site(site).party for site in SITES}:
        keeper = agreement.custodians(party)[0].person
        made.cases.kept.put(row.run, APPROVAL, keeper, envelope(keeper, case(REQUEST)))
    return hub, made, row.run


async def together(*steps: Awaitable[Any]) -> list[Any]:
    return await asyncio.gather(*steps, return_exceptions=True)


def test_a_study_starts_once_when_all_sites_answer_together(tmp_path: Path) -> None:
    hub, made, run = review(tmp_path)
    answers = [made.answered(site, {"run": run, "answer": APPROVED}) for site in SITES * 2]
    assert asyncio.run(together(*answers)) == [None] * len(answers)
    assert (hub.started, steps(hub)) == ([run], ["approve"])


def test_a_return_that_comes_while_the_study_starts_is_too_late(tmp_path: Path) -> None:
    hub, made, run = review(tmp_path)
    party = parties_of(AGREEMENT)[KEEPER]
    answers = [made.answered(site, {"run": run, "answer": APPROVED}) for site in SITES]
    *_, late = asyncio.run(together(*answers, made.decided(party, envelope(KEEPER, case(REQUEST), "return"))))
    assert (hub.started, hub.told, late.code) == ([run], [], "E-STATE")
    assert steps(hub)[0] == "approve"
    assert "return" not in steps(hub)


def test_a_listing_reads_no_run_that_is_over(tmp_path: Path) -> None:
    """What waits is found by the database: a past run that cannot even be read does not matter."""
    hub, made, run = review(tmp_path)
    store: Any = hub.means.store
    past = replace(store.run(run), run="sha256:past", state="concluded", request=b"", charter=b"")
    store.add_run(past)
    assert [row.run for row in made.cases.rows(OPEN)] == [run]
    read: list[int] = []
    rows = store.rows
    store.rows = lambda query: read.append(len(found := rows(query))) or found
    made.cases.listed(parties_of(AGREEMENT)[KEEPER])
    made.cases.untold("leeds")
    assert max(read) <= len(SITES)
    assert made.cases.asked(store.run(run).study)
    assert not made.cases.asked("sha256:" + "0" * 64)
