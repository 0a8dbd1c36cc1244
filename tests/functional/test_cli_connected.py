"""A researcher at a live hub: submit, watch, status, result; and what the hub or the SDK turns away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import isthmus
from isthmus.model.errors import Invalid, Refused
from isthmus.sdk.study import Study

PURPOSE = {"duo": "DUO:0000007", "disease": "MONDO:0005109", "text": "a second question"}  # one that was agreed


@pytest.fixture(scope="module")
def researcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The researcher's folder beside a demonstration that keeps running."""
    folder = tmp_path_factory.mktemp("kept")
    command = [sys.executable, "-m", "isthmus.cli", "demo", "--json", "--keep"]
    # Files, not pipes: the processes that keep running would hold a pipe open.
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        code = subprocess.run(command, cwd=folder, stdout=out, stderr=err, check=False, timeout=120).returncode
    assert code == 0, (folder / "err").read_text()
    pids = json.loads((folder / "out").read_text())["demo"]["pids"]
    yield folder / "isthmus-demo" / "researcher"
    for pid in pids.values():
        os.kill(pid, signal.SIGTERM)


def study(**more: Any) -> Study:
    stated: dict[str, Any] = {
        "title": "Who is in the trial",
        "dataset": "actg175",
        "purpose": PURPOSE,
        "analyses": {"arms": {"count": {"by": ["arm"]}}},
    }
    return Study(**(stated | more))


def cli(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "isthmus.cli", *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_submit_watch_and_read_the_result(researcher: Path) -> None:
    with isthmus.connect(researcher / "isthmus.toml", {}) as client:
        run = client.submit(study())
        states = list(client.watch(run))
        result = client.result(run)
    assert states[-1]["state"] == "concluded"
    assert set(states[-1]["sites"]) == set(result.provenance["sites"])
    assert sum(row["count"] for row in result["arms"].tidy().to_pylist()) > 2000
    assert result.provenance["mode"] == "federated"
    assert result.provenance["traffic"]["rows_left"] == 0
    assert result.provenance["proof"]["ledger_size"] > 0


def test_the_command_line_does_the_same(researcher: Path) -> None:
    file = researcher / "second.json"
    file.write_text(json.dumps(study(title="Asked from the command line").to_dict()))
    submitted = cli(researcher, "study", "submit", file, "--json")
    assert submitted.returncode == 0, submitted.stderr
    run = json.loads(submitted.stdout)["run"]
    lines = [json.loads(line) for line in cli(researcher, "watch", run, "--json").stdout.splitlines()]
    assert lines[-1]["state"] == "concluded"
    assert {line["schema"] for line in lines} == {"isthmus/status/1"}
    assert json.loads(cli(researcher, "study", "status", run, "--json").stdout)["state"] == "concluded"
    shown = cli(researcher, "results", "show", run)
    assert shown.returncode == 0
    assert "ZDV + ddI" in shown.stdout


def test_a_study_without_a_purpose_is_not_submitted(researcher: Path) -> None:
    with isthmus.connect(researcher / "isthmus.toml", {}) as client, pytest.raises(Invalid) as error:
        client.submit(study(purpose=None))
    assert error.value.code == "E-PURPOSE"


def test_the_hub_refuses_a_dataset_outside_the_agreement(researcher: Path) -> None:
    with isthmus.connect(researcher / "isthmus.toml", {}) as client, pytest.raises(Refused) as error:
        client.submit(study(dataset="elsewhere"))
    assert error.value.code == "E-DATASET"


def test_a_variable_outside_the_codebook_is_refused_with_its_reason(researcher: Path) -> None:
    with isthmus.connect(researcher / "isthmus.toml", {}) as client, pytest.raises((Refused, Invalid)) as error:
        client.wait(client.submit(study(analyses={"a": {"count": {"by": ["salary"]}}})))
    assert "salary" in error.value.message


def test_an_unknown_run_is_said_to_be_unknown(researcher: Path) -> None:
    done = cli(researcher, "study", "status", "sha256:nothing", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "E-RUN"
