"""Paths of `penalised` against R's glmnet (r/penalised.R) and against the optimality conditions, through the masked path."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np
import pytest
from cohort import R, asked, cohort, expected
from reference_cases import run, worst
from scipy import special

from isthmus.model.errors import Invalid
from isthmus.statistics.penalised_path import Penalty, minimise

FORMULA = " ~ age + dose + arm + sex + smoker + years + w"
OUTCOMES = {"gaussian": "bp", "binomial": "ill", "poisson": "visits"}
ALPHAS = ("1", "0.4", "0")
GLMNET = 1e-9  # relative; its coordinate descent and its reweighting stop at thresh 1e-20


def question(family: str, alpha: str, **more: Any) -> dict[str, Any]:
    lambdas = expected("penalised")[f"{family} {alpha}"]["lambda"]
    return {"formula": OUTCOMES[family] + FORMULA, "family": family, "alpha": float(alpha), "lambdas": lambdas, **more}


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    return asked(cohort(), {f"{f} {a}": {"penalised": question(f, a)} for f in OUTCOMES for a in ALPHAS})


def coefficients(body: dict[str, Any]) -> np.ndarray:
    """(penalties, terms)."""
    return np.array([cell["estimate"] for cell in body["cells"]]).reshape(len(body["fit"]["path"]), -1)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("family", OUTCOMES)
def test_equals_glmnet(answers, family, alpha) -> None:
    name = f"{family} {alpha}"
    r, found = expected("penalised")[name], answers[name]
    own, theirs = coefficients(found), np.array(r["coefficients"])
    assert np.array_equal(own != 0.0, theirs != 0.0)
    assert np.max(np.abs(own - theirs) / np.maximum(np.abs(theirs), 1e-3)) < GLMNET
    path = found["fit"]["path"]
    assert [p["lambda"] for p in path] == r["lambda"]
    assert [p["df"] for p in path] == r["df"]
    assert worst([p["dev_ratio"] for p in path], r["dev_ratio"]) < GLMNET
    assert worst(found["fit"]["null_deviance"], r["null"]) < 1e-9


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("family", OUTCOMES)
def test_meets_the_optimality_conditions(answers, family, alpha) -> None:
    """By numpy on the pooled rows: the slope of the loss is that of the penalty, or within it where a term is out."""
    rows, found = cohort(), answers[f"{family} {alpha}"]
    columns = [
        rows["age"],
        rows["dose"],
        rows["arm"] == "b",
        rows["sex"] == "m",
        rows["smoker"],
        rows["years"],
        rows["w"],
    ]
    x = np.column_stack([np.asarray(c, dtype=float) for c in columns])
    y, sd = rows[OUTCOMES[family]], x.std(axis=0)
    turn = {"gaussian": lambda e: e, "binomial": lambda e: 1 / (1 + np.exp(-e)), "poisson": np.exp}[family]
    for point, b in zip(found["fit"]["path"], coefficients(found), strict=True):
        residual = y - turn(b[0] + x @ b[1:])
        slope, standard = x.T @ residual / len(y) / sd, b[1:] * sd
        lasso, ridge = point["lambda"] * float(alpha), point["lambda"] * (1 - float(alpha))
        ridge /= y.std() if family == "gaussian" else 1.0
        size = np.abs(x).mean(axis=0) / sd * np.abs(residual).mean()  # of the sum that a slope is
        within = np.where(
            standard == 0.0,
            np.maximum(np.abs(slope) - lasso, 0.0),
            np.abs(slope - ridge * standard - lasso * np.sign(standard)),
        )
        assert np.max(within / size) < 1e-9
        assert abs(residual.mean()) < 1e-9 * np.abs(residual).mean()


@pytest.fixture(scope="module")
def survived() -> dict[str, Any]:
    """Columns of r/survival.csv; `site_` numbers the site of a row."""
    with (R / "survival.csv").open() as file:
        rows = list(csv.DictReader(file))
    numbers = {name: np.array([float(row[name]) for row in rows]) for name in ("entry", "time", "event", "x", "age")}
    texts = {name: np.array([row[name] for row in rows], dtype=object) for name in ("arm", "site")}
    return numbers | texts | {"site_": texts["site"]}


def survival_question(left: str, alpha: str, strata: str) -> dict[str, Any]:
    surv = "Surv(time, event)" if left == "plain" else "Surv(entry, time, event)"
    asked = {"formula": f"{surv} ~ x + age + arm", "family": "cox", "alpha": float(alpha)}
    lambdas = expected("penalised")[f"cox {left} {alpha} {strata}"]["lambda"]
    return asked | {"lambdas": lambdas, "strata": ["site"] if strata == "site" else []}


def same_path(found: dict[str, Any], r: dict[str, Any]) -> None:
    own, theirs = coefficients(found), np.array(r["coefficients"])
    assert np.array_equal(own != 0.0, theirs != 0.0)
    assert np.max(np.abs(own - theirs) / np.maximum(np.abs(theirs), 1e-3)) < GLMNET
    assert [p["df"] for p in found["fit"]["path"]] == r["df"]
    assert worst([p["dev_ratio"] for p in found["fit"]["path"]], r["dev_ratio"]) < GLMNET
    assert worst(found["fit"]["null_deviance"], r["null"]) < 1e-9


@pytest.mark.parametrize("strata", ["one", "site"])
@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("left", ["plain", "late"])
def test_cox_equals_glmnet(survived, left, alpha, strata) -> None:
    found = run("penalised", survival_question(left, alpha, strata), survived).report
    same_path(found, expected("penalised")[f"cox {left} {alpha} {strata}"])
    assert found["exactness"] == "exact"


def test_cox_through_files_gate_and_masks(survived) -> None:
    names = ("plain 1 one", "late 1 site", "plain 0 site")
    asked_of = {name: {"penalised": survival_question(*name.split())} for name in names}
    rows = {name: values for name, values in survived.items() if name != "site"}
    found = asked(rows | {"site_": survived["site_"].astype(int)}, asked_of, missing="analysis")
    for name in names:
        same_path(found[name], expected("penalised")[f"cox {name}"])


def test_large_times_tied_with_censoring_are_the_same_here_and_others_in_glmnet(survived) -> None:
    r = expected("glmnet_ties")
    asked_of = {"formula": "Surv(time, event) ~ x + age + arm", "family": "cox", "alpha": 1.0, "lambdas": r["lambda"]}
    for times in (1.0, 100.0):
        found = run("penalised", asked_of, {**survived, "time": times * survived["time"]}).report
        assert np.max(np.abs(coefficients(found) - np.array(r["days"]))) < GLMNET
    assert np.max(np.abs(np.array(r["hundredths"]) - np.array(r["days"]))) > 1e-3


def test_a_path_begins_where_glmnets_does() -> None:
    body = run("penalised", {"formula": "ill" + FORMULA, "family": "binomial", "points": 5}, cohort()).report
    path = body["fit"]["path"]
    assert 1.0 < path[0]["lambda"] / expected("penalised")["largest"] < 1.00002  # rounded up, to six digits
    assert path[-1]["lambda"] == pytest.approx(path[0]["lambda"] / 100, rel=1e-5)
    assert path[0]["df"] == 0
    assert path[-1]["df"] > 3


def test_without_a_pattern_found_there_is_an_exact_minimum() -> None:
    draw = np.random.default_rng(3)
    x = draw.normal(size=(60, 8)) @ (np.eye(8) + 0.9)  # strongly correlated
    gram, target = x.T @ x / 60, x.T @ draw.normal(size=60) / 60
    for lasso in (0.0, 0.01, 0.1):
        penalty = Penalty(np.full(8, lasso), np.full(8, 0.001))
        b = minimise(gram, target, penalty, np.zeros(8))
        slope = target - gram @ b - 0.001 * b
        assert np.all(np.abs(slope[b == 0.0]) <= lasso)
        assert np.allclose(slope[b != 0.0], lasso * np.sign(b[b != 0.0]), atol=1e-13)


@pytest.mark.parametrize(
    ("change", "code", "match"),
    [
        ({"alpha": 1.5}, "E-PENALTY", "alpha"),
        ({"lambdas": [0.1, 0.0]}, "E-PENALTY", "above 0"),
        ({"lambdas": [], "points": 101}, "E-PENALTY", "1 to 100"),
        ({"formula": "ill ~ age - 1"}, "E-FORMULA", "outcome and terms"),
        ({"formula": "ill ~ flat"}, "E-COLLINEAR", "'flat' is constant"),
        ({"formula": "ill ~ age + twice", "lambdas": [1e-13], "alpha": 0}, "E-CONVERGENCE", "the penalty is too small"),
        ({"formula": "flat ~ age"}, "E-OUTCOME", "'flat' is 1 in every row"),
        ({"formula": "none ~ age"}, "E-NO-EVENTS", "'none' is 0 in every row"),
        ({"formula": "flat ~ age", "family": "gaussian"}, "E-OUTCOME", "one value only"),
        ({"formula": "dose ~ age"}, "E-OUTCOME", "0 or 1"),
        ({"strata": ["site"]}, "E-FORMULA", "no strata"),
        ({"formula": "Surv(days, died) ~ age"}, "E-FORMULA", "an outcome and terms"),
        ({"family": "cox"}, "E-FORMULA", "times and terms"),
        ({"family": "cox", "formula": "Surv(days, died) ~ flat"}, "E-COLLINEAR", "'flat' is constant"),
        ({"family": "cox", "formula": "Surv(days, none) ~ age", "strata": ["site"]}, "E-NO-EVENTS", "'none'"),
        ({"lambda": [0.1]}, "E-UNKNOWN-KEY", "lambdas"),
    ],
)
def test_bad_input_ends_in_an_error(change, code, match) -> None:
    rows = cohort() | {"flat": np.ones(900), "none": np.zeros(900)}
    rows["twice"] = 2 * rows["age"] + 1
    with pytest.raises(Invalid) as caught:
        run("penalised", {**question("binomial", "1"), **change}, rows)
    assert caught.value.code == code
    assert match in f"{caught.value.message} {caught.value.hint}"


def dependent(rows: dict[str, Any], family: str) -> dict[str, np.ndarray]:
    """Columns of which some follow from others, and one is constant."""
    first, second, third = ("x", "age", None) if family == "cox" else ("age", "dose", "years")
    made = {
        "first": rows[first],
        "second": rows[second],
        "twice": 2 * rows[first] + 1,
        "flat": np.full(len(rows[first]), 4.1),
    }
    return made | (
        {"both": made["first"] + made["second"]}
        if third is None
        else {"third": rows[third], "both": rows[second] + rows[third]}
    )


def dependent_path(
    rows: dict[str, Any], family: str, alpha: float, lambdas: list[float], **more: Any
) -> tuple[Any, Any]:
    """(answer, its columns (n, p) in the order of R's script)."""
    own = dependent(rows, family)
    names = [n for n in ("first", "second", "third", "twice", "both", "flat") if n in own]
    outcome = "Surv(time, event)" if family == "cox" else OUTCOMES[family]
    asked_of = {
        "formula": f"{outcome} ~ {' + '.join(names)}",
        "family": family,
        "alpha": alpha,
        "lambdas": lambdas,
        **more,
    }
    return run("penalised", asked_of, rows | own).report, np.column_stack([own[n] for n in names])


def near_glmnet(found: Any, r: Any) -> None:
    own, theirs = coefficients(found), np.array(r["coefficients"])
    assert np.max(np.abs(own - theirs) / np.maximum(np.abs(theirs), 1e-3)) < GLMNET
    within = " in every stratum" if found.get("strata") else ""
    assert found["warnings"] == [f"column 'flat' is constant{within}: its coefficient is 0"]


@pytest.mark.parametrize("alpha", ["0.4", "0"])
@pytest.mark.parametrize("family", OUTCOMES)
def test_dependent_columns_share_as_in_glmnet(family, alpha) -> None:
    r = expected("penalised")[f"dependent {family} {alpha}"]
    near_glmnet(dependent_path(cohort(), family, float(alpha), r["lambda"])[0], r)


@pytest.mark.parametrize("strata", ["one", "site"])
@pytest.mark.parametrize("alpha", ["0.4", "0"])
def test_dependent_columns_of_a_cox_model_share_as_in_glmnet(survived, alpha, strata) -> None:
    r = expected("penalised")[f"dependent cox {alpha} {strata}"]
    more = {"strata": ["site"]} if strata == "site" else {}
    near_glmnet(dependent_path(survived, "cox", float(alpha), r["lambda"], **more)[0], r)


@pytest.mark.parametrize("family", OUTCOMES)
def test_a_lasso_of_dependent_columns_is_a_minimum(family) -> None:
    """One of several: the optimality conditions on the pooled rows, and the columns taken are independent."""
    rows, lambdas = cohort(), [0.1, 0.01, 1e-4]
    found, x = dependent_path(rows, family, 1.0, lambdas)
    y, sd = rows[OUTCOMES[family]], np.maximum(x.std(axis=0), 1e-9)
    turn = {"gaussian": lambda e: e, "binomial": special.expit, "poisson": np.exp}[family]
    for lam, b in zip(lambdas, coefficients(found), strict=True):
        residual = y - turn(b[0] + x @ b[1:])
        slope = (x - x.mean(axis=0)).T @ residual / len(y) / sd
        size, taken = np.abs(residual).mean(), b[1:] != 0.0
        assert abs(residual.mean()) < 1e-9 * size
        assert np.all(np.abs(slope - lam * np.sign(b[1:]))[taken] < 1e-9 * size)
        assert np.all(np.abs(slope[~taken]) <= lam + 1e-9 * size)
        assert np.linalg.matrix_rank(((x - x.mean(axis=0)) / sd)[:, taken], tol=1e-6) == taken.sum()
        assert not taken[-1]


@pytest.mark.parametrize("strata", [[], ["site"]])
def test_a_lasso_of_dependent_columns_of_a_cox_model_is_that_of_the_independent_ones(survived, strata) -> None:
    lambdas = [0.1, 0.01, 1e-4]
    found, x = dependent_path(survived, "cox", 1.0, lambdas, strata=strata)
    for lam, b in zip(lambdas, coefficients(found), strict=True):
        taken = np.flatnonzero(b)
        columns = {f"c{k}": x[:, k] for k in taken}
        asked_of = {
            "formula": f"Surv(time, event) ~ {' + '.join(columns)}",
            "family": "cox",
            "lambdas": [lam],
            "strata": strata,
        }
        again = run("penalised", asked_of, survived | columns).report
        assert worst(b[taken].tolist(), coefficients(again)[0].tolist()) < 1e-9


def test_a_column_constant_within_sites_has_no_part_in_a_stratified_cox_model(survived) -> None:
    rows = survived | {"place": np.array([float(s) for s in survived["site"]])}
    asked_of = {"formula": "Surv(time, event) ~ x + place", "family": "cox", "lambdas": [0.01], "strata": ["site"]}
    found = run("penalised", asked_of, rows).report
    alone = run("penalised", asked_of | {"formula": "Surv(time, event) ~ x"}, rows).report
    assert worst(coefficients(found)[0, 0], coefficients(alone)[0, 0]) < 1e-12
    assert coefficients(found)[0, 1] == 0.0
    assert found["warnings"] == ["column 'place' is constant in every stratum: its coefficient is 0"]


@pytest.mark.parametrize("seed", range(12))
def test_a_minimum_of_dependent_columns_meets_the_conditions(seed) -> None:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(60, 3)) @ draw.integers(-2, 3, size=(3, 7))
    x = np.column_stack([x, draw.normal(size=60)])
    gram, target = x.T @ x / 60, x.T @ draw.normal(size=60) / 60
    for lasso in (1e-6, 0.01, 0.1):
        b = minimise(gram, target, Penalty(np.full(8, lasso), np.zeros(8)), np.zeros(8))
        slope = target - gram @ b
        assert np.all(np.abs(slope) <= lasso + 1e-12)
        assert np.allclose(slope[b != 0.0], lasso * np.sign(b[b != 0.0]), atol=1e-12)


@pytest.mark.parametrize("alpha", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("lam", [0.05, 1e-3, 1e-5])
def test_a_separated_outcome_has_a_penalised_answer(alpha, lam) -> None:
    """Where maximum likelihood has none: the optimality conditions, on the pooled rows."""
    rows = cohort()
    rows["ill"] = (rows["age"] > 60).astype(float)
    asked_of = {"formula": "ill ~ age + dose", "family": "binomial", "lambdas": [lam], "alpha": alpha}
    b = coefficients(run("penalised", asked_of, rows).report)[0]
    x = np.column_stack([rows["age"], rows["dose"]])
    sd, residual = x.std(axis=0), rows["ill"] - special.expit(b[0] + x @ b[1:])
    slope, standard = (x - x.mean(axis=0)).T @ residual / 900 / sd, b[1:] * sd
    wanted = lam * (alpha * np.sign(standard) + (1 - alpha) * standard)
    assert abs(residual.mean()) < 1e-12
    assert np.all(np.abs(slope - wanted)[standard != 0.0] < 1e-9 * lam + 1e-14)
    assert np.all(np.abs(slope[standard == 0.0]) <= lam * alpha)


@pytest.mark.parametrize("strata", [[], ["site"]])
def test_times_that_a_column_separates_have_a_penalised_answer(survived, strata) -> None:
    rows = survived | {"y": survived["event"]}
    asked_of = {"formula": "Surv(time, event) ~ y + age", "family": "cox", "lambdas": [0.01], "strata": strata}
    assert 0 < coefficients(run("penalised", asked_of, rows).report)[0, 0] < 20


def test_a_penalty_too_small_for_a_separated_outcome_names_the_column() -> None:
    rows = cohort()
    rows["ill"] = (rows["age"] > 60).astype(float)
    with pytest.raises(Invalid) as caught:
        run("penalised", {"formula": "ill ~ age + dose", "family": "binomial", "lambdas": [1e-14]}, rows)
    assert (caught.value.code, "'age'" in caught.value.message) == ("E-SEPARATED", True)
