"""Outcomes whose mean is large beside their spread: a constant added to one moves the intercept, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from stat_help import column, report

from isthmus.model.errors import Invalid

QUESTIONS = {
    "glm": {"formula": "y ~ x + z", "family": "gaussian"},
    "robust": {"formula": "y ~ x + z", "family": "gaussian", "robust": "HC3"},
    "cluster": {"formula": "y ~ x + z + offset(o)", "family": "gaussian", "cluster": "c"},
    "gee": {"formula": "y ~ x + z", "family": "gaussian", "cluster": "c"},
    "mixed": {"formula": "y ~ x + z", "family": "gaussian", "group": "c"},
    "penalised": {"formula": "y ~ x + z", "family": "gaussian", "lambdas": [0.1, 0.01]},
    "effect": {"treatment": "z", "outcome": "y", "adjust": "x", "method": "aipw", "family": "gaussian"},
}
KINDS = {"robust": "glm", "cluster": "glm"}


def table(shift: float) -> dict:
    """Values of few bits, so that the shift is exact; `o` is an offset that is as far away."""
    draw = np.random.default_rng(6)
    x, z, c = draw.normal(size=240), np.arange(240) % 2 * 1.0, np.arange(240) // 8
    y = np.round(1.0 + 0.7 * x + z + draw.normal(size=30)[c] + draw.normal(size=240), 1)
    return {"x": x, "z": z, "c": c, "o": np.full(240, shift / 2.0), "y": np.round(y * 1024.0) / 1024.0 + shift}


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("shift", [2.0**20, 2.0**31])
@pytest.mark.parametrize("name", QUESTIONS)
def test_a_constant_moves_the_intercept_alone(name: str, shift: float, ranges: bool) -> None:
    kind = KINDS.get(name, name)
    near, far = (report(kind, QUESTIONS[name], table(at), ranges=ranges) for at in (0.0, shift))
    if kind == "effect":
        assert far["terms"][2]["estimate"] == pytest.approx(near["terms"][2]["estimate"], abs=1e-15 * shift)
        assert column(far["terms"], "std_error")[:3] == pytest.approx(
            column(near["terms"], "std_error")[:3], rel=3e-17 * shift
        )
        return
    cells = "cells" if kind == "penalised" else "terms"
    own, other = (np.array(column(body[cells], "estimate")) for body in (far, near))
    slopes = [cell["term"] != "(Intercept)" for cell in far[cells]]
    assert own[slopes] == pytest.approx(other[slopes], rel=1e-11)
    assert (own - other)[np.logical_not(slopes)] == pytest.approx(
        shift / 2.0 if name == "cluster" else shift, rel=1e-15
    )
    if cells == "terms":
        assert column(far[cells], "std_error") == pytest.approx(column(near[cells], "std_error"), rel=1e-11)
    assert_same(far["fit"], near["fit"])
    assert far["rounds"] <= near["rounds"] + (not ranges or name == "cluster")  # where nobody declared how far away


def assert_same(far: dict, near: dict) -> None:
    for key, value in near.items():
        if isinstance(value, float):
            assert far[key] == pytest.approx(value, rel=1e-10, abs=1e-10), key
        elif key == "path":
            assert column(far[key], "deviance") == pytest.approx(column(value, "deviance"), rel=1e-11)


def test_a_constant_outcome_far_away_is_still_one_value() -> None:
    with pytest.raises(Invalid) as caught:
        report("glm", QUESTIONS["glm"], table(0.0) | {"y": np.full(240, 1.7e9 / 3.0)})
    assert caught.value.code == "E-OUTCOME"
