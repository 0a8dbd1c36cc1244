"""`isthmus audit` over the ledgers that real nodes left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from test_processes_agreed import SITES, Alliance, alliance, follow, logs, now, study

from isthmus.federation.agreed import connect
from isthmus.federation.border import ROWS
from isthmus.federation.identity import load_identity
from isthmus.federation.launch import Fleet
from isthmus.federation.store import open_store
from isthmus.ledger.checkpoint import sign_checkpoint
from isthmus.ledger.entries import encode_entry
from isthmus.ledger.exported import Cover, export_lines
from isthmus.ledger.log import Log, MemoryStore
from isthmus.model.canonical import plain


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Alliance, dict[str, Any]]:
    """An alliance after one released study; its nodes have stopped."""
    made = alliance(tmp_path_factory.mktemp("audited"))
    with Fleet(environ=dict(os.environ)) as fleet:
        started(fleet, made)
        ada = connect(made.config("ada"), os.environ, now)
        with ada.client as client:
            last = follow(client, ada.submit(study(), 1, now()))
            last["fetched"] = len(client.bundle(last["run"]))
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
    return cli(made, node, "audit", *words)


def cli(made: Alliance, node: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "isthmus.cli", *words]
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


def test_a_site_cannot_speak_for_the_hub(audited: tuple[Alliance, dict[str, Any]]) -> None:
    """Leeds signs a ledger of its own making under the hub's name: a key of the agreement, but not the hub's."""
    made, _ = audited
    key = load_identity(made.directory / "leeds" / "keys").key
    log = Log(MemoryStore(), "hub", now)
    log.append("release", {"run": "sha256:made-up"})
    cover = Cover(
        owner="leeds",
        key=key.public.hex(),
        time=now().isoformat(),
        checkpoint=sign_checkpoint("hub", log.head(), key),
        cosigned=(),
        witnesses={},
        marks={},
    )
    lines = export_lines(cover, [encode_entry(entry) for entry in log.entries()], key)
    (made.directory / "false.ledger").write_bytes(b"".join(lines))
    assert audit(made, "ada", "verify", "../false.ledger").returncode == 0  # the fingerprint is shown, to be compared
    done = audit(made, "ada", "verify", "../false.ledger", "--agreement", "agreement.json")
    assert done.returncode == 8
    assert "E-LEDGER" in done.stderr


def test_the_border_register_holds_every_byte_that_the_hub_received(audited: tuple[Alliance, dict[str, Any]]) -> None:
    made, last = audited
    for site, country in SITES.items():
        told = json.loads(audit(made, site, "border", "--json").stdout)
        messages = [row for row in told["rows"] if row["message"] != "verdicts"]  # which is no message of the protocol
        assert sum(row["bytes"] for row in messages) == last["traffic"]["bytes_out"][site]
        assert len(messages) == len(told["rows"]) - 1
        assert told["sealed"] == told["messages"] == len(told["rows"])
        (day,) = told["days"]
        assert (day["study"], day["from_country"], day["to_country"]) == (last["study"], country, "GB")
        assert (day["flow"], day["mechanism"]) == ("sums-to-hub", "not_restricted")
        assert "score" in day["statistics"]
    shown = audit(made, "boston", "border").stdout
    assert "boston US -> hub GB" in shown


def test_the_hubs_register_holds_what_went_to_each_site_and_to_the_researcher(
    audited: tuple[Alliance, dict[str, Any]],
) -> None:
    made, last = audited
    told = json.loads(audit(made, "hub", "border", "--json").stdout)
    assert told["sealed"] == told["messages"] == len(told["rows"])
    ways = {(day["receiver"], day["to_country"], day["flow"], day["mechanism"]): day for day in told["days"]}
    assert set(ways) == {
        ("leeds", "GB", "sums-and-results", "not_restricted"),
        ("oxford", "GB", "sums-and-results", "not_restricted"),
        ("boston", "US", "sums-and-results-abroad", "idta"),
    }
    assert all(day["study"] == last["study"] for day in told["days"])
    (given,) = [row for row in told["rows"] if row["message"] == "result"]
    assert (given["to"], given["bytes"], given["run"]) == ("ada", last["fetched"], last["run"])
    assert (given["receiver"], given["to_country"]) == ("leeds", "GB")
    assert (given["question"], given["kind"], given["statistics"], given["rules"]) == (
        "death",
        "glm",
        ["estimate"],
        ["XB-10"],
    )
    abroad = {tuple(row["rules"]) for row in told["rows"] if row["to_country"] == "US"}
    assert abroad == {("XB-01", "XB-06", "XB-10")}
    pooled = [row for row in told["rows"] if row["receiver"] == "boston" and "death" in row.get("pooled", ())]
    assert all("score" in row["statistics"] for row in pooled)
    assert pooled
    rounds = [row for row in told["rows"] if row["message"] == "round" and row["receiver"] == "boston"]
    assert {(row["question"], row["kind"]) for row in rounds} >= {("death", "glm")}
    for site in SITES:  # the hub says "end" to each
        assert [r["message"] for r in told["rows"] if r["receiver"] == site and r["message"] == "end"] == ["end"]
    assert "hub GB -> boston US" in audit(made, "hub", "border").stdout
    path = made.directory / "hub" / "state.db"
    kept = path.read_bytes()
    store = open_store(path)
    store.write(sa.delete(ROWS).where(ROWS.c.number == given["number"]))
    store.close()
    done = audit(made, "hub", "border")
    path.write_bytes(kept)
    assert (done.returncode, "E-LEDGER" in done.stderr) == (8, True)


def test_a_changed_row_of_the_register_is_found(audited: tuple[Alliance, dict[str, Any]]) -> None:
    made, _ = audited
    path = made.directory / "leeds" / "state.db"
    kept = path.read_bytes()
    store = open_store(path)
    store.write(sa.update(ROWS).where(ROWS.c.number == 3).values(row=b'{"bytes":0,"number":3}'))
    store.close()
    done = audit(made, "leeds", "border")
    path.write_bytes(kept)
    assert done.returncode == 8
    assert "E-LEDGER" in done.stderr


def test_kill_loses_no_row_of_the_register(tmp_path: Path) -> None:
    """Boston is killed in the middle of the rounds: whatever the hub has of it is in its register."""
    made = alliance(tmp_path)
    with Fleet(environ=dict(os.environ)) as fleet:
        started(fleet, made)
        ada = connect(made.config("ada"), os.environ, now)
        with ada.client as client:
            run = ada.submit(study(), 1, now())
            for state in client.watch(run):
                if state.get("rounds", 0) >= 2 or state["state"] == "concluded":
                    break
            fleet.kill("boston")
            fleet.restart("boston")
            last = follow(client, run)
        assert last["state"] == "concluded", logs(tmp_path)
        for name in ("hub", *SITES):
            fleet.stop(name)
    told = {site: json.loads(audit(made, site, "border", "--json").stdout) for site in SITES}
    left = {site: sum(row["bytes"] for row in found["rows"]) for site, found in told.items()}
    assert left["boston"] >= last["traffic"]["bytes_out"]["boston"]
    assert all(found["sealed"] == found["messages"] for found in told.values())


def test_the_way_of_a_study_is_shown_before_it_runs(audited: tuple[Alliance, dict[str, Any]]) -> None:
    made, _ = audited
    (made.directory / "ada" / "study.json").write_text(json.dumps(plain(study())))
    words = ("study", "preview", "study.json", "--codebook", "../trial.yaml")
    told = json.loads(cli(made, "ada", *words, "--json").stdout)["route"]
    assert {(leg["from_country"], leg["to_country"], leg["flow"]) for leg in told} >= {
        ("US", "GB", "sums-to-hub"),
        ("GB", "US", "sums-and-results-abroad"),
    }
    shown = cli(made, "ada", *words).stdout
    assert "The way of its numbers" in shown
    assert "boston US" in shown


def test_one_entry_is_proved_offline(audited: tuple[Alliance, dict[str, Any]]) -> None:
    made, _ = audited
    assert audit(made, "hub", "prove", "1", "--out", "../proof.json").returncode == 0
    done = audit(made, "ada", "verify", "../proof.json", "--agreement", "agreement.json")
    assert done.returncode == 0, done.stderr
    assert "entry 1 (study) is in its" in done.stdout
    assert "cosigned by boston, leeds, oxford" in done.stdout
    assert audit(made, "hub", "prove", "999", "--out", "../none.json").returncode == 2
