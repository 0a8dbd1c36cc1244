"""Attack: a hub lists a run whose name is a path, so that `isthmus audit fetch` writes a file of the hub's above the auditor's folder.

The file is named by digits of the run, and the bundle in it says the same run: both come from the hub.

Defence: a run's name is the digest that it is, or no run.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from made_bundle import made_bundle

from attack import Attack, Say
from isthmus.ledger.bundle import read_bundle
from isthmus.model.canonical import canonical
from isthmus.model.errors import Invalid
from isthmus.sdk import connect
from isthmus.sdk.connect import Client

ATTACK = Attack("A run that is named as a path", "a run's name is a digest")

RUN = "sha256:" + "../../../../x" + "0" * 51


def auditor(run: str) -> Client:
    """At a hub that lists one run, and gives what it likes as its bundle."""
    body = read_bundle(made_bundle())
    raw = canonical({**body, "charter": {**body["charter"], "run": run}})
    hub: Any = SimpleNamespace(
        ledger=lambda: b"l", border=lambda: b"b", runs=lambda: [{"run": run, "state": "released"}], bundle=lambda _: raw,
        names=lambda digits: [f"sha256:{digits}"],
    )  # fmt: skip
    me: Any = SimpleNamespace(client=hub)
    codebooks: Mapping[str, Path] = {}
    return Client(me, codebooks)


def test_it_works_on_a_client_that_believes_any_name(
    leak: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "_DIGITS", re.compile(".*"))
    folder = tmp_path / "a" / "b" / "c" / "d" / "exports"
    auditor(RUN).exports(folder)
    assert (tmp_path / "a" / ".isthmus").is_file()
    leak("a file of the hub's, four folders above the one that was named")


def test_nothing_is_written_outside_the_folder(stop: Say, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "c" / "d" / "exports"
    with pytest.raises(Invalid, match="E-RUN"):
        auditor(RUN).exports(folder)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    made = read_bundle(made_bundle())["charter"]["run"]
    files, _ = auditor(made).exports(folder)
    assert {file.parent for file in files} == {folder}
    stop("E-RUN; nothing is written")
