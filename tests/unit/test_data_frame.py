"""Frames: rows of a study as arrays."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from isthmus.data.dictionary import dictionary
from isthmus.data.frame import Frame, fetch_frame
from isthmus.data.source import open_source
from isthmus.data.splines import bs, ns
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid
from isthmus.model.formula import design, parse
from isthmus.model.study import Population, Purpose, Step, Study

NAN = float("nan")
TABLE = pa.table(
    {
        "age": [15, 20, 30, 40, 50, None],
        "sex": ["F", "M", "F", "M", None, "F"],
        "ward": [3, 1, 2, None, 1, 2],
        "sbp": [1.0, NAN, 2.0, None, 3.5, 9.0],
        "smoker": [True, False, None, True, False, True],
    }
)
CODEBOOK = Codebook(
    name="t",
    variables={
        "age": Variable(type="integer"),
        "sex": Variable(type="category", levels=("M", "F")),
        "ward": Variable(type="integer", levels=("2", "1", "3")),
        "sbp": Variable(type="number"),
        "smoker": Variable(type="boolean"),
    },
)


def study(**keys: Any) -> Study:
    return Study(isthmus="study/1", title="t", dataset="t", purpose=Purpose(duo="d", text="t"), analyses={}, **keys)


def fetch(names: tuple[str, ...], *, table: pa.Table = TABLE, conditions: tuple[str, ...] = (), **keys: Any) -> Frame:
    asked = study(**keys)
    return fetch_frame(open_source(table), asked, dictionary(asked, CODEBOOK, ["GB", "US"]), names, "US", conditions)


def test_numbers_are_float64_with_nan_for_missing() -> None:
    frame = fetch(("age", "sbp", "smoker"))
    assert frame.rows == 6
    np.testing.assert_array_equal(frame.numbers("age"), [15, 20, 30, 40, 50, NAN])
    np.testing.assert_array_equal(frame.numbers("sbp"), [1, NAN, 2, NAN, 3.5, 9])
    np.testing.assert_array_equal(frame.numbers("smoker"), [1, 0, NAN, 1, 0, 1])
    assert frame.numbers("age").dtype == np.float64


def test_codes_index_the_declared_levels() -> None:
    frame = fetch(("sex", "ward", "smoker", "country"))
    assert frame.codes("sex", ("M", "F")).tolist() == [1, 0, 1, 0, -1, 1]
    assert frame.codes("sex", ("F", "M", "X")).tolist() == [0, 1, 0, 1, -1, 0]
    assert frame.codes("ward", ("2", "1", "3")).tolist() == [2, 1, 0, -1, 1, 0]
    assert frame.codes("smoker", ("false", "true")).tolist() == [1, 0, -1, 1, 0, 1]
    assert frame.codes("country", ("GB", "US")).tolist() == [1] * 6
    assert frame.codes("sex", ("M", "F")).dtype == np.int32


@pytest.mark.parametrize(("name", "levels"), [("sex", ("M",)), ("ward", ("1", "2")), ("sex", ("m", "f"))])
def test_a_level_that_is_not_declared_is_an_error_that_does_not_tell_it(name: str, levels: tuple[str, ...]) -> None:
    with pytest.raises(Invalid) as caught:
        fetch((name,)).codes(name, levels)
    assert caught.value.code == "E-LEVEL"
    assert not any(word in str(caught.value) for word in ("'F'", "'3'"))


def test_an_undeclared_level_matters_only_in_rows_that_are_used() -> None:
    frame = fetch(("sex", "ward"))
    kept = frame.subset(frame.numbers("ward") == 1)
    assert kept.codes("sex", ("M",)).tolist() == [0, -1]


def test_text_where_a_number_is_needed() -> None:
    with pytest.raises(Invalid) as caught:
        fetch(("sex",)).numbers("sex")
    assert caught.value.code == "E-TEXT-IN-NUMBER"
    with pytest.raises(Invalid) as caught:
        fetch(("age",), table=pa.table({"age": ["12", "SECRET", None]}))
    assert caught.value.code == "E-TEXT-IN-NUMBER"
    assert "SECRET" not in str(caught.value)
    assert fetch(("age",), table=pa.table({"age": ["12", "13", None]})).numbers("age")[1] == 13


@pytest.mark.parametrize(
    ("table", "names", "code"),
    [
        ({"agee": [1]}, ("age",), "E-COLUMN-MISSING"),
        ({"smoker": ["maybe"]}, ("smoker",), "E-LEVEL"),
        ({"age": [1], "site": ["x"]}, ("age",), "E-RESERVED-NAME"),
        ({"age": [1]}, ("nothing",), "E-VARIABLE"),
    ],
)
def test_columns_that_do_not_fit(table: dict[str, Any], names: tuple[str, ...], code: str) -> None:
    with pytest.raises(Invalid) as caught:
        fetch(names, table=pa.table(table))
    assert caught.value.code == code


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e61])
def test_what_cannot_be_computed_with_is_a_fault_of_its_column_alone(value: float) -> None:
    table = pa.table({"sbp": [value, 1.0, None], "age": [1, 2, 3]})
    frame = fetch(("sbp", "age", "half", "high"), table=table, derive={"half": "sbp / 2", "high": "sbp > 100"})
    assert frame.numbers("age").tolist() == [1, 2, 3]
    assert frame.complete(("sbp", "age")).tolist() == [True, True, False]
    assert frame.subset(frame.complete(("sbp",))).rows == 2
    takes: tuple[Callable[[str], Any], ...] = (frame.numbers, lambda name: frame.codes(name, ("1",)), frame.keys)
    for take in takes:
        for name in ("sbp", "half"):
            with pytest.raises(Invalid, match=f"'{name}' is infinite") as caught:
                take(name)
            assert caught.value.code == "E-NOT-FINITE"
    assert frame.codes("high", ("false", "true")).tolist() == [int(value > 0), 0, -1]


def test_the_population_keeps_rows_that_are_known_to_be_in_it() -> None:
    frame = fetch(("age",), population=Population(where="age >= 20 AND (smoker OR sex = 'M')"))
    assert frame.numbers("age").tolist() == [20, 40]
    assert frame.attrition == (("rows", 6), ("population", 2))


def test_attrition_counts_each_step() -> None:
    steps = (Step(label="adults", where="age >= 18"), Step(label="sex known", where="sex IS NOT NULL"))
    frame = fetch(("sbp",), population=Population(steps=steps))
    assert frame.attrition == (("rows", 6), ("adults", 4), ("sex known", 3))
    assert frame.rows == 3
    assert fetch(("sbp",)).attrition == (("rows", 6),)
    nobody = fetch(("sbp",), population=Population(where="age > 200"))
    assert (nobody.rows, nobody.attrition) == (0, (("rows", 6), ("population", 0)))


def test_derived_variables() -> None:
    derive = {
        "old": "CASE WHEN age >= 30 THEN 1 ELSE 0 END",
        "who": "CASE WHEN old = 1 THEN sex ELSE 'F' END",
        "AGE": "age / 10",
    }
    frame = fetch(("old", "who", "AGE", "age"), derive=derive)
    np.testing.assert_array_equal(frame.numbers("old"), [0, 0, 1, 1, 1, NAN])
    assert frame.codes("who", ("M", "F")).tolist() == [1, 1, 1, 0, -1, -1]
    np.testing.assert_array_equal(frame.numbers("AGE"), frame.numbers("age") / 10)


def test_filters_are_false_where_unknown() -> None:
    frame = fetch(("age",), conditions=("sex = 'F'", "ward <= 2"))
    assert frame.filter("sex = 'F'").tolist() == [True, False, True, False, False, True]
    assert frame.filter("ward <= 2").tolist() == [False, True, True, False, True, True]
    kept = frame.subset(frame.filter("sex = 'F'"))
    assert kept.filter("ward <= 2").tolist() == [False, True, True]
    with pytest.raises(Invalid, match="E-VARIABLE"):
        frame.filter("sex = 'M'")


def test_complete_cases() -> None:
    frame = fetch(("age", "sex", "sbp"))
    assert frame.missing("sbp").tolist() == [False, True, False, True, False, False]
    assert frame.missing("sex").sum() == 1
    mask = frame.complete(("age", "sex", "sbp"))
    assert mask.tolist() == [True, False, True, False, False, False]
    kept = frame.subset(mask)
    assert kept.rows == 2
    assert kept.numbers("age").tolist() == [15, 30]
    assert frame.complete(()).all()


def test_a_country_in_a_condition() -> None:
    assert fetch(("age",), population=Population(where="country = 'US'")).rows == 6
    assert fetch(("age",), population=Population(where="country = 'GB'")).rows == 0


def test_a_frame_without_rows_has_a_matrix_without_rows() -> None:
    empty = fetch(("age", "sex"), population=Population(where="age > 200"))
    columns = design(parse("~ sex * age + bs(age, knots = 30, Boundary.knots = c(0, 99))"), CODEBOOK, {}, {})
    assert empty.matrix(columns).shape == (8, 0)
    assert empty.numbers("age").shape == (0,)
    assert empty.codes("sex", ("M", "F")).shape == (0,)


@pytest.mark.parametrize("text", ["~ sex", "~ sbp", "~ C(ward)", "~ log(sbp)"])
def test_a_matrix_takes_no_missing_values(text: str) -> None:
    frame = fetch(("sex", "sbp", "ward"))
    with pytest.raises(Invalid, match="E-NOT-FINITE"):
        frame.matrix(design(parse(text), CODEBOOK, {}, {}))


def test_splines_are_a_basis_inside_and_straight_or_cubic_outside() -> None:
    x = np.linspace(-5, 15, 401)
    inside = (x >= 0) & (x <= 10)
    cubic = bs(x, (2.0, 5.0), (0.0, 10.0))
    assert cubic.shape == (5, 401)
    assert (cubic[:, inside] >= -1e-15).all()
    assert np.abs(np.diff(cubic[:, x > 10], n=4)).max() < 1e-9
    natural = ns(x, (2.0, 5.0), (0.0, 10.0))
    assert natural.shape == (3, 401)
    assert np.abs(np.diff(natural[:, ~inside & (x < 0)], n=2)).max() < 1e-12
    assert np.abs(np.diff(natural[:, x > 10], n=2)).max() < 1e-12
    # of the cubic splines with these knots: 1, x and x's natural spline are in the span of the basis
    span = np.vstack([np.ones(401), natural])
    for target in (np.ones(401), x):
        fitted = span.T @ np.linalg.lstsq(span.T, target, rcond=None)[0]
        assert np.abs(fitted - target).max() < 1e-10


def test_natural_spline_of_a_known_table() -> None:
    """R: `ns(women$height, df = 5)`, second row (height 59)."""
    found = ns(np.array([59.0]), (60.8, 63.6, 66.4, 69.2), (58.0, 72.0))[:, 0]
    np.testing.assert_allclose(found, [7.592323e-03, 0, -0.08670223, 0.26010669, -0.1734044626], rtol=2e-6, atol=1e-12)


@pytest.mark.bench
def test_a_design_of_twelve_columns_and_a_hundred_thousand_rows_takes_milliseconds() -> None:
    rng = np.random.default_rng(1)
    n = 100_000
    words = pa.table(
        {
            **{f"x{i}": rng.normal(size=n) for i in range(7)},
            "g": rng.choice(["a", "b", "c", "d"], n).tolist(),
            "h": rng.choice(["a", "b"], n).tolist(),
        }
    )
    variables = {f"x{i}": Variable(type="number") for i in range(7)}
    variables |= {
        "g": Variable(type="category", levels=tuple("abcd")),
        "h": Variable(type="category", levels=tuple("ab")),
    }
    codebook = Codebook(name="t", variables=variables)
    frame = fetch_frame(open_source(words), study(), codebook, tuple(variables), "GB")
    columns = design(parse("~ " + " + ".join(variables)), codebook, {}, {})
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        made = frame.matrix(columns)
        seconds.append(time.perf_counter() - start)
    assert made.shape == (12, n)
    assert min(seconds) < 0.015
