"""What a rehearsal without a codebook learns from everybody's rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from isthmus.data.frame import fetch_frame
from isthmus.data.inference import Reads, formula_reads, infer
from isthmus.data.source import open_source
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.formula import parse
from isthmus.model.study import Population, Purpose, Study

LEEDS: dict[str, list[Any]] = {
    "age": [60, 70, None],
    "arm": ["no", "NO", None],
    "stage": [2, 10, 1],
    "days": [3.5, 10, None],
    "sick": [True, False, None],
}
BOSTON: dict[str, list[Any]] = {
    "age": [55.5, 80],
    "arm": ["yes", "no"],
    "stage": [3, None],
    "days": [3.5, 7],
    "sick": [True, True],
}
COUNTRIES = {"leeds": "GB", "boston": "US"}
READS = Reads(names=("age", "arm", "stage", "days", "sick"), categories=("stage",), times=("days",))


def study(**keys: Any) -> Study:
    return Study(isthmus="study/1", title="t", dataset="t", purpose=Purpose(duo="d", text="t"), analyses={}, **keys)


def learn(leeds: dict[str, list[Any]] | None = None, reads: Reads = READS, **keys: Any) -> Codebook:
    sources = {"leeds": open_source(pa.table(leeds or LEEDS)), "boston": open_source(pa.table(BOSTON))}
    return infer(study(**keys), sources, reads, COUNTRIES)


def test_levels_ranges_and_times_are_united_over_sites() -> None:
    found = learn()
    assert found.inferred
    variables = found.variables
    assert variables["arm"].levels == ("NO", "no", "yes")
    assert (variables["age"].type, variables["age"].range, variables["age"].recorded) == ("number", (55.5, 80.0), None)
    assert (variables["stage"].type, variables["stage"].levels) == ("integer", ("1", "2", "3", "10"))
    assert variables["days"].recorded == (3.5, 7.0, 10.0)
    assert (variables["sick"].type, variables["sick"].levels) == ("boolean", None)
    assert variables["country"].levels == ("GB", "US")


def test_only_rows_of_the_population_count() -> None:
    found = learn(population=Population(where="age < 70")).variables
    assert found["arm"].levels == ("no", "yes")
    assert found["days"].recorded == (3.5,)


def test_derived_variables_are_learned_as_well() -> None:
    derive = {
        "old": "CASE WHEN age >= 60 THEN 1 ELSE 0 END",
        "late": "LEAST(days, 5)",
        "where": "CASE WHEN arm = 'yes' THEN 'z' ELSE 'a' END",
    }
    reads = Reads(names=("old", "late", "where"), times=("late",))
    found = learn(derive=derive, reads=reads).variables
    assert found["old"].levels == ("0", "1")
    assert found["late"].recorded == (3.5, 5.0)
    assert found["where"].levels == ("z", "a")
    assert "stage" not in found


def test_what_is_not_read_does_not_matter() -> None:
    odd = LEEDS | {"stage": ["x", "y", "z"], "extra": [[1], [2], [3]]}
    found = learn(odd, reads=Reads(names=("age",)))
    assert set(found.variables) == {"age", "country"}


@pytest.mark.parametrize(
    ("leeds", "keys", "code"),
    [
        (LEEDS | {"age": ["old", "60", None]}, {}, "E-TEXT-IN-NUMBER"),
        (LEEDS | {"sick": [1, 0, 1]}, {}, "E-COLUMN-TYPE"),
        (LEEDS | {"arm": [True, False, True]}, {}, "E-COLUMN-TYPE"),
        ({k: v for k, v in LEEDS.items() if k != "age"}, {}, "E-COLUMN-MISSING"),
        (LEEDS | {"site": ["x"] * 3}, {}, "E-RESERVED-NAME"),
        (LEEDS, {"derive": {"age": "days"}}, "E-CODEBOOK"),
        (LEEDS, {"population": Population(where="arm = 'Yes'")}, "E-LEVEL"),
        (LEEDS, {"subgroups": {"s": "arm IN ('never')"}}, "E-LEVEL"),
        (LEEDS, {"population": Population(where="agee > 1")}, "E-VARIABLE"),
    ],
)
def test_sites_that_do_not_fit_together(leeds: dict[str, list[Any]], keys: dict[str, Any], code: str) -> None:
    with pytest.raises(Invalid) as caught:
        learn(leeds, **keys)
    assert caught.value.code == code


def test_an_infinite_value_has_no_part_in_a_range() -> None:
    spread = learn(LEEDS | {"days": [float("inf"), 1, 2]}).variables["days"].range
    assert spread is not None
    assert np.isfinite(spread).all()


def test_a_literal_outside_the_population_is_no_slip() -> None:
    found = learn(population=Population(where="arm <> 'yes'"), subgroups={"treated": "arm = 'yes'"})
    assert found.variables["arm"].levels == ("NO", "no")


def test_a_site_with_nothing_recorded_has_no_say_in_the_type(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("age,arm\nNA,x\nNA,y\n")
    (tmp_path / "b.csv").write_text("age,arm\n60,\n61,\n")
    sources = {"a": open_source(tmp_path / "a.csv"), "b": open_source(tmp_path / "b.csv")}
    found = infer(study(), sources, Reads(names=("age", "arm")), {"a": "GB", "b": "GB"})
    assert (found.variables["age"].type, found.variables["age"].range) == ("integer", (60.0, 61.0))
    assert found.variables["arm"].levels == ("x", "y")
    frame = fetch_frame(sources["a"], study(), found, ("age", "arm"), "GB")
    assert frame.missing("age").all()


def test_words_of_a_csv_file_stay_words(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("arm,flag\nNO,true\nyes,false\non,true\n")
    found = infer(study(), {"a": open_source(tmp_path / "a.csv")}, Reads(names=("arm", "flag")), {"a": "GB"})
    assert found.variables["arm"].levels == ("NO", "on", "yes")
    assert found.variables["flag"].levels == ("false", "true")


def test_a_column_of_names_is_not_a_category() -> None:
    names = LEEDS | {"arm": [f"n{i}" for i in range(3)]}
    many = {k: (v * 1000)[:2500] for k, v in names.items()} | {"arm": [f"n{i}" for i in range(2500)]}
    with pytest.raises(Invalid, match="E-LEVELS"):
        learn(many)


def test_categories_of_a_formula() -> None:
    assert formula_reads(parse("y ~ C(a):b + C(c) + strata(site, d) + cluster(f) + strata(e)")) == (
        "c",
        "a",
        "d",
        "e",
    )  # main effects first


def test_a_variable_that_only_an_analysis_filters_by_is_learned() -> None:
    reads = Reads(names=("arm",), conditions=("age > 58",))
    assert learn(reads=reads).variables["age"].range == (55.5, 80.0)
    with pytest.raises(Invalid) as caught:
        learn(reads=Reads(names=("age",), conditions=("arm = 'maybe'",)))
    assert caught.value.code == "E-LEVEL"


def test_a_question_that_reads_nothing_learns_nothing() -> None:
    assert set(learn(reads=Reads(names=())).variables) == {"country"}
