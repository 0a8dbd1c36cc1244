"""Subdistribution hazards against R's cmprsk, with strata by its sums in each stratum (`r/fine_gray.R` made the numbers)."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from reference_cases import run, worst
from test_masked_path import rehearsed

from isthmus.model.errors import Invalid

HERE = Path(__file__).parent / "r"
ASKED = {"formula": "Surv(time, cause) ~ x + age + arm", "causes": {"1": "relapse", "2": "death"}}


@pytest.fixture(scope="module")
def table() -> dict[str, np.ndarray]:
    with (HERE / "survival.csv").open() as file:
        rows = list(csv.DictReader(file))
    numbers = {name: np.array([float(r[name]) for r in rows]) for name in ("id", "entry", "time", "x", "age")}
    numbers["untied"] = numbers["time"] + numbers["id"] / 1000
    known = np.append(0.0, np.sort(numbers["untied"]))
    numbers["met"] = known[np.searchsorted(known, numbers["entry"], side="right") - 1]
    numbers["tied"] = 5 * np.ceil(numbers["time"] / 5)
    numbers["tied_entry"] = np.minimum(5 * np.floor(numbers["entry"] / 5), numbers["tied"] - 5)
    texts = {name: np.array([r[name] for r in rows], dtype=object) for name in ("arm", "cause", "site")}
    texts["half"] = (numbers["id"] % 2).astype(int).astype(str).astype(object)
    return numbers | texts | {"site_": texts["site"]}


@pytest.fixture(scope="module")
def r() -> dict:
    return json.loads((HERE / "fine_gray.json").read_text())


def compared(found: dict, told: dict) -> None:
    assert worst([term["estimate"] for term in found["terms"]], told["estimate"]) < 1e-9
    assert worst(np.ravel(found["vcov"]).tolist(), np.ravel(told["variance"]).tolist()) < 1e-9
    assert worst([found["fit"][k] for k in ("loglik", "loglik_null")], [told["loglik"], told["loglik_null"]]) < 1e-9


@pytest.mark.parametrize("cause", ["relapse", "death"])
def test_estimates_and_variances_equal_crr(table, r, cause) -> None:
    found = run("fine_gray", ASKED | {"cause": cause, "release": ["vcov"]}, table).report
    compared(found, r[cause])
    assert found["exactness"] == "exact"


@pytest.mark.parametrize(
    ("name", "strata"),
    [
        ("relapse by site", ["site"]),
        ("death by site", ["site"]),
        ("relapse by half", ["half"]),
        ("relapse by site and half", ["site", "half"]),
        ("untied by site", ["site"]),
    ],
)
def test_strata_have_their_own_baseline_and_censoring(table, r, name, strata) -> None:
    change = {"formula": ASKED["formula"].replace("time", "untied")} if "untied" in name else {}
    cause = "death" if "death" in name else "relapse"
    asked = ASKED | change | {"cause": cause, "strata": strata, "release": ["vcov"]}
    found = run("fine_gray", asked, table).report
    compared(found, r[name])
    assert found["exactness"] == "exact"
    if "untied" in name:  # no event shares its time with censoring: survival::finegray with coxph agrees
        assert worst([term["estimate"] for term in found["terms"]], r[name]["finegray"]) < 1e-9


LATE = [
    ("late relapse", "relapse", "entry", []),
    ("late death", "death", "entry", []),
    ("late by site", "relapse", "entry", ["site"]),
    ("late met", "relapse", "met", []),
    ("late met by site", "relapse", "met", ["site"]),
    ("late tied", "relapse", "tied_entry", []),
    ("late tied death", "death", "tied_entry", []),
    ("late tied by site", "relapse", "tied_entry", ["site"]),
]


def late(cause: str, entry: str, strata: list[str]) -> dict:
    time = "tied" if entry == "tied_entry" else "untied"
    formula = ASKED["formula"].replace("time", f"{entry}, {time}")
    return ASKED | {"formula": formula, "cause": cause, "strata": strata, "release": ["vcov"]}


@pytest.mark.parametrize(("name", "cause", "entry", "strata"), LATE)
def test_late_entries_equal_finegray_with_coxph(table, r, name, cause, entry, strata) -> None:
    found = run("fine_gray", late(cause, entry, strata), table).report
    compared(found, r[name])
    assert (found["exactness"], found["error"], found["n"]) == ("exact", "robust", 240)


@pytest.mark.parametrize("strata", [[], ["site"]])
def test_entries_at_the_start_change_nothing_but_the_error(table, strata) -> None:
    """Where events share no time with censoring: `crr` and `finegray` order those otherwise."""
    rows = table | {"start": np.zeros(240), "time": table["untied"]}
    plain = run("fine_gray", ASKED | {"cause": "relapse", "strata": strata}, rows).report
    asked = ASKED | {"formula": ASKED["formula"].replace("time", "start, time"), "cause": "relapse", "strata": strata}
    found = run("fine_gray", asked, rows).report
    for one, other in zip(found["terms"], plain["terms"], strict=True):
        assert worst(one["estimate"], other["estimate"]) < 1e-9


def test_a_grid_takes_an_entry_to_the_start_of_its_bin(table) -> None:
    edges = np.arange(10.0, 201.0, 10.0)
    start = np.append(0.0, edges)[np.searchsorted(edges, table["entry"], side="right")]
    end = edges[np.searchsorted(edges, table["time"], side="left")]
    binned = table | {"start": start, "end": end}
    formula = ASKED["formula"]
    question = ASKED | {"cause": "relapse", "formula": formula.replace("time", "entry, time")}
    found = run("fine_gray", question | {"grid": {"every": 10, "to": 200}}, table).report
    again = run("fine_gray", question | {"formula": formula.replace("time", "start, end")}, binned).report
    assert (found["exactness"], again["exactness"]) == ("grid", "exact")
    for one, other in zip(found["terms"], again["terms"], strict=True):
        assert worst([one["estimate"], one["std_error"]], [other["estimate"], other["std_error"]]) < 1e-9


@pytest.mark.parametrize("early", [7, 120])
@pytest.mark.parametrize("strata", [[], ["site"]])
def test_where_everybody_has_just_entered_there_is_no_answer(table, strata, early) -> None:
    """Those who leave first, some by the other cause, are gone when the others come: of these nothing else is known."""
    first = np.arange(240) < early
    rows = table | {"entry": np.where(first, 0.0, 500.0), "time": table["time"] + np.where(first, 0.0, 600.0)}
    rows["cause"] = np.where(first & (np.arange(240) % 3 == 0), "2", table["cause"]).astype(object)
    asked = ASKED | {"formula": ASKED["formula"].replace("time", "entry, time"), "cause": "relapse", "strata": strata}
    with pytest.raises(Invalid, match="everybody at risk has just entered") as caught:
        run("fine_gray", asked, rows)
    assert caught.value.code == "E-TIME"


def test_a_grid_is_crr_of_the_binned_rows(table, r) -> None:
    asked = ASKED | {"cause": "relapse", "release": ["vcov"], "grid": {"every": 10, "to": 200}}
    found = run("fine_gray", asked, table).report
    compared(found, r["binned"])
    assert found["exactness"] == "grid"


def test_through_files_gate_and_masks(table, r) -> None:
    names = ("entry", "time", "untied", "cause", "x", "age", "arm")
    parts = {f"s{s}": pa.table({n: table[n][table["site"] == s] for n in names}) for s in "012"}
    asked = {
        "relapse": ASKED | {"cause": "relapse", "release": ["vcov"]},
        "relapse by site": ASKED | {"cause": "relapse", "release": ["vcov"], "strata": ["site"]},
        "late relapse": late("relapse", "entry", []),
        "late by site": late("relapse", "entry", ["site"]),
    }
    found = rehearsed("survival", parts, {name: {"fine_gray": one} for name, one in asked.items()}, missing="analysis")[
        "analyses"
    ]
    for name in asked:
        compared(found[name], r[name])


@pytest.mark.parametrize(
    ("change", "table_change", "code", "named"),
    [
        ({"cause": "stroke"}, {}, "E-CAUSE", "'stroke'"),
        ({"causes": {"1": "relapse"}, "cause": "relapse"}, {}, "E-CAUSE", "'2'"),
        (
            {},
            {"cause": np.array(["0", "2"] * 120, dtype=object)},
            "E-NO-EVENTS",
            "no row has the event 'cause = relapse'",
        ),
        ({}, {"time": np.full(240, -1.0)}, "E-TIME", "'time'"),
        ({"formula": "Surv(time, cause) ~ x + flat"}, {"flat": np.full(240, 3.0)}, "E-COLLINEAR", "'flat'"),
        ({"formula": "Surv(time, cause) ~ x + cluster(arm)"}, {}, "E-FORMULA", "cluster"),
        ({"strata": ["site"]}, {"cause": np.array(["0", "2"] * 120, dtype=object)}, "E-NO-EVENTS", "'cause = relapse'"),
        (
            {"strata": ["site"], "formula": "Surv(time, cause) ~ x + flat"},
            {"flat": np.full(240, 3.0)},
            "E-COLLINEAR",
            "'flat'",
        ),
        ({"stratum": ["site"]}, {}, "E-UNKNOWN-KEY", "strat"),
        ({"formula": "Surv(age, time, cause) ~ x"}, {}, "E-TIME", "'age' must come before"),
        ({"formula": "Surv(time, time, cause) ~ x"}, {}, "E-FORMULA", "different variables"),
    ],
)
def test_what_cannot_be_fitted_says_why(table, change, table_change, code, named) -> None:
    with pytest.raises(Invalid) as caught:
        run("fine_gray", ASKED | {"cause": "relapse"} | change, table | table_change)
    assert caught.value.code == code
    assert named in f"{caught.value.message} {caught.value.hint}"


def test_times_all_equal_and_a_cause_that_separates(table) -> None:
    tied = run("fine_gray", ASKED | {"cause": "relapse"}, table | {"time": np.full(240, 5.0)}).report
    assert all(np.isfinite(term["std_error"]) for term in tied["terms"])
    split = table | {"y": (table["cause"] == "1").astype(float)}
    with pytest.raises(Invalid) as caught:
        run("fine_gray", ASKED | {"cause": "relapse", "formula": "Surv(time, cause) ~ x + y"}, split)
    assert (caught.value.code, "'y'" in caught.value.message) == ("E-SEPARATED", True)
