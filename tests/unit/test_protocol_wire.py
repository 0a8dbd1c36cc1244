"""Messages, payloads, spool and wire: what goes in comes out, and nothing else is let in."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from isthmus.crypto.keys import SigningKey
from isthmus.federation import wire
from isthmus.federation.messages import (
    CHUNK,
    EMPTY,
    Author,
    BytesPayload,
    ChainPayload,
    FilePayload,
    Message,
    check_signature,
    compact,
    part,
    read_all,
    regroup,
    weight,
)
from isthmus.federation.protocol.journal import MemoryJournal, bundle, unbundle
from isthmus.federation.protocol.records import Masked, Survivors, header
from isthmus.federation.spool import Spool, inline
from isthmus.model.canonical import canonical
from isthmus.model.errors import Invalid, Unavailable, Untrusted

KEY = SigningKey.from_bytes(bytes(range(32)))
AUTHOR = Author("rehearsal", "sha256:run", "a", KEY)


def said(body: bytes = b"payload") -> Message:
    return AUTHOR.say("masked", {"context": "00", "commitment": "11"}, BytesPayload(body), b"sealed")


def through(message: Message) -> Message:
    head, chunks = wire.encode(message)
    return wire.decode(head, BytesPayload(b"".join(chunks)))


def test_a_message_comes_through_as_it_was() -> None:
    message = said()
    assert through(message) == message
    check_signature(through(message), KEY.public)
    assert weight(message) > 64 + len(b"payload") + len(b"sealed")


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "agree"}, {"mode": "federated"}, {"run": "sha256:other"}, {"sender": "b"}, {"enclosed": b""},
        {"header": {"context": "00", "commitment": "12"}}, {"body": EMPTY},
    ],
)  # fmt: skip
def test_the_signature_covers_everything(change: dict[str, object]) -> None:
    with pytest.raises(Untrusted):
        check_signature(replace(said(), **change), KEY.public)


def malformed() -> dict[str, tuple[bytes, str]]:
    head = json.loads(wire.encode(said(b""))[0])
    without = {key: value for key, value in head.items() if key != "mode"}
    return {
        "not JSON": (b"{", "E-WIRE"),
        "deep": (b"[" * 100_000, "E-WIRE"),
        "a list": (b"[]", "E-WIRE"),
        "another key": (compact({**head, "more": 1}), "E-WIRE"),
        "a key less": (compact(without), "E-WIRE"),
        "another type": (compact({**head, "run": 1}), "E-WIRE"),
        "header no object": (compact({**head, "header": []}), "E-WIRE"),
        "size below zero": (compact({**head, "size": -1}), "E-WIRE"),
        "size a truth value": (compact({**head, "size": True}), "E-WIRE"),
        "another body size": (compact({**head, "size": 1}), "E-WIRE"),
        "no hex": (compact({**head, "signature": "zz"}), "E-WIRE"),
        "capital hex": (compact({**head, "signature": "AB"}), "E-WIRE"),
        "another version": (compact({**head, "version": "isthmus/9"}), "E-VERSION"),
        "too large": (b" " * (wire.MAX_HEAD + 1), "E-TOO-LARGE"),
    }


@pytest.mark.parametrize("case", malformed())
def test_the_door_is_strict(case: str) -> None:
    raw, code = malformed()[case]
    with pytest.raises(Invalid) as caught:
        wire.decode(raw)
    assert caught.value.code == code


def test_a_version_mismatch_names_both() -> None:
    raw, _ = malformed()["another version"]
    with pytest.raises(Invalid, match=r"isthmus/1.*isthmus/9"):
        wire.decode(raw)


def test_a_body_above_the_expected_size_is_refused_before_it_is_read() -> None:
    head, _ = wire.encode(said(b"x" * 100))
    with pytest.raises(Invalid) as caught:
        wire.head_of(head, limit=99)
    assert caught.value.code == "E-TOO-LARGE"


def test_a_head_that_would_not_fit_is_not_sent() -> None:
    with pytest.raises(Invalid) as caught:
        wire.encode(AUTHOR.say("roster", {"cards": {"a": "x" * wire.MAX_HEAD}}))
    assert caught.value.code == "E-TOO-LARGE"


def test_headers_are_strict_records() -> None:
    assert header(Masked, said()) == Masked(context="00", commitment="11")
    for kind, code in (({"context": "00"}, "E-MISSING-KEY"), ({**said().header, "x": 1}, "E-UNKNOWN-KEY")):
        with pytest.raises(Invalid) as caught:
            header(Masked, AUTHOR.say("masked", kind))
        assert caught.value.code == code
    with pytest.raises(Invalid) as caught:
        header(Survivors, AUTHOR.say("survivors", {"context": "00", "survivors": ["a"], "final": 1}))
    assert caught.value.code == "E-TYPE"


def test_a_header_is_canonical_json() -> None:
    value = {"b": [1, "\u00fc", None, True], "a": {"z": "", "y": -5}}
    assert compact(value) == canonical(value)
    with pytest.raises(Invalid):
        compact({"a": b"bytes"})
    with pytest.raises(Invalid):
        compact({"a": float("nan")})


def test_payloads_read_alike(tmp_path: Path) -> None:
    raw = hashlib.shake_256(b"payload").digest(3 * CHUNK + 17)
    spool = Spool(tmp_path)
    written = spool.gather("test", regroup([raw], 1000), len(raw))
    assert isinstance(written, FilePayload)
    parts = ChainPayload(
        (BytesPayload(raw[:10]), part(written, 10, CHUNK), part(BytesPayload(raw), CHUNK + 10, len(raw) - CHUNK - 10))
    )
    for payload in (BytesPayload(raw), written, parts):
        assert payload.size == len(raw)
        assert payload.sha256 == hashlib.sha256(raw).hexdigest()
        assert read_all(payload) == raw
        assert [len(chunk) for chunk in payload.chunks()] == [CHUNK, CHUNK, CHUNK, 17]


def test_a_spool_finds_its_files_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    large = spool.gather("x", [b"a" * (CHUNK + 1)], CHUNK + 1)
    small = BytesPayload(b"small")
    for payload in (large, part(large, 5, 9), small):
        found = Spool(tmp_path).find(spool.settle(payload), inline(payload))
        assert read_all(found) == read_all(payload)
    spool.clear()
    with pytest.raises(Unavailable) as caught:
        read_all(large)
    assert caught.value.code == "E-SPOOL"
    with pytest.raises(Unavailable):
        spool.settle(large)


def test_a_received_file_becomes_the_runs_own(tmp_path: Path) -> None:
    (tmp_path / "transport").mkdir()
    (tmp_path / "run").mkdir()
    there, here = Spool(tmp_path / "transport"), Spool(tmp_path / "run")
    payload = there.gather("received", [b"b" * (CHUNK + 1)], CHUNK + 1)
    taken = here.take(replace(said(), body=payload))
    assert read_all(taken.body) == b"b" * (CHUNK + 1)
    assert not list((tmp_path / "transport").iterdir())
    here.drop(taken.body)
    assert not list((tmp_path / "run").iterdir())


def test_a_full_disk_is_unavailable(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "missing")
    with pytest.raises(Unavailable) as caught:
        spool.writer("x")
    assert caught.value.code == "E-SPOOL"


def test_a_journal_keeps_order_and_forgets_by_prefix() -> None:
    journal = MemoryJournal()
    for key in ("keys", "masked", "signed", "masked"):
        journal.append(key, key.encode())
    assert [key for key, _ in journal.read()] == ["keys", "masked", "signed", "masked"]
    journal.erase("masked")
    assert [key for key, _ in journal.read()] == ["keys", "signed"]


def test_a_damaged_blob_is_noticed() -> None:
    blob = bundle({"a": 1}, b"one", b"two")
    assert unbundle(blob) == ({"a": 1}, [b"one", b"two"])
    for broken in (blob[:-1], blob[:6], b"", blob + b"x"):
        with pytest.raises(Unavailable) as caught:
            unbundle(broken)
        assert caught.value.code == "E-JOURNAL"
