"""Designs against R's model matrices (values kept in formula_r) and against formulaic."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from formulaic import model_matrix

from isthmus.data.frame import Frame, fetch_frame
from isthmus.data.source import open_source
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid
from isthmus.model.formula import Design, DesignColumn, design, parse, variables
from isthmus.model.study import Purpose, Study

R = Path(__file__).parent / "formula_r"
ROWS = list(csv.DictReader((R / "rows.csv").read_text().splitlines()))
FORMULAS = (R / "formulas.txt").read_text().splitlines()

CODEBOOK = Codebook(
    name="rows",
    variables={
        "a": Variable(type="category", levels=("a1", "a2", "a3")),
        "b": Variable(type="category", levels=("b1", "b2")),
        "f": Variable(type="category", levels=("f1", "f2", "f3")),
        "flag": Variable(type="boolean"),
        "ward": Variable(type="integer", levels=("1", "2", "3")),
        "when": Variable(type="date"),
        **{name: Variable(type="number") for name in ("x", "z", "age", "y")},
    },
)
STUDY = Study(isthmus="study/1", title="t", dataset="rows", purpose=Purpose(duo="d", text="t"), analyses={})


def table() -> pa.Table:
    numeric = {name: [float(row[name]) for row in ROWS] for name in ("x", "z", "age", "y")}
    words = {name: [row[name] for row in ROWS] for name in ("a", "b", "f")}
    return pa.table(
        {
            **numeric,
            **words,
            "flag": [row["flag"] == "true" for row in ROWS],
            "ward": [int(row["ward"]) for row in ROWS],
        }
    )


def frame(names: tuple[str, ...]) -> Frame:
    return fetch_frame(open_source(table()), STUDY, CODEBOOK, names, "GB")


def expected() -> Mapping[int, list[tuple[str, list[float]]]]:
    found: dict[int, list[tuple[str, list[float]]]] = {}
    for line in (R / "matrices.txt").read_text().splitlines():
        number, name, values = line.split("\t")
        found.setdefault(int(number), []).append((name, [float(v) for v in values.split()]))
    return found


def as_r_writes(column: DesignColumn) -> str:
    """R's name: levels without brackets, `factor` for `C`, booleans in capitals."""
    name = re.sub(
        r"(?<!s\(age\))\[(\w+)\]",
        lambda m: m.group(1).upper() if m.group(1) in {"true", "false"} else m.group(1),
        column.name,
    )
    return name.replace("C(", "factor(")


def shortened(name: str) -> str:
    """R repeats a spline's whole call in its name."""
    return re.sub(
        r"(bs|ns)\(age, .*?\)\)(\d)|(bs)\(age, knots = .*?degree = \d\)(\d)",
        lambda m: f"{m[1] or m[3]}(age)[{m[2] or m[4]}]",
        name,
    )


@pytest.mark.parametrize("number", range(1, len(FORMULAS) + 1))
def test_columns_are_those_of_r(number: int) -> None:
    formula = parse(FORMULAS[number - 1])
    made = design(formula, CODEBOOK, {}, {})
    wanted = expected()[number]
    assert [as_r_writes(c) for c in made.columns] == [shortened(name) for name, _ in wanted]
    values = frame(variables(formula)).matrix(made)
    np.testing.assert_allclose(values, np.array([v for _, v in wanted]), rtol=1e-13, atol=5e-15)
    assert values.flags.c_contiguous


@pytest.mark.parametrize("number", range(1, len(FORMULAS) + 1))
def test_indicator_columns_hold_zeros_and_ones(number: int) -> None:
    formula = parse(FORMULAS[number - 1])
    made = design(formula, CODEBOOK, {}, {})
    for column, values in zip(made.columns, frame(variables(formula)).matrix(made), strict=True):
        assert column.indicator is all(level is not None for _, level, _ in column.parts)
        assert not column.indicator or set(values) <= {0.0, 1.0}


def common(name: str) -> frozenset[str]:
    """A name without the order of its factors, in which formulaic differs from R."""
    plain = (
        name.replace("np.log", "log").replace("[T.", "[").replace("True", "true").replace("Intercept", "(Intercept)")
    )
    return frozenset(plain.replace("((Intercept))", "(Intercept)").split(":"))


@pytest.mark.parametrize(
    "text",
    [
        "a + x",
        "a * b",
        "a * x + b",
        "0 + a + b",
        "a * b * f",
        "x + z + x:z",
        "b + a:b",
        "log(x) + a:z + a + z",
        "f + x:f + x",
        "(a + b + x)^2",
    ],
)
def test_columns_are_those_of_formulaic(text: str) -> None:
    formula = parse(f"y ~ {text}")
    made = design(formula, CODEBOOK, {}, {})
    oracle = model_matrix(text.replace("log", "np.log"), table().to_pandas(), context={"np": np})
    theirs = {common(name): i for i, name in enumerate(oracle.columns)}
    values = frame(variables(formula)).matrix(made)
    assert {common(name) for name in made.names} == set(theirs)
    for name, row in zip(made.names, values, strict=True):
        np.testing.assert_allclose(row, np.asarray(oracle)[:, theirs[common(name)]].astype(float), rtol=1e-14)


def made(
    text: str, reference: dict[str, str] | None = None, levels: dict[str, tuple[str, ...]] | None = None
) -> Design:
    return design(parse(text), CODEBOOK, reference or {}, levels or {})


def test_names_and_references() -> None:
    columns = made("y ~ a + flag + a:x + C(ward)")
    assert columns.names == (
        "(Intercept)",
        "a[a2]",
        "a[a3]",
        "flag[true]",
        "C(ward)[2]",
        "C(ward)[3]",
        "a[a1]:x",
        "a[a2]:x",
        "a[a3]:x",
    )
    assert columns.reference == (("a", "a1"), ("flag", "false"), ("ward", "1"))
    assert made("y ~ 0 + a").reference == ()


def test_the_reference_can_be_chosen() -> None:
    columns = made("y ~ a", {"a": "a2"})
    assert columns.names == ("(Intercept)", "a[a1]", "a[a3]")
    assert columns.reference == (("a", "a2"),)
    assert made("y ~ a", {}, {"a": ("z", "y")}).names == ("(Intercept)", "a[y]")
    assert made("y ~ C(ward)", {"ward": "3"}).names == ("(Intercept)", "C(ward)[1]", "C(ward)[2]")


def test_a_survival_formula_has_no_intercept_column_but_is_coded_with_one() -> None:
    for text in ("Surv(x, z) ~ a", "Surv(x, z) ~ 0 + a"):
        assert made(text).names == ("a[a2]", "a[a3]")
        assert made(text).intercept is False


@pytest.mark.parametrize(
    ("text", "reference", "code"),
    [
        ("y ~ q", {}, "E-VARIABLE"),
        ("y ~ a", {"a": "no"}, "E-LEVEL"),
        ("y ~ C(x)", {}, "E-LEVELS"),
        ("y ~ log(a)", {}, "E-FORMULA"),
        ("y ~ I(x + flag)", {}, "E-FORMULA"),
        ("y ~ when", {}, "E-FORMULA"),
        (
            "y ~ bs(age, knots = 5, Boundary.knots = c(0, 9)) + bs(age, knots = 6, Boundary.knots = c(0, 9))",
            {},
            "E-FORMULA",
        ),
    ],
)
def test_what_the_codebook_does_not_allow(text: str, reference: dict[str, str], code: str) -> None:
    with pytest.raises(Invalid) as caught:
        made(text, reference)
    assert caught.value.code == code


def test_a_category_needs_two_levels_and_a_design_has_a_size() -> None:
    with pytest.raises(Invalid, match="E-LEVELS"):
        made("y ~ a", {}, {"a": ("only",)})
    many = {name: tuple(f"{name}{i}" for i in range(60)) for name in ("a", "b")}
    with pytest.raises(Invalid, match="E-FORMULA"):
        made("y ~ a:b", {}, many)


def test_near_names_are_suggested() -> None:
    with pytest.raises(Invalid) as caught:
        made("y ~ agee")
    assert "'age'" in caught.value.hint


def test_a_term_that_is_not_finite_is_named() -> None:
    rows = frame(("x", "a"))
    with pytest.raises(Invalid, match="E-NOT-FINITE") as caught:
        rows.matrix(made("y ~ log(x) + I(1/(x - 1))"))
    assert "I(1/(x - 1))" in caught.value.message
