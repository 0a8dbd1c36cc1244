"""HC2 and HC3 where a row has leverage 1 (R gives NaN) and where one is near it (R gives a number)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from stat_help import make, report

from isthmus import strict
from isthmus.disclosure.site import weigh
from isthmus.model.errors import Invalid
from isthmus.model.rules import Rules
from isthmus.statistics import sandwich
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.statistics.contract import Answer, Round
from stated_rules import STRICT

ROWS = 240
FLOOR = strict.parse(Rules, STRICT)


def rows(jitter: float = 0.0) -> dict[str, Any]:
    """`lone` is 1 in one row and 0, or nearly, in all others."""
    draw = np.random.default_rng(1)
    x, at = draw.normal(0, 1, ROWS), np.arange(ROWS)
    return {
        "x": x,
        "lone": np.where(at == 5, 1.0, jitter * draw.normal(0, 1, ROWS)),
        "level": np.where(at == 7, "rare", "usual").astype(object),
        "first": np.where(at == 7, "a", "b").astype(object),
        "s": np.where(at == 9, "one", np.where(at % 2, "odd", "even")).astype(object),
        "y": x + draw.normal(0, 1, ROWS),
        "count": draw.poisson(np.exp(1 + x / 4)).astype(float),
    }


@pytest.mark.parametrize("robust", ["HC2", "HC3"])
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"formula": "y ~ x + lone"}, "'lone' sets"),
        ({"formula": "y ~ x + lone - 1"}, "'lone' sets"),
        ({"formula": "y ~ x + lone + site"}, "'lone' sets"),
        ({"formula": "y ~ x + level"}, "'level[usual]' sets"),
        ({"formula": "y ~ x + first"}, "'first[b]' sets"),
        ({"formula": "y ~ level:x"}, "'level[rare]:x' sets"),
        ({"formula": "y ~ x + I(x^2) + lone:x"}, "'x:lone' sets"),
        ({"formula": "y ~ x", "strata": ["site", "s"]}, "alone in its stratum"),
        ({"formula": "count ~ x + lone", "family": "poisson"}, "'lone' sets"),
    ],
)
def test_the_column_that_sets_the_row_apart_is_named(change, named, robust) -> None:
    with pytest.raises(Invalid) as raised:
        report("glm", {"family": "gaussian", "robust": robust, **change}, rows())
    assert raised.value.code == "E-LEVERAGE"
    assert named in raised.value.message
    assert np.isfinite(
        report("glm", {"family": "gaussian", **change, "robust": "HC1"}, rows())["terms"][0]["std_error"]
    )


def test_a_weight_that_counts_two_rows_leaves_none_alone() -> None:
    weights = {"variable": "copies", "kind": "frequency"}
    question = {"formula": "y ~ x + lone", "family": "gaussian", "robust": "HC3", "weights": weights}
    found = report("glm", question, rows() | {"copies": np.full(ROWS, 2.0)})
    assert all(np.isfinite(term["std_error"]) for term in found["terms"])


def exact(table: dict[str, Any]) -> list[float]:
    """HC3 of y ~ x + lone in fractions."""
    x = [[Fraction(1), Fraction(float(a)), Fraction(float(b))] for a, b in zip(table["x"], table["lone"], strict=True)]
    y = [Fraction(float(v)) for v in table["y"]]
    gram = [[sum(r[i] * r[j] for r in x) for j in range(3)] for i in range(3)]
    inverse = inverted(gram)
    right = [sum(r[i] * v for r, v in zip(x, y, strict=True)) for i in range(3)]
    beta = [sum(inverse[i][j] * right[j] for j in range(3)) for i in range(3)]
    meat = [[Fraction(0)] * 3 for _ in range(3)]
    for r, v in zip(x, y, strict=True):
        h = sum(r[i] * inverse[i][j] * r[j] for i in range(3) for j in range(3))
        square = ((v - sum(b * a for a, b in zip(r, beta, strict=True))) / (1 - h)) ** 2
        meat = [[meat[i][j] + square * r[i] * r[j] for j in range(3)] for i in range(3)]
    spread = [sum(inverse[i][k] * meat[k][m] * inverse[m][i] for k in range(3) for m in range(3)) for i in range(3)]
    return [float(v) ** 0.5 for v in spread]


def inverted(m: list[list[Fraction]]) -> list[list[Fraction]]:
    size = len(m)
    rows_ = [[*line, *(Fraction(int(i == j)) for j in range(size))] for i, line in enumerate(m)]
    for i in range(size):
        rows_[i] = [v / rows_[i][i] for v in rows_[i]]
        for k in range(size):
            if k != i:
                rows_[k] = [a - rows_[k][i] * b for a, b in zip(rows_[k], rows_[i], strict=True)]
    return [line[size:] for line in rows_]


def test_a_leverage_near_one_is_answered() -> None:
    """1 - h = 2e-6: nine digits of it are left."""
    table = rows(1e-4)
    found = report("glm", {"formula": "y ~ x + lone", "family": "gaussian", "robust": "HC3"}, table)
    assert [term["std_error"] for term in found["terms"]] == pytest.approx(exact(table), rel=1e-8)


def test_of_a_row_with_leverage_one_nothing_leaves_under_rules() -> None:
    """A site tells of it only where no rule asks for effective rows; its part of the middle is 0, not rounding."""
    statistic = CATALOGUE["glm"]
    asked = strict.parse(statistic.question, {"formula": "y ~ x + lone", "family": "gaussian", "robust": "HC3"})
    for jitter, holds in ((0.0, False), (1.0, True)):
        table = rows(jitter)
        made = make(statistic, asked, table)
        columns = np.array([np.ones(ROWS), table["x"], table["lone"]])
        place = {"centre": np.zeros(3), "scale": np.ones(3), "response_scale": 1.0, "coefficients": np.zeros(3)}
        params = {"step": "meat", "power": 2, "inverse": np.linalg.inv(columns @ columns.T), **place}
        request = Round(sandwich.layout(3, None, leverage=True), params)
        answer: Answer = statistic.summarise(
            asked, made.setting, statistic.prepare(asked, made.setting, made.inputs), request
        )
        assert answer.summary["whole"].tolist() == [0.0, 0.0, 0.0 if holds else 1.0, 0.0]
        assert weigh(answer.weights, FLOOR).holds is holds
