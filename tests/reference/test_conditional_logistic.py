"""Conditional logistic regression against R's clogit (`r/conditional_logistic.R` made rows and numbers)."""

from __future__ import annotations

import csv
import json
from decimal import Decimal, localcontext
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from reference_cases import run, worst
from test_masked_path import rehearsed

from isthmus.model.errors import Invalid
from isthmus.statistics.conditional_logistic_site import WORK

HERE = Path(__file__).parent / "r"
METHODS = ("exact", "efron", "breslow")
ASKED = {"formula": "case ~ dose + age + arm", "sets": "set", "release": ["vcov"]}


@pytest.fixture(scope="module")
def table() -> dict[str, np.ndarray]:
    with (HERE / "matched.csv").open() as file:
        rows = list(csv.DictReader(file))
    numbers = {name: np.array([float(r[name]) for r in rows]) for name in ("dose", "age", "case")}
    texts = {name: np.array([r[name] for r in rows], dtype=object) for name in ("set", "practice", "arm", "site")}
    return numbers | texts | {"site_": texts["site"]}


@pytest.fixture(scope="module")
def large() -> dict[str, np.ndarray]:
    with (HERE / "matched_large.csv").open() as file:
        rows = list(csv.DictReader(file))
    numbers = {name: np.array([float(r[name]) for r in rows]) for name in ("dose", "age", "case")}
    code = np.array([r["set"] for r in rows])
    return numbers | {"set": code, "site_": np.where(code == "c", 1, 0)}


@pytest.fixture(scope="module")
def r() -> dict:
    return json.loads((HERE / "conditional_logistic.json").read_text())


def compared(found: dict, told: dict) -> None:
    assert worst([term["estimate"] for term in found["terms"]], told["estimate"]) < 1e-9
    assert worst(np.ravel(found["vcov"]).tolist(), np.ravel(told["variance"]).tolist()) < 1e-9
    for key in ("loglik", "loglik_null", "score"):
        assert worst(found["fit"][key], told[key]) < 1e-9, key


@pytest.mark.parametrize("method", METHODS)
def test_equals_clogit(table, r, method) -> None:
    found = run("conditional_logistic", ASKED | {"method": method}, table).report
    compared(found, r[method])
    assert worst(found["fit"]["wald"], r[method]["wald"]) < 1e-9
    assert (found["exactness"], found["n"]) == ("exact", len(table["case"]))
    assert method != "exact" or found["fit"]["sets"] == r["sets"]


@pytest.mark.parametrize("cluster", ["practice", "set"])
@pytest.mark.parametrize("method", METHODS)
def test_clusters_of_sets_equal_coxph(table, r, method, cluster) -> None:
    found = run("conditional_logistic", ASKED | {"method": method, "cluster": cluster}, table).report
    compared(found, r[f"{method} {cluster}"])
    assert found["error"] == "cluster"


def test_through_files_gate_and_masks(table, r) -> None:
    names = ("dose", "age", "case", "set", "practice", "arm")
    parts = {f"s{s}": pa.table({n: table[n][table["site"] == s] for n in names}) for s in "012"}
    asked = {"exact": {}, "efron": {"method": "efron"}, "exact practice": {"cluster": "practice"}}
    questions = {name: {"conditional_logistic": ASKED | more} for name, more in asked.items()}
    found = rehearsed("matched", parts, questions)["analyses"]
    for name in asked:
        compared(found[name], r[name])


def test_pairs_are_the_logarithm_of_the_discordant_ratio() -> None:
    """McNemar: 30 pairs whose case alone was exposed, 12 whose control was."""
    exposed = [(1, 0)] * 30 + [(0, 1)] * 12 + [(1, 1)] * 20 + [(0, 0)] * 20
    rows = {"e": np.array(exposed, dtype=float).reshape(-1), "case": np.tile([1.0, 0.0], 82)}
    rows |= {"pair": np.repeat(np.arange(82.0), 2), "site_": np.repeat(np.arange(82) % 3, 2)}
    fit = run("conditional_logistic", {"formula": "case ~ e", "sets": "pair"}, rows).report
    assert fit["terms"][0]["estimate"] == pytest.approx(np.log(30 / 12), rel=1e-9)
    assert fit["terms"][0]["std_error"] == pytest.approx(np.sqrt(1 / 30 + 1 / 12), rel=1e-9)


def test_large_sets_of_many_cases_against_all_choices() -> None:
    draw = np.random.default_rng(2)
    x, case = draw.normal(size=36), (np.arange(36) % 12 < 5).astype(float)
    rows = {"x": x, "case": draw.permutation(case), "s": np.repeat([1.0, 2, 3], 12), "site_": np.repeat([0, 1, 1], 12)}
    found = run("conditional_logistic", {"formula": "case ~ x", "sets": "s"}, rows).report
    b = found["terms"][0]["estimate"]

    def loglik(at: float) -> float:
        total = 0.0
        for s in (1, 2, 3):
            mine, m = x[rows["s"] == s], int(rows["case"][rows["s"] == s].sum())
            sums = [sum(mine[list(chosen)]) for chosen in combinations(range(12), m)]
            total += at * x[(rows["s"] == s) & (rows["case"] > 0)].sum() - np.log(np.sum(np.exp(at * np.array(sums))))
        return total

    assert found["fit"]["loglik"] == pytest.approx(loglik(b), rel=1e-12)
    assert max(loglik(b - 1e-4), loglik(b + 1e-4)) < loglik(b)


@pytest.mark.parametrize("method", METHODS)
def test_sets_of_many_cases_at_risks_far_apart_equal_clogit(large, method) -> None:
    asked = {"formula": "case ~ dose + age", "sets": "set", "release": ["vcov"], "method": method}
    told = json.loads((HERE / "conditional_logistic_large.json").read_text())[method]
    compared(run("conditional_logistic", asked, large).report, told)


def test_a_set_of_550_cases_of_1100_has_all_digits() -> None:
    """Beside the elementary symmetric polynomials in 40 digits: the largest has an order of magnitude of 300 or more."""
    draw = np.random.default_rng(550)
    x = draw.normal(size=1100).round(3)
    case = (np.argsort(np.argsort(-(2 * x + draw.logistic(size=1100)))) < 550).astype(float)
    rows = {"x": x, "case": case, "s": np.ones(1100), "site_": np.zeros(1100, dtype=int)}
    found = run("conditional_logistic", {"formula": "case ~ x", "sets": "s"}, rows).report
    term = found["terms"][0]
    loglik, score, information = in_forty_digits(x, case > 0, term["estimate"])
    assert found["fit"]["loglik"] == pytest.approx(loglik, rel=1e-12)
    assert abs(score) * term["std_error"] < 1e-9
    assert term["std_error"] == pytest.approx(information**-0.5, rel=1e-12)


def in_forty_digits(x: np.ndarray, case: np.ndarray, at: float) -> tuple[float, float, float]:
    """Conditional log-likelihood of one set, its derivative and information."""
    with localcontext(prec=40):
        b, m = Decimal(at), int(case.sum())
        e, d, h = ([Decimal(0)] * (m + 1) for _ in range(3))
        e[0] = Decimal(1)
        for z in map(Decimal, x.tolist()):
            r = (b * z).exp()
            for k in range(m, 0, -1):
                h[k] += r * (h[k - 1] + z * (2 * d[k - 1] + z * e[k - 1]))
                d[k] += r * (d[k - 1] + z * e[k - 1])
                e[k] += r * e[k - 1]
        own, mean = sum(map(Decimal, x[case].tolist())), d[m] / e[m]
        return float(b * own - e[m].ln()), float(own - mean), float(h[m] / e[m] - mean * mean)


def test_a_set_too_large_for_the_exact_form_names_the_way_out() -> None:
    n = int((2 * WORK) ** 0.5) + 2
    rows = {"x": np.arange(n) % 7.0, "case": np.arange(n) % 2.0, "s": np.ones(n), "site_": np.zeros(n, dtype=int)}
    with pytest.raises(Invalid) as caught:
        run("conditional_logistic", {"formula": "case ~ x", "sets": "s"}, rows)
    assert caught.value.code == "E-SETS"
    assert "`glm`" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "columns", "code", "named"),
    [
        ({"formula": "case ~ dose + flat"}, {}, "E-COLLINEAR", "'flat' is constant"),
        ({"formula": "case ~ dose + mean"}, {}, "E-COLLINEAR", "'mean' is constant"),
        ({"formula": "case ~ dose + same"}, {}, "E-SEPARATED", "'same'"),
        ({}, {"case": 0.0}, "E-NO-EVENTS", "no row has the event 'case'"),
        ({}, {"case": 1.0}, "E-NO-EVENTS", "no set of 'set'"),
        ({}, {"case": 2.0}, "E-OUTCOME", "'case' must be 0 or 1"),
        ({"sets": "practice", "cluster": "set"}, {}, "E-CLUSTER", "'practice'"),
        ({"sets": "site"}, {}, "E-CLUSTER", "inside a site"),
        ({"formula": "case ~ dose + strata(arm)"}, {}, "E-FORMULA", "strata"),
        ({"formula": "case ~ 1"}, {}, "E-FORMULA", "terms"),
        ({"formula": "Surv(age, case) ~ dose"}, {}, "E-FORMULA", "case ~ terms"),
        ({"set": "set"}, {}, "E-UNKNOWN-KEY", "'sets'"),
    ],
)
def test_what_cannot_be_fitted_says_why(table, change, columns, code, named) -> None:
    _, set_of = np.unique(table["set"].astype(str), return_inverse=True)
    means = np.bincount(set_of, weights=table["age"]) / np.bincount(set_of)
    rows = table | {"flat": np.full(len(set_of), 2.0), "mean": means[set_of], "same": table["case"]}
    rows |= {name: np.full(len(set_of), value) for name, value in columns.items()}
    with pytest.raises(Invalid) as caught:
        run("conditional_logistic", ASKED | change, rows)
    assert caught.value.code == code
    assert named in f"{caught.value.message} {caught.value.hint}"
