"""A privacy budget between real processes: one site runs out in mid-study, and nothing is forgotten over `kill -9`."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from test_processes_agreed import SITES, Alliance, alliance, logs, study
from toy_fleet import follow
from wires import now

from isthmus.disclosure.budget import Account
from isthmus.federation.agreed import connect
from isthmus.federation.budgets import budgets
from isthmus.federation.launch import Fleet
from isthmus.federation.purse import SqlPurse
from isthmus.federation.store import open_store
from isthmus.ledger.bundle import read_bundle
from isthmus.ledger.log import Log
from isthmus.model.errors import Invalid, Refused
from isthmus.model.privacy import Privacy

PRIVACY = Privacy(rho=0.2, delta=1e-6, per_person=0.2, per_project=0.2, colluders=1)
LINEAGE = "urn:alliance:test trial"


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet(environ=dict(os.environ)) as opened:
        yield opened


def start(fleet: Fleet, made: Alliance, site: str) -> None:
    arguments = {"config": str(made.config(site))}
    fleet.start(site, "isthmus.federation.site_node:node", made.directory / site, arguments)


def ask(fleet: Fleet, made: Alliance, number: int, **analyses: dict[str, Any]) -> dict[str, Any]:
    ada = connect(made.config("ada"), os.environ, now)
    asked = {name: {"count": {"by": ["arm"], **stated}} for name, stated in analyses.items()}
    with ada.client as client:
        last = follow(client, ada.submit(study(analyses=asked), number, now()))
        assert last["state"] == "concluded", logs(made.directory)
        raw = client.bundle(last["run"])
    for site in SITES:
        fleet.await_event(site, "ended")
    return dict(read_bundle(raw)["result"]["analyses"])


def purse_of(made: Alliance, site: str) -> SqlPurse:
    store = open_store(made.directory / site / "state.db")
    return SqlPurse(store, LINEAGE, PRIVACY, Account(person="ada", project=""))


def left(made: Alliance, site: str) -> Fraction:
    purse = purse_of(made, site)
    found = purse.left()
    purse.store.close()
    return found


def notes_of(made: Alliance) -> list[str]:
    store = open_store(made.directory / "leeds" / "state.db")
    notes = [entry.facts["code"] for entry in Log(store.leaves("site/leeds/private"), "site/leeds", now).entries()]
    store.close()
    return notes


def test_a_budget_runs_out_at_one_site_and_survives_kill(fleet: Fleet, tmp_path: Path) -> None:
    made = alliance(tmp_path, privacy=PRIVACY)
    spent = purse_of(made, "leeds")
    spent.spend("another study, which leeds alone answered", Fraction(1, 20), lambda: b"")
    spent.store.close()
    fleet.start("hub", "isthmus.federation.hub_node:node", tmp_path / "hub", {"config": str(made.config("hub"))})
    fleet.await_event("hub", "port")
    for site in SITES:
        start(fleet, made, site)
    for site in SITES:
        fleet.await_event(site, "joined")
    first = ask(fleet, made, 1, arms={"privacy": {"rho": 0.1}})["arms"]
    assert first["privacy"]["rho"] == 0.1
    assert first["exactness"] == "approximate"
    for site in SITES:
        fleet.signal(site, signal.SIGKILL)
        fleet.await_event(site, "exited")
        start(fleet, made, site)
        fleet.await_event(site, "joined")
    again = ask(fleet, made, 2, arms={"privacy": {"rho": 0.1}})["arms"]
    assert again["cells"] == first["cells"]  # the same noise, and nothing is charged
    both = ask(
        fleet, made, 3,
        small={"conf_level": 0.9, "privacy": {"rho": 0.04}}, large={"conf_level": 0.8, "privacy": {"rho": 0.06}},
    )  # fmt: skip
    assert "cells" in both["small"], (both, notes_of(made))
    assert both["large"]["status"] == "refused"
    assert both["large"]["error"]["code"] == "E-DISCLOSURE"
    with pytest.raises((Invalid, Refused), match="E-PRIVACY"):
        ask(fleet, made, 4, arms={})
    for name in SITES:
        assert fleet.stop(name) == 0
    assert [left(made, site) for site in SITES] == [Fraction(1, 100), Fraction(6, 100), Fraction(6, 100)]
    assert notes_of(made) == ["E-BUDGET"]
    (told,) = budgets(made.config("oxford"), os.environ).values()
    assert told == {"rho": PRIVACY.rho, "spent": pytest.approx(PRIVACY.rho - 0.06)}
