"""Evidence names everyone who stands behind a number."""

from __future__ import annotations

import time

import numpy as np
import pytest
from stat_help import evidence, texts

from isthmus.model.codebook import Codebook, Variable
from isthmus.model.formula import design, parse
from isthmus.statistics import indicators

ROWS = 40
TABLE = {
    "died": np.tile([1.0, 0, 0, 0], 10),
    "age": np.linspace(40, 80, ROWS),
    "rare": np.array([1.0] + [0.0] * 39),
    "coded": np.array([2.0] * 5 + [1.0] * 35),
    "arm": texts(*(["a", "b"] * 20)),
    "stage": texts(*(["I"] * 10 + ["II"] * 25 + ["III"] * 5)),
    "t": np.arange(1.0, 41),
}


def glm(formula: str):
    return evidence("glm", {"formula": formula, "family": "binomial"}, TABLE)


def test_supports_of_levels_references_and_numeric_indicators() -> None:
    found = glm("died ~ age + rare + coded + arm + stage")
    supports = {k: v.tolist() for k, v in found.supports.items()}
    assert supports.pop("spread of age")[0] >= 20
    assert supports == {
        "rare": [1, 39],
        "coded": [5, 35],
        "arm[b]": [20, 20],
        "stage[II]": [25, 15],
        "stage[III]": [5, 35],
        "arm[a]": [20, 20],
        "stage[I]": [10, 30],
    }
    assert (found.rows, found.parameters) == (ROWS, 7)


def test_the_single_persons_outcome_is_a_cell() -> None:
    """vantage6#2017: a numeric 0/1 column holding one 1 gives away that person's outcome."""
    found = glm("died ~ rare")
    assert found.cells["rare x died"].tolist() == [1, 0, 9, 30]
    assert found.cells["died"].tolist() == [10, 30]
    assert found.leverage == pytest.approx(1.0)


def test_pairs_are_the_joint_cells_that_can_be_filled() -> None:
    pairs = {k: v.tolist() for k, v in glm("died ~ arm * stage").pairs.items()}
    assert pairs["arm[b] x stage[II]"] == [12, 8, 13, 7]
    assert "stage[II] x stage[III]" not in pairs
    assert pairs["arm[b] x arm[b]:stage[II]"] == [12, 8, 20]  # the interaction never stands without its parts
    assert "stage[III] x arm[b]:stage[II]" not in pairs


def test_mixed_interactions_are_supported_by_their_level() -> None:
    assert glm("died ~ age:arm").supports["age:arm[b]"].tolist() == [20, 20]


def test_leverage_is_the_largest_hat_value() -> None:
    x = np.column_stack([np.ones(ROWS), TABLE["age"], TABLE["coded"]])
    hat = np.diag(x @ np.linalg.inv(x.T @ x) @ x.T)
    assert glm("died ~ age + coded").leverage == pytest.approx(hat.max(), rel=1e-9)


def test_leverage_where_columns_are_dependent_or_absent_here() -> None:
    x = np.vstack([np.ones(9), np.arange(9.0), 2 * np.arange(9.0), np.zeros(9)])
    plain = indicators.leverage(x[:2])
    assert indicators.leverage(x) == pytest.approx(plain, rel=1e-9)
    assert indicators.leverage(np.zeros((2, 0))) == 0.0


def test_cox_evidence_with_one_baseline_has_every_bin_as_a_cell() -> None:
    one = evidence("cox", {"formula": "Surv(t, died) ~ arm", "grid": {"every": 10, "to": 30}}, TABLE)
    assert one.cells["rows per step"].tolist() == [10, 10, 10, 10]
    assert one.cells["events per step"].sum() == 10
    assert one.cells["arm[b] per step"].tolist() == [5, 5, 5, 5]
    assert (one.parameters, one.fits) == (1, {"risk sets": (30, 3)})
    strata = evidence("cox", {"formula": "Surv(t, died) ~ arm", "strata": ["site"]}, TABLE)
    assert set(strata.cells) == {"died", "arm[b] x died"}
    assert strata.parameters == 1


def test_curves_and_tables_have_their_groups_and_cells() -> None:
    grid = {"time": "t", "event": "died", "by": "arm", "grid": {"edges": [10, 20]}}
    curve = evidence("kaplan_meier", grid, TABLE)
    assert curve.groups["arm"].tolist() == [20, 20]
    assert curve.cells["censored b"].tolist() == [5, 5]
    assert curve.cells["beyond b"].tolist() == [10]
    table = evidence("table_one", {"variables": ["age", "stage"], "by": "arm"}, TABLE)
    assert table.cells["stage"].tolist() == [5, 5, 13, 12, 2, 3]
    assert table.sums["age a"].tolist() == TABLE["age"][::2].tolist()
    assert evidence("count", {"by": ["arm"]}, TABLE).cells["arm"].tolist() == [20, 20]
    assert evidence("crosstab", {"rows": "arm", "columns": "stage"}, TABLE).rows == ROWS
    assert evidence("log_rank", {"time": "t", "event": "died", "by": "arm"}, TABLE).groups["arm"].tolist() == [20, 20]


@pytest.mark.bench
def test_a_hundred_thousand_rows_take_little_time() -> None:
    draw = np.random.default_rng(0)
    columns = np.vstack([np.ones(100_000), draw.normal(size=(6, 100_000)), draw.integers(0, 2, (3, 100_000))])
    book = Codebook(
        name="b", variables={f"x{i}": Variable(type="number") for i in range(9)} | {"y": Variable(type="number")}
    )
    made = design(parse("y ~ " + " + ".join(f"x{i}" for i in range(9))), book, {}, {})
    best = min(_seconds(made, columns) for _ in range(3))
    assert best < 0.06


def _seconds(made, columns) -> float:
    start = time.perf_counter()
    indicators.design_evidence(made, columns, ("y", columns[7]), indicators.leverage(columns))
    return time.perf_counter() - start
