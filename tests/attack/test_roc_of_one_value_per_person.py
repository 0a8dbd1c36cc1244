"""A ROC curve on a marker with one value per person is the list of all patients, each with the outcome."""

from __future__ import annotations

import numpy as np
import pytest
from hole_lab import ONLY_SUMS, STRICT, ask, refused

from attack import Attack

ATTACK = Attack(
    "A ROC curve on a marker with one value per person",
    "minimum_count_site on cells of each class; a ballot on public cuts; steps merged at the output gate",
)
ROWS = 300
QUESTION = {"marker": "SCORE", "outcome": "DIED"}


def sites() -> list[dict[str, np.ndarray]]:
    """Three sites, every patient with another score."""
    found = []
    for seed in (1, 2, 3):
        draw = np.random.default_rng(seed)
        died = (draw.random(ROWS) < 0.3).astype(float)
        found.append({"SCORE": np.round(draw.normal(50.0 + 8.0 * died, 10.0), 7), "DIED": died})
    return found


def outcomes(curve: dict[str, list[float]]) -> list[float]:
    """What an attacker reads off the steps: 1 where the sensitivity rises, 0 where the specificity falls."""
    return (np.diff(np.array(curve["sensitivity"]), prepend=0.0) > 1e-9).astype(float).tolist()


def test_bare_each_step_is_a_person_with_the_outcome(leak) -> None:
    tables = sites()
    answer = ask("roc", QUESTION, tables)
    score, died = (np.concatenate([t[name] for t in tables]) for name in ("SCORE", "DIED"))
    order = np.argsort(-score)
    assert answer["exactness"] == "exact"
    assert answer["curve"]["threshold"] == score[order].tolist()
    assert outcomes(answer["curve"]) == died[order].tolist()
    leak(f"the outcome of {score.size} of {score.size} people, each with the score")


@pytest.mark.parametrize("rules", [STRICT, ONLY_SUMS], ids=["floor at each site", "only sums leave"])
def test_through_the_sites_no_step_is_a_few_people(rules, stop) -> None:
    answer = ask("roc", QUESTION, sites(), {**rules, "digits": 17, "round_to": 1})
    curve, fit = answer["curve"], answer["fit"]
    dead = np.rint(np.diff(np.array(curve["sensitivity"]), prepend=0.0) * fit["n_pos"])
    alive = np.rint(np.diff(1.0 - np.array(curve["specificity"]), prepend=0.0) * fit["n_neg"])
    for steps in (dead, alive):
        assert np.all((steps == 0) | (steps >= 11))
    assert len(dead) < 3 * ROWS / 11
    if rules is STRICT:
        stop("no step of fewer than 11 dead or 11 alive at any site; the AUC with its bound")


def test_the_bound_covers_the_exact_area() -> None:
    exact = ask("roc", QUESTION, sites())["fit"]["auc"]
    answer = ask("roc", QUESTION, sites(), {**STRICT, "digits": 17})
    assert answer["exactness"] == "grid"
    assert 0.0 < abs(answer["fit"]["auc"] - exact) <= answer["bound"] < 0.2


def test_a_stated_grid_with_small_cells_is_refused() -> None:
    assert refused("roc", {**QUESTION, "grid": {"from": 0, "to": 100, "bins": 1000}}, sites())


def test_a_class_of_few_people_is_refused() -> None:
    tables = sites()
    tables[0]["DIED"][:] = 0.0
    tables[0]["DIED"][:10] = 1.0
    assert refused("roc", QUESTION, tables)
    assert refused("accuracy", {**QUESTION, "threshold": 50}, tables)
