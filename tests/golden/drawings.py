"""What the golden files hold: name -> text. `python tests/golden/regenerate_golden.py` rewrites the files."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

from made_results import RESULT

from isthmus import pool_estimates
from isthmus.charts import terminal
from isthmus.sdk import figures
from isthmus.sdk.result import Result

FOLDER = Path(__file__).resolve().parent
COMMANDS = (
    (),
    ("demo",),
    ("doctor",),
    ("init",),
    ("run",),
    ("verify",),
    ("watch",),
    *(("study", name) for name in ("check", "submit", "status")),
    *(("results", name) for name in ("show", "plot", "export")),
    *(("rules", name) for name in ("list", "show")),
    *(("agreement", name) for name in ("new", "check", "diff", "sign", "show")),
    ("hub", "serve"),
    ("site", "serve"),
    ("config", "show"),
)
MISTAKES = (
    ("bogus",),
    ("run",),
    ("run", "study.yaml", "--rules", "rules.yaml", "--site", "leeds"),
    ("study", "check", "/nowhere/study.yaml"),
    ("results", "show", "/nowhere/result.json"),
    ("init", "site", "leeds", "--party", "nhs", "--country", "GB"),
)


def texts() -> Iterator[tuple[str, str]]:
    """Every golden file's name and what it should hold."""
    result = Result(RESULT)
    yield "survival.svg", result["survival"].plot()
    yield "forest.svg", result["hazard"].plot()
    pooled = pool_estimates({"Leeds": (-0.41, 0.12), "Oslo": (-0.2, 0.3), "Boston": (-0.55, 0.2), "Tampa": (0.1, 0.45)})
    yield "forest_weights.svg", pooled.plot()
    yield "summary.txt", result.summary() + "\n"
    figure = figures.survival_figure("survival", RESULT["analyses"]["survival"], RESULT)
    lines = ["".join(piece.text for piece in line) for line in terminal.draw(figure)]
    yield "survival.txt", "\n".join(lines) + "\n"
    yield "help.txt", "\n".join(command((*words, "--help")) for words in COMMANDS)
    yield "errors.txt", "\n".join(f"$ isthmus {' '.join(words)}\n{command(words)}" for words in MISTAKES)


def command(words: tuple[str, ...]) -> str:
    """What a command prints, on both streams, in a plain terminal of 80 columns."""
    from isthmus.cli.app import main

    before, hook = dict(os.environ), sys.excepthook
    os.environ |= {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    out = io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(out):
            main(list(words))
    except SystemExit as stop:
        code = stop.code
    finally:
        os.environ.clear()
        os.environ.update(before)
        sys.excepthook = hook
    return out.getvalue() + (f"[exit {code}]\n" if code else "")
