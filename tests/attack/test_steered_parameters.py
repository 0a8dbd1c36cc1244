"""Parameters that make one patient's working weight count and all others' vanish, whoever steers them.

At a logistic model's coefficients with a steep slope through one patient's age, the information matrix is that
patient's row. Every round is weighed at the site, so such a round is refused however it came about.
"""

from dataclasses import replace

import numpy as np
import pytest
from disclosure_lab import FLOOR, IDENTITY, Lab, patients

from attack import Attack
from isthmus.disclosure.gate import refusal
from isthmus.disclosure.site import weigh
from isthmus.model.errors import Refused
from isthmus.statistics.contract import Round
from isthmus.summary import Field, Layout

ATTACK = Attack("Steered parameters: one row dominates", "weight guard", number=13)


def lab_and_steered_round(steepness: float):
    data = [patients(seed, 300) for seed in (1, 2, 3)]
    data[0]["age"][5] = 95.0  # the oldest by some years
    lab = Lab("died ~ age + pressure", "binomial", data)
    from isthmus.statistics.glm import _model
    from isthmus.statistics.glm_model import newton_layout

    beta = np.array([-95.0 * steepness, steepness, 0.0])
    place = {"centre": np.zeros(3), "scale": np.ones(3)}
    layout = newton_layout(_model(lab.question, lab.setting), False)
    return data, lab, Round(layout, {**IDENTITY, **place, "coefficients": beta})


def test_bare_one_information_matrix_is_one_patients_row(leak):
    data, lab, asked = lab_and_steered_round(40.0)
    information = lab.answer(0, asked).summary["gram"]
    row = information[0] / information[0, 0]
    assert row[1] == pytest.approx(95.0)
    assert row[2] == pytest.approx(data[0]["pressure"][5])
    score = lab.answer(0, asked).summary["score"]
    assert np.isfinite(score).all()
    leak(f"one patient's row: age {row[1]:.1f}, pressure {row[2]:.1f}")


def test_through_the_site_the_round_is_refused(stop):
    _, lab, asked = lab_and_steered_round(40.0)
    with pytest.raises(Refused) as caught:
        lab.gated(0, asked)
    assert caught.value.to_dict() == refusal("glm").to_dict()
    weights = lab.answer(0, asked).weights
    broken = {v.rule for v in weigh(weights, FLOOR).verdicts if v.broken}
    assert broken == {"minimum_count", "parameters_per_row", "maximum_weight_share"}
    stop("the round is refused")


@pytest.mark.parametrize("steepness", [1.0, 5.0, 1000.0])
def test_milder_and_harder_steering_is_refused_too(steepness):
    _, lab, asked = lab_and_steered_round(steepness)
    with pytest.raises(Refused):
        lab.gated(0, asked)


@pytest.mark.parametrize("steepness", [1.0, 5.0, 40.0])
def test_steering_is_refused_under_a_wider_share_too(steepness):
    """maximum_weight_share 0.2, as a small trial states it for a Cox model: effective rows still stop it."""
    _, lab, asked = lab_and_steered_round(steepness)
    with pytest.raises(Refused):
        lab.gated(0, asked, replace(FLOOR, maximum_weight_share=0.2))


def test_the_sandwich_of_one_row_is_refused():
    """At steered coefficients one squared residual is 1 and the others vanish: the meat is that row."""
    data, lab, asked = lab_and_steered_round(40.0)
    data[0]["died"][:] = 0.0  # all predicted but the oldest
    lab.prepared[0] = lab._prepare(data[0])
    meat = Round(Layout(fields=(Field(name="meat", shape=(3, 3), kind="moment"),)), {**asked.params, "step": "meat"})
    bare = lab.answer(0, meat)
    row = bare.summary["meat"][0] / bare.summary["meat"][0, 0]
    assert row[1] == pytest.approx(95.0)
    assert row[2] == pytest.approx(data[0]["pressure"][5])
    assert not weigh(bare.weights, FLOOR).holds


def test_an_honest_round_passes():
    _, lab, asked = lab_and_steered_round(0.0)
    assert lab.gated(0, asked).summary["gram"].shape == (3, 3)
