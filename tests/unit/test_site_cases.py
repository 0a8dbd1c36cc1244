"""What a site answers to a hub that shows studies to it: once on a stream, and again when the time of a decision has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from governance_alliance import NOW, key_of
from reviewed_alliance import PASSES, READS
from test_site_review import ASKER, P1, review, shown

from isthmus.federation.node import Ledger
from isthmus.federation.refusals import AGAIN, Refusals
from isthmus.federation.site_cases import SiteCases
from isthmus.federation.site_review import Admitted, Shown, SiteReviewer
from isthmus.federation.store import open_store
from isthmus.governance.approval import Choice
from isthmus.model.errors import Refused


class Site:
    """A site's cases, by a clock that is set, and what it tells the hub."""

    def __init__(self, folder: Path) -> None:
        self.now, self.told, self.stops = NOW, list[Any](), False
        store = open_store(folder / "ledger.db")
        self.ledger = Ledger(store, "site/leeds", lambda: self.now)
        refusals = Refusals(store, self.ledger, lambda: self.now)
        stubs: Any = SimpleNamespace(check=self.check, voted=lambda *_: {}, run=self.at_once, refusals=refusals)
        reviewer = SiteReviewer(review(folder), lambda _asked, _now: Admitted(request_of(), ASKER, READS, PASSES))
        tell, decline = (
            lambda *said: self.told.append(said[3]),
            lambda _run, error, _asked: self.told.append(error.code),
        )
        clock, key = lambda: self.now, key_of("leeds")
        self.cases = SiteCases(reviewer, stubs, stubs, self.ledger, stubs, clock, key, tell, decline)

    def check(self) -> None:
        if self.stops:
            raise Refused("E-EXPIRED", "the agreement has ended")

    async def at_once(self, _job: str, work: Callable[..., Any], *arguments: Any) -> Any:
        return work(*arguments)

    def show(self, asks: Shown) -> list[Any]:
        """What the hub is told when it shows this."""
        before = len(self.told)
        body = {"run": asks.run, "request": asks.request, "approvals": list(asks.approvals)}
        asyncio.run(self.cases.shown(body))
        return self.told[before:]

    def early(self, now: datetime) -> list[Any]:
        before, self.now = len(self.told), now
        asyncio.run(self.cases.early())
        return self.told[before:]


def request_of() -> Any:
    from reviewed_alliance import request

    return request(P1)


def verdicts(told: list[Any]) -> list[str]:
    return [said["answer"]["verdict"] for said in told]


def test_a_study_that_is_shown_again_is_answered_once(tmp_path: Path) -> None:
    """A repeated answer would be a row of the border register that says nothing."""
    site = Site(tmp_path)
    assert verdicts(site.show(shown(P1))) == ["approved"]
    assert site.show(shown(P1)) == []
    assert verdicts(site.show(shown(P1, "return"))) == ["returned"]
    site.cases.fresh.clear()  # another stream: the hub may not have heard it
    assert verdicts(site.show(shown(P1, "return"))) == ["returned"]
    assert [entry.facts["verdict"] for entry in site.ledger.log.entries()] == ["approved", "returned"]


def test_it_is_answered_again_after_the_site_declined_it(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert verdicts(site.show(shown(P1))) == ["approved"]
    site.stops = True
    assert site.show(shown(P1)) == ["E-EXPIRED"]
    site.stops = False
    assert verdicts(site.show(shown(P1))) == ["approved"]


def test_a_hub_that_comes_back_without_end_or_makes_the_site_decline_is_told_so_often(tmp_path: Path) -> None:
    """Each answer is a row of the border register and an entry that seals it."""
    streams, between = Site(tmp_path / "streams"), Site(tmp_path / "declined")
    told = []
    for _ in range(3 * AGAIN):
        streams.cases.fresh.clear()
        streams.show(shown(P1))
        between.stops = True
        between.show(shown(P1))
        between.stops = False
        told += verdicts(between.show(shown(P1)))
    assert len(streams.told) == len(told) == AGAIN
    assert verdicts(streams.show(shown(P1, "return"))) == ["returned"]  # what is new is said


@pytest.mark.parametrize(("choice", "said"), [("return", "returned"), ("reject", "rejected")])
def test_a_decision_ahead_of_a_slow_clock_is_looked_at_when_its_time_comes(
    tmp_path: Path, choice: Choice, said: str
) -> None:
    """Nobody decides anything else, and the stream stays open: the clock alone brings it."""
    site, slow = Site(tmp_path), NOW - timedelta(minutes=10)
    site.now = slow
    assert verdicts(site.show(shown(P1, choice))) == ["approved"]
    assert site.early(slow + timedelta(minutes=4)) == []
    assert verdicts(site.early(slow + timedelta(minutes=6))) == [said]
    assert site.early(NOW + timedelta(days=1)) == []
    assert site.cases.ahead == {}


def test_a_decision_in_time_is_not_looked_at_again(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.show(shown(P1, "return"))
    forged = Shown(shown(P1).run, shown(P1).request, ({"payload": "", "signatures": []},))
    site.show(forged)
    assert site.cases.ahead == {}
