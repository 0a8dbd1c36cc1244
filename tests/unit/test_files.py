"""Files that people name: what cannot be read or written is said by its code, and what was there stays whole."""

from __future__ import annotations

import errno
import re
import stat
from pathlib import Path

import pytest

from isthmus.cli.app import _outcome
from isthmus.cli.screen import Screen
from isthmus.model.errors import Exit, Unavailable
from isthmus.sdk.files import read_bytes, write_file

SOURCE = Path(__file__).parents[2] / "src" / "isthmus"


def test_a_file_is_written_and_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "agreement.yaml"
    write_file(file, "signed by one\n")
    file.chmod(0o640)
    write_file(file, b"signed by two\n")
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("signed by two\n", 0o640)

    def full(_path: Path, _raw: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(Unavailable, match="No space left"):
            write_file(file, "signed by three\n")
    assert file.read_text() == "signed by two\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_and_a_device_are_written_through(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "there")
    write_file(tmp_path / "link", "new")
    assert (tmp_path / "there").read_text() == "new"
    assert (tmp_path / "link").is_symlink()
    write_file(Path("/dev/null"), "nothing")


@pytest.mark.parametrize("place", ["gone/result.json", "file/result.json", "."])
def test_what_cannot_be_written_is_no_defect(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="E-FILE"):
        write_file(tmp_path / place, "x")
    with pytest.raises(Unavailable, match="E-FILE"):
        read_bytes(tmp_path / place)


def test_a_command_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["audit", "verify", str(tmp_path / "none.isthmus")], ["audit", "verify", str(tmp_path / "none")]):
        assert _outcome(arguments, Screen.of(json=False, quiet=False)) == Exit.UNREACHABLE
        assert "E-FILE" in capsys.readouterr().err


def test_every_command_writes_by_the_one_door() -> None:
    files = [file for part in ("cli", "sdk") for file in (SOURCE / part).rglob("*.py") if "demo" not in file.parts]
    own = {SOURCE / "sdk" / "files.py"}
    found = {file for file in files if re.search(r"\.write_(text|bytes)\(", file.read_text())} - own
    assert {file.name for file in found} <= {
        "bag.py",
        "ledgers.py",
        "sources.py",
    }  # inside `writing`, or a folder of its own
