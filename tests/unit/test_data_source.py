"""Sources: the same rows whatever the file, and nothing but the file."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as parquet
import pytest

from isthmus.data.expressions import column
from isthmus.data.query import Query, read_columns
from isthmus.data.source import DuckSource, Source, open_source
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid, Unavailable

TABLE = pa.table(
    {
        "i": [1, None, 3],
        "x": [1.5, 2.0, None],
        "s": ["NO", None, "yes"],
        "A": [1, 2, 3],
        "a": [4, 5, 6],
        "d": ["2020-01-31", None, "2021-01-01"],
    }
)
CODEBOOK = Codebook(
    name="t",
    variables={
        "i": Variable(type="integer"),
        "x": Variable(type="number"),
        "s": Variable(type="category", levels=("NO", "yes")),
    },
)


def write(folder: Path, suffix: str) -> str:
    path = folder / f"rows{suffix}"
    if suffix == ".parquet":
        parquet.write_table(TABLE, path)
    elif suffix in {".arrow", ".feather"}:
        feather.write_feather(TABLE, path, compression="uncompressed" if suffix == ".arrow" else "lz4")
    elif suffix == ".duckdb":
        with duckdb.connect(str(path)) as connection:
            connection.register("t", TABLE.drop_columns(["a"]))
            connection.execute("CREATE TABLE rows AS SELECT * FROM t")
        return f"{path}::rows"
    else:
        sep = "\t" if suffix == ".tsv" else ","
        lines = [sep.join(TABLE.column_names)]
        lines += [sep.join("NA" if v is None else str(v) for v in row.values()) for row in TABLE.to_pylist()]
        text = ("\n".join(lines) + "\n").encode()
        path.write_bytes(gzip.compress(text) if suffix.endswith(".gz") else text)
    return str(path)


def rows(source: Source, *names: str) -> list[dict[str, Any]]:
    reading = read_columns(names, CODEBOOK, source.schema(), "GB")
    fetched = source.fetch(reading.query({n: column(n, CODEBOOK).tree for n in names}))
    return [dict(row) for row in fetched.to_pylist()]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".csv.gz", ".tsv", ".arrow", ".feather", ".duckdb"])
def test_every_format_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    source = open_source(write(tmp_path, suffix))
    assert rows(source, "i", "x", "s") == [
        {"i": 1.0, "x": 1.5, "s": "NO"},
        {"i": None, "x": 2.0, "s": None},
        {"i": 3.0, "x": None, "s": "yes"},
    ]
    schema = source.schema()
    assert (schema["i"], schema["x"], schema["s"]) == ("integer", "number", "text")


def test_tables_in_memory() -> None:
    for spec in (TABLE, TABLE.to_batches()[0], TABLE.to_pandas()):
        assert [r["x"] for r in rows(open_source(spec), "x")] == [1.5, 2.0, None]


def test_batches_are_bounded(tmp_path: Path) -> None:
    source = open_source(pa.table({"i": list(range(10_000))}))
    reading = read_columns(["i"], CODEBOOK, source.schema(), "GB")
    batches = list(source.batches(reading.query({"i": column("i", CODEBOOK).tree}), 3000))
    assert sum(b.num_rows for b in batches) == 10_000
    assert max(b.num_rows for b in batches) <= 3000
    assert batches[0].schema.names == ["i"]


def test_fingerprints_name_the_snapshot(tmp_path: Path) -> None:
    file = write(tmp_path, ".csv")
    first = open_source(file).fingerprint()
    assert first == open_source(Path(file)).fingerprint()
    assert first.startswith("sha256:")
    with Path(file).open("a") as more:
        more.write("9,9,yes,1,1,2020-01-01\n")
    assert open_source(file).fingerprint() != first
    assert (
        open_source(TABLE).fingerprint()
        == open_source(pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1)])).fingerprint()
    )
    assert open_source(TABLE).fingerprint() != open_source(TABLE.slice(0, 2)).fingerprint()


@pytest.mark.parametrize(("name", "kind"), [("none.parquet", Unavailable), ("rows.xlsx", Invalid), ("rows", Invalid), ("rows.parquet::t", Invalid), ("rows.duckdb", Invalid)])  # fmt: skip
def test_a_file_that_is_not_there_or_not_known(tmp_path: Path, name: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="E-SOURCE"):
        open_source(str(tmp_path / name))
    with pytest.raises(Invalid, match="E-SOURCE"):
        open_source(42)


@pytest.mark.parametrize("name", ["broken.parquet", "broken.arrow", "broken.csv", "broken.duckdb::t"])
def test_a_broken_file_is_named_without_its_content(tmp_path: Path, name: str) -> None:
    (tmp_path / name.partition("::")[0]).write_bytes(b'a,b\n"SECRET-VALUE,1\n2,3,4,"\xff\n')
    with pytest.raises(Invalid, match="E-SOURCE") as caught:
        open_source(str(tmp_path / name))
    assert caught.value.__cause__ is None
    assert "SECRET" not in str(caught.value)


def test_a_missing_table_of_a_database(tmp_path: Path) -> None:
    file = write(tmp_path, ".duckdb").partition("::")[0]
    with pytest.raises(Invalid, match="E-SOURCE"):
        open_source(f"{file}::other")


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".duckdb", "memory"])
def test_the_engine_is_locked_down(tmp_path: Path, suffix: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    source = open_source(TABLE if suffix == "memory" else write(tmp_path, suffix))
    assert isinstance(source, DuckSource)
    for attack in (
        f"SELECT * FROM read_csv('{secret}')",
        f"SELECT * FROM '{secret}'",
        f"COPY (SELECT 1) TO '{tmp_path / 'out.csv'}'",
        f"ATTACH '{tmp_path / 'out.db'}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SELECT * FROM TABLE",
    ):
        with pytest.raises(duckdb.Error):
            source._connection.execute(attack)
    assert not (tmp_path / "out.csv").exists()


def test_python_variables_are_not_tables() -> None:
    source = open_source(TABLE)
    assert isinstance(source, DuckSource)
    hidden = pa.table({"q": [1]})
    with pytest.raises(duckdb.Error):
        source._connection.execute("SELECT * FROM hidden")
    assert hidden.num_rows == 1


def test_a_source_that_breaks_later_says_so_without_quoting_rows(tmp_path: Path) -> None:
    file = write(tmp_path, ".parquet")
    source = open_source(file)
    Path(file).write_bytes(b"gone")
    with pytest.raises(Unavailable, match="E-SOURCE") as caught:
        rows(source, "i")
    assert caught.value.__cause__ is None


def read(variable: Variable, values: list[Any]) -> list[Any]:
    codebook = Codebook(name="t", variables={"v": variable})
    source = open_source(pa.table({"v": values}))
    reading = read_columns(["v"], codebook, source.schema(), "GB")
    found: list[Any] = source.fetch(reading.query({"v": column("v", codebook).tree})).column("v").to_pylist()
    return found


def test_columns_are_read_as_declared() -> None:
    nan = float("nan")
    category = Variable(type="category", levels=("1", "2"))
    assert read(Variable(type="number"), [1.5, nan, None]) == [1.5, None, None]
    assert read(Variable(type="number", missing=(-9, "NA")), [1, -9, None]) == [1.0, None, None]
    assert read(Variable(type="integer", missing=("NA", 99)), ["12", "NA", "99"]) == [12.0, None, None]
    assert read(Variable(type="integer"), [True, False, None]) == [1.0, 0.0, None]
    assert read(category, [1, 2, None]) == ["1", "2", None]
    assert read(category, [1.0, 2.5, nan]) == ["1", "2.5", None]
    assert read(category, [True, False, None]) == ["true", "false", None]
    assert read(Variable(type="category", levels=("a",), missing=("",)), ["a", "", None]) == ["a", None, None]
    assert read(Variable(type="boolean"), ["true", "FALSE", None]) == [True, False, None]
    assert read(Variable(type="boolean"), [1, 0, None]) == [True, False, None]


def test_values_that_do_not_fit_are_counted_not_shown() -> None:
    codebook = Codebook(name="t", variables={"v": Variable(type="number", missing=("unknown",))})
    source = open_source(pa.table({"v": ["1", "unknown", "SECRET", None]}))
    reading = read_columns(["v"], codebook, source.schema(), "GB")
    assert source.fetch(reading.fault_query()).to_pylist() == [{"f0": 1}]
    assert reading.faults[0].code == "E-TEXT-IN-NUMBER"
    assert "SECRET" not in reading.faults[0].message


@pytest.mark.parametrize(
    ("columns", "name", "code"),
    [
        ({"agee": [1]}, "age", "E-COLUMN-MISSING"),
        ({"AGE": [1]}, "age", "E-COLUMN-MISSING"),
        ({"age": [1], "site": ["x"]}, "age", "E-RESERVED-NAME"),
        ({"age": [1], "country": ["x"]}, "age", "E-RESERVED-NAME"),
        ({"age": [[1]]}, "age", "E-COLUMN-TYPE"),
        ({"age": [b"x"]}, "age", "E-COLUMN-TYPE"),
    ],
)
def test_columns_that_cannot_be_read(columns: dict[str, Any], name: str, code: str) -> None:
    codebook = Codebook(name="t", variables={"age": Variable(type="number")})
    source = open_source(pa.table(columns))
    with pytest.raises(Invalid) as caught:
        read_columns([name], codebook, source.schema(), "GB")
    assert caught.value.code == code


def test_a_query_is_one_select() -> None:
    source = open_source(TABLE)
    reading = read_columns(["i", "country"], CODEBOOK, source.schema(), "G'B")
    query = reading.query({'odd "name"': column("i", CODEBOOK).tree})
    assert isinstance(query, Query)
    assert source.fetch(query).column_names == ['odd "name"']


@pytest.mark.parametrize("kind", ["number", "integer", "category", "boolean", "date"])
def test_a_column_without_values_or_type_is_missing(kind: Any, tmp_path: Path) -> None:
    """As pandas writes it to Parquet; the same column of a CSV file is text without values."""
    parquet.write_table(pa.table({"v": pa.nulls(3), "w": [1, 2, 3]}), tmp_path / "rows.parquet")
    source = open_source(tmp_path / "rows.parquet")
    codebook = Codebook(name="t", variables={"v": Variable(type=kind, levels=("a",) if kind == "category" else None)})
    reading = read_columns(["v"], codebook, source.schema(), "GB")
    assert source.fetch(reading.query({"v": column("v", codebook).tree})).column("v").to_pylist() == [None] * 3
