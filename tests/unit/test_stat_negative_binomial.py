"""The weight guard of negative binomial rounds: the sums about theta are not one person's."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "law"))
from bare import make, over

from isthmus import strict
from isthmus.disclosure.site import weigh
from isthmus.model.rules import Rules
from isthmus.statistics.catalogue import CATALOGUE
from stated_rules import STRICT

GLM = CATALOGUE["glm"]
QUESTION = strict.parse(GLM.question, {"formula": "y ~ x", "family": "negative_binomial"})
RULES = strict.parse(Rules, STRICT)


def holds(y: np.ndarray, x: np.ndarray) -> bool:
    """Whether every round of the fit passes at a site that has all rows."""
    made = make(GLM, QUESTION, {"y": y, "x": x})
    trace = over(GLM, QUESTION, made, np.zeros(y.size, dtype=int))
    rows = GLM.prepare(QUESTION, made.setting, made.inputs)
    return all(weigh(GLM.summarise(QUESTION, made.setting, rows, asked).weights, RULES).holds for asked in trace.rounds)


def test_ordinary_counts_pass_and_one_persons_count_does_not() -> None:
    draw = np.random.default_rng(5)
    x = draw.normal(0, 1, 400)
    y = draw.negative_binomial(1.5, 1.5 / (1.5 + np.exp(0.5 + 0.3 * x))).astype(float)
    assert holds(y, x)
    rare = (draw.random(400) < 0.02).astype(float)
    rare[7] = 400.0
    assert not holds(rare, x)
