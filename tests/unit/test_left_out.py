"""Rows that are left out: how many lack each variable, derived ones too, and what a study's one row set costs an analysis."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import isthmus
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
