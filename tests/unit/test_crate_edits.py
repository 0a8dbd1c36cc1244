"""No edit of a crate holds: one value of every kind in every file, a file gone, a file more, however much is written anew.

Three forgers: one edits the file alone; one writes the manifests anew; one takes the exporter's signature away besides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from test_crate import BUNDLE, make_crate, parts, run, signed_by

from isthmus.model.canonical import digest_bytes
from isthmus.model.errors import Invalid, Untrusted
from isthmus.sdk import bundle
from isthmus.sdk.bundle import verified, verify
from isthmus.sdk.crate import make
from isthmus.sdk.crate.bag import PAYLOAD, bagged, write_folder
from isthmus.sdk.crate.contents import contents
from isthmus.sdk.crate.make import SIGNATURE

FILES = make_crate(BUNDLE, signed_by())
ALONE = [PAYLOAD + "sbom.cdx.json"]  # what no bundle gives: it rests on the exporter's signature
DONE: dict[str, Any] = {}
TOKENS: Mapping[str, re.Pattern[bytes]] = {
    "a number": re.compile(rb"(?<![\w.#-])\d+(?:\.\d+)?(?![\w.])"),
    "a word": re.compile(rb"[A-Za-z]{4,}"),
    "a digest": re.compile(rb"[0-9a-f]{32,}"),
    "a time": re.compile(rb"\d{4}-\d\d-\d\d"),
    "a mark": re.compile(rb"[,:;=<>{}\[\]]"),
}


def leaves(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything in a JSON value, itself but for the whole."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inside:
        yield (*at, name)
        yield from leaves(each, (*at, name))


def shape(path: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    """What makes two places alike: the same names on the way, and the same kind of value."""
    return (*("#" if isinstance(part, int) else part for part in path), type(value).__name__)


def other(value: Any) -> Any:
    """Another value of the same kind."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "x"
        case None:
            return 0
        case list():
            return [*value, value[0]] if value else [0]
        case _:
            return {**value, "more": 0}


def set_at(whole: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> bytes:
    made = json.loads(json.dumps(whole))
    inside = made
    for part in path[:-1]:
        inside = inside[part]
    change(inside, path[-1])
    return json.dumps(made, indent=1, ensure_ascii=False).encode()


def changes(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """A file's edits: in JSON one of each kind of value at each kind of place, changed and left out; else one of each token."""
    try:
        whole = json.loads(raw)
    except ValueError:
        for what, token in TOKENS.items():
            if (found := token.search(raw)) is not None:
                start, end = found.span()
                flipped = bytes([raw[start] ^ 1])
                yield what, raw[:start] + flipped + raw[start + 1 :]
                yield f"{what} gone", raw[:start] + raw[end:]
        return
    seen = set()
    for path in leaves(whole):
        value = at(whole, path)
        if shape(path, value) in seen:
            continue
        seen.add(shape(path, value))
        yield f"{path}", set_at(whole, path, lambda inside, last: inside.__setitem__(last, other(inside[last])))
        yield f"{path} gone", set_at(whole, path, lambda inside, last: inside.__delitem__(last))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        value = value[part]
    return value


def forgeries(files: Mapping[str, bytes]) -> dict[str, dict[str, bytes]]:
    """What the second and the third forger make of edited files: manifests anew, with the signature and without."""
    payload, info = parts(dict(files))
    tags = {SIGNATURE: files[SIGNATURE]} if SIGNATURE in files else {}
    return {"manifests anew": bagged(payload, info, tags), "signature gone": bagged(payload, info, {})}


def once(asked: Any, work: Callable[[], Any]) -> Any:
    """The work on equal bytes is done once: the same bundle and SBOM give the same files."""
    key = digest_bytes(repr(asked).encode())
    if key not in DONE:
        DONE[key] = work()
    return DONE[key]


@pytest.fixture
def holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, bytes], str], bool]:
    """Whether a crate of these files holds, for who asks for the exporter's signature, or does not."""
    held: dict[str, bytes] = {}
    monkeypatch.setattr(make, "read_bag", lambda _place: dict(held))
    monkeypatch.setattr(bundle, "verified", lambda raw, checks: once(raw, lambda: verified(raw, checks)))
    monkeypatch.setattr(
        make, "contents", lambda run, raw, *more: dict(once((raw, *more), lambda: contents(run, raw, *more)))
    )

    def check(files: Mapping[str, bytes], exporter: Any = "signed") -> bool:
        held.clear()
        held.update(files)
        try:
            verify(tmp_path, exporter=exporter)
        except (Untrusted, Invalid):
            return False
        return True

    return check


def test_the_crate_holds_before_any_edit(holds: Any) -> None:
    assert holds(FILES)
    assert not holds(forgeries(FILES)["signature gone"])
    assert holds(forgeries(FILES)["signature gone"], "anyone")


@pytest.mark.parametrize("path", sorted(FILES))
def test_no_value_of_any_kind_in_any_file_can_be_changed(holds: Any, path: str) -> None:
    tried = 0
    for what, raw in changes(FILES[path]):
        if raw == FILES[path]:
            continue
        made, tried = {**FILES, path: raw}, tried + 1
        assert not holds(made), (path, what)
        if path.startswith(PAYLOAD):
            anew = forgeries(made)
            assert not holds(anew["manifests anew"]), (path, what)
            if path not in ALONE:  # who asks for the signature is told that it is gone: above
                assert not holds(anew["signature gone"], "anyone"), (path, what)
    assert tried > 1, path


@pytest.mark.parametrize("path", sorted(FILES))
def test_no_file_can_be_taken_away_or_put_elsewhere(holds: Any, path: str) -> None:
    left = {name: raw for name, raw in FILES.items() if name != path}
    moved = {**left, f"{PAYLOAD}elsewhere/{Path(path).name}": FILES[path]}
    for made in (left, moved):
        assert not holds(made)
        if path.startswith(PAYLOAD):
            assert not any(holds(forged) for forged in forgeries(made).values())
            assert not holds(forgeries(made)["signature gone"], "anyone")


@pytest.mark.parametrize("path", ["data/more.txt", "data/outputs/more.csv", "data/ledgers/leeds.jsonl", "more.txt"])
def test_no_file_can_be_added(holds: Any, path: str) -> None:
    made = {**FILES, path: b"more\n"}
    assert not holds(made)
    if path.startswith(PAYLOAD):
        assert not any(holds(forged, who) for forged in forgeries(made).values() for who in ("signed", "anyone"))


def test_the_command_takes_no_crate_that_was_edited_or_lost_its_signature(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(FILES, tmp_path / "whole")
    assert run("verify", str(tmp_path / "whole")) == 0
    write_folder(forgeries(FILES)["signature gone"], tmp_path / "stripped")
    capsys.readouterr()
    assert run("verify", str(tmp_path / "stripped")) == 8
    assert "E-CRATE-UNSIGNED" in capsys.readouterr().err
    assert run("verify", str(tmp_path / "stripped"), "--unsigned") == 0
    assert "nobody signed the export" in capsys.readouterr().out
