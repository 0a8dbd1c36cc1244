"""Among people nearly all treated there is one who is not: in their stratum of the propensity score the untreated are one person."""

from __future__ import annotations

import sys
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hole_lab import answered, ask, refused

from attack import Attack
from isthmus.model.errors import Invalid
from isthmus.statistics.effect import STATISTIC, Effect
from isthmus.summary import add
from isthmus.testing import split
from stated_rules import STRICT

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "law"))
from bare import make

ATTACK = Attack(
    "A stratum of the propensity score in which one person is untreated",
    "minimum_count_site on both arms of each stratum, in the ballot on its cuts; who makes up each mean",
)
QUESTION = {"treatment": "T", "outcome": "CHOL", "adjust": "X + AGE", "method": "stratified"}
SECRET, ROWS = 283.0, 600


def clinic(seed: int, *, victim: bool) -> dict[str, np.ndarray]:
    """One site: of the fifth with the highest X all are treated, but the victim."""
    draw = np.random.default_rng(seed)
    x = np.round(draw.normal(0, 1, ROWS), 2)
    treated = (draw.random(ROWS) < 1.0 / (1.0 + np.exp(-x))).astype(float)
    treated[x > 0.7] = 1.0
    chol = np.round(draw.normal(200 + 10 * x, 40))
    if victim:
        at = np.flatnonzero(x > 1.5)[0]
        treated[at], chol[at] = 0.0, SECRET
    return {"T": treated, "X": x, "AGE": np.round(draw.uniform(20, 90, ROWS), 1), "CHOL": chol}


def clinics() -> list[dict[str, np.ndarray]]:
    """Three, the victim in the first."""
    return [clinic(1, victim=True), clinic(2, victim=False), clinic(3, victim=False)]


def pooled(sites: list[dict[str, np.ndarray]]) -> Any:
    """The sums by stratum and arm that all parties would see."""
    question = Effect(**QUESTION)
    made = make(STATISTIC, question, {name: np.concatenate([s[name] for s in sites]) for name in sites[0]})
    parts = [STATISTIC.prepare(question, made.setting, p) for p in split(made.inputs, np.arange(3).repeat(ROWS), 3)]
    flow = STATISTIC.flow(question, made.setting)
    asked, seen = next(flow), None
    try:
        while True:
            answers = [STATISTIC.summarise(question, made.setting, own, asked) for own in parts]
            found = reduce(add, (answer.summary for answer in answers))
            if asked.params.get("0.step") == "strata":
                people = sum(answer.cells["0.strata"] for answer in answers)
                seen = (people, found["0.sums"], asked.params["0.unit"])
            asked = flow.send(found)
    except (StopIteration, Invalid):
        return seen


def test_bare_the_sum_of_the_stratum_is_the_persons_outcome(leak) -> None:
    people, sums, unit = pooled(clinics())
    assert np.argwhere(people == 1).tolist() == [[len(people) - 1, 1]]
    assert sums[0][-1, 1] * unit == SECRET
    leak(f"one person's cholesterol, {SECRET:.0f}, exactly")


def test_through_the_sites_no_stratum_is_of_few(stop) -> None:
    if refused("effect", QUESTION, clinics()):
        stop("refused")
        return
    strata = ask("effect", QUESTION, clinics(), STRICT)["fit"]["strata"]
    assert all(s[arm] >= 10 for s in strata for arm in ("treated", "control"))  # of 11, rounded to 5
    stop("that cut is not made: each stratum has enough people of both arms, or the question is refused")


def ordinary(seed: int) -> dict[str, np.ndarray]:
    """One site with people of both kinds everywhere."""
    draw = np.random.default_rng(seed)
    x = np.round(draw.normal(0, 1, ROWS), 2)
    treated = (draw.random(ROWS) < 1.0 / (1.0 + np.exp(-0.6 * x))).astype(float)
    died = (draw.random(ROWS) < 1.0 / (1.0 + np.exp(0.7 - 0.5 * x - 0.4 * treated))).astype(float)
    marks = {name: (draw.random(ROWS) < 0.4).astype(float) for name in ("NC1", "NC2", "NC3")}
    age = np.round(draw.uniform(20, 90, ROWS), 1)
    return {"T": treated, "X": x, "AGE": age, "CHOL": np.round(draw.normal(200 + 10 * x, 40)), "DIED": died, **marks}


@pytest.mark.parametrize(
    "change",
    [{}, {"outcome": "DIED", "propensity_strata": 3}, {"method": "iptw", "outcome": "DIED", "negative_controls": ["NC1", "NC2", "NC3"]}],
    ids=["number", "death", "controls"],
)  # fmt: skip
def test_ordinary_strata_and_controls_are_answered(change) -> None:
    assert answered("effect", {**QUESTION, **change}, [ordinary(seed) for seed in (1, 2, 3)])
