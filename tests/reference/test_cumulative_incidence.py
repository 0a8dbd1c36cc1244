"""Cumulative incidence and Gray's test against R's cmprsk (`r/cumulative_incidence.R` made the numbers)."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reference_cases import codebook, make, over, run, worst

from isthmus import strict
from isthmus.model.errors import Invalid
from isthmus.statistics.catalogue import CATALOGUE

HERE = Path(__file__).parent / "r"
ASKED = {"time": "time", "cause": "cause", "causes": {"1": "relapse", "2": "death"}, "by": "group"}


@pytest.fixture(scope="module")
def table() -> dict[str, np.ndarray]:
    with (HERE / "competing.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {
        "time": np.array([float(r["time"]) for r in rows]),
        "cause": np.array([r["cause"] for r in rows], dtype=object),
        "group": np.array([r["group"] for r in rows], dtype=object),
        "site_": np.arange(len(rows)) % 3,
    }


@pytest.fixture(scope="module")
def r() -> dict:
    return json.loads((HERE / "cumulative_incidence.json").read_text())


def test_curves_errors_and_tests_equal_cmprsk(table, r) -> None:
    found = run("cumulative_incidence", {**ASKED, "at": r["times"]}, table).report
    assert len(found["curves"]) == len(r["curves"])
    for curve in found["curves"]:
        at = r["curves"].index(f"{curve['group']['group']} {1 if curve['cause'] == 'relapse' else 2}")
        assert worst([p["incidence"] for p in curve["incidence_at"]], r["estimates"][at]) < 1e-12
        assert worst([p["std_error"] ** 2 for p in curve["incidence_at"]], r["variances"][at]) < 1e-12
    for test, (statistic, p_value, df) in zip(found["tests"].values(), r["tests"], strict=True):
        assert worst([test["statistic"], test["p_value"], test["df"]], [statistic, p_value, df]) < 1e-10


def test_the_printed_bound_covers_the_recorded_times(table) -> None:
    edges = list(range(10, 201, 10))
    exact = run("cumulative_incidence", {**ASKED, "at": edges}, table).report
    found = run("cumulative_incidence", {**ASKED, "grid": {"every": 10, "to": 200}}, table).report
    for a, b in zip(exact["curves"], found["curves"], strict=True):
        for point, value in zip(a["incidence_at"], b["incidence"], strict=True):
            if point["incidence"] is not None and value is not None:
                assert abs(point["incidence"] - value) <= found["bound"]


def test_incidences_and_survival_add_up_to_one(table) -> None:
    found = run("cumulative_incidence", {**ASKED, "by": None}, table).report
    event = np.where(table["cause"] == "0", 0.0, 1.0)
    alive = run("kaplan_meier", {"time": "time", "event": "event"}, {**table, "event": event}).report["curves"][0]
    first, second = found["curves"]
    for a, b, s in zip(first["incidence"], second["incidence"], alive["survival"], strict=True):
        assert a + b + s == pytest.approx(1.0, abs=1e-12)
    assert found["tests"] == {}


def test_a_cause_that_nobody_has_is_a_curve_of_0(table) -> None:
    """cmprsk::cuminc has no curve of it, and those of the others are the same."""
    found = run("cumulative_incidence", {**ASKED, "causes": {**ASKED["causes"], "3": "other"}}, table).report
    other = [curve for curve in found["curves"] if curve["cause"] == "other"]
    rest = [curve for curve in found["curves"] if curve["cause"] != "other"]
    assert other
    assert all(value == 0.0 for curve in other for value in curve["incidence"])
    assert rest == run("cumulative_incidence", ASKED, table).report["curves"]


def test_a_codebook_that_a_person_wrote_knows_every_cause(table) -> None:
    statistic = CATALOGUE["cumulative_incidence"]
    question = strict.parse(statistic.question, {**ASKED, "causes": {**ASKED["causes"], "3": "other"}})
    made = make(statistic, question, table, replace(codebook(table), inferred=False))
    with pytest.raises(Invalid, match="'3'") as caught:
        over(statistic, question, made, np.zeros(len(table["time"]), dtype=int))
    assert caught.value.code == "E-CAUSE"


@pytest.mark.parametrize("causes", [{"1": "relapse"}, {"1": "relapse", "3": "other"}, {"0": "none"}, {}])
def test_causes_name_every_code(table, causes) -> None:
    with pytest.raises(Invalid) as caught:
        run("cumulative_incidence", {**ASKED, "causes": causes}, table)
    assert caught.value.code == "E-CAUSE"
