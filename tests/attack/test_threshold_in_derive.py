"""Attack: the threshold is moved not in a filter but inside a derived variable: `CASE WHEN AGE > 47.75 THEN SBP ELSE 0
END`, then 47.78. Both are over everyone; the difference of the two sums is the one patient in between. Two such variables
in one table do it without a second study; two 0/1 markers do it by a cell of a two-by-two table; and a variable that is
missing where its maker chose does it by the number of rows left out.

Defence: the rows on each side of what an expression decides are parts of the question, for the history and among
themselves; so are the cells of every two 0/1 variables; and how many lack a derived variable is a count of its own, which
each site may refuse: by the floor, by its history, or beside the columns that the variable is made of.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from history_lab import VICTIM, VICTIMS_AGE, Forgetful, Recalling

from attack import Attack, Say
from isthmus.disclosure.history import Past

ATTACK = Attack("A threshold moved inside a derived variable", "history: sides of expressions, and cells, are parts")
SCALE = 16.0  # of an age in the sums, public
LOW, HIGH = VICTIMS_AGE - 0.02, VICTIMS_AGE + 0.01


def above(edge: float, then: str = "SBP") -> str:
    return f"CASE WHEN AGE > {edge} THEN {then} ELSE 0 END"


def ask(sites: Forgetful, derive: dict[str, str], **analyses: Any) -> Any:
    return sites.ask(keys={"derive": derive}, **analyses)


QUESTIONS = {
    "table": {"table_one": {"variables": ["V"]}},
    "model": {"glm": {"formula": "V ~ 1", "family": "gaussian"}},
    "correlation": {"correlation": {"variables": ["V", "AGE"]}},
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_through_the_sites_the_second_threshold_is_refused(stop: Say, tmp_path: Path, name: str) -> None:
    sites = Recalling(folder=tmp_path)
    assert not ask(sites, {"V": above(LOW)}, m=QUESTIONS[name]).refused("m")
    assert ask(sites, {"V": above(HIGH)}, m=QUESTIONS[name]).refused("m")
    assert not ask(sites, {"V": above(LOW)}, m=QUESTIONS[name]).refused("m")
    assert not ask(sites, {"V": above(60.0)}, m=QUESTIONS[name]).refused("m")
    stop("the second threshold is refused, in tables, models and correlations")


def test_bare_two_thresholds_differ_by_one_patient(leak: Say) -> None:
    sites = Forgetful()
    totals = [128.0 * ask(sites, {"V": above(e)}, m=QUESTIONS["model"]).total("m", "right") for e in (LOW, HIGH)]
    secret = sites.tables["leeds"]["SBP"][VICTIM].as_py()
    scale = secret / (totals[0] - totals[1])
    assert np.log2(scale) == pytest.approx(round(np.log2(scale)), abs=1e-9)  # up to the power of two of the sums
    leak(f"one patient's pressure, {secret:.0f}, exactly")


def first(asked: Any, field: str) -> np.ndarray:
    """A pooled field of the first round."""
    assert not asked.refused("m")
    return np.asarray(asked.sums["m", 1].values[field])


def test_bare_two_in_one_table_do_it_without_a_second_study(leak: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Past, "crowded", lambda *_: None)
    both = {"V": above(LOW), "W": above(HIGH)}
    low, high = first(ask(Forgetful(), both, m={"table_one": {"variables": ["V", "W"]}}), "sum").reshape(-1)
    assert low - high == pytest.approx(wards_victim("SBP"), rel=1e-9)
    leak("the same from two columns of one table")


def wards_victim(column: str) -> float:
    """What nobody should learn."""
    return float(Forgetful().tables["leeds"][column][VICTIM].as_py())


def test_bare_two_bends_differ_by_an_age(leak: Say) -> None:
    """Whoever is above both adds the same to the difference; how many they are, a count says."""
    sites = Forgetful()
    question = {"table_one": {"variables": ["V"]}}
    low, high = (SCALE * first(ask(sites, {"V": f"LEAST(AGE, {e})"}, m=question), "sum").item() for e in (LOW, HIGH))
    ages = np.concatenate([np.asarray(table["AGE"]) for table in sites.tables.values()])
    older = np.count_nonzero(ages > HIGH)
    assert high - low - (HIGH - LOW) * older + LOW == pytest.approx(wards_victim("AGE"), abs=1e-6)
    leak("one patient's age, from two bends")


def test_bare_a_cell_of_two_markers_differs_by_a_few(leak: Say) -> None:
    sites = Forgetful()
    before, after = (first(ask(sites, {"M": m}, m=ACCURACY), "cells") for m in MARKERS)
    few = np.abs(before - after)[:, 1]
    dead = np.concatenate([np.asarray(t["AGE"])[np.asarray(t["DIED"]) == 1] for t in sites.tables.values()])
    assert few.tolist() == 2 * [np.count_nonzero((dead > 50) & (dead <= 50.3))]
    assert 0 < few[0] < 11
    leak(f"a count of {few[0]} dead, from a cell of two markers")


def test_nor_in_one_table(tmp_path: Path) -> None:
    sites = Recalling(folder=tmp_path)
    both = {"V": above(LOW), "W": above(HIGH)}
    assert ask(sites, both, m={"table_one": {"variables": ["V", "W"]}}).refused("m")
    apart = {"V": above(LOW), "W": above(60.0)}
    assert not ask(sites, apart, m={"table_one": {"variables": ["V", "W"]}}).refused("m")


def test_a_bend_is_compared_with_other_bends(tmp_path: Path) -> None:
    sites = Recalling(folder=tmp_path)
    question = {"table_one": {"variables": ["V"]}}
    assert not ask(sites, {"V": f"LEAST(AGE, {LOW})"}, m=question).refused("m")
    assert ask(sites, {"V": f"LEAST(AGE, {HIGH})"}, m=question).refused("m")
    both = {"V": "LEAST(AGE, 60)", "D": "CASE WHEN AGE <= 60 THEN SBP ELSE 0 END"}
    assert not ask(sites, both, m={"table_one": {"variables": ["V", "D"]}}).refused("m")


def test_nor_by_a_cell_of_two_markers(tmp_path: Path) -> None:
    """Many are moved among the living, a few among the dead: the markers' totals say nothing, one cell does."""
    sites = Recalling(folder=tmp_path)
    assert not ask(sites, {"M": MARKERS[0]}, m=ACCURACY).refused("m")
    assert ask(sites, {"M": MARKERS[1]}, m=ACCURACY).refused("m")


ACCURACY = {"accuracy": {"marker": "M", "outcome": "DIED"}}
MARKERS = (
    "CASE WHEN AGE > 50 THEN 1 ELSE 0 END",
    "CASE WHEN AGE > 50.3 AND DIED = 1 THEN 1 WHEN AGE > 60 AND DIED = 0 THEN 1 ELSE 0 END",
)


def lacking(sites: Forgetful, derive: str) -> int | None:
    """How many rows lack a variable, as the hub sees it."""
    asked = sites.ask(keys={"derive": {"V": derive}, "missing": "analysis"}, m={"table_one": {"variables": ["V"]}})
    told = asked.sums.get(("V is missing", 1))
    return None if told is None else int(told.values["cells"][1])


def none_above(edge: float) -> str:
    return f"CASE WHEN AGE > {edge} THEN NULL ELSE SBP END"


def test_bare_the_rows_that_lack_a_variable_are_counted(leak: Say) -> None:
    low, high = (lacking(Forgetful(), none_above(edge)) for edge in (LOW, HIGH))
    assert low is not None
    assert high == low - 1
    leak("one person more lacks a variable: their age is known")


def test_through_the_sites_the_second_number_is_not_told(stop: Say, tmp_path: Path) -> None:
    sites = Recalling(folder=tmp_path)
    assert lacking(sites, none_above(LOW)) is not None
    assert lacking(sites, none_above(HIGH)) is None
    stop("how many lack the variable is not told at the second threshold either")


def nearly(sites: Forgetful) -> Forgetful:
    """Two in ten of leeds have no SBP, and four more are above an age."""
    table = sites.tables["leeds"]
    age = np.asarray(table["AGE"])
    gone = (np.arange(len(age)) % 5 == 0) | (age > np.sort(age)[-30])
    gone[np.argsort(age)[-4:]] = False
    sites.tables["leeds"] = table.set_column(
        table.schema.get_field_index("SBP"), "SBP", pa.array(np.where(gone, np.nan, table["SBP"]), from_pandas=True)
    )
    return sites


def test_bare_a_few_more_lack_it_than_lack_its_column(leak: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the 30 oldest of leeds, all but four have no SBP: both numbers tell how many have one."""
    monkeypatch.setattr(Past, "crowded", lambda *_: None)
    monkeypatch.setattr(Past, "clash", lambda *_: None)
    sites = nearly(Forgetful())
    edge = float(np.sort(np.asarray(sites.tables["leeds"]["AGE"]))[-30])
    sites.tables = {"leeds": sites.tables["leeds"], **young(edge)}
    few = (lacking(sites, none_above(edge)) or 0) - sites.tables["leeds"]["SBP"].null_count
    assert few == 4
    leak("a count of 4, from the rows that lack a variable and those that lack its column")


def young(edge: float) -> dict[str, pa.Table]:
    """The other sites, without anybody above the edge."""
    others = {name: table for name, table in Forgetful().tables.items() if name != "leeds"}
    return {name: table.filter(pa.array(np.asarray(table["AGE"]) <= edge)) for name, table in others.items()}


def test_nor_is_it_told_then() -> None:
    sites = nearly(Forgetful())
    edge = float(np.sort(np.asarray(sites.tables["leeds"]["AGE"]))[-30])
    sites.tables = {"leeds": sites.tables["leeds"], **young(edge)}
    assert lacking(sites, none_above(edge)) is None
    assert ("leeds", "V is missing", "differencing: nearly an earlier set") in sites.notes
