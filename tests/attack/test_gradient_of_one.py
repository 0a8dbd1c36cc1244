"""Attack 14: the gradient of a batch of one is parallel to that patient's row.

Isthmus has no minibatches and no networks: every sum is over all of a site's rows in the question. The nearest sayable
study is a model of a subgroup of one, which is refused.
"""

import numpy as np
import pytest
from disclosure_lab import Lab, failing, patients
from hole_lab import refused, sites

from attack import Attack
from isthmus.model.errors import Refused
from isthmus.statistics.glm import STATISTIC as GLM

ATTACK = Attack("Gradient inversion: a batch of one", "minimum_count; full-site sums only", number=14)


def one():
    return {name: values[:1] for name, values in patients(5, 10).items()}


def lab():
    return Lab("died ~ age + pressure + cost", "binomial", [one()])


def test_bare_the_gradient_is_the_row(leak):
    made, victim = lab(), one()
    first = made.answer(0, next(GLM.flow(made.question, made.setting))).summary["right"]
    place = next(GLM.flow(made.question, made.setting)).params
    row = first[1:] / first[0] * place["scale"][1:] + place["centre"][1:]
    truth = np.array([victim[name][0] for name in ("age", "pressure", "cost")])
    np.testing.assert_allclose(row, truth, rtol=1e-9)
    leak("age, pressure and cost of the one, exactly")


def test_through_the_site_it_is_refused(stop):
    assert "minimum_count" in failing(lab().considered(0))
    with pytest.raises(Refused):
        lab().gated(0)
    tables = sites()
    tables[0]["AGE"][7] = 97.25
    question = {"formula": "DIED ~ BMI", "family": "binomial", "where": "AGE > 97"}
    assert refused("glm", question, tables)
    stop("a site, or a subgroup, of one is refused")
