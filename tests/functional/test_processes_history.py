"""What a real site remembers between studies: over a `kill -9`, and not less after a backup was put back."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from test_processes_agreed import SITES, Alliance, alliance, logs, rows, study
from toy_fleet import follow
from wires import now

from isthmus.disclosure.history import NEAR
from isthmus.federation.agreed import connect, site_setup
from isthmus.federation.launch import Fleet
from isthmus.federation.node import Ledger
from isthmus.federation.site import SiteNode
from isthmus.federation.store import open_store
from isthmus.federation.tables import CHAIN
from isthmus.ledger.bundle import read_bundle
from isthmus.ledger.log import Log
from isthmus.model.errors import Untrusted

AGES = np.sort(np.asarray(rows(0)["age"]))  # of leeds
FIRST, ONE_FEWER, OTHER = (
    f"age >= {(AGES[i - 1] + AGES[i]) / 2:.6f}" for i in (120, 121, 240)
)  # 240: every arm and outcome gains the floor at every site


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet(environ=dict(os.environ)) as opened:
        yield opened


@pytest.fixture
def made(fleet: Fleet, tmp_path: Path) -> Iterator[Alliance]:
    made = alliance(tmp_path)
    fleet.start("hub", "isthmus.federation.hub_node:node", tmp_path / "hub", {"config": str(made.config("hub"))})
    fleet.await_event("hub", "port")
    for site in SITES:
        start(fleet, made, site)
    for site in SITES:
        fleet.await_event(site, "joined")
    yield made
    for name in (*SITES, "hub"):
        if name in fleet.pids:
            fleet.stop(name)


def start(fleet: Fleet, made: Alliance, site: str) -> None:
    arguments = {"config": str(made.config(site))}
    fleet.start(site, "isthmus.federation.site_node:node", made.directory / site, arguments)


def ask(fleet: Fleet, made: Alliance, where: str, number: int) -> dict[str, Any]:
    ada = connect(made.config("ada"), os.environ, now)
    with ada.client as client:
        last = follow(client, ada.submit(study(population={"where": where}), number, now()))
        assert last["state"] == "concluded", logs(made.directory)
        raw = client.bundle(last["run"])
    for site in SITES:
        fleet.await_event(site, "ended")
    return dict(read_bundle(raw)["result"]["analyses"]["death"])


def test_a_killed_site_still_refuses(fleet: Fleet, made: Alliance) -> None:
    assert ask(fleet, made, FIRST, 1)["n"] > 0
    for site in SITES:
        fleet.signal(site, signal.SIGKILL)
        fleet.await_event(site, "exited")
        start(fleet, made, site)
        fleet.await_event(site, "joined")
    assert ask(fleet, made, ONE_FEWER, 2)["status"] == "refused"
    assert ask(fleet, made, FIRST, 3)["n"] > 0  # the same question repeats
    assert ask(fleet, made, OTHER, 4)["n"] > 0
    for name in SITES:
        fleet.stop(name)
    store = open_store(made.directory / "leeds" / "state.db")
    notes = [entry.facts["code"] for entry in Log(store.leaves("site/leeds/private"), "site/leeds", now).entries()]
    votes = [e for e in Log(store.leaves("site/leeds"), "site/leeds", now).entries() if e.event == "history"]
    store.close()
    assert set(notes) == {NEAR}
    assert len(votes) == 4
    copies = list((made.directory / "leeds" / "snapshots").iterdir())
    assert [path.stat().st_mode & 0o777 for path in copies] == [0o600]


def test_a_backup_that_was_put_back_is_noticed(fleet: Fleet, made: Alliance) -> None:
    folder = made.directory / "leeds"
    ask(fleet, made, OTHER, 1)
    fleet.stop("leeds")
    shutil.copy(folder / "state.db", folder / "backup.db")
    start(fleet, made, "leeds")
    fleet.await_event("leeds", "joined")
    ask(fleet, made, FIRST, 2)
    fleet.stop("leeds")
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (folder / name).unlink(missing_ok=True)
    shutil.copy(folder / "backup.db", folder / "state.db")
    start(fleet, made, "leeds")
    waited = time.monotonic() + 20
    while "E-ROLLBACK" not in (folder / "node.log").read_text() and time.monotonic() < waited:
        time.sleep(0.1)
    assert "E-ROLLBACK" in (folder / "node.log").read_text()
    fleet.stop("leeds")
    store = open_store(folder / "state.db")  # a ledger that grew longer than it was is no other story
    ledger = Ledger(store, "site/leeds", now)
    for at in range(40):
        ledger.append("refusal", {"by": "hub", "code": f"E-{at}"})
    store.close()
    for _ in range(2):
        before = (folder / "node.log").read_text()
        start(fleet, made, "leeds")
        waited = time.monotonic() + 20
        while "E-ROLLBACK" not in (folder / "node.log").read_text()[len(before) :] and time.monotonic() < waited:
            time.sleep(0.1)
        assert "E-ROLLBACK" in (folder / "node.log").read_text()[len(before) :]
        assert "joined the hub" not in (folder / "node.log").read_text()[len(before) :]
        fleet.stop("leeds")


def test_a_history_behind_its_ledger_stops_the_site(fleet: Fleet, made: Alliance) -> None:
    ask(fleet, made, FIRST, 1)
    fleet.stop("leeds")
    setup = site_setup(made.config("leeds"), os.environ, now, os.urandom)
    SiteNode(setup.means, setup.hub, setup.desk, lambda _: None)
    setup.means.store.write(sa.delete(CHAIN))
    with pytest.raises(Untrusted, match="E-ROLLBACK"):
        SiteNode(setup.means, setup.hub, setup.desk, lambda _: None)
    setup.means.store.close()
