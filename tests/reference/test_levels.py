"""Outcomes with levels against R's nnet::multinom and MASS::polr (r/levels.R), bare and through the masked path."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from reference_cases import run, worst

import isthmus
from isthmus.model.canonical import plain
from isthmus.model.errors import Invalid
from isthmus.model.rules import OPEN

HERE = Path(__file__).parent / "r"
KINDS = ("multinomial", "ordinal")
FORMULA = "y ~ age + I((year - 2000) / 10) + arm"


COLUMNS = ("age", "year", "w", "times")
WEIGHTED: dict[str, dict[str, Any]] = {
    "plain": {},
    "weighted": {"weights": {"variable": "w", "kind": "precision"}},
    "frequency": {"weights": {"variable": "times", "kind": "frequency"}},
}
ERRORS: dict[str, dict[str, Any]] = {"std_error": {}, "hc0": {"robust": "HC0"}, "cluster": {"cluster": "ward"}}


def table() -> dict[str, np.ndarray]:
    """Site 0 has no row of level d; a ward lies inside a site."""
    with (HERE / "levels.csv").open() as file:
        rows = list(csv.DictReader(file))
    made = {name: np.array([float(row[name]) for row in rows]) for name in COLUMNS}
    made |= {name: np.array([row[name] for row in rows], dtype=object) for name in ("arm", "y", "ward")}
    return made | {"site_": np.array([row["site"] for row in rows])}


def r(kind: str, weights: str = "plain", package: bool = False) -> dict[str, Any]:
    found = json.loads((HERE / "levels.json").read_text())
    found = found if weights == "plain" else found[weights]
    return (found["packages"] if package else found)[kind]


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """Every kind, weight and error through files, gate and masks."""
    rows = table()
    tables = {
        f"s{site}": pa.table({name: rows[name][rows["site_"] == site] for name in rows if name != "site_"})
        for site in np.unique(rows["site_"])
    }
    asked = {
        f"{kind} {weights} {error}": {kind: {"formula": FORMULA, **WEIGHTED[weights], **ERRORS[error]}}
        for kind in KINDS
        for weights in WEIGHTED
        for error in ERRORS
    }
    more = {"contrasts": {"ten years": {"age": 10}}, "tests": {"both": ["age", "arm"]}, "release": ["vcov"]}
    asked["tested"] = {"ordinal": {"formula": FORMULA, **more}}
    more = {
        "contrasts": {"c to b": {"c: age": 1, "b: age": -1}},
        "tests": {"both": ["age", "arm"]},
        "release": ["vcov"],
    }
    asked["levels tested"] = {"multinomial": {"formula": FORMULA, **more}}
    sampling = {"formula": FORMULA, "weights": {"variable": "w", "kind": "sampling"}}
    asked |= {f"{kind} sampling": {kind: sampling} for kind in KINDS}
    asked["in formula"] = {"ordinal": {**sampling, "formula": f"{FORMULA} + cluster(ward)"}}
    study = isthmus.Study(
        title="levels",
        dataset="levels",
        purpose={"duo": "DUO:0000042", "text": "reference check", "commercial": False},
        analyses=asked,
    )
    found: dict[str, Any] = isthmus.rehearse(study, tables, rules=plain(OPEN)).to_dict()["analyses"]
    assert all("status" not in body for body in found.values()), found
    return found


def column(body: dict[str, Any], name: str) -> list[float]:
    return [term[name] for term in body["terms"]]


@pytest.mark.parametrize("kind", KINDS)
def test_bare_equals_r(kind) -> None:
    found, expected = run(kind, {"formula": FORMULA}, table()).report, r(kind)
    for name in ("estimate", "std_error"):
        assert worst(column(found, name), expected[name]) < 1e-9


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("weights", WEIGHTED)
@pytest.mark.parametrize("kind", KINDS)
def test_weights_and_errors_equal_r(answers, kind, weights, error) -> None:
    found, expected = answers[f"{kind} {weights} {error}"], r(kind, weights)
    copies = weights == "frequency" and error == "hc0"
    assert worst(column(found, "estimate"), expected["estimate"]) < 1e-9
    assert worst(column(found, "std_error"), expected["frequency_hc0" if copies else error]) < 1e-9
    assert worst(found["fit"]["deviance"], expected["deviance"]) < 1e-9
    assert found["error"] == {"std_error": "model", "hc0": "HC0", "cluster": "cluster"}[error]
    rows = table()
    assert found["n"] == (rows["times"].sum() if weights == "frequency" else rows["w"].size)
    used = rows["times"] > 0 if weights == "frequency" else rows["w"] > 0
    assert found["levels"] == {level: np.count_nonzero(rows["y"][used] == level) for level in "abcd"}
    assert error != "cluster" or found["clusters"] == len(np.unique(rows["ward"][used]))
    if weights != "frequency" and error in (package := r(kind, weights, package=True)):
        assert worst(column(found, "estimate"), package["estimate"]) < 1e-3  # where the optimisers stop
        assert worst(column(found, "std_error"), package[error]) < 1e-3  # and polr's numeric Hessian


def test_sampling_weights_are_precision_weights_with_robust_errors(answers) -> None:
    for kind in KINDS:
        assert answers[f"{kind} sampling"]["terms"] == answers[f"{kind} weighted hc0"]["terms"]
        assert answers[f"{kind} sampling"]["error"] == "HC0"
    assert answers["in formula"]["terms"] == answers["ordinal weighted cluster"]["terms"]


def test_contrasts_and_tests_follow_from_the_covariance(answers) -> None:
    for name, at, row in (("tested", [3, 5], {3: 10.0}), ("levels tested", [1, 3, 5, 7, 9, 11], {5: 1.0, 1: -1.0})):
        found = answers[name]
        b, v = np.array(column(found, "estimate")), np.array(found["vcov"])
        told = found["tests"]["both"]
        assert told["df"] == len(at)
        assert worst(told["statistic"], float(b[at] @ np.linalg.solve(v[np.ix_(at, at)], b[at]))) < 1e-9
        weights = np.array([row.get(i, 0.0) for i in range(len(b))])
        (contrast,) = found["contrasts"]
        assert worst(contrast["estimate"], float(weights @ b)) < 1e-12
        assert worst(contrast["std_error"], float(np.sqrt(weights @ v @ weights))) < 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_weighed_or_clustered(kind) -> None:
    rows = table()
    rows |= {"own": np.where(np.arange(400) == 4, -1.0, 1.0), "half": np.full(400, 0.5), "one": np.ones(400)}
    rows |= {"none": np.zeros(400), "country": np.full(400, "GB", dtype=object), "site_": np.zeros(400)}

    def refused(**change: Any) -> Invalid:
        with pytest.raises(Invalid) as caught:
            run(kind, {"formula": "y ~ age", **change}, rows)
        return caught.value

    for variable, weight, text in (("own", "precision", "negative"), ("half", "frequency", "whole numbers")):
        error = refused(weights={"variable": variable, "kind": weight})
        assert (error.code, text in error.message, repr(variable) in error.message) == ("E-WEIGHTS", True, True)
    error = refused(weights={"variable": "none", "kind": "precision"})
    assert (error.code, "a weight above 0" in error.message) == ("E-NO-ROWS", True)
    for cluster, text in (("one", "one value only"), ("country", "inside one site"), ("site", "10 sites or more")):
        error = refused(cluster=cluster)
        assert (error.code, text in error.message) == ("E-CLUSTER", True)
    error = refused(cluster="ward", formula="y ~ age + cluster(one)")
    assert (error.code, "two cluster" in error.message) == ("E-CLUSTER", True)
    error = refused(tests={"t": ["nothing"]})
    assert (error.code, "'nothing'" in error.message) == ("E-TERM", True)


@pytest.mark.parametrize("kind", KINDS)
def test_sites_as_clusters(kind) -> None:
    """Of twelve sites, each a cluster, as the pooled table clustered by them."""
    rows = table()
    clinic = np.arange(400) % 12
    together = run(kind, {"formula": FORMULA, "cluster": "clinic"}, rows | {"clinic": clinic, "site_": np.zeros(400)})
    apart = run(kind, {"formula": FORMULA, "cluster": "site"}, rows | {"site_": clinic})
    assert worst(column(apart.report, "std_error"), column(together.report, "std_error")) < 1e-9
    assert apart.report["clusters"] == 12


def made(**columns: Any) -> dict[str, np.ndarray]:
    return table() | {name: np.asarray(values) for name, values in columns.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_ends_in_an_error_that_names_the_column(kind) -> None:
    rows = table()
    late = np.searchsorted(["a", "b", "c", "d"], rows["y"].astype(str))
    separated = made(x=late * 10.0 + rows["age"] / 100.0)
    with pytest.raises(Invalid, match="'x'") as caught:
        run(kind, {"formula": "y ~ x + arm"}, separated)
    assert caught.value.code == "E-SEPARATED"
    with pytest.raises(Invalid, match="'double'") as caught:
        run(kind, {"formula": "y ~ age + double"}, made(double=rows["age"] * 2.0 + 1.0))
    assert caught.value.code == "E-COLLINEAR"
    with pytest.raises(Invalid, match="'flat'") as caught:
        run(kind, {"formula": "y ~ age + flat"}, made(flat=np.full(len(late), 3.0)))
    assert caught.value.code == "E-COLLINEAR"
    with pytest.raises(Invalid, match="at least one term") as caught:
        run(kind, {"formula": "y ~ 1"}, rows)
    assert caught.value.code == "E-FORMULA"
    with pytest.raises(Invalid, match="'y' has one level") as caught:
        run(kind, {"formula": "y ~ age"}, made(y=np.full(len(late), "a", dtype=object)))
    assert caught.value.code == "E-OUTCOME"
