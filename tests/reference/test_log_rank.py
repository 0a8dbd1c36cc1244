"""Log-rank tests with rho and strata against R's survdiff (`r/log_rank.R` made the numbers)."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from reference_cases import run, worst
from test_masked_path import rehearsed

import isthmus
from isthmus.model.canonical import plain
from isthmus.model.errors import Invalid
from isthmus.model.rules import OPEN

HERE = Path(__file__).parent / "r"
RHOS = (0, 0.5, 1, 2)
POWERS = ((0, 1), (1, 1), (0.5, 2))
ASKED = {
    "plain": {"by": "clinic"},
    "strata": {"by": "clinic", "strata": ["arm"]},
    "site": {"by": "arm", "strata": ["site"]},
    "binned": {"by": "clinic", "grid": {"every": 10, "to": 300}},
}


@pytest.fixture(scope="module")
def table() -> dict[str, np.ndarray]:
    with (HERE / "survival.csv").open() as file:
        rows = list(csv.DictReader(file))
    numbers = {name: np.array([float(r[name]) for r in rows]) for name in ("time", "event")}
    texts = {name: np.array([r[name] for r in rows], dtype=object) for name in ("clinic", "arm", "site")}
    return numbers | texts | {"site_": texts["site"]}


@pytest.fixture(scope="module")
def r() -> dict:
    return json.loads((HERE / "log_rank.json").read_text())


def compared(found: dict, told: dict) -> None:
    fit = found["fit"]
    assert worst(fit["statistic"], told["statistic"]) < 1e-12
    assert worst(fit["expected"], told["expected"]) < 1e-12
    assert worst(fit.get("weighted_observed", fit["observed"]), told["observed"]) < 1e-12


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("name", ASKED)
def test_equals_survdiff(table, r, name, rho) -> None:
    found = run("log_rank", {"time": "time", "event": "event", "rho": rho} | ASKED[name], table).report
    compared(found, r[f"{name} {rho}"])
    assert found["exactness"] == ("grid" if name == "binned" else "exact")
    assert sum(found["fit"]["observed"]) == table["event"].sum()


@pytest.mark.parametrize("powers", POWERS)
@pytest.mark.parametrize("name", ASKED)
def test_late_weights_equal_the_formula_in_r(table, r, name, powers) -> None:
    rho, gamma = powers
    found = run("log_rank", {"time": "time", "event": "event", "rho": rho, "gamma": gamma} | ASKED[name], table).report
    compared(found, r[f"{name} {rho} {gamma}"])
    assert (found["fit"]["rho"], found["fit"]["gamma"]) == powers


@pytest.mark.parametrize("name", ["plain", "site"])
def test_through_files_gate_and_masks(table, r, name) -> None:
    names = ("time", "event", "clinic", "arm")
    parts = {f"s{s}": pa.table({n: table[n][table["site"] == s] for n in names}) for s in "012"}
    question = {"log_rank": {"time": "time", "event": "event", "rho": 1} | ASKED[name]}
    compared(rehearsed("survival", parts, {"m": question})["analyses"]["m"], r[f"{name} 1"])


@pytest.mark.parametrize(("rho", "gamma"), [*((rho, 0) for rho in RHOS), *POWERS])
def test_the_bound_of_a_grid_covers_the_recorded_times(table, rho, gamma) -> None:
    asked = {"time": "time", "event": "event", "by": "arm", "rho": rho, "gamma": gamma}
    exact = run("log_rank", asked, table).report["fit"]["statistic"]
    top = float(table["time"].max())
    found = run("log_rank", asked | {"grid": {"every": 2, "to": np.ceil(top / 2) * 2}}, table).report
    assert 0.0 < abs(found["fit"]["statistic"] - exact) <= found["bound"]


def test_a_power_below_0_says_so(table) -> None:
    for power in ("rho", "gamma"):
        with pytest.raises(Invalid, match=f"{power} is 0 or above"):
            run("log_rank", {"time": "time", "event": "event", "by": "arm", power: -1.0}, table)


@pytest.mark.parametrize("strata", [[], ["site"]])
def test_gamma_where_all_events_share_one_time_says_so(table, strata) -> None:
    asked = {"time": "time", "event": "event", "by": "arm", "strata": strata, "gamma": 1.0}
    with pytest.raises(Invalid, match="no event has a weight"):
        run("log_rank", asked, table | {"time": np.full(len(table["time"]), 7.0)})


def test_an_unknown_key_names_the_nearest(table) -> None:
    with pytest.raises(Invalid, match="rho"):
        run("log_rank", {"time": "time", "event": "event", "by": "arm", "rhoo": 1.0}, table)


def test_rounded_events_of_groups_add_up_to_the_total_that_is_shown(table: dict[str, np.ndarray]) -> None:
    """So do the expected; each group's count is rounded by itself."""
    at = table["site_"]
    sites = {
        f"s{s}": pa.table({name: table[name][at == s] for name in ("time", "event", "clinic")}) for s in np.unique(at)
    }
    study = isthmus.Study(
        title="t", dataset="t", analyses={"lr": {"log_rank": {"time": "time", "event": "event", "by": "clinic"}}}
    )
    rules = {**plain(OPEN), "round_to": 5}
    body = isthmus.rehearse(study, sites, rules=rules).to_dict()["analyses"]["lr"]
    assert all(count % 5 == 0 for count in body["fit"]["observed"])
    assert body["events"] == sum(body["fit"]["observed"])
    assert sum(body["fit"]["expected"]) == pytest.approx(body["events"], rel=1e-9)
