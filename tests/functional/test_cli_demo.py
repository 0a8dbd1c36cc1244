"""`isthmus demo`: seven processes over mutual TLS, real patients, the same numbers as the pooled rows, a bundle that
holds; and the same study rehearsed in one process."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from isthmus.cli.demo import data, question
from isthmus.model.errors import Unavailable
from isthmus.model.rules import OPEN, Rules, applies
from isthmus.sdk.rules import read_rules


def isthmus(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "isthmus.cli", *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of a demonstration and what it printed under --json."""
    folder = tmp_path_factory.mktemp("demo")
    done = isthmus("demo", "--json", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, json.loads(done.stdout)


def test_the_demonstration_gives_the_pooled_numbers(played: tuple[Path, dict[str, Any]]) -> None:
    _, body = played
    assert set(body["comparison"]) == {"survival", "difference", "hazard", "response"}
    assert max(item["largest_difference"] for item in body["comparison"].values()) < 1e-9


def test_no_row_left_and_bytes_are_told_per_site(played: tuple[Path, dict[str, Any]]) -> None:
    _, body = played
    assert body["traffic"]["rows_left"] == 0
    assert set(body["traffic"]["bytes_out"]) == set(data.SITES)
    assert all(sent > 0 for sent in body["traffic"]["bytes_out"].values())


def test_it_is_a_federated_run_with_one_refusal_on_purpose(played: tuple[Path, dict[str, Any]]) -> None:
    _, body = played
    assert (body["mode"], body["status"]) == ("federated", "released")
    states = {name: part.get("status", "released") for name, part in body["analyses"].items()}
    assert states == dict.fromkeys(question.STUDY["analyses"], "released") | {question.REFUSED: "refused"}
    assert body["analyses"][question.REFUSED]["error"]["hint"]


def test_what_people_see_is_rounded_as_the_agreement_says(played: tuple[Path, dict[str, Any]]) -> None:
    _, body = played
    cells = [cell["count"] for cell in body["analyses"]["baseline"]["cells"] if "count" in cell]
    assert all(count % 5 == 0 and count >= 11 for count in cells)
    estimates = [term["estimate"] for term in body["analyses"]["hazard"]["terms"]]
    assert all(float(f"{value:.3e}") == value for value in estimates)


def test_the_bundle_verifies_and_one_flipped_byte_fails(played: tuple[Path, dict[str, Any]]) -> None:
    folder, body = played
    bundle = folder / body["demo"]["bundle"]
    held = isthmus("verify", bundle, "--json", folder=folder)
    assert held.returncode == 0
    assert json.loads(held.stdout)["mode"] == "federated"
    raw = bytearray(bundle.read_bytes())
    for place in (10, len(raw) // 2, len(raw) - 3):
        changed = bytearray(raw)
        changed[place] ^= 1
        (folder / "changed.isthmus").write_bytes(changed)
        assert isthmus("verify", "changed.isthmus", folder=folder).returncode in {2, 8}


def test_the_bundle_alone_shows_the_result(played: tuple[Path, dict[str, Any]]) -> None:
    folder, body = played
    shown = isthmus("results", "show", body["demo"]["bundle"], folder=folder)
    assert shown.returncode == 5  # one analysis is refused
    for word in ("Table 1", "arm[ZDV + ddI]", "E-DISCLOSURE"):
        assert word in shown.stdout


def test_every_process_is_stopped(played: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = played
    hub = tomllib.loads((folder / "isthmus-demo" / "hub" / "isthmus.toml").read_text())["hub"]["listen"]
    host, _, port = hub.partition(":")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, int(port)), timeout=2.0)


def test_a_folder_with_other_files_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = isthmus("demo", "--json", "--out", tmp_path, folder=tmp_path)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "E-EXISTS"
    assert (tmp_path / "thesis.txt").exists()


def test_missing_data_say_how_to_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise data.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(data.importlib.metadata, "distribution", absent)
    with pytest.raises(Unavailable) as error:
        data.locate()
    assert error.value.code == "E-DEMO-DATA"
    assert "isthmus[demo]" in error.value.hint


def test_every_rule_is_stated_and_only_one_is_open() -> None:
    rules = read_rules(question.RULES)
    stated: Mapping[str, Any] = {name: getattr(rules, name) for name in Rules.__dataclass_fields__}
    assert None not in stated.values()
    assert {name for name in stated if name != "digits" and not applies(rules, name)} == {"minimum_count_site"}
    assert OPEN.minimum_count_site == 1


def test_patients_are_dealt_by_a_hash_and_none_is_lost() -> None:
    with data.locate().open(encoding="utf-8", newline="") as lines:
        tables = data.deal(lines)
    assert sum(table.num_rows for table in tables.values()) == 2139
    assert len({p for table in tables.values() for p in table["patient"].to_pylist()}) == 2139
    assert all(data.site_of(p) == site for site, table in tables.items() for p in table["patient"].to_pylist()[:20])
