"""docs/examples: every Python block runs, in order, and prints what the text block after it shows."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from documents import FENCE, ROOT

EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.md"))


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_prints_what_it_shows(shared: Path, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setenv("ISTHMUS_DATA", str(shared / "data"))
    names: dict[str, object] = {}
    said = ""
    for found in FENCE.finditer(path.read_text()):
        if found["language"] == "python":
            heard = io.StringIO()
            with redirect_stdout(heard):
                exec(compile(found["body"], path.name, "exec"), names)
            said = heard.getvalue()
        elif found["language"] == "text":
            assert said == found["body"]
