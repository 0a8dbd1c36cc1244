"""`isthmus audit` over the ledgers that real nodes left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from test_processes_agreed import SITES, Alliance, alliance, follow, logs, now, study

from isthmus.federation.agreed import connect
from isthmus.federation.launch import Fleet


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Alliance, dict[str, Any]]:
    """An alliance after one released study; its nodes have stopped."""
    made = alliance(tmp_path_factory.mktemp("audited"))
    with Fleet(environ=dict(os.environ)) as fleet:
        started(fleet, made)
        ada = connect(made.config("ada"), os.environ, now)
        with ada.client as client:
            last = follow(client, ada.submit(study(), 1, now()))
        assert last["state"] == "concluded", logs(made.directory)
        for name in ("hub", *SITES):
            assert fleet.stop(name) == 0
    for name in ("hub", *SITES):
        done = audit(made, name, "export", "--out", "../" + name + ".ledger")
        assert done.returncode == 0, done.stderr
    return made, last


def started(fleet: Fleet, made: Alliance) -> None:
    fleet.start("hub", "isthmus.federation.hub_node:node", made.directory / "hub", {"config": str(made.config("hub"))})
    fleet.await_event("hub", "port")
    for site in SITES:
        where = {"config": str(made.config(site))}
        fleet.start(site, "isthmus.federation.site_node:node", made.directory / site, where)
    for site in SITES:
        fleet.await_event(site, "joined")


def audit(made: Alliance, node: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "isthmus.cli", "audit", *words]
    return subprocess.run(command, cwd=made.directory / node, capture_output=True, text=True, check=False, timeout=60)


def test_one_nodes_ledger_is_searched_in_plain_words(audited: tuple[Alliance, dict[str, Any]]) -> None:
    made, last = audited
    told = audit(made, "hub", "search", "--event", "release").stdout.splitlines()
    assert len(told) == 1
    assert f"run {last['run'][7:19]}: result" in told[0]
    found = json.loads(audit(made, "leeds", "search", "--run", last["run"], "--json").stdout)
    assert found["schema"] == "isthmus/audit/1"
    assert {entry["event"] for entry in found["entries"]} >= {"decision", "history", "release"}
    assert "No such entry" in audit(made, "leeds", "search", "--code", "E-NOTHING").stdout


def test_exported_ledgers_tell_one_story(audited: tuple[Alliance, dict[str, Any]]) -> None:
    made, last = audited
    files = [word for name in ("hub", *SITES) for word in ("--from", f"../{name}.ledger")]
    done = json.loads(audit(made, "ada", "search", *files, "--study", last["study"], "--json").stdout)
    times = [entry["time"] for entry in done["entries"]]
    assert times == sorted(times)
    assert {entry["log"] for entry in done["entries"]} == {"hub", *(f"site/{site}" for site in SITES)}
    assert done["entries"][0]["event"] == "study"


def test_everything_holds_and_an_edit_does_not(audited: tuple[Alliance, dict[str, Any]]) -> None:
    made, _ = audited
    files = [f"../{name}.ledger" for name in ("hub", *SITES)]
    done = audit(made, "ada", "verify", *files, "--agreement", "agreement.json")
    assert done.returncode == 0, done.stderr
    assert "hub: cosigned by boston, leeds, oxford" in done.stdout
    for site in SITES:
        assert f"hub: as {site} remembers it" in done.stdout
        assert f"site/{site}: as hub remembers it" in done.stdout
    path = made.directory / "hub.ledger"
    (made.directory / "edited.ledger").write_bytes(path.read_bytes().replace(b'"round":1', b'"round":2', 1))
    edited = audit(made, "ada", "verify", "../edited.ledger", *files[1:])
    assert edited.returncode == 8
    assert "E-LEDGER" in edited.stderr


def test_one_entry_is_proved_offline(audited: tuple[Alliance, dict[str, Any]]) -> None:
    made, _ = audited
    assert audit(made, "hub", "prove", "0", "--out", "../proof.json").returncode == 0
    done = audit(made, "ada", "verify", "../proof.json", "--agreement", "agreement.json")
    assert done.returncode == 0, done.stderr
    assert "entry 0 (study) is in its" in done.stdout
    assert "cosigned by boston, leeds, oxford" in done.stdout
    assert audit(made, "hub", "prove", "999", "--out", "../none.json").returncode == 2
