"""What a node keeps: journal, ledger leaves, runs, bundles, high-water marks. SQLAlchemy Core on SQLite.

SQLite runs in WAL with `synchronous=FULL`: what was appended is there after a power cut. The two tables written in
every round (journal, leaves) go through one raw connection with prepared inserts, since a Core insert and commit cost
1.9 ms against 0.4 ms. Nothing but `_tune` and `_shrink` is SQLite's own, so another database is another URL.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from isthmus.federation.leaves import SqlLeaves
from isthmus.federation.tables import METADATA, NAMES, ORDER
from isthmus.model.errors import Unavailable
from isthmus.model.record import record

SCHEMA = "2"
T = TypeVar("T")

RunState = Literal[
    "in_review",
    "running",
    "waiting",
    "closing",
    "concluded",
    "egress",
    "released",
    "returned",
    "rejected",
    "withdrawn",
    "refused",
    "failed",
]
UNFINISHED: tuple[RunState, ...] = ("running", "waiting", "closing")

META = sa.Table("meta", METADATA, sa.Column("name", NAMES, primary_key=True), sa.Column("value", sa.Text))
JOURNAL = sa.Table(
    "journal",
    METADATA,
    sa.Column("id", ORDER, primary_key=True, autoincrement=True),
    sa.Column("run", NAMES, nullable=False, index=True),
    sa.Column("key", NAMES, nullable=False),
    sa.Column("blob", sa.LargeBinary, nullable=False),
)
RUNS = sa.Table(
    "runs",
    METADATA,
    sa.Column("run", NAMES, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("study", NAMES, nullable=False),
    sa.Column("created", NAMES, nullable=False),
    sa.Column("state", NAMES, nullable=False, index=True),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("request", sa.LargeBinary, nullable=False),
    sa.Column("charter", sa.LargeBinary, nullable=False),
)
BUNDLES = sa.Table(
    "bundles",
    METADATA,
    sa.Column("run", NAMES, primary_key=True),
    sa.Column("raw", sa.LargeBinary, nullable=False),
    sa.Column("audit", sa.LargeBinary, nullable=False),
)
MARKS = sa.Table(
    "marks",
    METADATA,
    sa.Column("peer", NAMES, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("root", NAMES, nullable=False),
)

OPENED = sa.Table(
    "opened",
    METADATA,
    sa.Column("id", ORDER, primary_key=True, autoincrement=True),
    sa.Column("agreement", NAMES, nullable=False),
    sa.Column("snapshot", NAMES, nullable=False),
    sa.Column("study", NAMES, nullable=False),
    sa.Column("survivors", sa.Text, nullable=False),
)


@record
class RunRow:
    """One run as a node keeps it.

    Attributes:
        created: ISO 8601, UTC.
        state: `closing` is concluded, with the bundle kept, while some site has not said that it erased its secrets;
            `in_review` and `egress` wait for people.
        note: JSON: the last status of a run that has ended.
        request: the signed request as the researcher sent it.
        charter: canonical JSON.
    """

    run: str
    number: int
    study: str
    created: str
    state: RunState
    note: str
    request: bytes
    charter: bytes


@record
class Mark:
    """The highest ledger head seen from a peer."""

    size: int
    root: str


class Store:
    """A node's database. Safe to use from the event loop and from one worker thread."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        with _guarded(engine):
            METADATA.create_all(engine)
            _check_schema(engine)
            self._raw = engine.raw_connection()
            self._lazy = engine.raw_connection()
            _without_waiting(self._lazy, engine.dialect.name)
        self._lock = threading.RLock()

    def journal(self, run: str) -> SqlJournal:
        """The journal of one run."""
        return SqlJournal(self, run)

    def leaves(self, log: str) -> SqlLeaves:
        """The leaves of one ledger."""
        return SqlLeaves(self, log)

    def insert(self, *inserts: tuple[str, Sequence[tuple[object, ...]]]) -> None:
        """Durable inserts in one transaction: statements of `prepare`, each with its rows.

        Raises:
            Unavailable: E-DISK, E-STORE; then nothing was written.
        """
        self._insert(self._raw, inserts)

    def note(self, *inserts: tuple[str, Sequence[tuple[object, ...]]]) -> None:
        """Inserts that outlive this process at once, and a power cut as soon as any durable write has followed.

        Raises:
            Unavailable: as `insert`.
        """
        self._insert(self._lazy, inserts)

    def _insert(self, connection: Any, inserts: Sequence[tuple[str, Sequence[tuple[object, ...]]]]) -> None:
        with self._lock, _guarded(self.engine):
            cursor = connection.cursor()
            try:
                for sql, rows in inserts:
                    cursor.executemany(sql, rows)
                connection.commit()
            except self.engine.dialect.loaded_dbapi.Error:
                connection.rollback()
                raise
            finally:
                cursor.close()

    def prepare(self, table: sa.Table, *columns: str) -> str:
        """The insert statement of `table` in the driver's own parameter style (positional)."""
        made: Any = type(self.engine.dialect)
        dialect = made(paramstyle="qmark" if self.engine.dialect.name == "sqlite" else "format")
        statement = sa.insert(table).values({name: sa.bindparam(name) for name in columns})
        return str(statement.compile(dialect=dialect, column_keys=list(columns)))

    def rows(self, query: sa.Select[Any]) -> list[Any]:
        """All rows of a query."""
        with self._lock, _guarded(self.engine), self.engine.connect() as connection:
            return list(connection.execute(query))

    def write(self, *statements: sa.Executable) -> None:
        """Statements in one transaction."""
        with self._lock, _guarded(self.engine), self.engine.begin() as connection:
            for statement in statements:
                connection.execute(statement)

    def transact(self, work: Callable[[sa.Connection], T]) -> T:
        """`work` in one transaction: all of it or nothing, and nobody writes in between."""
        with self._lock, _guarded(self.engine), self.engine.begin() as connection:
            return work(connection)

    def add_run(self, row: RunRow) -> None:
        """Keep a new run; a run already kept stays as it is."""
        if self.run(row.run) is None:
            values = {name: getattr(row, name) for name in RUNS.columns.keys()}  # noqa: SIM118 - not a dict
            self.write(sa.insert(RUNS).values(values))

    def run(self, run: str) -> RunRow | None:
        """A run by its digest."""
        found = self.rows(sa.select(RUNS).where(RUNS.c.run == run))
        return _run_row(found[0]) if found else None

    def runs(self, *which: sa.ColumnElement[bool]) -> list[RunRow]:
        """Every run of which all of `which` holds, oldest first."""
        query = sa.select(RUNS).where(*which).order_by(RUNS.c.created, RUNS.c.number)
        return [_run_row(row) for row in self.rows(query)]

    def names(self, digits: str, most: int) -> list[str]:
        """Runs whose digest begins with these hex digits, `most` of them at most."""
        begins = RUNS.c.run.startswith(f"sha256:{digits}", autoescape=True)
        return [str(row[0]) for row in self.rows(sa.select(RUNS.c.run).where(begins).limit(most))]

    def set_state(self, run: str, state: RunState, note: str = "") -> None:
        """Move a run on."""
        self.write(sa.update(RUNS).where(RUNS.c.run == run).values(state=state, note=note))

    def finish(self, run: str, forms: tuple[bytes, bytes], note: str, state: RunState = "closing") -> None:
        """Keep both forms of a run's bundle (researcher's, auditor's) and its new state: all or nothing."""
        self.write(
            sa.delete(BUNDLES).where(BUNDLES.c.run == run),
            sa.insert(BUNDLES).values(run=run, raw=forms[0], audit=forms[1]),
            sa.update(RUNS).where(RUNS.c.run == run).values(state=state, note=note),
        )

    def bundle(self, run: str) -> bytes | None:
        """The bundle of a concluded run, as researchers get it."""
        found = self.rows(sa.select(BUNDLES.c.raw).where(BUNDLES.c.run == run))
        return bytes(found[0][0]) if found else None

    def audit(self, run: str) -> bytes | None:
        """The bundle of a concluded run with its pooled sums: for auditors, never sent to a researcher."""
        found = self.rows(sa.select(BUNDLES.c.audit).where(BUNDLES.c.run == run))
        return bytes(found[0][0]) if found else None

    def mark(self, peer: str) -> Mark | None:
        """The highest ledger head seen from `peer`."""
        found = self.rows(sa.select(MARKS.c.size, MARKS.c.root).where(MARKS.c.peer == peer))
        return Mark(size=found[0].size, root=found[0].root) if found else None

    def marks(self) -> dict[str, Mark]:
        """The highest ledger head seen from every peer."""
        return {row.peer: Mark(size=row.size, root=row.root) for row in self.rows(sa.select(MARKS))}

    def set_mark(self, peer: str, mark: Mark) -> None:
        """Remember a peer's ledger head; never a smaller one than before."""
        self.set_marks({peer: mark})

    def set_marks(self, marks: Mapping[str, Mark]) -> None:
        """The same for several peers, in one transaction."""
        held = {row.peer: row.size for row in self.rows(sa.select(MARKS).where(MARKS.c.peer.in_(marks)))}
        grown = {peer: mark for peer, mark in marks.items() if mark.size > held.get(peer, -1)}
        values = [{"peer": peer, "size": mark.size, "root": mark.root} for peer, mark in grown.items()]
        if values:
            self.write(sa.delete(MARKS).where(MARKS.c.peer.in_(grown)), sa.insert(MARKS).values(values))

    def fact(self, name: str) -> str | None:
        """A text kept under `name`."""
        found = self.rows(sa.select(META.c.value).where(META.c.name == name))
        return str(found[0][0]) if found else None

    def set_fact(self, name: str, value: str) -> None:
        """Keep a text under `name`, in place of what was there."""
        self.write(sa.delete(META).where(META.c.name == name), sa.insert(META).values(name=name, value=value))

    def shrink(self) -> None:
        """Wipe what was erased from the files on disk, as far as the database can."""
        with self._lock, _guarded(self.engine):
            _shrink(self.engine)

    def close(self) -> None:
        """Give the connections back; the store is unusable afterwards."""
        with self._lock:
            self._lazy.close()
            self._raw.close()
            self.engine.dispose()


class SqlJournal:
    """One run's journal: what was appended is durable when `append` returns."""

    def __init__(self, store: Store, run: str) -> None:
        self._store = store
        self._run = run
        self._insert = store.prepare(JOURNAL, "run", "key", "blob")

    def append(self, key: str, blob: bytes) -> None:
        """Add an entry.

        Raises:
            Unavailable: E-DISK; then nothing was written.
        """
        self._store.insert((self._insert, [(self._run, key, blob)]))

    def read(self) -> Iterator[tuple[str, bytes]]:
        """Entries in the order they were appended."""
        query = sa.select(JOURNAL.c.key, JOURNAL.c.blob).where(JOURNAL.c.run == self._run).order_by(JOURNAL.c.id)
        for key, blob in self._store.rows(query):
            yield key, bytes(blob)

    def erase(self, prefix: str) -> None:
        """Forget the entries whose key starts with `prefix`."""
        mine = sa.and_(JOURNAL.c.run == self._run, JOURNAL.c.key.startswith(prefix, autoescape=True))
        self._store.write(sa.delete(JOURNAL).where(mine))


def open_store(place: Path | str, maximum_bytes: int | None = None) -> Store:
    """The store at a path (SQLite), or at a database URL.

    Args:
        place: a file, or a SQLAlchemy URL such as `postgresql+psycopg://...`.
        maximum_bytes: a ceiling for an SQLite file; appending beyond it fails as on a full disk.

    Raises:
        Unavailable: E-STORE, E-DISK.
    """
    try:
        if isinstance(place, Path) or "://" not in place:
            path = Path(place)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            place = f"sqlite:///{path}"
        engine = sa.create_engine(place)
    except (OSError, ImportError, ValueError, SQLAlchemyError) as error:  # the URL may hold a password: not told
        raise _unusable() from error
    if engine.dialect.name == "sqlite":
        _make_private(engine.url.database)
        sa.event.listen(engine, "connect", _tune(maximum_bytes))
    return Store(engine)


def _make_private(database: str | None) -> None:
    """The file is its owner's alone before anything is in it; SQLite gives WAL and SHM the mode of the database."""
    if not database or database == ":memory:":
        return
    try:
        os.close(os.open(database, os.O_RDWR | os.O_CREAT, 0o600))
        for path in (database, f"{database}-wal", f"{database}-shm"):
            if os.path.exists(path):  # noqa: PTH110 - SQLite's names, not a path of ours
                os.chmod(path, 0o600)  # noqa: PTH101
    except OSError as error:
        raise _unusable() from error


def _unusable() -> Unavailable:
    return Unavailable("E-STORE", "the store cannot be used", "check its path and who may write to it")


def _run_row(row: sa.Row[Any]) -> RunRow:
    return RunRow(**dict(zip(RUNS.columns.keys(), row, strict=True)))


def _tune(maximum_bytes: int | None) -> Callable[[Any, Any], None]:
    pragmas = ["journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000", "secure_delete=ON"]
    if maximum_bytes is not None:
        pragmas.append(f"max_page_count={max(1, maximum_bytes // 4096)}")

    def run(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return run


def _without_waiting(connection: Any, dialect: str) -> None:
    """A commit on this connection does not wait for the disk; the log keeps its order, so the next durable one does."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=NORMAL" if dialect == "sqlite" else "SET synchronous_commit TO OFF")
    cursor.close()
    connection.commit()


def _shrink(engine: sa.Engine) -> None:
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))


def _check_schema(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        held = connection.execute(sa.select(META.c.value).where(META.c.name == "schema")).scalar()
        if held is None:
            connection.execute(sa.insert(META).values(name="schema", value=SCHEMA))
        elif held != SCHEMA:
            raise Unavailable("E-STORE", f"the store has schema {held}, this version reads {SCHEMA}", "use its version")


@contextmanager
def _guarded(engine: sa.Engine) -> Iterator[None]:
    try:
        yield
    except (DBAPIError, engine.dialect.loaded_dbapi.Error) as error:
        text = str(error).lower()
        if "full" in text or "disk i/o" in text or "no space" in text:
            raise Unavailable("E-DISK", "the disk of the store is full or failing", "free space, then start") from error
        raise _unusable() from error
