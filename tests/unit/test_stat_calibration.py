"""Calibration: what it needs, what it counts, what it shows."""

from __future__ import annotations

import numpy as np
import pytest
from stat_help import evidence, report

from isthmus import strict
from isthmus.model.errors import Invalid
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.statistics.decision_curve import curve

DRAW = np.random.default_rng(8)
RISK = np.round(DRAW.beta(2.0, 5.0, 400), 4)
TABLE = {"p": RISK, "y": (DRAW.random(400) < RISK).astype(float), "lp": np.log(RISK / (1.0 - RISK))}
ASKED = {"prediction": "p", "outcome": "y"}


def test_probabilities_and_their_logits_give_the_same() -> None:
    first = report("calibration", ASKED, TABLE)
    second = report("calibration", {"prediction": "lp", "outcome": "y", "scale": "linear"}, TABLE)
    for a, b in zip(first["terms"], second["terms"], strict=True):
        assert [a["estimate"], a["std_error"]] == pytest.approx([b["estimate"], b["std_error"]], rel=1e-9)
    assert first["fit"]["brier"] == pytest.approx(second["fit"]["brier"], rel=1e-12)


def test_sums_by_hand() -> None:
    fit = report("calibration", ASKED, TABLE)["fit"]
    assert fit["expected"] == pytest.approx(RISK.sum())
    assert fit["observed"] == TABLE["y"].sum()
    assert fit["brier"] == pytest.approx(np.mean((RISK - TABLE["y"]) ** 2))


def test_errors_are_those_of_the_information_at_the_estimates() -> None:
    terms = {t["term"]: t for t in report("calibration", ASKED, TABLE)["terms"]}
    linear = TABLE["lp"] + terms["calibration in the large"]["estimate"]
    risk = 1.0 / (1.0 + np.exp(-linear))
    assert np.sum(TABLE["y"] - risk) == pytest.approx(0.0, abs=1e-9)
    expected = 1.0 / np.sqrt(np.sum(risk * (1.0 - risk)))
    assert terms["calibration in the large"]["std_error"] == pytest.approx(expected, rel=1e-9)
    columns = np.array([np.ones(400), TABLE["lp"]])
    found = np.array([terms["intercept"]["estimate"], terms["slope"]["estimate"]])
    risk = 1.0 / (1.0 + np.exp(-found @ columns))
    assert columns @ (TABLE["y"] - risk) == pytest.approx([0.0, 0.0], abs=1e-9)
    errors = np.sqrt(np.diag(np.linalg.inv(columns * (risk * (1.0 - risk)) @ columns.T)))
    assert [terms["intercept"]["std_error"], terms["slope"]["std_error"]] == pytest.approx(errors, rel=1e-9)


def test_the_curve_on_a_stated_grid() -> None:
    cells = report("calibration", {**ASKED, "grid": {"every": 0.2, "to": 1}}, TABLE)["cells"]
    for cell in cells:
        inside = (cell["from"] <= RISK) & (cell["to"] > RISK)
        assert cell["count"] == np.count_nonzero(inside)
        assert cell["share"] == pytest.approx(TABLE["y"][inside].mean())
        assert cell["conf_low"] <= cell["share"] <= cell["conf_high"]


@pytest.mark.parametrize("value", [0.0, 1.0, 1.2])
def test_a_certain_prediction_is_an_error(value) -> None:
    table = {**TABLE, "p": np.where(np.arange(400) == 3, value, RISK)}
    with pytest.raises(Invalid) as caught:
        report("calibration", ASKED, table)
    assert caught.value.code == "E-PROBABILITY"


def test_a_prediction_is_not_its_outcome() -> None:
    statistic = CATALOGUE["calibration"]
    with pytest.raises(Invalid) as caught:
        statistic.needs(strict.parse(statistic.question, {"prediction": "y", "outcome": "y"}))
    assert caught.value.code == "E-VARIABLE"


def test_evidence_is_that_of_the_models_and_names_classes_cells_and_sums() -> None:
    found = evidence("calibration", {**ASKED, "grid": {"every": 0.5, "to": 1}}, TABLE)
    events = int(TABLE["y"].sum())
    assert found.groups["y"].tolist() == [400 - events, events]
    assert found.cells["p y 1"].sum() == events
    assert found.parameters == 2
    assert found.leverage > 0.0
    assert {"expected", "squared errors"} <= set(found.sums)
    assert found.supports["spread of risks"].tolist()[0] > 100


def test_net_benefit_by_hand_and_with_a_suppressed_cell() -> None:
    table = np.array([[50.0, 20.0, 10.0], [5.0, 5.0, 10.0]])
    low, high = curve((0.2, 0.5), table, 100.0, 20.0)
    assert (low["true_positive"], low["false_positive"]) == (15, 30)
    assert low["net_benefit"] == pytest.approx(0.15 - 0.30 / 4.0)
    assert high["net_benefit"] == pytest.approx(0.10 - 0.10)
    assert low["treat_all"] == pytest.approx(0.2 - 0.8 / 4.0)
    table[1, 1] = np.nan
    low, high = curve((0.2, 0.5), table, 100.0, 20.0)
    assert (low["true_positive"], low["net_benefit"]) == (None, None)
    assert high["net_benefit"] == pytest.approx(0.0)


def test_each_class_between_thresholds_is_a_cell() -> None:
    found = evidence("decision_curve", {**ASKED, "thresholds": [0.2, 0.4]}, TABLE)
    (cells,) = found.cells.values()
    assert cells.sum() == 400
    assert cells[3:].sum() == TABLE["y"].sum() == found.groups["y"][1]


@pytest.mark.parametrize("thresholds", [[], [0.0], [0.5, 0.2], [1.0]])
def test_thresholds_increase_between_0_and_1(thresholds) -> None:
    statistic = CATALOGUE["decision_curve"]
    with pytest.raises(Invalid) as caught:
        statistic.needs(strict.parse(statistic.question, {**ASKED, "thresholds": thresholds}))
    assert caught.value.code == "E-PROBABILITY"
