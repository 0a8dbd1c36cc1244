"""Attack: a hazard constant between cuts, twice, with one cut moved past one patient: the events before it differ by theirs.

Defence: the intervals between cuts are parts of a question that the history compares, by event too, as bins of a grid are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from history_lab import Asked, Forgetful, Recalling, wards

from attack import Attack, Say

ATTACK = Attack(
    "A hazard between cuts, with one cut moved past one patient", "history: intervals between cuts are parts"
)


def alone() -> tuple[float, float, bool]:
    """Cuts with one patient between them, in the middle of the ages, and whether that patient died."""
    tables = wards().values()
    ages, died = (np.concatenate([table[name].to_numpy() for table in tables]) for name in ("AGE", "DIED"))
    distinct, many = np.unique(ages, return_counts=True)
    age = next(float(a) for a in distinct[len(distinct) // 2 :][many[len(distinct) // 2 :] == 1])
    return age - 0.05, age + 0.05, bool(died[ages == age][0])


LOW, HIGH, DIED = alone()


def hazards(cut: float) -> dict[str, dict]:
    told = {"formula": "Surv(AGE, DIED) ~ SBP", "distribution": "piecewise_exponential", "cuts": [cut]}
    return {"parametric_survival": told}


def events(asked: Asked) -> np.ndarray:
    return np.asarray(asked.sums["m", 1].values["events"])


def test_bare_the_events_differ_by_one_patients(leak: Say) -> None:
    sites = Forgetful()
    first, second = (sites.ask(m=hazards(cut)) for cut in (LOW, HIGH))
    assert not first.refused("m")
    assert not second.refused("m")
    assert events(second)[0] - events(first)[0] == int(DIED)
    leak("whether one patient died")


def test_through_the_sites_the_second_cut_is_refused(stop: Say, tmp_path: Path) -> None:
    sites = Recalling(folder=tmp_path)
    assert not sites.ask(m=hazards(LOW)).refused("m")
    assert sites.ask(m=hazards(HIGH)).refused("m")
    assert not sites.ask(m=hazards(LOW)).refused("m")  # the same again
    stop("the second cut is refused")


def test_a_cut_moved_past_many_is_answered(tmp_path: Path) -> None:
    sites = Recalling(folder=tmp_path)
    for cut in (LOW, LOW - 15.0):
        assert not sites.ask(m=hazards(cut)).refused("m")


@pytest.mark.parametrize("first", ["curve", "hazards"])
def test_a_curve_and_a_hazard_see_each_other(tmp_path: Path, first: str) -> None:
    sites = Recalling(folder=tmp_path)
    curve = {"kaplan_meier": {"time": "AGE", "event": "DIED", "grid": {"edges": [HIGH]}}}
    asked = [curve, hazards(LOW)] if first == "curve" else [hazards(LOW), curve]
    assert not sites.ask(m=asked[0]).refused("m")
    assert sites.ask(m=asked[1]).refused("m")
