"""An auditor works in a folder of their own: from the hub, which knows their key, and from what nodes exported."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from test_cli_audit import cli, started
from test_processes_agreed import SITES, Alliance, alliance, follow, logs, now, study

from isthmus.federation.agreed import connect
from isthmus.federation.launch import Fleet


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> tuple[Alliance, dict[str, Any]]:
    """An alliance after one study: what the hub gave its auditor, and what Leeds exported."""
    made = alliance(tmp_path_factory.mktemp("auditor"), more={"ann": ("auditor", "hub")})
    with Fleet(environ=dict(os.environ)) as fleet:
        started(fleet, made)
        ada = connect(made.config("ada"), os.environ, now)
        with ada.client as client:
            last = follow(client, ada.submit(study(), 1, now()))
        assert last["state"] == "concluded", logs(made.directory)
        last["refused"] = cli(made, "ada", "audit", "fetch", "--out", "taken")
        last["fetched"] = cli(made, "ann", "audit", "fetch", "--out", "exports")
        assert cli(made, "ann", "results", "export", last["run"], "--crate", "crate.zip").returncode == 0
        for name in ("hub", *SITES):
            assert fleet.stop(name) == 0
    ledger, border = (
        ("audit", "export", "--out", "../ann/exports/leeds.ledger"),
        ("--out", "../ann/exports/leeds.border"),
    )
    assert cli(made, "leeds", *ledger).returncode == 0
    assert cli(made, "leeds", "audit", "export", "--border", *border).returncode == 0
    return made, last


def test_the_hub_gives_its_ledger_to_an_auditor_and_to_no_researcher(left: tuple[Alliance, dict[str, Any]]) -> None:
    made, last = left
    assert last["fetched"].returncode == 0, last["fetched"].stderr
    names = {path.name for path in (made.directory / "ann" / "exports").iterdir()}
    assert names == {"hub.ledger", "hub.border", f"{last['run'][7:19]}.isthmus", "leeds.ledger", "leeds.border"}
    assert last["refused"].returncode != 0
    assert "E-ROLE" in last["refused"].stderr
    assert not (made.directory / "ada" / "taken").exists()


def test_an_auditor_searches_a_folder_of_exports(left: tuple[Alliance, dict[str, Any]]) -> None:
    made, _ = left
    told = cli(made, "ann", "audit", "search", "--from", "exports", "--event", "decision")
    assert told.returncode == 0, told.stderr
    for site in SITES:
        assert f"{site} tells its verdicts: agreement admitted" in told.stdout
    assert "site/leeds" in told.stdout
    verified = cli(
        made, "ann", "audit", "verify", "exports/hub.ledger", "exports/leeds.ledger", "--agreement", "agreement.json"
    )
    assert verified.returncode == 0, verified.stderr


def test_a_crate_alone_tells_of_its_run(left: tuple[Alliance, dict[str, Any]]) -> None:
    made, _ = left
    told = json.loads(cli(made, "ann", "audit", "search", "--from", "crate.zip", "--json").stdout)["entries"]
    assert {entry["log"] for entry in told} == {"hub (part)"}
    assert {entry["event"] for entry in told} >= {"study", "decision", "round", "release"}
    shown = cli(made, "ann", "audit", "evidence", "decisions", "--from", "crate.zip").stdout
    assert "Not known here: the rest of the ledger, of which a bundle or crate proves a part. Ask hub" in " ".join(
        shown.split()
    )
    assert "at boston" in shown


def test_what_left_a_node_is_held_to_its_ledger(left: tuple[Alliance, dict[str, Any]], tmp_path: Path) -> None:
    made, last = left
    told = json.loads(cli(made, "ann", "audit", "border", "--from", "exports", "--json").stdout)["registers"]
    assert [register["log"] for register in told] == ["hub", "site/leeds"]
    (leeds,) = [register for register in told if register["log"] == "site/leeds"]
    assert {row["message"] for row in leeds["rows"]} >= {"masked", "result", "verdicts"}
    assert all(row["study"] == last["study"] for row in leeds["rows"])
    assert leeds["sealed"] == leeds["messages"]
    for name in ("leeds.ledger", "leeds.border"):
        shutil.copy(made.directory / "ann" / "exports" / name, tmp_path / name)
    edited = tmp_path / "leeds.border"
    edited.write_bytes(edited.read_bytes().replace(b'"to_country":"GB"', b'"to_country":"IE"', 1))
    done = cli(made, "ann", "audit", "border", "--from", str(tmp_path))
    assert (done.returncode, "E-LEDGER" in done.stderr) == (8, True)
    edited.unlink()
    alone = cli(made, "ann", "audit", "border", "--from", str(tmp_path))
    assert (alone.returncode, "not known here" in alone.stderr) == (2, True)


def test_without_a_node_nothing_is_said_to_be_none(left: tuple[Alliance, dict[str, Any]]) -> None:
    """In an auditor's own folder the ledger is not empty: it is elsewhere, and it is said where."""
    made, _ = left
    done = cli(made, "ann", "audit", "evidence", "all", "--out", "own", "--format", "json")
    assert done.returncode == 0, done.stderr
    told = {file.stem: file.read_text() for file in (made.directory / "ann" / "own").iterdir()}
    names = (
        "decisions",
        "releases",
        "projects",
        "public",
        "transfers",
        "incidents",
        "ledger",
        "agreement",
        "keys",
        "satre",
    )
    for name in names:
        assert "Not known here: " in told[name], name
        assert "isthmus audit fetch" in told[name], name
    assert "whether it was revoked is not known here" in told["agreement"]
    assert "Whether the agreement was revoked is not known here" in told["calendar"]
    for command in ("search", "border"):
        done = cli(made, "ann", "audit", command)
        assert (done.returncode, "--from" in done.stderr, "audit fetch" in done.stderr) == (2, True, True)


def test_from_exports_each_node_speaks_for_itself(left: tuple[Alliance, dict[str, Any]]) -> None:
    made, last = left
    shown = " ".join(cli(made, "ann", "audit", "evidence", "decisions", "--from", "exports").stdout.split())
    assert "At: hub" in shown
    assert "At: site leeds" in shown
    assert (
        "Judged again from the facts below, which are those of the digest" in shown
    )  # Leeds's own ledger has the facts
    register = " ".join(cli(made, "ann", "audit", "evidence", "transfers", "--from", "exports").stdout.split())
    assert "Left this hub" in register
    assert "Left this site" in register
    kept = cli(made, "ann", "audit", "evidence", "all", "--from", "exports", "--out", "evidence")
    assert kept.returncode == 0, kept.stderr
    folder = made.directory / "ann" / "evidence"
    report = (folder / "ledger-leeds.txt").read_text()
    assert "site/leeds" in report
    assert "every entry stands at its number" in report
    assert "cosigned checkpoints kept here" in (folder / "ledger-hub.txt").read_text()
    machine = " ".join((folder / "configuration-leeds.txt").read_text().split())
    assert "Not known here: the machine and its files. Ask leeds" in machine
    assert str(study().title) in " ".join((folder / "projects-hub.txt").read_text().split())
    assert last["run"][7:19] in (folder / "releases-hub.txt").read_text()


def test_a_ledger_under_another_key_is_no_evidence(left: tuple[Alliance, dict[str, Any]], tmp_path: Path) -> None:
    """An agreement with other keys for the same names: nothing of the exports is told under it."""
    made, _ = left
    other = alliance(tmp_path / "other", more={"ann": ("auditor", "hub")})
    exports = str(made.directory / "ann" / "exports" / "leeds.ledger")
    done = cli(other, "ann", "audit", "evidence", "decisions", "--from", exports)
    assert (done.returncode, "E-LEDGER" in done.stderr) == (8, True)
