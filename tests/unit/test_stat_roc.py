"""ROC areas, curves and 2 x 2 measures by hand."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from stat_help import evidence, report

import isthmus
from isthmus import strict
from isthmus.model.errors import Invalid, Refused
from isthmus.model.rules import OPEN
from isthmus.statistics import roc, roc_area
from isthmus.statistics.accuracy import measures
from isthmus.statistics.catalogue import CATALOGUE

MARKER = np.array([1.0, 2, 2, 3, 4, 4, 5, 6])
OUTCOME = np.array([0.0, 0, 1, 0, 1, 0, 1, 1])
TABLE = {"m": MARKER, "y": OUTCOME, "k": 7.0 - MARKER}
ASKED = {"marker": "m", "outcome": "y"}


def pairs(marker: np.ndarray, outcome: np.ndarray) -> float:
    """Share of pairs in order, ties half."""
    away = marker[outcome == 1][:, None] - marker[outcome == 0][None, :]
    return float(np.mean((away > 0) + 0.5 * (away == 0)))


def test_the_area_is_the_share_of_pairs() -> None:
    found = report("roc", ASKED, TABLE)
    assert found["exactness"] == "exact"
    assert found["fit"]["auc"] == pytest.approx(pairs(MARKER, OUTCOME))
    assert (found["fit"]["n_pos"], found["fit"]["n_neg"]) == (4, 4)


def test_lower_values_that_suggest_the_condition() -> None:
    higher = report("roc", ASKED, TABLE)
    lower = report("roc", {**ASKED, "marker": "k", "direction": "lower"}, TABLE)
    assert lower["fit"] == higher["fit"]
    assert lower["curve"]["sensitivity"] == higher["curve"]["sensitivity"]
    assert lower["curve"]["threshold"] == [7.0 - t for t in higher["curve"]["threshold"]]


def test_the_curve_by_hand() -> None:
    curve = report("roc", ASKED, TABLE)["curve"]
    assert curve["threshold"] == [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
    assert curve["sensitivity"] == [0.25, 0.5, 0.75, 0.75, 1.0, 1.0]
    assert curve["specificity"] == [1.0, 1.0, 0.75, 0.5, 0.25, 0.0]


def test_the_whole_range_of_specificity_is_the_whole_area() -> None:
    found = report("roc", {**ASKED, "partial": [0.0, 1.0]}, TABLE)["fit"]
    assert found["partial_auc"] == pytest.approx(found["auc"])
    half = [report("roc", {**ASKED, "partial": part}, TABLE)["fit"]["partial_auc"] for part in ([0, 0.6], [0.6, 1])]
    assert sum(half) == pytest.approx(found["auc"])


def test_the_bound_covers_every_order_inside_the_cells() -> None:
    draw = np.random.default_rng(2)
    values, outcome = draw.normal(size=200), (draw.random(200) < 0.4).astype(float)
    asked = {**ASKED, "grid": {"edges": [-2.0, -1.0, 0.0, 1.0, 2.0]}}
    found = report("roc", asked, {"m": values, "y": outcome})
    assert found["exactness"] == "grid"
    assert found["bound"] > 0.02
    assert abs(found["fit"]["auc"] - pairs(values, outcome)) <= found["bound"]
    best = np.floor(values) + 0.5 * outcome  # the order that favours the marker most, inside each cell
    assert pairs(np.clip(best, -3, 2.5), outcome) == pytest.approx(found["fit"]["auc"] + found["bound"])


def test_one_cell_of_many_values_is_no_answer() -> None:
    with pytest.raises(Refused, match="no cut of 'm'") as caught:
        report("roc", {**ASKED, "grid": {"edges": [10.0]}}, TABLE)
    assert caught.value.code == "E-DISCLOSURE"
    same = report("roc", ASKED, TABLE | {"m": np.full(8, 3.0)})  # one value: every pair is a tie
    assert (same["exactness"], same["fit"]["auc"]) == ("exact", 0.5)


def test_two_equal_markers_do_not_differ() -> None:
    found = report("roc", {**ASKED, "compare": {"marker": "k", "direction": "lower"}}, TABLE)["fit"]
    assert found["difference"] == 0.0
    assert found["other_auc"] == found["auc"]
    assert found["statistic"] is None or abs(found["statistic"]) < 1e-6


@pytest.mark.parametrize("seed", range(6))
def test_two_markers_in_the_same_order_have_no_test_whatever_rounding_leaves(seed: int) -> None:
    draw = np.random.default_rng(seed)
    marker = draw.normal(size=60 + seed)
    table = {"m": marker, "k": 2.0 * marker + 3.0, "y": (marker + draw.normal(size=marker.size) > 0.0).astype(float)}
    found = report("roc", {**ASKED, "compare": {"marker": "k"}}, table)["fit"]
    assert (found["difference"], found["difference_error"], found["p_value"]) == (0.0, None, None)


@pytest.mark.parametrize(("error", "known"), [(0.2, False), (1.0, True)])
def test_no_bound_of_a_statistic_whose_error_may_be_0(error: float, known: bool) -> None:
    """Placements of 8 and of 2 rows move by 2 (0.5) at most: the error by root(1 / 8 + 1 / 2)."""
    one = roc_area.Area(0.7, 0.01, (0.1, 0.1), np.zeros(1), np.zeros(1), 0.05, (0.5, 0.5))
    far = roc_area.difference_bound(error, one, one, (8, 2))
    step = math.sqrt(1.0 / 8.0 + 1.0 / 2.0)
    assert far == (pytest.approx(0.1 / (error - step)) if known else None)


def test_cells_that_are_many_and_narrow_are_not_told_apart() -> None:
    assert roc._mixed(np.ones((2, roc.NARROW + 1), dtype=np.int64)) == []
    assert len(roc._mixed(np.ones((2, roc.NARROW), dtype=np.int64))) == roc.NARROW
    few = np.zeros((2, roc.NARROW + 1), dtype=np.int64)
    few[:, : roc.MANY] = 1
    assert len(roc._mixed(few)) == roc.MANY


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({**ASKED, "outcome": "m"}, "E-VARIABLE"),
        ({**ASKED, "compare": {"marker": "m"}}, "E-VARIABLE"),
        ({**ASKED, "partial": [1.0, 0.9]}, "E-PROBABILITY"),
    ],
)
def test_what_cannot_be_asked(asked, code) -> None:
    statistic = CATALOGUE["roc"]
    with pytest.raises(Invalid) as caught:
        statistic.needs(strict.parse(statistic.question, asked))
    assert caught.value.code == code


def test_one_class_only_is_an_error() -> None:
    with pytest.raises(Invalid) as caught:
        report("roc", ASKED, {"m": MARKER, "y": np.ones(8)})
    assert caught.value.code == "E-ONE-GROUP"
    with pytest.raises(Invalid) as caught:
        report("roc", ASKED, {"m": MARKER, "y": MARKER})
    assert caught.value.code == "E-OUTCOME"


def test_a_class_of_one_has_no_error() -> None:
    found = report("roc", ASKED, {"m": MARKER, "y": np.eye(8)[7]})["fit"]
    assert found["auc"] == 1.0
    assert found["std_error"] is None


def test_evidence_names_both_classes_and_every_cell_of_each() -> None:
    found = evidence("roc", ASKED, TABLE)
    assert found.groups["y"].tolist() == [4, 4]
    assert {name: c.tolist() for name, c in found.cells.items()} == {
        "m y 0": [0, 1, 1, 1, 1, 0, 0],
        "m y 1": [0, 0, 1, 0, 1, 1, 1],
    }
    found = evidence("accuracy", {**ASKED, "threshold": 4}, TABLE)
    assert found.cells["m x y"].tolist() == [3, 1, 1, 3]
    assert found.sides["m"].tolist() == [4, 4]
    assert found.groups["y"].tolist() == [4, 4]


def test_placements_of_one_cell_are_all_ties() -> None:
    found = roc_area.area(np.array([[5], [3]]), np.array([False]))
    assert (found.auc, found.bound, found.variance) == (0.5, 0.5, 0.0)


def test_measures_of_suppressed_and_of_empty_cells_are_null() -> None:
    blank = {t["term"]: t for t in measures(np.array([[5.0, math.nan], [3.0, 6.0]]), 0.95)}
    assert blank["sensitivity"]["estimate"] is None
    assert blank["specificity"]["estimate"] == 5 / 8
    assert blank["odds_ratio"]["estimate"] is None
    empty = {t["term"]: t for t in measures(np.array([[5.0, 0.0], [0.0, 6.0]]), 0.95)}
    assert (empty["sensitivity"]["estimate"], empty["sensitivity"]["exact_high"]) == (1.0, 1.0)
    assert empty["lr_positive"]["estimate"] is None
    assert {t["estimate"] for t in measures(np.zeros((2, 2)), 0.95)} == {None}


def test_a_refusal_by_a_flow_spoils_no_other_analysis() -> None:
    half = np.arange(8) % 2 == 0
    early = {"glm": {"formula": "y ~ m", "family": "binomial", "cluster": "site"}}  # needs ten sites
    asked = {"curve": {"roc": {**ASKED, "grid": {"edges": [10.0]}}}, "early": early, "size": {"count": {}}}
    study = isthmus.Study(title="t", dataset="d", analyses=asked)
    sites = {name: pa.table({k: v[own] for k, v in TABLE.items()}) for name, own in (("a", half), ("b", ~half))}
    found = isthmus.rehearse(study, sites, rules=OPEN).to_dict()["analyses"]
    assert found["curve"]["status"] == "refused"
    assert found["early"]["error"]["code"] == "E-CLUSTER"
    assert found["size"]["n"] == 8
