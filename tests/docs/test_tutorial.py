"""docs/tutorial.md, every block in order: keys, agreement, hub and sites as processes, a study, a verified bundle."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from documents import ROOT, blocks

TUTORIAL = ROOT / "docs" / "tutorial.md"
PORT = "18443"


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_every_block_runs_in_order(tmp_path: Path) -> None:
    script = "set -euo pipefail\n" + "\n".join(blocks(TUTORIAL, "sh"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "NO_COLOR": "1", "COLUMNS": "80"}
    process = subprocess.Popen(
        ["bash", "-c", script.replace(PORT, free_port())],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=280)  # a guard against hanging: 40 s alone, minutes on a busy machine
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        raise AssertionError(said[-6000:]) from None
    assert process.returncode == 0, said[-6000:]
    assert "Verified: relapse.isthmus" in said
    assert "treated[drug]" in said
    assert "refused, exit code" in said  # one changed byte
