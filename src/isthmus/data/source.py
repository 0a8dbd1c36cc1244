"""Where rows are: Parquet, CSV, Arrow and DuckDB files and Arrow tables in memory, read by an embedded DuckDB.

A source answers queries of the closed expression language and names its snapshot. DuckDB is locked down before the
first query: no file but the one opened, no network, no extension, no change of settings.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import duckdb
import pyarrow as pa
from sqlglot import exp

from isthmus.model.errors import Invalid, Unavailable
from isthmus.model.names import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Buffer

    from isthmus.data.query import ColumnKind, Query, Schema

CSV_MISSING = ["", "NA"]  # as R's read.csv
FORMATS = ".parquet, .csv, .csv.gz, .tsv, .arrow, .feather, or FILE.duckdb::TABLE"
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
}
_KINDS: dict[str, ColumnKind] = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"), "integer"),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"), "integer"),
    **dict.fromkeys(("FLOAT", "DOUBLE", "DECIMAL"), "number"),
    **dict.fromkeys(("VARCHAR", "ENUM", "UUID"), "text"),
    **dict.fromkeys(("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), "date"),
    "BOOLEAN": "boolean",
    '"NULL"': "text",  # a column without a value that has no type (pandas writes one), as a CSV file has it
}


class Source(Protocol):
    """A dataset's rows at one site."""

    def schema(self) -> Schema:
        """Columns and what they hold."""
        ...

    def fetch(self, query: Query) -> pa.Table:
        """The rows of a query, in the source's order.

        Raises:
            Unavailable: E-SOURCE.
        """
        ...

    def batches(self, query: Query, rows: int) -> Iterator[pa.RecordBatch]:
        """The same, at most `rows` at a time.

        Raises:
            Unavailable: E-SOURCE.
        """
        ...

    def fingerprint(self) -> Digest:
        """The snapshot: equal only for the same data."""
        ...


def open_source(spec: object) -> Source:
    """Open a file (text or path; `file.duckdb::table`) or anything that speaks Arrow (a table, a data frame).

    Raises:
        Invalid: E-SOURCE, an unknown format or a broken file.
        Unavailable: E-SOURCE, a file that cannot be read.
    """
    if isinstance(spec, pa.Table):
        return _open_table(spec)
    if hasattr(spec, "__arrow_c_stream__"):
        return _open_table(pa.table(spec))
    if not isinstance(spec, str | Path):
        raise Invalid("E-SOURCE", f"a {type(spec).__name__} is not a source", f"a table, or a file: {FORMATS}")
    name, _, table = str(spec).partition("::")
    path = Path(name)
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    opener = _OPENERS.get(suffix.lower())
    if opener is None or bool(table) != (suffix.lower() in _DATABASES):
        raise Invalid("E-SOURCE", f"{path.name!r} is not a format that is read", FORMATS)
    if not path.is_file():
        raise Unavailable("E-SOURCE", f"the file {path.name!r} is not there", "check the path")
    try:
        return opener(path, table)
    except (duckdb.Error, pa.ArrowException, OSError):
        # the engine's own message may quote rows, so it is not chained
        raise Invalid("E-SOURCE", f"{path.name!r} cannot be read as {suffix[1:]}", "is the file whole?") from None


class DuckSource:
    """Rows behind a locked DuckDB connection, in `relation`."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, relation: exp.Table, digest: Callable[[], Digest]
    ) -> None:
        """`digest` computes the fingerprint, once."""
        self._connection = connection
        self._relation = relation
        self._digest = digest
        self._fingerprint: Digest | None = None
        query = exp.select("*").from_(relation).sql(dialect="duckdb")
        found = connection.sql(query)
        self._schema = {name: _kind(kind) for name, kind in zip(found.columns, found.types, strict=True)}

    def schema(self) -> Schema:
        """Columns and what they hold."""
        return self._schema

    def fetch(self, query: Query) -> pa.Table:
        """The rows of a query; text columns come dictionary-encoded or plain."""
        try:
            table: pa.Table = self._connection.sql(query.sql("duckdb", self._relation)).to_arrow_table()
        except duckdb.Error:
            raise _broken() from None
        renamed: pa.Table = table.rename_columns(list(query.columns))
        return renamed

    def batches(self, query: Query, rows: int) -> Iterator[pa.RecordBatch]:
        """The same, at most `rows` at a time."""
        try:
            reader = self._connection.sql(query.sql("duckdb", self._relation)).to_arrow_reader(rows)
            for batch in reader:
                yield batch.rename_columns(list(query.columns))
        except (duckdb.Error, pa.ArrowException):
            raise _broken() from None

    def fingerprint(self) -> Digest:
        """SHA-256 of the file, or of the Arrow stream of a table."""
        if self._fingerprint is None:
            self._fingerprint = self._digest()
        return self._fingerprint


def _broken() -> Unavailable:
    # the engine's own message may quote rows, so it is not chained
    return Unavailable("E-SOURCE", "the source could not answer a query", "see whether its file changed or is damaged")


def _kind(engine_type: Any) -> ColumnKind:
    return _KINDS.get(str(engine_type).partition("(")[0].strip(), "other")


def _lock(connection: duckdb.DuckDBPyConnection, *readable: Path) -> None:
    paths = [str(path) for path in readable]
    connection.execute("SET allowed_paths = $paths", {"paths": paths})
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _connect() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(":memory:", config=_CONFIG)


def _file_digest(path: Path) -> Callable[[], Digest]:
    def digest() -> Digest:
        with path.open("rb") as file:
            return Digest("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())

    return digest


def _open_parquet(path: Path, _: str) -> DuckSource:
    connection = _connect()
    connection.read_parquet(str(path)).create_view("data")
    _lock(connection, path)
    return DuckSource(connection, exp.to_table("data"), _file_digest(path))


def _open_csv(path: Path, _: str) -> DuckSource:
    connection = _connect()
    connection.execute(
        "CREATE TABLE data AS SELECT * FROM read_csv($path, header = true, sample_size = -1, nullstr = $missing, "
        "dateformat = '%Y-%m-%d', auto_type_candidates = ['BIGINT', 'DOUBLE', 'DATE', 'VARCHAR'])",
        {"path": str(path), "missing": CSV_MISSING},
    )
    _lock(connection)
    return DuckSource(connection, exp.to_table("data"), _file_digest(path))


def _open_database(path: Path, table: str) -> DuckSource:
    connection = duckdb.connect(str(path), read_only=True, config=_CONFIG)
    _lock(connection)
    relation = exp.Table(this=exp.to_identifier(table, quoted=True))
    return DuckSource(connection, relation, _file_digest(path))


def _open_arrow(path: Path, _: str) -> DuckSource:
    with pa.memory_map(str(path)) as file:
        return _open_table(pa.ipc.open_file(file).read_all(), _file_digest(path))


def _open_table(table: pa.Table, digest: Callable[[], Digest] | None = None) -> DuckSource:
    connection = _connect()
    connection.register("data", table)
    _lock(connection)
    return DuckSource(connection, exp.to_table("data"), digest or (lambda: _table_digest(table)))


def _table_digest(table: pa.Table) -> Digest:
    sink = _Hash()
    with pa.PythonFile(sink, mode="w") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return Digest("sha256:" + sink.sha256.hexdigest())


class _Hash(io.RawIOBase):
    """A file that keeps only its digest."""

    def __init__(self) -> None:
        super().__init__()
        self.sha256 = hashlib.sha256()

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: Buffer) -> int:
        """Take bytes in."""
        self.sha256.update(data)
        return memoryview(data).nbytes


_DATABASES = frozenset({".duckdb", ".db"})
_OPENERS: dict[str, Callable[[Path, str], DuckSource]] = {
    ".parquet": _open_parquet,
    **dict.fromkeys((".csv", ".csv.gz", ".tsv"), _open_csv),
    **dict.fromkeys((".arrow", ".feather"), _open_arrow),
    **dict.fromkeys(sorted(_DATABASES), _open_database),
}
