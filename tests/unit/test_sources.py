"""Exports that an auditor reads together: a ledger that does not hold what a bundle proves is found out."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from governance_alliance import NOW, key_of
from made_bundle import made_bundle

from isthmus.ledger.checkpoint import sign_checkpoint
from isthmus.ledger.entries import encode_entry
from isthmus.ledger.exported import Cover, export_lines
from isthmus.ledger.log import Log, MemoryStore
from isthmus.model.errors import Invalid, Untrusted
from isthmus.sdk.bundle import verified
from isthmus.sdk.sources import read_sources

BUNDLE = made_bundle()


def hub_ledger(path: Path, *, changed: bool = False, key: str = "hub") -> Path:
    """A ledger that the hub signed, with the bundle's entries, or with another one in the place of the last."""
    log = Log(MemoryStore(), "hub", lambda: NOW)
    held = verified(BUNDLE, []).entries
    assert [entry.sequence for entry in held] == list(range(len(held)))
    for entry in held:
        facts = {"run": "another"} if changed and entry is held[-1] else entry.facts
        log.append(entry.event, facts)
    signer = key_of(key)
    note = sign_checkpoint("hub", log.head(), signer)
    cover = Cover(
        owner="hub",
        key=signer.public.hex(),
        time=NOW.isoformat(),
        checkpoint=note,
        cosigned=(),
        witnesses={},
        marks={},
    )
    path.write_bytes(b"".join(export_lines(cover, [encode_entry(entry) for entry in log.entries()], signer)))
    return path


def test_a_bundle_alone_is_a_part_of_the_hubs_ledger(tmp_path: Path) -> None:
    (tmp_path / "run.isthmus").write_bytes(BUNDLE)
    with ExitStack() as stack:
        found = read_sources([tmp_path], stack)
    assert (found.logs, found.whole("hub"), list(found.streams())) == (("hub",), None, ["hub (part)"])
    assert {entry.event for entry in found.entries("hub")} >= {"study", "release"}


def test_a_ledger_that_does_not_hold_what_the_bundle_proves_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "run.isthmus").write_bytes(BUNDLE)
    other = hub_ledger(tmp_path / "hub.ledger", changed=True)
    with (
        ExitStack() as stack,
        pytest.raises(Untrusted, match="is of another ledger, or of other entries"),
    ):
        read_sources([tmp_path], stack)
    hub_ledger(other, key="leeds")
    with ExitStack() as stack, pytest.raises(Untrusted, match="signed by two keys"):
        read_sources([tmp_path], stack)
    (tmp_path / "empty").mkdir()
    with ExitStack() as stack, pytest.raises(Invalid, match="nothing was exported there"):
        read_sources([tmp_path / "empty"], stack)
