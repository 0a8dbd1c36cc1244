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
CONCORDANCES = [
    ("concordance", {}), ("weighted_concordance", ERRORS["precision"]), ("clustered_concordance", ERRORS["cluster"]),
]  # fmt: skip


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


def same_zph(found: dict, told: dict) -> None:
    assert [row["term"] for row in found["zph"]] == told["term"]
    assert [row["df"] for row in found["zph"]] == told["df"]
    assert worst([row["statistic"] for row in found["zph"]], told["statistic"]) < 1e-9


@pytest.mark.parametrize("weighted", ["identity", "log", "km", "rank", "weighted_identity", "weighted_km"])
@pytest.mark.parametrize(("left", "baseline", "ties"), FITS)
def test_proportional_hazards_equal_cox_zph(table, r, left, baseline, ties, weighted) -> None:
    more = ERRORS["precision"] if "weighted" in weighted else {}
    found = run("cox", asked(left, baseline, ties) | {"zph": weighted.removeprefix("weighted_")} | more, table).report
    same_zph(found, r[f"{left} {baseline} {ties}"][weighted])
    assert found.get("zph_exactness", "exact") == "exact"


def test_the_survival_curve_on_a_grid_leaves_the_estimates_exact(table, r) -> None:
    more = {"zph": "km", "grid": {"every": 5, "to": 100}}
    found = run("cox", asked("late", "site", "efron") | more, table).report
    assert (found["exactness"], found["zph_exactness"], found["grid"]["edges"][:2]) == ("exact", "grid", [5, 10])
    assert worst([term["estimate"] for term in found["terms"]], r["late site efron"]["model"]["estimate"]) < 1e-9
    same_zph(found, r["grid_km"])


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_weighted_events_of_rows_alone_at_risk_are_in_the_likelihood(table, r, ties) -> None:
    last = np.array(
        [t == table["time"][table["site"] == s].max() for t, s in zip(table["time"], table["site"], strict=True)]
    )
    assert last.sum() == r["alone"]
    lone = table | {"event": np.where(last, 1.0, table["event"])}
    lone["entry"] = np.where(last, table["time"] - 0.5, table["entry"])
    found = run("cox", asked("late", "site", ties) | ERRORS["precision"], lone).report
    told = r[f"lone {ties}"]
    assert worst([term["estimate"] for term in found["terms"]], told["estimate"]) < 1e-9
    for key in ("loglik", "loglik_null", "score", "wald"):
        assert worst(found["fit"][key], told[key]) < 1e-9, key


@pytest.mark.parametrize("left", ["plain", "late"])
@pytest.mark.parametrize(("name", "more"), CONCORDANCES)
def test_concordance_within_sites_equals_coxph(table, r, left, name, more) -> None:
    found = run("cox", asked(left, "site", "efron") | {"concordance": True} | more, table).report
    same_concordance(found, r[f"{left} site efron"][name])


@pytest.mark.parametrize("baseline", ["one", "site"])
@pytest.mark.parametrize("left", ["plain", "late"])
@pytest.mark.parametrize(("name", "more"), CONCORDANCES)
def test_concordance_within_sites_by_name_equals_r(table, r, left, baseline, name, more) -> None:
    found = run("cox", asked(left, baseline, "efron") | {"concordance": "within_sites"} | more, table).report
    told = r[f"{left} {baseline} efron"]["within"][name]
    assert worst([found["fit"]["concordance"], found["fit"]["concordance_error"]], told) < 1e-9
    assert ("warnings" in found) == (baseline == "one")


def same_concordance(found: dict, told: list) -> None:
    assert worst(found["fit"]["concordance"], told[5]) < 1e-12
    assert worst(found["fit"]["concordance_error"], told[6]) < 1e-12


@pytest.mark.parametrize("left", ["plain", "late"])
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_the_baseline_hazard_equals_basehaz(table, r, left, ties) -> None:
    found = run("cox", asked(left, "one", ties) | {"release": ["baseline"]}, table).report["baseline"]
    same_hazard(found, r[f"{left} one {ties}"]["baseline"])


def same_hazard(found: list, told: dict) -> None:
    at = [told["time"].index(time) for time in found[0]["time"]]
    assert len(at) == len(set(told["hazard"])) - (min(told["hazard"]) == 0)
    assert worst(found[0]["hazard"], [told["hazard"][i] for i in at]) < 1e-9


def test_what_is_asked_beside_the_fit_through_files_gate_and_masks(table, r) -> None:
    columns = {name: values for name, values in table.items() if name not in {"site", "site_"}}
    parts = {f"s{s}": pa.table({n: v[table["site"] == s] for n, v in columns.items()}) for s in "012"}
    questions = {
        "one": asked("late", "one", "efron") | {"zph": "km", "release": ["baseline"], "concordance": "within_sites"},
        "site": asked("late", "site", "efron") | {"zph": "km", "concordance": True},
        "rank": asked("plain", "site", "breslow") | {"zph": "rank"},
        "log": asked("plain", "one", "breslow") | {"zph": "log"},
    }
    made = {name: {"cox": one} for name, one in questions.items()}
    found = rehearsed("survival", parts, made, missing="analysis")["analyses"]
    same_zph(found["one"], r["late one efron"]["km"])
    same_hazard(found["one"]["baseline"], r["late one efron"]["baseline"])
    same_zph(found["site"], r["late site efron"]["km"])
    same_concordance(found["site"], r["late site efron"]["concordance"])
    fit, told = found["one"]["fit"], r["late one efron"]["within"]["concordance"]
    assert worst([fit["concordance"], fit["concordance_error"]], told) < 1e-9
    same_zph(found["rank"], r["plain site breslow"]["rank"])
    same_zph(found["log"], r["plain one breslow"]["log"])


@pytest.mark.parametrize("baseline", ["one", "site"])
def test_a_frequency_weight_counts_rows(table, baseline) -> None:
    """As of the rows written out: `n`, events, and what follows from the fit."""
    times = table["copies"].astype(int)
    whole = {name: np.repeat(values, times) for name, values in table.items()}
    question = asked("late", baseline, "efron")
    found = run("cox", question | ERRORS["frequency"] | {"robust": True}, table).report
    told = run("cox", question | {"ties": "breslow"}, whole).report
    assert (found["n"], found["fit"]["events"]) == (told["n"], told["fit"]["events"])
    assert found["n"] == times.sum() > table["x"].size
