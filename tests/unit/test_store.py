"""A node's database: durable appends, prefixes, high-water marks, a full disk, two writers."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from isthmus.federation.store import METADATA, Mark, RunRow, Store, open_store
from isthmus.ledger.log import Log
from isthmus.model.errors import Unavailable

ROW = RunRow(
    run="sha256:r",
    number=1,
    study="sha256:s",
    created="2026-01-01T00:00:00+00:00",
    state="running",
    note="",
    request=b"{}",
    charter=b"{}",
)


@pytest.fixture
def store(tmp_path: Path):
    opened = open_store(tmp_path / "state" / "leeds.db")
    yield opened
    opened.close()


def test_journal_keeps_order_and_forgets_by_prefix(store: Store) -> None:
    journal, other = store.journal("a"), store.journal("b")
    for key in ("masked", "signed", "mask_ed", "masked"):
        journal.append(key, key.encode())
    other.append("masked", b"other")
    assert [k for k, _ in journal.read()] == ["masked", "signed", "mask_ed", "masked"]
    journal.erase("mask_")
    assert [k for k, _ in journal.read()] == ["masked", "signed", "masked"]
    journal.erase("")
    assert list(journal.read()) == []
    assert list(other.read()) == [("masked", b"other")]


def test_everything_is_there_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    first = open_store(path)
    first.journal("r").append("k", b"\x00\xff")
    log = Log(first.leaves("hub"), "hub", lambda: datetime(2026, 1, 1, tzinfo=UTC))
    log.append("decision", {"run": "r"})
    first.add_run(ROW)
    first.close()
    second = open_store(path)
    assert list(second.journal("r").read()) == [("k", b"\x00\xff")]
    assert Log(second.leaves("hub"), "hub", lambda: datetime(2026, 1, 1, tzinfo=UTC)).head() == log.head()
    assert second.runs() == [ROW]
    second.close()


def test_sqlite_is_in_wal_and_full(store: Store) -> None:
    with store.engine.connect() as connection:
        assert connection.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(sa.text("PRAGMA synchronous")).scalar() == 2


def test_erased_secrets_are_not_in_the_files(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a.db")
    journal = store.journal("r")
    for n in range(50):
        journal.append("keys", b"SECRET-%d" % n * 40)
    journal.erase("keys")
    store.shrink()
    assert all(b"SECRET-" not in path.read_bytes() for path in tmp_path.iterdir())
    store.close()


def test_a_full_disk_leaves_nothing_half_done(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a.db", maximum_bytes=250_000)
    journal = store.journal("r")
    for _ in range(8):
        journal.append("masked", b"y" * 9_000)
    with pytest.raises(Unavailable) as caught:
        journal.append("masked", b"y" * 190_000)
    assert caught.value.code == "E-DISK"
    assert len(list(journal.read())) == 8
    journal.erase("")
    journal.append("masked", b"y" * 9_000)  # space again: it goes on
    store.close()


def test_runs_move_on_and_bundles_come_with_the_state(store: Store) -> None:
    store.add_run(ROW)
    store.add_run(replace(ROW, study="sha256:other"))
    assert store.run(ROW.run) == ROW
    store.finish(ROW.run, (b"bundle", b"audit"), "{}")
    concluded = store.run(ROW.run)
    assert concluded is not None
    assert (concluded.state, store.bundle(ROW.run)) == ("closing", b"bundle")
    assert store.audit(ROW.run) == b"audit"
    assert store.bundle("sha256:none") is None


def test_a_mark_never_goes_down(store: Store) -> None:
    assert store.mark("leeds") is None
    store.set_mark("leeds", Mark(size=5, root="aa"))
    store.set_mark("leeds", Mark(size=3, root="bb"))
    assert store.mark("leeds") == Mark(size=5, root="aa")
    store.set_mark("leeds", Mark(size=6, root="cc"))
    assert store.mark("leeds") == Mark(size=6, root="cc")


def test_two_threads_append(store: Store) -> None:
    journal = store.journal("r")

    def write() -> None:
        for _ in range(30):
            journal.append("k", b"v")

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(journal.read())) == 60


def test_another_schema_is_named(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a.db")
    with store.engine.begin() as connection:
        connection.execute(sa.text("UPDATE meta SET value = '99'"))
    store.close()
    with pytest.raises(Unavailable, match="schema 99"):
        open_store(tmp_path / "a.db")


def test_a_store_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(Unavailable, match="E-STORE"):
        open_store(tmp_path / "a.db")


def test_the_schema_is_postgresql_too() -> None:
    text = "".join(str(CreateTable(t).compile(dialect=postgresql.dialect())) for t in METADATA.sorted_tables)
    assert "BIGSERIAL" in text
    assert "BYTEA" in text
