"""Evidence of a real run: every artefact at hub, site and researcher from isthmus.toml alone, and the crate of its bundle."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_processes_agreed import ROWS, SITES, Alliance, alliance, follow, now, rows, study

from isthmus.cli.app import main
from isthmus.federation.agreed import connect
from isthmus.federation.config import read_config
from isthmus.federation.launch import Fleet
from isthmus.federation.store import open_store
from isthmus.ledger.entries import decode_entry
from isthmus.sdk.artefacts.catalogue import ARTEFACTS
from isthmus.sdk.artefacts.machine import machine

TWO = {"glm": {"formula": "died ~ arm + age", "family": "binomial"}}
SECRET = "postgresql://keeper:hunter2@db.example/leeds"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Alliance:
    """A run in which Leeds refuses one question: its private ledger then says why, with cells' names."""
    folder = tmp_path_factory.mktemp("evidence")
    made = alliance(folder)
    arm = np.where(np.arange(ROWS) < 3, "B", "A")
    pq.write_table(rows(0).set_column(2, "arm", pa.array(arm)), folder / "leeds" / "trial.parquet")
    with Fleet(environ=dict(os.environ)) as fleet:
        fleet.start("hub", "isthmus.federation.hub_node:node", folder / "hub", {"config": str(made.config("hub"))})
        fleet.await_event("hub", "port")
        for site in SITES:
            fleet.start(site, "isthmus.federation.site_node:node", folder / site, {"config": str(made.config(site))})
        for site in SITES:
            fleet.await_event(site, "joined")
        asked = study(analyses={"death": TWO, "n": {"count": {}}})
        ada = connect(made.config("ada"), os.environ, now)
        with ada.client as client:
            last = follow(client, ada.submit(asked, 1, now()))
            (folder / "run.isthmus").write_bytes(client.bundle(last["run"]))
        for site in SITES:
            fleet.await_event(site, "ended")
        for name in ("hub", *SITES):
            assert fleet.stop(name) == 0
    return made


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


@pytest.mark.parametrize("who", ["hub", "leeds", "ada"])
def test_every_artefact_from_the_configuration_alone(ran: Alliance, tmp_path: Path, who: str) -> None:
    for form, suffix in (("json", "json"), ("html", "html"), ("text", "txt")):
        out = tmp_path / form
        assert (
            run("audit", "evidence", "all", "--format", form, "--out", str(out), "--config", str(ran.config(who))) == 0
        )
        assert {file.name for file in out.iterdir()} == {f"{name}.{suffix}" for name in ARTEFACTS}
        whole = "\n".join(file.read_text() for file in out.iterdir())
        for said in private(ran):
            assert said not in whole
        assert "trial.parquet" not in whole


def private(made: Alliance) -> list[str]:
    """What the private ledger of Leeds says of its refusal: rules with the cells that broke them."""
    store = open_store(made.directory / "leeds" / "state.db")
    leaves = store.leaves("site/leeds/private")
    said = [str(decode_entry(leaf).facts["code"]) for leaf in leaves.read(0, leaves.size())]
    store.close()
    assert said, "the refusal of Leeds is the point of this run"
    return said


def test_the_hub_tells_the_run(ran: Alliance, capsys: pytest.CaptureFixture[str]) -> None:
    told = shown(ran, "hub", "releases", capsys)
    (table,) = [p for p in told["parts"] if p["title"].startswith("Run ") and "headings" in p]
    assert {row[0]: row[2] for row in table["rows"]} == {"death": "refused: E-DISCLOSURE", "n": "released"}
    ledger = dict(shown(ran, "hub", "ledger", capsys)["parts"][0]["rows"])
    assert ledger["cosigned checkpoints kept here"] == "1; 0 that the log does not hold"
    (project,) = shown(ran, "hub", "projects", capsys)["parts"][0]["rows"]
    assert (project[0], project[5]) == ("Does arm B save lives?", "ada")


def test_a_site_tells_its_decisions(ran: Alliance, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(ran, "leeds", "decisions", capsys)["parts"][0]["rows"]
    taken = [["agreement", "admitted"], ["run", "admitted"], ["egress", "signed"]]
    assert [line[3:5] for line in lines if line[3] != "operations"] == taken
    whole = [p for p in shown(ran, "leeds", "decisions", capsys)["parts"] if ": run, run" in p["title"]]
    assert [row[1] for row in whole[0]["rows"]] == [row[4] for row in whole[0]["rows"]]  # judged again from the ledger
    assert "are those of the digest" in whole[0]["notes"][0]
    (left,) = [p for p in shown(ran, "leeds", "transfers", capsys)["parts"] if p["title"] == "Left this site"]
    assert {line[2] for line in left["rows"]} == {"leeds (GB)"}
    assert all(int(line[8]) > 0 for line in left["rows"])
    satre = shown(ran, "leeds", "satre", capsys)
    items = {row[0]: row[2] for part in satre["parts"] if part["title"][0].isdigit() for row in part["rows"]}
    assert items["1.1.02"] == "met in part by evidence"
    assert len(items) == 185


def shown(made: Alliance, who: str, name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert run("audit", "evidence", name, "--format", "json", "--config", str(made.config(who))) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_a_database_password_is_not_shown(ran: Alliance, tmp_path: Path) -> None:
    text = ran.config("leeds").read_text().replace('source = "trial.parquet"', 'source = "env:SOURCE"')
    (tmp_path / "isthmus.toml").write_text(text.replace('path = "state.db"', f'path = "{SECRET}"'))
    found = dict(machine(read_config(tmp_path / "isthmus.toml", {"SOURCE": SECRET})))
    assert "hunter2" not in str(found)
    assert found["store"] == "a database server, by reference"


def test_keys_under_a_passphrase_are_told_from_open_ones(ran: Alliance, tmp_path: Path) -> None:
    (tmp_path / "isthmus.toml").write_text(ran.config("leeds").read_text())
    (tmp_path / "keys").mkdir()
    key = tmp_path / "keys" / "identity.sealed"
    key.write_text("sealed")
    for mode, said in ((0o600, "under a passphrase, closed to others"), (0o644, "under a passphrase, OPEN TO OTHERS")):
        key.chmod(mode)
        assert dict(machine(read_config(tmp_path / "isthmus.toml", {})))["private key of leeds"] == said


def test_the_crate_of_a_real_bundle_holds(ran: Alliance, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "evidence.zip"
    keys = str(ran.directory / "ada" / "keys2")
    assert run("results", "export", str(ran.directory / "run.isthmus"), "--crate", str(out), "--key", keys) == 0
    assert run("verify", str(out)) == 0
    assert "is signed by ada of leeds" in capsys.readouterr().out
    raw = bytearray(out.read_bytes())
    raw[len(raw) // 3] ^= 1
    out.write_bytes(raw)
    assert run("verify", str(out)) == 8


@pytest.mark.parametrize("who", ["hub", "leeds"])
def test_a_node_s_own_entries_on_the_run_go_with_the_crate(
    ran: Alliance, tmp_path: Path, capsys: pytest.CaptureFixture[str], who: str
) -> None:
    source, out = str(ran.directory / "run.isthmus"), tmp_path / "evidence"
    assert run("results", "export", source, "--crate", str(out), "--config", str(ran.config(who))) == 0
    shown = capsys.readouterr().out.replace("\n", " ")
    absent = ["hub"] if who == "leeds" else []
    facts = [name for name in ("boston", "leeds", "oxford") if name != who]
    assert f"Nothing of the ledgers of {', '.join([*absent, *facts])}" in shown
    assert "audit export" in shown
    assert run("verify", str(out), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert any(f"{who}.jsonl" in line for line in told["checked"])
    assert any(f"the facts behind the verdicts of {', '.join(facts)}" in line for line in told["look"])
    assert any("verdicts of every gate at boston, leeds, oxford, each signed" in line for line in told["checked"])
    record = json.loads((out / "data" / "decisions.json").read_text())
    found = record["ledgers"][f"ledgers/{who}.jsonl"]
    assert (list(record["absent"]), list(record["without_facts"])) == (absent, facts)
    verdicts = {e["facts"]["site"]: e["facts"]["decisions"] for e in record["ledger"] if "site" in e["facts"]}
    assert set(verdicts) == {"boston", "leeds", "oxford"}
    for gates in verdicts.values():  # every gate of every site, by default, and no fact
        assert [*dict.fromkeys(d["gate"] for d in gates)] == ["agreement", "operations", "run", "egress"]
        assert {d["verdict"] for d in gates} == {"admitted", "allowed", "signed"}
        assert all(d["rules"]["pass"] and not d["rules"].get("fail") and "read" not in d for d in gates)
        assert ["facts" in d for d in gates if d["gate"] in {"agreement", "run"}] == [False, False]
    gates = {entry["facts"].get("gate") for entry in found}
    assert {"agreement", "run", "egress"} <= gates if who == "leeds" else "decision" in {e["event"] for e in found}
    held = out / "data" / "ledgers" / f"{who}.jsonl"
    assert all(json.loads(line)["entry"]["event"] != "round" for line in held.read_text().splitlines())
    held.write_text(held.read_text().replace('"decision"', '"approval"', 1))
    assert run("verify", str(out)) == 8


def test_a_site_s_own_ledger_goes_with_the_crate(
    ran: Alliance, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the rules of law said of the study stands in each site's ledger; its private one goes nowhere."""
    source, out = str(ran.directory / "run.isthmus"), tmp_path / "evidence"
    exported = {site: tmp_path / f"{site}.ledger" for site in ("leeds", "boston")}
    for site, file in exported.items():
        assert run("audit", "export", "--out", str(file), "--config", str(ran.config(site))) == 0
    given = [argument for file in exported.values() for argument in ("--ledger", str(file))]
    assert run("results", "export", source, "--crate", str(out), *given) == 0
    capsys.readouterr()
    assert run("verify", str(out), "--unsigned") == 0
    assert "boston.ledger, leeds.ledger" in capsys.readouterr().out
    told = json.loads((out / "data" / "decisions.json").read_text())["ledgers"]["ledgers/leeds.ledger"]
    gates = {entry["facts"]["gate"]: entry["facts"]["verdict"] for entry in told}
    assert (gates["agreement"], gates["run"]) == ("admitted", "admitted")
    assert run("audit", "export", "--private", "--out", str(tmp_path / "p"), "--config", str(ran.config("leeds"))) == 0
    assert run("results", "export", source, "--crate", str(tmp_path / "x"), "--ledger", str(tmp_path / "p")) == 2
    cut = exported["leeds"].read_bytes().splitlines(keepends=True)
    exported["leeds"].write_bytes(b"".join(cut[:-1]))
    assert run("results", "export", source, "--crate", str(tmp_path / "y"), "--ledger", str(exported["leeds"])) == 8
    twice = ("--ledger", str(exported["boston"]))
    assert run("results", "export", source, "--crate", str(tmp_path / "z"), *twice, *twice) == 2


def test_the_calendar_and_the_bill_of_materials_have_forms_of_their_own(
    ran: Alliance, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--config", str(ran.config("ada")))
    assert run("audit", "evidence", "calendar", "--format", "ics", *at) == 0
    assert capsys.readouterr().out.startswith("BEGIN:VCALENDAR")
    assert run("audit", "evidence", "provenance", "--format", "cyclonedx", *at) == 0
    assert json.loads(capsys.readouterr().out)["bomFormat"] == "CycloneDX"
    for bad in (["dpia", "--format", "ics"], ["nothing"], ["all"], ["incidents", "--aware", "yesterday"]):
        assert run("audit", "evidence", *bad, *at) == 2
    assert run("audit", "evidence") == 0
    assert "Register of projects" in capsys.readouterr().out


def test_an_artefact_that_fails_is_named_and_the_others_are_written(
    ran: Alliance, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(_: Any) -> Any:
        raise ValueError("a value of a row")

    broken = {**ARTEFACTS, "incidents": replace(ARTEFACTS["incidents"], make=defect)}
    monkeypatch.setattr("isthmus.sdk.artefacts.catalogue.ARTEFACTS", broken)
    out = tmp_path / "all"
    assert run("audit", "evidence", "all", "--out", str(out), "--config", str(ran.config("hub"))) == 1
    assert {file.stem for file in out.iterdir()} == set(ARTEFACTS) - {"incidents"}
    shown = capsys.readouterr()
    assert "incidents: unforeseen ValueError" in shown.err
    assert "a value of a row" not in shown.err + shown.out
