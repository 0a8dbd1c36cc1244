"""A skip in CI is a failure, unless the shared data are not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(folder: Path, root: Path, body: str, ci: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text((root / "tests" / "conftest.py").read_text())
    (folder / "test_it.py").write_text(f"import pytest\n\ndef test_fine():\n    pass\n\ndef test_it():\n    {body}\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "CI"))} | (
        {"CI": ci} if ci else {}
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-ra",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(folder),
        str(folder),
    ]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, timeout=60)


@pytest.mark.parametrize(
    ("body", "ci", "expected"),
    [
        ("pytest.skip('no browser')", "true", 1),
        ("pytest.skip('no browser')", "", 0),
        ("pytest.skip('../shared is missing')", "true", 0),
        ("pass", "true", 0),
    ],
)
def test_a_skip_needs_an_accepted_reason_in_ci(tmp_path: Path, root: Path, body: str, ci: str, expected: int) -> None:
    done = run(tmp_path, root, body, ci)
    assert done.returncode == expected, done.stdout
    if expected:
        assert "skips that CI does not accept" in done.stdout
