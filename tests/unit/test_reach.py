"""Whom a site's studies reached: counted for twelve months, over agreements, restarts too."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from governance_worked import worked_agreement

from isthmus.federation.reach import Reach
from isthmus.federation.store import open_store

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_reached_counts_for_a_year_and_by_agreement(tmp_path: Path) -> None:
    worked = worked_agreement()
    other = replace(worked, id="urn:other")
    store = open_store(tmp_path / "state.db")
    reach = Reach(store)
    assert reach.within(NOW) == {}
    mine = {f"{worked.id} statins us": {"health": 61000}}
    assert reach.add(worked, "statins", NOW - timedelta(days=300)) == mine
    reach.add(other, "statins", NOW)
    store.close()
    again = Reach(open_store(tmp_path / "state.db"))
    assert again.within(NOW) == mine | {"urn:other statins us": {"health": 61000}}
    assert again.within(NOW + timedelta(days=100)) == {"urn:other statins us": {"health": 61000}}
    assert again.within(NOW + timedelta(days=400)) == {}
