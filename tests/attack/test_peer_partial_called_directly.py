"""A peer's failure: the guard stands in the central function, and the site's part can be called without it (vantage6#2017).

A numeric column of 0 and 1 with a single 1: one call of the site's part of a GLM returns that person's outcome. Defence:
nothing but the gate's release can be sent, whoever calls what, and the gate counts the two sides of such a column.
"""

import numpy as np
import pytest
from disclosure_lab import FLOOR, Lab, failing, patients

from attack import Attack
from isthmus.disclosure.gate import release
from isthmus.model.errors import Refused, Untrusted
from isthmus.statistics.glm import STATISTIC as GLM

ATTACK = Attack("The site's part called directly", "one gate makes what can be sent", peer="vantage6#2017")
VICTIM = 17


def lab(died: float) -> Lab:
    data = [{**patients(seed, 200), "mark": np.zeros(200)} for seed in (1, 2, 3)]
    data[0]["mark"][VICTIM], data[0]["died"][VICTIM] = 1.0, died
    return Lab("died ~ mark", "binomial", data)


def test_bare_one_call_returns_the_outcome(leak):
    told = []
    for died in (0.0, 1.0):
        made = lab(died)
        told.append(bool(made.answer(0, next(GLM.flow(made.question, made.setting))).summary["right"][1] > 0))
    assert told == [False, True]
    leak("whether one person died")


def test_through_the_site_a_part_without_a_clearance_is_nothing(stop):
    made = lab(1.0)
    answer = made.answer(0, next(GLM.flow(made.question, made.setting)))
    for forged in (None, FLOOR, object()):
        with pytest.raises(Untrusted):
            release(answer.summary, answer.weights, forged, FLOOR)
    assert "minimum_count" in failing(made.considered(0))
    with pytest.raises(Refused):
        made.gated(0)
    stop("E-GATE without a clearance, and no clearance")
