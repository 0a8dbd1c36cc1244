"""Attack: the same question twice, with one edge of its grid moved a little: the cells differ by the few in between.

Defence: the bins of a grid and the sides of a threshold are parts of a question that the history compares, whatever the
kind; so a stated edge may be used again, or moved past enough people.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from history_lab import Forgetful, Recalling

from attack import Attack, Say

ATTACK = Attack("The same question on two grids", "history: near an earlier set, bins and thresholds too")
NEAR, FAR = (55.0, 55.3), (55.0, 40.0)


def questions(edge: float) -> dict[str, dict]:
    grid = {"edges": [edge, 75.0]}
    return {
        "histogram": {"histogram": {"variable": "AGE", "grid": grid}},
        "curve": {"kaplan_meier": {"time": "AGE", "event": "DIED", "grid": grid}},
        "test": {"log_rank": {"time": "AGE", "event": "DIED", "by": "ARM", "grid": grid}},
        "roc": {"roc": {"marker": "AGE", "outcome": "DIED", "grid": grid}},
        "ranks": {"kruskal_wallis": {"variable": "AGE", "by": "ARM", "grid": grid}},
        "accuracy": {"accuracy": {"marker": "AGE", "outcome": "DIED", "threshold": edge}},
    }


KINDS = list(questions(50.0))


@pytest.mark.parametrize("name", KINDS)
def test_bare_the_cells_differ_by_a_few(leak: Say, name: str) -> None:
    sites, cells = Forgetful(), []
    for edge in NEAR:
        asked = sites.ask(m=questions(edge)[name])
        assert not asked.refused("m")
        whole = asked.sums["m", 1].values.values()
        cells.append(np.concatenate([v.reshape(-1) for v in whole if v.dtype == np.int64]))
    moved = np.abs(cells[0] - cells[1])
    assert 0 < moved.max() < 11
    leak(f"{name}: a count of {moved.max()}")


@pytest.mark.parametrize("name", KINDS)
def test_through_the_sites_the_second_grid_is_refused(stop: Say, tmp_path: Path, name: str) -> None:
    sites = Recalling(folder=tmp_path)
    first, second = (questions(edge)[name] for edge in NEAR)
    assert not sites.ask(m=first).refused("m")
    assert sites.ask(m=second).refused("m")
    assert not sites.ask(m=first).refused("m")  # the same again
    stop("the second grid is refused, for histograms, curves, tests, ROC and thresholds")


@pytest.mark.parametrize("name", KINDS)
def test_an_edge_moved_past_many_is_answered(tmp_path: Path, name: str) -> None:
    sites = Recalling(folder=tmp_path)
    for edge in FAR:
        assert not sites.ask(m=questions(edge)[name]).refused("m")


def test_a_curve_and_a_histogram_of_one_variable_see_each_other(tmp_path: Path) -> None:
    sites = Recalling(folder=tmp_path)
    assert not sites.ask(m=questions(NEAR[0])["accuracy"]).refused("m")
    assert sites.ask(m=questions(NEAR[1])["roc"]).refused("m")


@pytest.mark.parametrize("name", ["curve", "test"])
def test_coarser_forms_of_the_second_grid_do_not_bring_the_moved_edge_back(tmp_path: Path, name: str) -> None:
    sites = Recalling(folder=tmp_path)
    first, second = (questions(edge)[name] for edge in NEAR)
    ((kind, stated),) = second.items()
    assert not sites.ask(m=first).refused("m")
    assert sites.ask(m={kind: stated | {"grid": stated["grid"] | {"coarser": True}}}).refused("m")
