"""Poisson models with an offset: the null model has a closed form, and large means do not keep it from its end."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import isthmus
from isthmus.model.canonical import plain
from isthmus.model.rules import OPEN


@pytest.mark.parametrize("level", [0.5, 5.0, 9.0])
def test_null_deviance_with_an_offset(level: float) -> None:
    draw = np.random.default_rng(3)
    x, offset = draw.normal(size=300), np.log(draw.uniform(0.5, 2.0, 300))
    y = draw.poisson(np.exp(level + 0.2 * x + offset)).astype(float)
    rows = pa.table({"x": x, "o": offset, "y": y})
    parts = {f"s{i}": rows.take(np.flatnonzero(np.arange(300) % 3 == i)) for i in range(3)}
    study = isthmus.Study(
        title="t", dataset="d", analyses={"m": {"glm": {"formula": "y ~ x + offset(o)", "family": "poisson"}}}
    )
    fit = isthmus.rehearse(study, parts, rules=plain(OPEN)).to_dict()["analyses"]["m"]["fit"]
    mean = np.exp(offset) * y.sum() / np.exp(offset).sum()
    ratio = np.where(y > 0, y, 1.0) / np.where(y > 0, mean, 1.0)
    expected = 2.0 * float(np.sum(y * np.log(ratio) - (y - mean)))
    assert fit["null_deviance"] == pytest.approx(expected, rel=1e-12)
    assert fit["converged"]
