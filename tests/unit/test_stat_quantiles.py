"""Histograms and quantiles: grids, cells, intervals and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stat_help import codebook, evidence, make, over, report, texts

from isthmus import strict
from isthmus.disclosure.output import gate_counts
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid, Refused
from isthmus.model.rules import OPEN
from isthmus.statistics import grids
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.statistics.contract import Grid
from isthmus.statistics.quantiles import spot
from isthmus.statistics.survival import GridWish

AGES = np.array([50.0, 60, 70, 40, 80, 55, 65, 45])
TABLE = {"age": AGES, "arm": texts(*"aaaabbbb")}
QUANTILES = CATALOGUE["quantiles"]


def test_a_histogram_counts_each_bin_from_its_left_edge() -> None:
    found = report("histogram", {"variable": "age", "grid": {"edges": [40, 60, 80]}}, TABLE)
    assert found["cells"] == [
        {"from": 40.0, "to": 60.0, "count": 4},
        {"from": 60.0, "to": 80.0, "count": 3},
        {"from": 80.0, "to": None, "count": 1},
    ]
    by = report("histogram", {"variable": "age", "by": "arm", "grid": {"every": 50, "to": 100}}, TABLE)["cells"]
    assert [(c["arm"], c["from"], c["count"]) for c in by] == [
        ("a", 0.0, 1),
        ("a", 50.0, 3),
        ("b", 0.0, 1),
        ("b", 50.0, 3),
    ]


def test_every_bin_of_every_group_is_a_cell() -> None:
    found = evidence("histogram", {"variable": "age", "by": "arm", "grid": {"edges": [40, 60, 80]}}, TABLE)
    assert [c.tolist() for c in found.cells.values()] == [[0, 2, 2, 0], [0, 2, 1, 1]]
    assert found.groups["arm"].tolist() == [4, 4]


def test_the_public_ladder_has_round_edges_finest_first() -> None:
    book = Codebook(name="b", variables={"x": Variable(type="number", range=(0.3, 9.7))})
    ladder = grids.rungs("x", None, book, 50)
    assert [len(g.edges) - 1 for g in ladder] == [48, 20, 10, 5, 2]
    assert ladder[0].edges[:3] == (0.2, 0.4, 0.6)
    whole = Codebook(name="b", variables={"x": Variable(type="integer", range=(1, 30))})
    assert grids.rungs("x", None, whole, 50)[0].edges == tuple(range(1, 32))
    point = Codebook(name="b", variables={"x": Variable(type="number", range=(2.0, 2.0))})
    assert [g.edges for g in grids.rungs("x", None, point, 50)] == [(2.0, 3.0)]


@pytest.mark.parametrize(
    "wish",
    [
        GridWish(every=1.0),
        GridWish(to=5.0),
        GridWish(edges=(2.0, 1.0)),
        GridWish(edges=(1.0, float("inf"))),
        GridWish(from_=3.0, to=1.0, bins=2),
        GridWish(every=1e-9, to=1.0),
        GridWish(every=2.0, to=4.0, bins=2),
    ],
)
def test_other_grids_are_errors(wish: GridWish) -> None:
    book = Codebook(name="b", variables={"x": Variable(type="number", range=(0.0, 1.0))})
    with pytest.raises(Invalid) as caught:
        grids.rungs("x", wish, book, 50)
    assert caught.value.code == "E-GRID"


def test_without_range_or_ladder_a_grid_must_be_stated() -> None:
    book = Codebook(name="b", variables={"x": Variable(type="number")})
    with pytest.raises(Invalid, match="no grid for 'x'"):
        grids.rungs("x", None, book, 50)
    with pytest.raises(Invalid) as caught:
        grids.rungs("y", None, book, 50)
    assert caught.value.code == "E-VARIABLE"


def test_a_value_that_was_not_recorded_is_an_error() -> None:
    with pytest.raises(Invalid) as caught:
        grids.cells("x", np.array([1.0, 1.5]), Grid((1.0, 2.0), recorded=True))
    assert caught.value.code == "E-GRID"


@pytest.mark.parametrize("prob", [0.01, 0.1, 0.25, 0.5, 0.6, 0.99])
@pytest.mark.parametrize("rows", [1, 2, 3, 10, 51])
def test_recorded_values_give_type_7(prob: float, rows: int) -> None:
    values = np.round(np.random.default_rng(rows).normal(0, 3, rows), 1)
    found = report("quantiles", {"variable": "x", "probs": [prob]}, {"x": values})
    assert found["exactness"] == "exact"
    assert found["cells"][0]["value"] == pytest.approx(np.quantile(values, prob, method="linear"), abs=1e-12)


def test_on_a_grid_the_interval_holds_the_quantile() -> None:
    draw = np.random.default_rng(3)
    values = draw.gamma(2.0, 10.0, 400)
    asked = {"variable": "x", "probs": [0.1, 0.5, 0.9], "grid": {"every": 5, "to": 100}}
    found = report("quantiles", asked, {"x": values})
    assert found["exactness"] == "grid"
    for cell in found["cells"]:
        exact = np.quantile(values, cell["prob"])
        assert cell["from"] <= exact <= cell["to"]
        assert cell["to"] - cell["from"] == 5.0
        assert abs(cell["value"] - exact) <= found["bound"] <= 5.0
        assert abs(cell["value"] - exact) < 1.0  # by interpolation


def test_cells_of_one_whole_number_are_exact() -> None:
    values = np.repeat([1.0, 2.0, 5.0], [30, 40, 30])
    found = report("quantiles", {"variable": "x", "grid": {"every": 1, "to": 6}}, {"x": values})
    assert found["exactness"] == "exact"
    assert [c["value"] for c in found["cells"]] == [1.0, 2.0, 5.0]


def test_beyond_the_grid_there_is_no_value() -> None:
    found = report("quantiles", {"variable": "x", "grid": {"every": 5, "to": 10}}, {"x": np.arange(100.0) + 0.5})
    assert found["cells"][2] == {"prob": 0.75, "value": None, "from": 10.0, "to": None}
    assert found["bound"] is None


def test_a_group_without_rows_has_no_quantiles() -> None:
    made = make(QUANTILES, QUANTILES.question(variable="age", by="arm"), TABLE, codebook(TABLE))
    setting = replace(made.setting, levels={"arm": ("a", "b", "c")})
    found = over(
        QUANTILES, QUANTILES.question(variable="age", by="arm"), replace(made, setting=setting), np.zeros(8, int)
    )
    assert found.report["cells"][-1] == {"arm": "c", "prob": 0.75, "value": None, "from": None, "to": None}


@pytest.mark.parametrize("probs", [[0.0], [0.5, 1.0]])
def test_the_ends_are_refused_with_a_way_out(probs: list[float]) -> None:
    with pytest.raises(Refused) as caught:
        QUANTILES.needs(strict.parse(QUANTILES.question, {"variable": "age", "probs": probs}))
    assert caught.value.code == "E-ENDPOINT"
    assert "5th and 95th" in caught.value.hint


@pytest.mark.parametrize("probs", [[], [1.5], [-0.1], [float("nan")]])
def test_probabilities_lie_between_0_and_1(probs: list[float]) -> None:
    with pytest.raises(Invalid) as caught:
        QUANTILES.needs(QUANTILES.question(variable="age", probs=tuple(probs)))
    assert caught.value.code == "E-PROBABILITY"


def test_enough_people_lie_on_each_side() -> None:
    trace = over(
        QUANTILES,
        QUANTILES.question(variable="x", probs=(0.05,)),
        make(QUANTILES, QUANTILES.question(variable="x"), {"x": np.arange(100.0)}, codebook({"x": np.arange(100.0)})),
        np.zeros(100, dtype=int),
    )
    sides = trace.estimate.counts["sides:0"]
    assert sides.values.tolist() == [5, 95]
    with pytest.raises(Refused):
        gate_counts({"sides": sides}, replace(OPEN, minimum_count=11))


def test_a_blanked_cell_widens_the_interval() -> None:
    question = QUANTILES.question(variable="x", probs=(0.5,), grid=GridWish(edges=(0.0, 10.0, 20.0, 30.0, 40.0)))
    values = np.repeat([5.0, 15.0, 25.0, 35.0], [40, 3, 12, 30])
    made = make(QUANTILES, question, {"x": values}, codebook({"x": values}))
    estimate = over(QUANTILES, question, made, np.zeros(85, dtype=int)).estimate
    gated = gate_counts(estimate.counts, replace(OPEN, minimum_count=11))
    body = QUANTILES.report(question, made.setting, replace(estimate, counts=gated.counts))
    (cell,) = body["cells"]
    assert (cell["from"], cell["to"]) == (0.0, 39.0)  # whole numbers
    assert cell["from"] <= np.quantile(values, 0.5) <= cell["to"]


def test_the_cells_of_a_spot() -> None:
    assert spot(np.array([0, 0]), 0.5) is None
    found = spot(np.array([0, 2, 0, 2]), 0.5)
    assert found is not None
    assert (found.first, found.second, found.share) == (1, 3, 0.5)
    whole = spot(np.array([29, 72]), 0.29)  # the 30th of 101, with no share of the 29th
    assert (whole.first, whole.second, whole.share) == (1, 1, 0.0)
