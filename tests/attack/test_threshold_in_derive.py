"""Attack: the threshold is moved not in a filter but inside a derived variable: `CASE WHEN AGE > 47.75 THEN SBP ELSE 0
END`, then 47.78. Both are over everyone; the difference of the two sums is the one patient in between. Two such variables
in one table do it without a second study; two 0/1 markers do it by a cell of a two-by-two table; and a variable that is
missing where its maker chose does it by the number of rows left out.

Defence: the rows on each side of what an expression decides are parts of the question, for the history and among
themselves; so are the cells of every two 0/1 variables; and no number is told of rows that lack a derived variable.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from history_lab import VICTIM, VICTIMS_AGE, Forgetful, Recalling

from attack import Attack, Say

ATTACK = Attack("A threshold moved inside a derived variable", "history: sides of expressions, and cells, are parts")
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
    """Many are moved among the living, two among the dead: the markers' totals say nothing, one cell does."""
    sites = Recalling(folder=tmp_path)
    first = "CASE WHEN AGE > 50 THEN 1 ELSE 0 END"
    second = "CASE WHEN AGE > 50.3 AND DIED = 1 THEN 1 WHEN AGE > 60 AND DIED = 0 THEN 1 ELSE 0 END"
    question = {"accuracy": {"marker": "M", "outcome": "DIED"}}
    assert not ask(sites, {"M": first}, m=question).refused("m")
    assert ask(sites, {"M": second}, m=question).refused("m")


def test_no_number_is_told_of_rows_that_lack_a_derived_variable(tmp_path: Path) -> None:
    lacking = {f"V{i}": f"CASE WHEN AGE > {40 + i} THEN NULL ELSE SBP END" for i in range(3)}
    asked = Forgetful().ask(keys={"derive": lacking, "missing": "analysis"}, m={"table_one": {"variables": ["V0"]}})
    result = asked.result["analyses"]["m"]
    assert result.get("excluded", {}) == {}
    told = [summary for (name, _), summary in asked.sums.items() if name == "population"]
    assert all(summary.values["missing"].size == 0 for summary in told)
