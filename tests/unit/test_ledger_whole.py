"""What is not there is said, and a file of another node in a node's place is found out."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from governance_alliance import NOW, key_of

from isthmus.cli import app
from isthmus.federation.border import SCHEMA
from isthmus.ledger.checkpoint import sign_checkpoint
from isthmus.ledger.entries import encode_entry
from isthmus.ledger.exported import Cover, export_lines
from isthmus.ledger.log import Log, MemoryStore
from isthmus.model.canonical import canonical
from isthmus.model.errors import Untrusted
from isthmus.sdk.sources import read_sources

SITES = ("leeds", "oxford")


def ledger(path: Path, origin: str, events: tuple[tuple[str, dict[str, Any]], ...] = ()) -> Path:
    log = Log(MemoryStore(), origin, lambda: NOW)
    for event, facts in (("decision", {"verdict": "admitted"}), *events):
        log.append(event, facts)
    owner = origin.removeprefix("site/")
    key = key_of(owner)
    witnesses = {site: key_of(site).public.hex() for site in SITES} if origin == "hub" else {}
    cover = Cover(
        owner=owner,
        key=key.public.hex(),
        time=NOW.isoformat(),
        checkpoint=sign_checkpoint(origin, log.head(), key),
        cosigned=(),
        witnesses=witnesses,
        marks={},
    )
    path.write_bytes(b"".join(export_lines(cover, [encode_entry(entry) for entry in log.entries()], key)))
    return path


SEALED = (("border", {"messages": 0, "bytes": 0, "head": ""}),)


def run(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        app.main([str(word) for word in words])
    return int(stop.value.code or 0)


def register(path: Path, log: str) -> None:
    path.write_bytes(canonical({"schema": SCHEMA, "log": log}) + b"\n")


def folder(place: Path) -> Path:
    """Of the hub and of Leeds both files, of Oxford none."""
    for name, origin in (("hub", "hub"), ("leeds", "site/leeds")):
        ledger(place / f"{name}.ledger", origin, SEALED)
        register(place / f"{name}.border", origin)
    return place


def test_a_node_of_which_nothing_is_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("audit", "border", "--from", folder(tmp_path)) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Not known here: what left site/oxford: neither its ledger nor its border register is here" in said
    assert "site/leeds:" not in said


@pytest.mark.parametrize(
    ("lost", "why"),
    [
        ("leeds.border", "site/leeds: its ledger seals a border register that is not here"),
        ("leeds.ledger", "site/leeds: its ledger is not here"),
        ("hub.border", "hub: its ledger seals a border register that is not here"),
    ],
)
def test_half_of_what_a_node_gives_does_not_hold(
    tmp_path: Path, lost: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder(tmp_path) / lost).unlink()
    assert run("audit", "border", "--from", tmp_path) == 8
    assert why in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("name", ["oxford.ledger", "oxford.border"])
def test_a_file_of_another_node_in_its_place_is_found_out(tmp_path: Path, name: str) -> None:
    folder(tmp_path)
    if name.endswith("ledger"):
        ledger(tmp_path / name, "site/leeds", SEALED)
    else:
        register(tmp_path / name, "site/leeds")
    with ExitStack() as stack, pytest.raises(Untrusted, match=f"{name} is of site/leeds, and lies in the place of"):
        read_sources([tmp_path], stack)


def test_verify_names_what_is_missing_and_refuses_what_is_anothers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [ledger(tmp_path / "hub.ledger", "hub"), ledger(tmp_path / "leeds.ledger", "site/leeds")]
    assert run("audit", "verify", *files) == 0
    assert "look site/oxford: its ledger is not here" in " ".join(capsys.readouterr().out.split())
    assert run("audit", "verify", *files, ledger(tmp_path / "oxford.ledger", "site/leeds")) == 8
    assert "lies in the place of oxford" in " ".join(capsys.readouterr().err.split())
