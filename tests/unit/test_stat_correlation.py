"""Correlations beside scipy, and who stands behind them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from stat_help import evidence, report

from isthmus import strict
from isthmus.model.errors import Invalid
from isthmus.statistics.catalogue import CATALOGUE

DRAW = np.random.default_rng(4)
X = DRAW.normal(0, 1, 90)
TABLE = {"x": X, "y": 0.5 * X + DRAW.normal(0, 1, 90), "far": 2e9 + 1e-3 * X + 1e-3 * DRAW.normal(0, 1, 90)}


def test_as_scipy_with_fishers_interval() -> None:
    found = report("correlation", {"variables": ["x", "y", "far"]}, TABLE)
    assert [(c["first"], c["second"]) for c in found["cells"]] == [("x", "y"), ("x", "far"), ("y", "far")]
    for cell in found["cells"]:
        first, second = (TABLE[cell[k]] - np.mean(TABLE[cell[k]]) for k in ("first", "second"))
        expected = stats.pearsonr(first, second)
        gate = 1e-5 if "far" in cell.values() else 1e-12  # a double near 2e9 resolves 5e-7
        assert cell["estimate"] == pytest.approx(expected.statistic, rel=gate)
        assert cell["p_value"] == pytest.approx(expected.pvalue, rel=1e3 * gate)
        ends = expected.confidence_interval(0.95)
        assert [cell["conf_low"], cell["conf_high"]] == pytest.approx([ends.low, ends.high], rel=10 * gate)
        assert cell["df"] == 88


def test_equal_columns_and_too_few_rows() -> None:
    (cell,) = report("correlation", {"variables": ["x", "y"]}, {"x": X, "y": -X})["cells"]
    assert (cell["estimate"], cell["conf_low"], cell["p_value"]) == (pytest.approx(-1.0), pytest.approx(-1.0), 0.0)
    (cell,) = report("correlation", {"variables": ["x", "y"]}, {k: v[:3] for k, v in TABLE.items()})["cells"]
    assert cell["conf_low"] is None


def test_a_constant_column_is_named() -> None:
    with pytest.raises(Invalid, match="'y' is constant"):
        report("correlation", {"variables": ["x", "y"]}, {"x": X, "y": np.full(90, 0.1)})


@pytest.mark.parametrize("names", [["x"], ["x", "x"], []])
def test_two_different_variables_are_needed(names) -> None:
    statistic = CATALOGUE["correlation"]
    with pytest.raises(Invalid) as caught:
        statistic.needs(strict.parse(statistic.question, {"variables": names}))
    assert caught.value.code == "E-VARIABLE"


def test_two_valued_numbers_are_a_fourfold_table() -> None:
    rare = (np.arange(90) < 4).astype(float)
    half = (np.arange(90) % 2).astype(float)
    found = evidence("correlation", {"variables": ["rare", "half"]}, {"rare": rare, "half": half})
    assert any(c.tolist() == [4, 86] for c in found.supports.values())
    assert any(sorted(c.tolist()) == [2, 2, 43, 43] for c in found.pairs.values())
    assert found.parameters == 3


def test_two_rows_are_no_test_and_three_no_interval() -> None:
    """`cor.test` takes three rows for a test, four for an interval."""
    table = {"x": np.array([1.0, 2.0, 4.0]), "y": np.array([2.0, 1.0, 9.0])}
    two = report("correlation", {"variables": ["x", "y"]}, {k: v[:2] for k, v in table.items()})["cells"][0]
    assert (two["estimate"], two["p_value"], two["statistic"], two["conf_low"]) == (-1.0, None, None, None)
    three = report("correlation", {"variables": ["x", "y"]}, table)["cells"][0]
    assert three["p_value"] == pytest.approx(0.28548201005, rel=1e-10)
    assert (three["conf_low"], three["conf_high"]) == (None, None)
