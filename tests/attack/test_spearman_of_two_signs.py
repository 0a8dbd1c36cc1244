"""A rank correlation of two signs is a fourfold table: with the margins, how many people have both."""

from __future__ import annotations

import numpy as np
import pytest
from hole_lab import answered, ask, refused, sites

from attack import Attack

ATTACK = Attack(
    "The joint table of two signs, out of their rank correlation",
    "minimum_count_site on the joint counts of two variables of few cells",
)
QUESTION = {"variables": ["HIV", "TB"]}
ROWS = 400


def ward(seed: int, both: int) -> dict[str, np.ndarray]:
    """One site; `both` people have both infections."""
    draw = np.random.default_rng(seed)
    hiv = (draw.random(ROWS) < 0.3).astype(int)
    tb = ((draw.random(ROWS) < 0.3) & (hiv == 0)).astype(int)
    tb[np.flatnonzero(hiv == 1)[:both]] = 1
    return {"HIV": hiv, "TB": tb, "AGE": np.round(draw.uniform(20, 90, ROWS))}


@pytest.mark.parametrize("both", [1, 3, 7])
def test_bare_the_correlation_is_the_joint_table(both: int, leak) -> None:
    tables = [ward(1, both), ward(2, 0), ward(3, 0)]
    (cell,) = ask("spearman", QUESTION, tables)["cells"]
    n = 3 * ROWS
    hiv, tb = (sum(int(t[name].sum()) for t in tables) / n for name in ("HIV", "TB"))  # margins: two counts
    share = cell["estimate"] * np.sqrt(hiv * (1 - hiv) * tb * (1 - tb)) + hiv * tb
    assert n * share == pytest.approx(both, abs=1e-6)
    leak("patients with both infections: 1, 3 and 7, exactly")


@pytest.mark.parametrize("both", [1, 3, 7])
def test_through_the_sites_it_is_refused(both: int, stop) -> None:
    tables = [ward(1, both), ward(2, 0), ward(3, 0)]
    assert refused("spearman", QUESTION, tables)
    assert refused("spearman", {"variables": ["AGE", "HIV", "TB"]}, tables)
    stop("refused, beside another variable too; two common signs, and two measurements, are correlated")


@pytest.mark.parametrize("names", [["AGE", "BMI"], ["AGE", "CHOL", "BMI"], ["COUGH", "RASH"]])
def test_ordinary_correlations_are_answered(names: list[str]) -> None:
    tables = sites()
    for seed, table in enumerate(tables):
        table["RASH"], table["COUGH"] = (np.random.default_rng(seed + 10).random((2, ROWS)) < 0.4).astype(float)
    assert answered("spearman", {"variables": names}, tables)
