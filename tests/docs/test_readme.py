"""README.md runs: the commands exist, the study and the rules are read, and the result shown is the result."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from documents import ROOT, blocks

from isthmus.cli.demo.data import codebook_data, deal, locate

README = ROOT / "README.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make demo` leaves behind, and the files that the README shows."""
    made = tmp_path_factory.mktemp("readme")
    for site, table in deal(locate().read_text().splitlines()).items():
        (made / "isthmus-demo" / site).mkdir(parents=True)
        pq.write_table(table, made / "isthmus-demo" / site / "actg175.parquet")
        (made / "isthmus-demo" / site / "codebook.yaml").write_text(json.dumps(codebook_data()))
    for text in blocks(README, "yaml"):
        (made / text.splitlines()[0].removeprefix("# ")).write_text(text)
    return made


def test_what_it_is_takes_five_lines() -> None:
    assert len(README.read_text().split("\n\n")[1].splitlines()) <= 5


def test_the_two_commands_are_there() -> None:
    targets = {line.split(":")[0] for line in (ROOT / "Makefile").read_text().splitlines() if ":" in line}
    commands = [line.split()[1] for line in blocks(README, "")[0].splitlines()]
    assert commands == ["demo", "test"]
    assert set(commands) <= targets


def test_the_study_passes_every_check_before_any_row(folder: Path) -> None:
    from isthmus.sdk.study import Study

    Study.read(folder / "study.yaml").check(folder / "isthmus-demo" / "leeds" / "codebook.yaml")
    assert set(yaml.safe_load((folder / "rules.yaml").read_text())) >= {"minimum_count", "digits"}


def test_the_command_gives_the_result_shown(folder: Path) -> None:
    command = shlex.split(blocks(README, "")[1].replace("\\\n", " "))
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    program = [str(Path(sys.executable).parent / command[0]), *command[1:]]
    done = subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert without_traffic(done.stdout) == without_traffic(blocks(README, "text")[0])


def without_traffic(text: str) -> list[str]:
    """The lines, without the bytes that left: they vary with the sizes of keys and heads."""
    return [line.rstrip() for line in text.strip().splitlines() if not line.startswith("Bytes that left")]


def test_the_python_block_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    exec(compile(blocks(README, "python")[0], "README.md", "exec"), names)
    result = names["result"]
    assert result["hazard"].tidy().column_names == [  # type: ignore[index]
        "term",
        "estimate",
        "std_error",
        "statistic",
        "p_value",
        "conf_low",
        "conf_high",
    ]
