from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from stat_help import column, make, over, report, texts

from isthmus.statistics.catalogue import CATALOGUE
from isthmus.statistics.crosstab import pearson

TABLE = {
    "age": np.array([50.0, 60, 70, 40, 80, 55, 65, 45]),
    "arm": texts(*"aaaabbbb"),
    "sex": texts(*"mffmmmmf"),
}


def test_counts_by_two_categories() -> None:
    found = report("count", {"by": ["arm", "sex"]}, TABLE)
    assert found["n"] == 8
    assert found["cells"] == [
        {"arm": "a", "sex": "f", "count": 2},
        {"arm": "a", "sex": "m", "count": 2},
        {"arm": "b", "sex": "f", "count": 1},
        {"arm": "b", "sex": "m", "count": 3},
    ]
    assert report("count", {}, TABLE)["cells"] == [{"count": 8}]


def test_crosstab_percents_and_yates() -> None:
    found = report("crosstab", {"rows": "arm", "columns": "sex"}, TABLE)
    assert found["cells"][0] == {
        "arm": "a",
        "sex": "f",
        "count": 2,
        "percent": 25.0,
        "row_percent": 50.0,
        "column_percent": pytest.approx(200 / 3),
    }
    assert found["fit"] == {"statistic": 0.0, "df": 1, "p_value": 1.0, "corrected": True}


def test_chi_square_of_larger_tables() -> None:
    table = np.array([[10.0, 20, 30], [20, 20, 20]])
    fit = pearson(table, correct=True)
    assert fit["statistic"] == pytest.approx(2 * 5 / 3 + 2 * 5 * 5 / 25, rel=1e-12)
    assert (fit["df"], fit["corrected"]) == (2, False)
    assert pearson(np.array([[10.0, np.nan], [3, 4]]), correct=True)["statistic"] is None
    assert pearson(np.array([[10.0, 5.0], [0, 0]]), correct=True)["df"] is None


def test_table_one_by_group() -> None:
    found = report("table_one", {"variables": ["age", "sex"], "by": "arm", "smd": True}, TABLE)
    overall, first, second = found["cells"][:3]
    assert overall == {"variable": "age", "arm": None, "n": 8, "missing": 0, "mean": 58.125, "sd": overall["sd"]}
    assert overall["sd"] == pytest.approx(TABLE["age"].std(ddof=1), rel=1e-12)
    assert (first["arm"], first["mean"], second["mean"]) == ("a", 55.0, 61.25)
    assert found["cells"][5] == {"variable": "sex", "level": "f", "arm": "b", "count": 1, "percent": 25.0}
    assert found["groups"] == {"a": 4, "b": 4}
    spread = math.sqrt((TABLE["age"][:4].var(ddof=1) + TABLE["age"][4:].var(ddof=1)) / 2)
    assert found["fit"]["smd"]["age"] == pytest.approx(6.25 / spread, rel=1e-12)
    assert found["fit"]["smd"]["sex"] == pytest.approx(0.25 / math.sqrt((0.25 + 0.1875) / 2), rel=1e-12)


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("shift", [0.0, 1e7])
def test_deviations_are_exact_far_from_zero(ranges, shift) -> None:
    values = shift + np.arange(50.0) / 8
    (cell,) = report("table_one", {"variables": ["v"]}, {"v": values}, ranges=ranges)["cells"]
    assert cell["mean"] == pytest.approx(shift + 49 / 16, rel=1e-15)
    assert cell["sd"] == pytest.approx((np.arange(50.0) / 8).std(ddof=1), rel=1e-12)


def test_percents_follow_from_the_counts_shown() -> None:
    """What the output gate blanks or rounds never comes back through a percent or a total."""
    statistic = CATALOGUE["table_one"]
    question = statistic.question(variables=("sex",), by="arm", smd=True)
    made = make(statistic, question, TABLE)
    estimate = over(statistic, question, made, np.arange(8) % 2).estimate
    counts = dict(estimate.counts)
    counts["count sex"] = replace(counts["count sex"], values=np.array([[2.0, np.nan], [2.0, 3.0]]))
    found = statistic.report(question, made.setting, replace(estimate, counts=counts))
    shown = {(c["level"], c["arm"]): (c["count"], c["percent"]) for c in found["cells"]}
    assert shown["f", None] == (None, None)
    assert shown["f", "b"] == (None, None)
    assert shown["m", "b"] == (3, None)
    assert shown["m", "a"] == (2, 50.0)
    assert found["fit"]["smd"]["sex"] is None


@pytest.mark.parametrize("absurd", [999999.0, 999999999.0, 1e12, 1e18, 1e30])
def test_one_absurd_value_spoils_no_other_group(absurd: float) -> None:
    """A code of missing values is the far end of the inferred range; means and deviations of others were lost in it."""
    draw = np.random.default_rng(1)
    values = np.round(draw.normal(50, 9, 300), 1)
    groups = np.resize(texts(*"abc"), 300)
    values[0] = absurd
    found = report("table_one", {"variables": ["z"], "by": "g", "smd": True, "tests": True}, {"z": values, "g": groups})
    assert found["fit"]["tests"]["z"]["df"] == 2
    assert found["fit"]["smd"]["z"] > 0.0
    for cell in found["cells"]:
        mine = values if cell["g"] is None else values[groups == cell["g"]]
        assert cell["mean"] == pytest.approx(mine.mean(), rel=1e-12)
        assert cell["sd"] == pytest.approx(mine.std(ddof=1), rel=1e-12)


def test_a_group_where_nothing_varies_has_no_deviation() -> None:
    """In two rounds, beside groups that vary: a constant, nobody but zeros, one person."""
    values = {
        "z": np.array([7.3] * 9 + [0.0] * 9 + [41.7] + [*range(20, 31)]),
        "g": texts(*"aaaaaaaaabbbbbbbbbc", *"d" * 11),
    }
    found = report("table_one", {"variables": ["z"], "by": "g"}, values)
    assert [c["mean"] for c in found["cells"][1:]] == [pytest.approx(7.3, rel=1e-15), 0.0, 41.7, 25.0]
    assert [c["sd"] for c in found["cells"][1:3]] == [pytest.approx(0.0, abs=1e-14), 0.0]
    assert found["cells"][4]["sd"] == pytest.approx(math.sqrt(11.0), rel=1e-14)
    assert found["rounds"] == 2


@pytest.mark.parametrize("grid", [{"every": 0.1, "to": 1.0}, {"from": 0.0, "to": 1.0, "bins": 10}])
def test_a_value_at_a_decimal_edge_is_in_the_bin_that_begins_there(grid: dict[str, float]) -> None:
    """R: `hist(v, seq(0, 1, 0.1), right = FALSE)`; 3 times 0.1 is above 0.3 in binary."""
    tenths = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    cells = report("histogram", {"variable": "v", "grid": grid}, {"v": np.repeat(tenths, 3)})["cells"]
    assert column(cells, "from") == tenths.tolist()
    assert column(cells, "count") == [3] * 10
