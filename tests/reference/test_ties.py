"""Times that differ by rounding are ties as in R's aeqSurv, of which all sites know the tolerance (r/ties.R)."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np
import pytest
from cohort import R, asked, expected
from reference_cases import make, worst

from isthmus import strict
from isthmus.model.codebook import Codebook, Variable
from isthmus.statistics import survival
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.statistics.contract import Grid

SITE = {"strata": ["site"]}
GRID = {"grid": {"every": 0.3, "to": 1.2}}
CUT = {"formula": "Surv(since, tenths, event) ~ x", "distribution": "piecewise_exponential", "cuts": [0.3, 0.6, 0.9]}
COX: dict[str, dict[str, Any]] = {
    "site": {"formula": "Surv(time, event) ~ x", **SITE},
    "one": {"formula": "Surv(time, event) ~ x"},
    "late": {"formula": "Surv(entry, time, event) ~ x", **SITE},
    "far": {"formula": "Surv(far, event) ~ x"},
    "far_site": {"formula": "Surv(far, event) ~ x", **SITE},
    "grid_cox": {"formula": "Surv(tenths, event) ~ x", **GRID},
    "grid_late": {"formula": "Surv(since, tenths, event) ~ x", **GRID},
}
LOG_RANK: dict[str, dict[str, Any]] = {
    "log_rank": {"time": "time", "event": "event", "by": "arm"},
    "log_rank_site": {"time": "time", "event": "event", "by": "arm", **SITE},
    "log_rank_far": {"time": "far", "event": "event", "by": "arm"},
}


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    with (R / "ties.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = {
        n: np.array([float(row[n]) for row in rows]) for n in ("x", "time", "event", "entry", "far", "tenths", "since")
    }
    found |= {"arm": np.array([r["arm"] for r in rows], dtype=object), "site_": np.array([r["site"] for r in rows])}
    analyses = {name: {"cox": question} for name, question in COX.items()}
    analyses |= {name: {"log_rank": question} for name, question in LOG_RANK.items()}
    for name in ("time", "far"):
        analyses[f"curve {name}"] = {"kaplan_meier": {"time": name, "event": "event"}}
    analyses["cut"] = {"parametric_survival": CUT}
    analyses["curve grid"] = {"kaplan_meier": {"time": "tenths", "event": "event", **GRID}}
    return asked(found, analyses)


@pytest.mark.parametrize("name", COX)
def test_cox_ties_what_coxph_ties(answers, name) -> None:
    r, (term,) = expected("ties")[name], answers[name]["terms"]
    assert worst(term["estimate"], r["estimate"]) < 1e-9
    assert worst(term["std_error"], r["std_error"]) < 1e-9
    assert worst(answers[name]["fit"]["loglik"], r["loglik"]) < 1e-9


@pytest.mark.parametrize("name", LOG_RANK)
def test_a_log_rank_test_ties_what_survdiff_ties(answers, name) -> None:
    assert worst(answers[name]["fit"]["statistic"], expected("ties")[name]) < 1e-9


@pytest.mark.parametrize(("name", "told"), [("time", "curve"), ("far", "curve_far")])
def test_a_curve_ties_what_survfit_ties(answers, name, told) -> None:
    r, (curve,) = expected("ties")[told], answers[f"curve {name}"]["curves"]
    for key in ("time", "at_risk", "events", "survival"):
        assert worst(curve[key], r[key]) < 1e-12, key


def test_a_stated_grid_takes_times_a_bit_beyond_an_edge_as_on_it(answers) -> None:
    """As R on the edges and times that aeqSurv ties; 1.2000000000000002 is within a step that ends at 1.2."""
    r, (curve,) = expected("ties"), answers["curve grid"]["curves"]
    for key in ("at_risk", "events", "survival"):
        assert worst(curve[key], r["grid_curve"][key]) < 1e-12, key
    assert r["grid_apart"] == 41


def test_steps_of_rows_that_rounding_would_lose() -> None:
    """A row that enters and leaves within the tolerance of one edge is at risk in its own step; steps of any width stay apart."""
    grid = Grid((0.3, 0.6, 1e9), recorded=False)
    time, entry = np.array([0.3 + 2e-9, 0.6 + 1e-9, 0.7]), np.array([0.3 + 1e-9, 0.6 - 1e-9, 0.6 - 1e-12])
    steps = survival.grid_steps("t", time, grid)
    assert (steps >= survival.entry_steps(entry, steps, grid)).all()
    fine = Grid((1e-9, 2e-9, 3e-9), recorded=False)
    assert survival.grid_steps("t", np.array([1e-9, 2e-9, 3e-9, 4e-9]), fine).tolist() == [0, 1, 2, 3]
    far = Grid((0.5, 1.0, 1e9), recorded=False)
    assert survival.grid_steps("t", np.array([0.5, 0.5 + 1e-6, 1.0 + 1e-6]), far).tolist() == [0, 1, 2]
    single = Grid((1e-9,), recorded=False)
    assert survival.grid_steps("t", np.array([1e-9, 2e-9]), single).tolist() == [0, 1]


def test_cuts_of_a_hazard_take_times_a_bit_beyond_one_as_on_it(answers) -> None:
    """As R on the times that aeqSurv ties: nobody is in a later interval for the last bit of a time alone."""
    r, body = expected("ties")["cut"], answers["cut"]
    found = {term["term"]: (term["estimate"], term["std_error"]) for term in body["terms"]}
    hazards = [pair for name, pair in found.items() if name.startswith("Log(hazard)")]
    assert worst([found["x"][0], *(pair[0] for pair in hazards)], r["estimate"]) < 1e-9
    assert worst([found["x"][1], *(pair[1] for pair in hazards)], r["std_error"]) < 1e-9


def test_nobody_counts_in_an_interval_for_the_last_bit_of_a_time() -> None:
    """Those who leave at 0.1 * 3 make up for no one of the three who live beyond 0.3."""
    time = np.append(np.full(40, 0.1 * 3), [0.5, 0.6, 0.7])
    rows = {"t": time, "e": np.ones(43), "x": np.arange(43) % 5.0}
    asked_for = {"formula": "Surv(t, e) ~ x", "distribution": "piecewise_exponential", "cuts": [0.3]}
    statistic = CATALOGUE["parametric_survival"]
    question = strict.parse(statistic.question, asked_for)
    made = make(statistic, question, rows)
    seen = statistic.evidence(question, made.setting, statistic.prepare(question, made.setting, made.inputs))
    last = "time of Log(hazard)(0.3, Inf]"
    assert seen.fits[last][0] == seen.sums[last].size == 3


def test_without_ties_the_answer_would_be_another() -> None:
    assert abs(expected("ties")["apart"]) > 1e-4


@pytest.mark.parametrize(
    ("variables", "near"),
    [
        ({"t": Variable(type="number", recorded=(100.0, 300.0), range=(0.0, 9e9))}, 200.0),
        ({"t": Variable(type="number", range=(0.0, 300.0))}, 150.0),
        ({"t": Variable(type="number", range=(0.0, 1e-3))}, 1.0),
        ({"t": Variable(type="number")}, None),
    ],
)
def test_the_tolerance_is_of_what_all_sites_know(variables, near) -> None:
    found = survival.tolerance(("t", None), Codebook(name="b", variables=variables))
    assert found == (None if near is None else near * survival.SAME_TIME)
