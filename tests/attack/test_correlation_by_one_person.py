"""A correlation that one person makes, or that is a table of a few people."""

from __future__ import annotations

import numpy as np
import pytest
from hole_lab import ROWS, TARGET, answered, ask, refused, sites

from attack import Attack

ATTACK = Attack(
    "A correlation with a column that one person has",
    "supports and pairs of two-valued numbers; effective rows; leverage",
)


def marked() -> list[dict[str, np.ndarray]]:
    """MARK is 1 for one patient of the first site."""
    tables = sites()
    for table in tables:
        table["MARK"] = np.zeros(ROWS)
    tables[0]["MARK"][TARGET] = 1.0
    return tables


def test_bare_it_gives_the_persons_value(leak) -> None:
    tables = marked()
    known = np.concatenate([table["CHOL"] for table in tables])
    (cell,) = ask("correlation", {"variables": ["MARK", "CHOL"]}, tables)["cells"]
    n = known.size  # mean and deviation of cholesterol: published in any Table 1
    found = known.mean() + cell["estimate"] * known.std() * np.sqrt(n - 1)
    assert found == pytest.approx(tables[0]["CHOL"][TARGET], rel=1e-6)
    leak(f"one person's cholesterol, {tables[0]['CHOL'][TARGET]:g}, out of a correlation and a Table 1")


def test_through_the_sites_it_is_refused(stop) -> None:
    assert refused("correlation", {"variables": ["MARK", "CHOL"]}, marked())
    stop("refused")


def test_a_number_large_for_one_person_is_refused() -> None:
    tables = sites()
    tables[0]["BMI"][TARGET] = 1e6
    assert refused("correlation", {"variables": ["BMI", "CHOL"]}, tables)


def test_an_ordinary_matrix_is_answered() -> None:
    assert answered("correlation", {"variables": ["AGE", "BMI", "CHOL", "HIV"]}, sites())
