"""What each expression means: a table in, a column out, on every engine (DuckDB so far)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.data.expressions import parse_condition, parse_expression
from isthmus.data.query import read_columns
from isthmus.data.source import Source, open_source
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid

CODEBOOK = Codebook(
    name="spec",
    person="pid",
    variables={
        "i": Variable(type="integer"),
        "j": Variable(type="integer"),
        "x": Variable(type="number"),
        "s": Variable(type="category", levels=("a", "b", "it's")),
        "code": Variable(type="category", levels=("1", "2")),
        "b": Variable(type="boolean"),
        "d": Variable(type="date"),
        "ph.ecog": Variable(type="integer"),
        "m": Variable(type="integer", missing=(9,)),
    },
)
_ = None
ROWS: dict[str, list[Any]] = {
    "pid": [1, 2, 3, 4],
    "i": [1, 2, _, -3],
    "j": [2, 0, 5, _],
    "x": [2.5, -2.5, _, 0.0],
    "s": ["a", "b", _, "it's"],
    "code": [1, 2, _, 1],
    "b": [True, False, _, True],
    "d": ["2020-01-31", "2021-06-01", _, "2019-12-31"],
    "ph.ecog": [0, 1, 2, _],
    "m": [1, 9, 0, _],
}


@pytest.fixture(scope="module")
def source() -> Source:
    return open_source(pa.table(ROWS))


def evaluate(source: Source, text: str) -> list[Any]:
    expression = parse_expression(text, CODEBOOK)
    reading = read_columns(expression.names, CODEBOOK, source.schema(), "GB")
    return source.fetch(reading.query({"v": expression.tree})).column("v").to_pylist()


CASES: list[tuple[str, list[Any]]] = [
    # numbers are double precision; / is never integer division; what is undefined is missing
    ("i + j", [3, 2, _, _]),
    ("i - j - 1", [-2, 1, _, _]),
    ("i * (j + 1)", [3, 2, _, _]),
    ("i / j", [0.5, _, _, _]),
    ("1 / 2", [0.5] * 4),
    ("-i + 2", [1, 0, _, 5]),
    ("-(i + 2)", [-3, -4, _, 1]),
    ("0.1 + 0.2", [0.1 + 0.2] * 4),
    ("i - (j - 1)", [0, 3, _, _]),
    ("i / (j / 2)", [1, _, _, _]),
    ("2.5e-1 * i", [0.25, 0.5, _, -0.75]),
    ("ABS(i)", [1, 2, _, 3]),
    ("ABS(x - 3)", [0.5, 5.5, _, 3]),
    ("FLOOR(x)", [2, -3, _, 0]),
    ("ROUND(x)", [3, -3, _, 0]),
    ("ROUND(x / 10, 1)", [0.3, -0.3, _, 0]),
    ("CAST(x AS INTEGER)", [3, -3, _, 0]),
    ("CAST(i AS DOUBLE)", [1, 2, _, -3]),
    ("CAST(b AS INTEGER)", [1, 0, _, 1]),
    ("LN(i)", [0, pytest.approx(0.6931471805599453), _, _]),
    ("LN(x)", [pytest.approx(0.9162907318741551), _, _, _]),
    ("SQRT(x)", [pytest.approx(1.5811388300841898), _, _, 0]),
    # missing stays missing in LEAST and GREATEST; COALESCE says otherwise
    ("LEAST(i, 1)", [1, 1, _, -3]),
    ("LEAST(i, j, x)", [1, -2.5, _, _]),
    ("GREATEST(i, j)", [2, 2, _, _]),
    ("COALESCE(i, j)", [1, 2, 5, -3]),
    ("COALESCE(i, 0)", [1, 2, 0, -3]),
    ("COALESCE(s, 'a')", ["a", "b", "a", "it's"]),
    # comparisons are three-valued
    ("i >= 1", [True, True, _, False]),
    ("i <> 1", [False, True, _, True]),
    ("i != 1", [False, True, _, True]),
    ("1 < i", [False, True, _, False]),
    ("s = 'a'", [True, False, _, False]),
    ("s = 'it''s'", [False, False, _, True]),
    ("s <> 'a'", [False, True, _, True]),
    ("'a' = s", [True, False, _, False]),
    ("code = 1", [True, False, _, True]),
    ("code = '1'", [True, False, _, True]),
    ("code IN (1, 2)", [True, True, _, True]),
    ("b", [True, False, _, True]),
    ("b = TRUE", [True, False, _, True]),
    ("NOT b", [False, True, _, False]),
    ("d >= '2020-01-31'", [True, True, _, False]),
    ("d BETWEEN '2019-01-01' AND '2020-12-31'", [True, False, _, True]),
    ("i IN (1, -3)", [True, False, _, True]),
    ("i NOT IN (1, 3)", [False, True, _, True]),
    ("s IN ('a', 'b')", [True, True, _, False]),
    ("s NOT IN ('a')", [False, True, _, True]),
    ("i BETWEEN 1 AND 2", [True, True, _, False]),
    ("i NOT BETWEEN 1 AND 2", [False, False, _, True]),
    ("i IS NULL", [False, False, True, False]),
    ("i IS NOT NULL", [True, True, False, True]),
    ("(i + j) IS NULL", [False, False, True, True]),
    ("i = 1 OR j = 5", [True, False, True, _]),
    ("i = 1 AND j = 2", [True, False, False, False]),
    ("i = 2 AND j = 5", [False, False, _, False]),
    ("NOT (i = 2 AND j = 5)", [True, True, _, True]),
    ("i > 0 AND i < 2 OR j = 5", [True, False, True, _]),
    ("i > 5 AND (i < 2 OR j = 2)", [False, False, _, False]),
    ("ph.ecog > 0", [False, True, True, _]),
    ('"ph.ecog" + 1', [1, 2, 3, _]),
    # codes that mean missing are missing
    ("m", [1, _, 0, _]),
    ("m IS NULL", [False, True, False, True]),
    # CASE: an unknown condition makes the value unknown, ELSE is for what is known to be false
    ("CASE WHEN i = 1 THEN 1 ELSE 0 END", [1, 0, _, 0]),
    ("CASE WHEN i = 1 THEN 1 END", [1, _, _, _]),
    ("CASE WHEN i = 1 AND j <= 2 THEN 1 ELSE 0 END", [1, 0, 0, 0]),
    ("CASE WHEN i = 1 AND j <= 9 THEN 1 ELSE 0 END", [1, 0, _, 0]),
    ("CASE WHEN i = 1 THEN 1 WHEN j = 5 THEN 2 ELSE 3 END", [1, 3, _, _]),
    ("CASE WHEN i IS NULL THEN NULL WHEN i = 1 THEN 1 ELSE 0 END", [1, 0, _, 0]),
    ("CASE WHEN i IS NULL THEN 7 WHEN i = 1 THEN 1 ELSE 0 END", [1, 0, 7, 0]),
    ("CASE WHEN i IS NOT NULL AND i = 1 THEN 1 ELSE 0 END", [1, 0, 0, 0]),
    ("CASE WHEN COALESCE(i, 0) = 1 THEN 1 ELSE 0 END", [1, 0, 0, 0]),
    ("CASE WHEN i IS NULL OR j IS NULL THEN NULL WHEN i > j THEN 'more' ELSE 'less' END", ["less", "more", _, _]),
    ("CASE s WHEN 'a' THEN 'first' WHEN 'b' THEN 'second' ELSE 'third' END", ["first", "second", _, "third"]),
    ("CASE WHEN s = 'a' THEN s ELSE 'b' END", ["a", "b", _, "b"]),
    ("CASE WHEN i > 0 THEN i ELSE x END", [1, 2, _, 0]),
    ("CASE WHEN i > 0 THEN b ELSE FALSE END", [True, False, _, False]),
    ("CASE WHEN CASE WHEN i = 1 THEN TRUE ELSE FALSE END THEN 1 ELSE 0 END", [1, 0, _, 0]),
    ("CASE WHEN m IS NULL THEN NULL WHEN m = 1 THEN 1 ELSE 0 END", [1, _, 0, _]),
    ("CASE WHEN m IS NOT NULL AND m = 1 THEN 1 ELSE 0 END", [1, 0, 0, 0]),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_meaning(source: Source, text: str, expected: list[Any]) -> None:
    assert evaluate(source, text) == expected


TYPES: list[tuple[str, str, tuple[str, ...] | None]] = [
    ("i + j", "integer", None),
    ("i / 2", "number", None),
    ("i + 0.5", "number", None),
    ("LEAST(i, 182)", "integer", None),
    ("ROUND(x)", "integer", None),
    ("ROUND(x, 2)", "number", None),
    ("CAST(x AS INT)", "integer", None),
    ("CAST(b AS INT)", "integer", ("0", "1")),
    ("i = 1", "boolean", ("false", "true")),
    ("CASE WHEN i = 1 THEN 1 ELSE 0 END", "integer", ("0", "1")),
    ("CASE WHEN i = 1 THEN 10 WHEN i = 2 THEN 9 ELSE -1 END", "integer", ("-1", "9", "10")),
    ("CASE WHEN i = 1 THEN i ELSE 0 END", "integer", None),
    ("CASE WHEN i = 1 THEN 0.5 ELSE 0 END", "number", None),
    ("CASE WHEN i = 1 THEN 'z' ELSE 'a' END", "category", ("z", "a")),
    ("CASE WHEN i = 1 THEN s ELSE 'new' END", "category", ("a", "b", "it's", "new")),
    ("COALESCE(s, 'unknown')", "category", ("a", "b", "it's", "unknown")),
    ("s", "category", ("a", "b", "it's")),
    ("d", "date", None),
]


@pytest.mark.parametrize(("text", "kind", "levels"), TYPES, ids=[text for text, _, _ in TYPES])
def test_type_and_levels_are_known_without_rows(text: str, kind: str, levels: tuple[str, ...] | None) -> None:
    expression = parse_expression(text, CODEBOOK)
    assert (expression.kind, expression.levels) == (kind, levels)


def test_names_read_in_order() -> None:
    assert parse_expression("CASE WHEN j > 1 THEN i + j ELSE x END", CODEBOOK).names == ("j", "i", "x")


def test_derived_variables_may_be_named(source: Source) -> None:
    first = parse_expression("i + 1", CODEBOOK)
    second = parse_expression("first * 2", CODEBOOK, {"first": first})
    assert second.names == ("i",)
    reading = read_columns(second.names, CODEBOOK, source.schema(), "GB")
    assert source.fetch(reading.query({"v": second.tree})).column("v").to_pylist() == [4, 6, None, -4]


OUTSIDE = [
    "SELECT 1", "(SELECT 1)", "i IN (SELECT i FROM data)", "EXISTS (SELECT 1)", "i; DROP TABLE data", "DROP TABLE data", "i -- x",
    "i /* x */", "*", "COUNT(*)", "SUM(i)", "ROW_NUMBER() OVER ()", "SUM(i) OVER ()", "ROWID_()", "RANDOM()", "NOW()", "CURRENT_DATE", "CURRENT_TIMESTAMP",
    "UUID()", "POWER(i, 2)", "i ** 2", "i ^ 2", "i % 2", "MOD(i, 2)", "EXP(i)", "SIN(i)", "LOG(i)", "LOG(2, i)", "i // 2", "i & 1", "i | 1", "i << 1",
    "SUBSTRING(s, 1, 1) = 'a'", "UPPER(s) = 'A'", "LENGTH(s)", "s LIKE 'a%'", "s ILIKE 'a'", "s SIMILAR TO 'a'", "s || 'x'", "CONCAT(s, 'x')", "s > 'a'",
    "s BETWEEN 'a' AND 'b'", "REGEXP_MATCHES(s, 'a')", "HASH(s)", "MD5(s)", "CAST(s AS INTEGER)", "CAST(i AS VARCHAR)", "CAST(i AS DATE)", "CAST(i AS DECIMAL(4,2))",
    "TRY_CAST(s AS INT)", "i::int", "GETENV('HOME')", "READ_CSV('/etc/passwd')", "IF(b, 1, 2)", "IIF(b, 1, 2)", "NULLIF(i, 1)", "i IS TRUE", "b IS TRUE",
    "i IS DISTINCT FROM 1", "i = NULL", "i IN (1, NULL)", "i IN (j)", "i IN ()", "NULL", "CASE WHEN b THEN NULL END", "i = 'a'", "s = 1.5 + 1", "s = s", "b > FALSE",
    "b + 1", "NOT i", "i AND b", "CASE WHEN i THEN 1 END", "CASE WHEN b THEN 1 ELSE 'a' END", "CASE WHEN b THEN d ELSE 1 END", "COALESCE(i, 'a')", "d > 5", "d = '31/01/2020'",
    "d + 1", "-s", "LEAST(i)", "LEAST(s, 'a')", "ROUND(i, j)", "ROUND(i, 99)", "FLOOR(x, 2)", "1e400", "9e99 * i", "i + ", "(i", "i)", "", "   ", "i j", "i AS k", "i, j",
    "$1", "?", ":x", "@x", "i -> 1", "x -> x + 1", "[i]", "{'a': i}", "i[1]", "`i`", "i = E'a'", "'\\'", "'unclosed", "é = 1", "i\x00", "DATE '2020-01-01' + i",
    "INTERVAL 1 DAY", "i BETWEEN SYMMETRIC 2 AND 1", "t.*", "i COLLATE nocase", "s COLLATE nocase = 'a'", "LAMBDA x : x", "EXTRACT(year FROM d)", "YEAR(d)", "ANY_VALUE(i)",
    "(" * 300 + "i" + ")" * 300, "NOT " * 900 + "b", "i" + " + i" * 1500, "LEAST(" * 40 + "i" + ", 1)" * 40,
    "CASE " * 60 + "i" + " WHEN 1 THEN i ELSE j END" * 60,
]  # fmt: skip


@pytest.mark.parametrize("text", OUTSIDE, ids=[t[:40] for t in OUTSIDE])
def test_what_is_outside_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_expression(text, CODEBOOK)
    assert caught.value.code in {"E-EXPRESSION", "E-VARIABLE"}


@pytest.mark.parametrize("text", ["pid = 1", '"pid" > 2', "nowhere = 1", "t.i = 1", "rowid", "data"])
def test_the_person_and_unknown_columns_are_not_read(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_expression(text, CODEBOOK)
    assert caught.value.code == "E-VARIABLE"


@pytest.mark.parametrize("text", ["s = 'c'", "s IN ('a', 'z')", "'q' <> s", "code = 3", "CASE s WHEN 'zz' THEN 1 END"])
def test_a_literal_must_be_a_declared_level(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_expression(text, CODEBOOK)
    assert caught.value.code == "E-LEVEL"
    parse_expression(text, replace(CODEBOOK, inferred=True))


@pytest.mark.parametrize(
    "text",
    [
        "CASE WHEN m = 1 THEN 1 ELSE 0 END",
        "CASE WHEN i = 1 AND m = 1 THEN 1 ELSE 0 END",
        "CASE m WHEN 1 THEN 1 ELSE 0 END",
        "CASE WHEN m = 1 THEN 1 WHEN m IS NULL THEN NULL ELSE 0 END",
        "CASE WHEN m IS NULL AND i = 1 THEN 2 WHEN m = 1 THEN 1 ELSE 0 END",
        "CASE WHEN m IS NOT NULL OR m = 1 THEN 1 ELSE 0 END",
        "i + CASE WHEN LEAST(m, 1) = 1 THEN 1 ELSE 0 END",
    ],
)
def test_else_over_a_variable_that_may_be_missing_is_an_error(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_expression(text, CODEBOOK)
    assert caught.value.code == "E-MISSING-ELSE"
    assert "'m'" in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "CASE WHEN m = 1 THEN 1 END",
        "CASE WHEN m = 1 THEN 1 ELSE NULL END",
        "CASE WHEN m IS NULL THEN NULL WHEN m = 1 THEN 1 ELSE 0 END",
        "CASE WHEN m IS NULL OR i IS NULL THEN NULL WHEN m = i THEN 1 ELSE 0 END",
        "CASE WHEN m IS NOT NULL AND (m = 1) THEN 1 ELSE 0 END",
        "CASE WHEN COALESCE(m, 0) = 1 THEN 1 ELSE 0 END",
        "CASE WHEN i = 1 THEN m ELSE 0 END",
    ],
)
def test_saying_what_missing_means_is_enough(text: str) -> None:
    parse_expression(text, CODEBOOK)


def test_the_examples_of_a_study_file() -> None:
    ist = Codebook(name="ist", variables={n: Variable(type="integer") for n in ("AGE", "ID14", "DIED", "TD")})
    died14 = "CASE WHEN ID14 IS NULL THEN NULL WHEN ID14 = 1 THEN 1 ELSE 0 END"
    assert parse_expression(died14, ist).levels == ("0", "1")
    assert parse_expression("CASE WHEN DIED = 1 AND TD <= 182 THEN 1 ELSE 0 END", ist).levels == ("0", "1")
    assert parse_expression("LEAST(TD, 182)", ist).kind == "integer"
    assert parse_condition("AGE >= 18", ist).names == ("AGE",)


def test_a_filter_is_a_condition() -> None:
    with pytest.raises(Invalid, match="condition is needed"):
        parse_condition("i + 1", CODEBOOK)


WORDS = st.sampled_from(["i", "x", "s", "b", "'a'", "1", "2.5", "(", ")", ",", "+", "-", "*", "/", "=", "<>", "<", "AND", "OR", "NOT", "IN", "IS", "NULL", "BETWEEN", "CASE", "WHEN", "THEN", "ELSE", "END", "LEAST(", "COALESCE(", "CAST(", "AS", "INTEGER", "SELECT", "FROM", "LIKE", "INTERVAL", "DATE", "OVER", "."])  # fmt: skip


@given(st.text(max_size=40) | st.lists(WORDS, max_size=14).map(" ".join))
def test_reading_raises_nothing_but_invalid(text: str) -> None:
    try:
        parse_expression(text, CODEBOOK)
    except Invalid as error:
        assert error.code.startswith("E-")  # noqa: PT017 - reading is as good an outcome
