"""A long path of penalties brings so many sums that the number of people with each value of a column comes out of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from hole_lab import answered, refused

from attack import Attack
from isthmus import strict
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.testing import Trace, run_flow

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "law"))
from bare import make

ATTACK = Attack(
    "The values of a column, out of the sums of a long penalised path",
    "rounds x penalties x (p + 1)(p + 2) / 2 below n p, by parameters_per_row",
)
VALUES = np.arange(12.0)  # of a score
ROWS = 150


def long(points: int) -> dict[str, Any]:
    """A ridge path."""
    return {"formula": "DIED ~ SCORE", "family": "binomial", "alpha": 0.0, "points": points, "smallest": 1e-6}


def clinic(seed: int, rows: int) -> dict[str, np.ndarray]:
    """One site."""
    draw = np.random.default_rng(seed)
    score = np.minimum(draw.poisson(4.0, rows), VALUES[-1])
    return {"SCORE": score, "DIED": (draw.random(rows) < 1 / (1 + np.exp(1.5 - 0.4 * score))).astype(float)}


def sums(table: dict[str, np.ndarray]) -> Trace:
    """What all parties see of a path."""
    statistic = CATALOGUE["penalised"]
    question = strict.parse(statistic.question, long(40))
    made = make(statistic, question, table)
    return run_flow(statistic, question, made.setting, [made.inputs])


def counts(trace: Trace) -> np.ndarray:
    """(values,) rows with each score: least squares, every entry of the information being linear in them."""
    left, right = [np.ones(VALUES.size)], [trace.pooled[0]["n"][0]]
    for asked, pooled in zip(trace.rounds[2:], trace.pooled[2:], strict=True):
        z = (VALUES - asked.params["centre"][1]) / asked.params["scale"][1]
        for b, gram in zip(asked.params["coefficients"], pooled["gram"], strict=True):
            p = 1 / (1 + np.exp(-b[0] - b[1] * z))
            left += [p * (1 - p) * z**power for power in (0, 1, 2)]
            right += [gram[0, 0], gram[0, 1], gram[1, 1]]
    found: np.ndarray = np.linalg.lstsq(np.array(left), np.array(right), rcond=1e-15)[0]
    return found


def test_bare_the_counts_come_out(leak) -> None:
    table = clinic(1, ROWS)
    own = np.array([np.sum(table["SCORE"] == value) for value in VALUES])
    assert np.array_equal(np.rint(counts(sums(table))), own)
    leak(f"how many people have each of {VALUES.size} scores, 2 of the highest seen and none beyond, exactly")


def test_through_the_sites_a_long_path_needs_many_rows(stop) -> None:
    assert refused("penalised", long(40), [clinic(seed, 600) for seed in (1, 2, 3)])
    assert answered("penalised", long(3), [clinic(seed, 600) for seed in (1, 2, 3)])
    stop("refused; three penalties are answered")
