"""Rows that are left out: how many lack each variable, derived ones too, and what a study's one row set costs an analysis."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import isthmus
from isthmus.federation.row_loss import Known, warning
from isthmus.model.rules import OPEN

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "attack"))
from hole_lab import patients

from stated_rules import STRICT

LOGISTIC = {"family": "binomial"}
FAT = "CASE WHEN BMI IS NULL THEN NULL WHEN BMI > 27 THEN 1 ELSE 0 END"


def table(seed: int, gone: dict[str, range]) -> pa.Table:
    """400 patients; rows that lack each variable."""
    columns = {
        name: pa.array([None if at in gone.get(name, ()) else value for at, value in enumerate(values)])
        for name, values in patients(seed).items()
    }
    return pa.table({name: pc.cast(c, pa.float64()) if name in gone else c for name, c in columns.items()})


def asked(gone: dict[str, range], rules: Any = OPEN, **study: Any) -> dict[str, Any]:
    sites = {f"s{i}": table(i, gone) for i in range(3)}
    return isthmus.rehearse(isthmus.Study(title="t", dataset="d", **study), sites, rules=rules).to_dict()["analyses"]


ONE = {"analyses": {"m": {"glm": {"formula": "DIED ~ fat + AGE", **LOGISTIC}}}, "derive": {"fat": FAT}}


@pytest.mark.parametrize(
    ("rules", "rows", "excluded"),
    [
        (OPEN, range(40), {"fat": 120}),
        (OPEN, range(2), {"fat": 6}),
        (OPEN, range(0), {}),
        (STRICT, range(40), {"fat": 120}),
        (STRICT, range(2), {"fat": None}),  # too few at a site to tell
    ],
)
def test_rows_that_lack_a_derived_variable_are_counted(rules: Any, rows: range, excluded: dict[str, Any]) -> None:
    for missing in ("study", "analysis"):
        assert asked({"BMI": rows}, rules, missing=missing, **ONE)["m"]["excluded"] == excluded


def test_both_ways_of_missing_tell_the_same_number() -> None:
    gone = {"BMI": range(40), "CHOL": range(20, 60)}
    derive = {"both": "BMI + CHOL"}
    analyses = {"m": {"glm": {"formula": "DIED ~ both + AGE", **LOGISTIC}}}
    left_out = asked(gone, analyses=analyses, derive=derive)["m"]["excluded"]
    imputed = asked(gone, analyses=analyses, derive=derive, impute={"m": 2, "cycles": 1}, seed=1)["m"]
    assert left_out == {"both": 180}
    assert imputed["imputation"]["missing"]["both"] == 180


def test_a_failed_analysis_says_what_was_left_out() -> None:
    answer = asked({"BMI": range(400)}, **ONE)["m"]
    assert answer["error"]["code"] == "E-NO-ROWS"
    assert answer["excluded"] == {"fat": 1200}


ANALYSES = {
    "few": {"glm": {"formula": "DIED ~ AGE", **LOGISTIC}},
    "many": {"glm": {"formula": "DIED ~ BMI", **LOGISTIC}},
}


def warnings(gone: dict[str, range], rules: Any = OPEN, **study: Any) -> dict[str, list[str]]:
    found = asked(gone, rules, **{"analyses": ANALYSES, **study})
    return {name: body.get("warnings", []) for name, body in found.items()}


@pytest.mark.parametrize("rules", [OPEN, STRICT])
def test_an_analysis_that_loses_more_than_a_twentieth_to_another_says_so(rules: Any) -> None:
    told = warnings({"BMI": range(40)}, rules)
    assert told["many"] == []
    (said,) = told["few"]
    assert said.startswith("10 % ")
    assert "variables of other analyses" in said
    assert warnings({"BMI": range(19)}, rules)["few"] == []
    assert warnings({"BMI": range(40)}, rules, missing="analysis")["few"] == []


def test_only_primary_analyses_where_they_are_named() -> None:
    assert warnings({"BMI": range(40)}, primary=["many"])["few"] == []
    assert warnings({"BMI": range(40)}, primary=["few"])["few"]


def test_where_the_numbers_do_not_say_it_was_not_checked() -> None:
    where = {**ANALYSES, "few": {"glm": {"formula": "DIED ~ AGE", **LOGISTIC, "where": "HIV = 0"}}}
    assert warnings({"BMI": range(40)}, analyses=where)["few"][0].startswith("not checked")
    assert warnings({"BMI": range(2)}, analyses=where)["few"] == []


def test_the_text_shows_it() -> None:
    study = isthmus.Study(title="t", dataset="d", analyses={**ANALYSES, "n": {"count": {}}})
    found = isthmus.rehearse(study, {f"s{i}": table(i, {"BMI": range(40)}) for i in range(3)}, rules=OPEN)
    assert "10 % of its own complete cases" in found["few"].summary()
    assert "10 % of its own complete cases" in found["n"].summary()


@given(
    st.lists(st.sets(st.integers(0, 119), max_size=30), min_size=3, max_size=5),
    st.integers(1, 2),
    st.sampled_from([0, 2]),
)
@settings(max_examples=60, deadline=None)
def test_the_bounds_hold_whatever_is_missing_where(gone: list[set[int]], own: int, half: int) -> None:
    """Of 120 rows: what is said of the share that is lost is true of it."""
    names = [f"v{i}" for i in range(len(gone))]
    rounded = [int(5 * round(len(one) / 5)) if half else len(one) for one in gone]
    lacking = {name: value for name, value in zip(names, rounded, strict=True) if value}
    complete = 120 - len(set().union(*gone))
    shown = 5 * round(complete / 5) if half else complete
    known = Known(120, shown, lacking, frozenset(), 1, float(half))
    said = warning(known, names[:own], names[own:])
    mine = 120 - len(set().union(*gone[:own]))
    share = (mine - complete) / mine
    if said is None:
        assert share <= 0.05
    elif not said.startswith("not checked"):
        assert share > 0.05
        assert round(100 * share) >= int(said.partition(" ")[0])


def test_the_bounds_are_sharp_for_one_variable() -> None:
    known = Known(1000, 900, {"a": 20, "b": 90}, frozenset(), 11, 0.0)
    assert str(warning(known, ["a"], ["b"])).startswith("8 % ")
    assert warning(Known(1000, 950, {"a": 20, "b": 40}, frozenset(), 11, 0.0), ["a"], ["b"]) is None
    untold = Known(1000, 900, {"a": None, "b": 100}, frozenset({"a"}), 11, 0.0)
    assert str(warning(untold, ["a"], ["b"])).startswith("not checked")
