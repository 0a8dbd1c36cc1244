"""Cox models with weights, late entries and clusters against R's survival (`r/cox.R` made the numbers)."""

from __future__ import annotations

import csv
import json
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from reference_cases import run, worst
from test_masked_path import rehearsed

HERE = Path(__file__).parent / "r"
FITS = list(product(("plain", "late"), ("one", "site"), ("efron", "breslow")))
NUMBERS = ("entry", "time", "event", "x", "age", "w", "copies")
ERRORS = {
    "model": {},
    "robust": {"robust": True},
    "precision": {"weights": {"variable": "w", "kind": "precision"}},
    "sampling": {"weights": {"variable": "w", "kind": "sampling"}},
    "cluster": {"cluster": "clinic"},
    "weighted_cluster": {"cluster": "clinic", "weights": {"variable": "w", "kind": "precision"}},
    "frequency": {"weights": {"variable": "copies", "kind": "frequency"}},
}


@pytest.fixture(scope="module")
def table() -> dict[str, np.ndarray]:
    with (HERE / "survival.csv").open() as file:
        rows = list(csv.DictReader(file))
    numbers = {name: np.array([float(r[name]) for r in rows]) for name in NUMBERS}
    texts = {name: np.array([r[name] for r in rows], dtype=object) for name in ("clinic", "arm", "site")}
    return numbers | texts | {"site_": texts["site"]}


@pytest.fixture(scope="module")
def r() -> dict:
    return json.loads((HERE / "cox.json").read_text())


def asked(left: str, baseline: str, ties: str) -> dict:
    surv = "Surv(time, event)" if left == "plain" else "Surv(entry, time, event)"
    strata = ["site"] if baseline == "site" else []
    return {"formula": f"{surv} ~ x + age + arm", "ties": ties, "strata": strata}


@pytest.mark.parametrize("errors", ERRORS)
@pytest.mark.parametrize(("left", "baseline", "ties"), FITS)
def test_estimates_errors_and_tests_equal_coxph(table, r, left, baseline, ties, errors) -> None:
    found = run("cox", asked(left, baseline, ties) | ERRORS[errors], table).report
    told = r[f"{left} {baseline} {ties}"][errors]
    for key in ("estimate", "std_error"):
        assert worst([term[key] for term in found["terms"]], told[key]) < 1e-9, key
    for key in ("loglik", "loglik_null", "score", "wald"):
        assert worst(found["fit"][key], told[key]) < 1e-9, key
    assert found["exactness"] == "exact"


@pytest.mark.parametrize("errors", ["model", "weighted_cluster"])
@pytest.mark.parametrize("baseline", ["one", "site"])
def test_through_files_gate_and_masks(table, r, baseline, errors) -> None:
    columns = {name: values for name, values in table.items() if name not in {"site", "site_"}}
    parts = {f"s{s}": pa.table({n: v[table["site"] == s] for n, v in columns.items()}) for s in "012"}
    question = {"cox": asked("late", baseline, "efron") | ERRORS[errors]}
    found = rehearsed("survival", parts, {"m": question})["analyses"]["m"]
    told = r[f"late {baseline} efron"][errors]
    for key in ("estimate", "std_error"):
        assert worst([term[key] for term in found["terms"]], told[key]) < 1e-9, key


@pytest.mark.parametrize("weighted", ["identity", "log", "weighted_identity"])
@pytest.mark.parametrize(("left", "baseline", "ties"), FITS)
def test_proportional_hazards_equal_cox_zph(table, r, left, baseline, ties, weighted) -> None:
    more = ERRORS["precision"] if "weighted" in weighted else {}
    found = run("cox", asked(left, baseline, ties) | {"zph": weighted.removeprefix("weighted_")} | more, table).report
    told = r[f"{left} {baseline} {ties}"][weighted]
    assert [row["term"] for row in found["zph"]] == told["term"]
    assert [row["df"] for row in found["zph"]] == told["df"]
    assert worst([row["statistic"] for row in found["zph"]], told["statistic"]) < 1e-9


@pytest.mark.parametrize("left", ["plain", "late"])
@pytest.mark.parametrize("weighted", [False, True])
def test_concordance_within_sites_equals_coxph(table, r, left, weighted) -> None:
    more = ERRORS["precision"] if weighted else {}
    found = run("cox", asked(left, "site", "efron") | {"concordance": True} | more, table).report
    told = r[f"{left} site efron"]["weighted_concordance" if weighted else "concordance"]
    assert worst(found["fit"]["concordance"], told[5]) < 1e-12


@pytest.mark.parametrize("left", ["plain", "late"])
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_the_baseline_hazard_equals_basehaz(table, r, left, ties) -> None:
    found = run("cox", asked(left, "one", ties) | {"release": ["baseline"]}, table).report["baseline"]
    told = r[f"{left} one {ties}"]["baseline"]
    at = [told["time"].index(time) for time in found[0]["time"]]
    assert len(at) == len(set(told["hazard"])) - (min(told["hazard"]) == 0)
    assert worst(found[0]["hazard"], [told["hazard"][i] for i in at]) < 1e-9
