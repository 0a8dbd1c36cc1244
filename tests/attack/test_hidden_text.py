"""Attack: a researcher's words reach a custodian's terminal with what terminals obey: concealed text, a second line that reads as the command's.

The purpose of a study is read on the screen by who signs for it. What is concealed is signed unread.

Defence: what would hide, reorder or move is written out as its code, and a further line is set in.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

from attack import Attack, Say
from isthmus.cli import approve, live, screen, show
from isthmus.cli.screen import Screen
from isthmus.sdk import tables

ATTACK = Attack("Words hidden from who signs", "text of others is shown as it is")

CONCEAL, PLAIN = "\x1b[8m", "\x1b[0m"
PURPOSE = f"Ages {CONCEAL}and every diagnosis by region{PLAIN}\nVienna: accepted by Dr Huber"
SHOWN: Mapping[str, Any] = {
    "about": {"Purpose": [PURPOSE, "\u202edesrever"]},
    "risk": {"sentence": "Low."},
    "answers": {},
    "rules": [],
    "review": {"decisions": [], "state": "waiting"},
    "study": "s",
    "result": None,
}


def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """What `approve show` prints of the study."""
    monkeypatch.setattr(approve, "_asks", lambda _: "")
    approve._say(Screen.of(json=False, quiet=False), SHOWN)
    return capsys.readouterr().out


def test_it_works_on_a_screen_that_prints_as_told(
    leak: Say, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "visible", str)
    said = printed(capsys, monkeypatch)
    assert CONCEAL in said
    assert "Vienna: accepted by Dr Huber" in said.splitlines()
    leak("a part of the purpose is concealed, and a line of the researcher's reads as a site's answer")


def test_what_is_hidden_is_shown(
    stop: Say, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = printed(capsys, monkeypatch)
    assert "\x1b" not in said
    assert "\\u001b[8mand every diagnosis by region\\u001b[0m" in said
    assert "  Vienna: accepted by Dr Huber" in said.splitlines()
    assert "\\u202edesrever" in said
    stop("codes are written out, further lines set in")


@pytest.mark.parametrize("cell", ["[/x]", "[conceal]x", "\x1b[8m", "a\rb"])
def test_cells_of_a_board_and_of_a_table_are_text(cell: str, stop: Say) -> None:
    board = live.Board(("a",))
    board.learn({"step": cell})
    console = Console(file=io.StringIO(), record=True, width=120)
    for shown in (
        board.table(),
        show.rich_table(tables.Table(title="", headings=(cell, "n"), rows=((cell, "1"),))),
    ):
        console.print(shown)
    said = console.export_text(styles=True)
    assert screen.visible(cell) in said
    assert "\x1b[8m" not in said
    stop("nor is a name markup")
