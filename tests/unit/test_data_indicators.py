"""What an expression tells apart."""

from __future__ import annotations

import pyarrow as pa
import pytest

from isthmus.data.dictionary import dictionary
from isthmus.data.expressions import parse_expression
from isthmus.data.frame import fetch_frame
from isthmus.data.indicators import indicators, side_counts
from isthmus.data.source import open_source
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.study import Population, Purpose, Step, Study

BOOK = Codebook(
    name="t",
    variables={
        "x": Variable(type="number"),
        "y": Variable(type="number"),
        "sex": Variable(type="category", levels=("F", "M")),
        "flag": Variable(type="boolean"),
    },
)
TABLE = pa.table(
    {
        "x": [1.0, 2.0, 3.0, 4.0, None],
        "y": [0.0, 0.0, -1.0, None, 5.0],
        "sex": ["F", "M", "M", "M", None],
        "flag": [True, False, False, None, False],
    }
)


def counts(text: str, **keys: object) -> dict[str, list[int]]:
    study = Study(
        isthmus="study/1",
        title="t",
        dataset="t",
        purpose=Purpose(duo="d", text="t"),
        analyses={},
        derive={"v": text},
        **keys,  # type: ignore[arg-type]
    )
    frame = fetch_frame(open_source(TABLE), study, dictionary(study, BOOK, ["GB"]), ("v",), "GB", told=True)
    assert frame.indicators is not None
    return {name: side_counts(frame.indicators.codes[name]).tolist() for name in frame.indicators.of["v"]}


@pytest.mark.parametrize(
    "text", ["x", "x + y * 2", "-x", "x IS NULL", "x IS NULL OR y IS NULL", "x IS NOT NULL AND y IS NOT NULL", "x / 10"]
)
def test_arithmetic_and_plain_missingness_decide_nothing(text: str) -> None:
    assert not indicators(parse_expression(text, BOOK).tree) or text == "x"


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("x > 3", [[3, 1]]),
        ("sex IN ('F')", [[3, 1]]),
        ("x BETWEEN 2 AND 3", [[2, 2]]),
        ("NOT x > 3", [[3, 1]]),
        ("x > 3 OR y = 0", [[1, 3], [3, 1], [2, 2]]),
        ("x IS NULL AND y > 0", [[4, 1], [3, 1]]),
        ("CASE WHEN flag THEN 1 ELSE 0 END", [[3, 1]]),
        ("GREATEST(x, 2)", [[1, 2]]),
        ("ABS(y)", [[1, 1]]),
        ("x / y", [[2, 2]]),
        ("LN(y)", [[3, 1]]),
        ("FLOOR(x / 3)", [[2, 2]]),
        ("CAST(x > 1 AS INTEGER)", [[1, 3]]),
    ],
)
def test_each_side_is_counted(text: str, sides: list[list[int]]) -> None:
    found = list(counts(text).values())
    for wanted in sides:
        assert wanted in found, found


def test_an_arm_is_this_and_no_earlier() -> None:
    found = counts("CASE WHEN x <= 1 THEN 1 WHEN x <= 3 THEN 2 ELSE 3 END")
    assert [1, 0, 2, 1] in found.values()  # x <= 1, unknown and not that, x <= 3 and not that, none


def test_derived_variables_are_read_through_and_the_population_is_counted_before_it() -> None:
    population = Population(steps=(Step(label="a", where="x > 1"), Step(label="b", where="x < 4")))
    study = Study(
        isthmus="study/1",
        title="t",
        dataset="t",
        purpose=Purpose(duo="d", text="t"),
        analyses={},
        derive={"v": "CASE WHEN x > 2 THEN 1 ELSE 0 END", "w": "v + 1"},
        population=population,
    )
    source, book = open_source(TABLE), dictionary(study, BOOK, ["GB"])
    told = fetch_frame(source, study, book, ("w",), "GB", told=True).indicators
    assert told is not None
    assert any(name.startswith('"x" > ') for name in told.of["w"])
    assert [1, 1, 2] in [sides.tolist() for sides in told.entry.values()]  # fails a, passes a and fails b, passes both
    assert fetch_frame(source, study, book, ("w",), "GB").indicators is None
