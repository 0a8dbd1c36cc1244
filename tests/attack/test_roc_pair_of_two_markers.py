"""Two markers compared on the same rows: one sum of products and the margins are their joint table, by outcome class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hole_lab import answered, ask, refused, sites

from attack import Attack
from isthmus.statistics import roc_area

ATTACK = Attack(
    "The joint table of two markers, out of a comparison of their ROC curves",
    "minimum_count_site on both markers' joint cells by class; effective rows of each class",
)
QUESTION = {"marker": "HIV", "outcome": "DIED", "compare": {"marker": "TB"}}
ROWS = 400


def ward(seed: int, both: int) -> dict[str, np.ndarray]:
    """One site; of the dead, `both` people have both infections."""
    draw = np.random.default_rng(seed)
    died, hiv = (draw.random(ROWS) < 0.4).astype(int), (draw.random(ROWS) < 0.3).astype(int)
    tb = ((draw.random(ROWS) < 0.3) & ~((hiv == 1) & (died == 1))).astype(int)
    tb[np.flatnonzero((hiv == 1) & (died == 1))[:both]] = 1
    return {"HIV": hiv, "TB": tb, "DIED": died}


@pytest.mark.parametrize("both", [1, 3, 7])
def test_bare_the_products_are_the_joint_table(both: int, monkeypatch: pytest.MonkeyPatch, leak) -> None:
    tables, seen = [ward(1, both), ward(2, 0), ward(3, 0)], {}
    plain = roc_area.covariance

    def overheard(products: Any, first: Any, second: Any, sizes: Any) -> float:
        """What the hub holds: the pooled products and both markers' placements."""
        seen.update(product=float(products[0]), first=first.positive, second=second.positive)
        return plain(products, first, second, sizes)

    monkeypatch.setattr(roc_area, "covariance", overheard)
    ask("roc", QUESTION, tables)
    dead = {name: np.concatenate([t[name][t["DIED"] == 1] for t in tables]) for name in ("HIV", "TB")}
    n, hiv, tb = dead["HIV"].size, dead["HIV"].sum(), dead["TB"].sum()  # the margins are counts of round 1
    (a0, a1), (b0, b1) = (seen[name][-2:] for name in ("first", "second"))  # the cells of 0 and of 1
    rest = hiv * a1 * b0 + tb * a0 * b1 + (n - hiv - tb) * a0 * b0
    assert (seen["product"] - rest) / ((a1 - a0) * (b1 - b0)) == pytest.approx(both, abs=1e-6)
    leak("dead patients with both infections: 1, 3 and 7, exactly")


@pytest.mark.parametrize("both", [1, 3, 7])
def test_through_the_sites_it_is_refused(both: int, stop) -> None:
    assert refused("roc", QUESTION, [ward(1, both), ward(2, 0), ward(3, 0)])
    stop("refused; two scores, and two common signs, are compared")


def test_one_class_does_not_hide_behind_the_other() -> None:
    """Of the dead a single one has a placement above nothing on both; the living alone would pass."""
    from isthmus.evidence import weights_of, worst

    found = worst([weights_of(np.ones(300), 1), weights_of(np.eye(1, 50)[0], 1)])
    assert (found.total**2 / found.squares, found.largest) == (1.0, 1.0)


@pytest.mark.parametrize(("marker", "other"), [("AGE", "BMI"), ("COUGH", "RASH")])
def test_ordinary_comparisons_are_answered(marker: str, other: str) -> None:
    tables = sites()
    for seed, table in enumerate(tables):
        table["RASH"], table["COUGH"] = (np.random.default_rng(seed + 10).random((2, ROWS)) < 0.4).astype(float)
        table["AGE"] = table["AGE"] + 8.0 * table["DIED"]
    assert answered("roc", {"marker": marker, "outcome": "DIED", "compare": {"marker": other}}, tables)
