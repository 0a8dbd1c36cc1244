"""`ridge` in `glm` against glmnet (r/glm_ridge.R), and its errors against their formulas, through the masked path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cohort import asked, cohort, column, expected, tables
from reference_cases import worst

import isthmus
from isthmus.model.canonical import plain
from isthmus.model.errors import Invalid
from isthmus.model.rules import OPEN

ALL = "age + dose + arm + sex"
WEIGHTS = {"variable": "w", "kind": "precision"}
QUESTIONS: dict[str, dict[str, Any]] = {
    "gaussian": {"formula": f"bp ~ {ALL}", "family": "gaussian"},
    "gaussian_weights": {"formula": f"bp ~ {ALL}", "family": "gaussian", "weights": WEIGHTS},
    "gaussian_offset": {"formula": f"bp ~ {ALL}", "family": "gaussian", "offset": "rate"},
    "logit": {"formula": f"ill ~ {ALL}", "family": "binomial"},
    "logit_weights": {"formula": f"ill ~ {ALL}", "family": "binomial", "weights": WEIGHTS},
    "logit_offset": {"formula": f"ill ~ {ALL} + offset(rate)", "family": "binomial"},
    "probit": {"formula": f"ill ~ {ALL}", "family": "binomial", "link": "probit"},
    "cloglog": {"formula": f"ill ~ {ALL}", "family": "binomial", "link": "cloglog"},
    "poisson": {"formula": f"visits ~ {ALL} + offset(rate)", "family": "poisson"},
    "gamma_log": {"formula": f"cost ~ {ALL}", "family": "gamma", "link": "log"},
    "inverse_gaussian_log": {"formula": f"cost ~ {ALL}", "family": "inverse_gaussian", "link": "log"},
    "collinear": {"formula": "ill ~ age + twice + arm", "family": "binomial"},
    "interaction": {"formula": "visits ~ age * arm", "family": "poisson"},
    "separated": {"formula": "ill ~ age + apart", "family": "binomial"},
}
ERRORS = ("HC0", "HC1", "HC2", "HC3")
GATE = 1e-9


def rows() -> dict[str, np.ndarray]:
    found = cohort()
    apart = np.where(found["ill"] == 1, 2 + found["dose"] / 10, found["dose"] / 10)
    return found | {"rate": np.log(found["years"]), "twice": 2 * found["age"], "apart": apart}


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    stated = {name: {**q, "ridge": expected("glm_ridge")[name]["lambda"]} for name, q in QUESTIONS.items()}
    analyses = {name: {"glm": q} for name, q in stated.items()}
    analyses |= {f"{name} {e}": {"glm": {**q, "robust": e}} for name, q in stated.items() for e in ERRORS}
    analyses |= {f"{name} cluster": {"glm": {**q, "cluster": "gp"}} for name, q in stated.items()}
    return asked(rows(), analyses)


@pytest.mark.parametrize("name", QUESTIONS)
def test_equals_glmnet(answers, name) -> None:
    r, found = expected("glm_ridge")[name], answers[name]
    assert found["exactness"] == "exact", found
    assert worst(column(found, "estimate"), r["estimate"]) < GATE
    assert worst(column(found, "estimate"), r["glmnet"]) < (1e-7 if "log" in name.split("_") else GATE)  # its own stop
    assert worst(column(found, "std_error"), r["std_error"]) < GATE
    for key in ("df", "dispersion", "deviance"):
        assert worst(found["fit"][key], r[key]) < GATE, key
    assert found["fit"]["ridge"] == r["lambda"]
    assert found["fit"]["df_residual"] == pytest.approx(found["n"] - r["df"], rel=1e-12)
    assert found["rounds"] <= 14


@pytest.mark.parametrize("error", [*ERRORS, "cluster"])
@pytest.mark.parametrize("name", QUESTIONS)
def test_errors_equal_their_formulas(answers, name, error) -> None:
    r, found = expected("glm_ridge")[name], answers[f"{name} {error}"]
    assert worst(column(found, "std_error"), r[error]) < GATE
    assert found["error"] == error


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "zero": ({**QUESTIONS["logit"], "ridge": 0.0}, "E-PENALTY"),
    "negative": ({**QUESTIONS["logit"], "ridge": -1.0}, "E-PENALTY"),
    "site": ({"formula": "ill ~ age + site", "family": "binomial", "ridge": 0.1}, "E-FORMULA"),
    "no intercept": ({"formula": "bp ~ age - 1", "family": "gaussian", "ridge": 0.1}, "E-FORMULA"),
    "no terms": ({"formula": "bp ~ 1", "family": "gaussian", "ridge": 0.1}, "E-FORMULA"),
    "negative binomial": ({"formula": "visits ~ age", "family": "negative_binomial", "ridge": 0.1}, "E-PENALTY"),
    "constant column": ({"formula": "ill ~ age + one", "family": "binomial", "ridge": 0.1}, "E-COLLINEAR"),
    "constant outcome": ({"formula": "one ~ age", "family": "gaussian", "ridge": 0.1}, "E-OUTCOME"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_has_no_answer_says_why(name) -> None:
    question, code = BAD[name]
    try:
        found = asked(rows() | {"one": np.ones(cohort()["age"].size)}, {"m": {"glm": question}})["m"]["error"]["code"]
    except Invalid as error:
        found = error.code
    assert found == code


def test_a_large_penalty_leaves_the_mean_alone() -> None:
    question = {"formula": "visits ~ age + arm", "family": "poisson", "ridge": 1e9}
    found = asked(rows(), {"m": {"glm": question}})["m"]
    assert column(found, "estimate")[0] == pytest.approx(np.log(cohort()["visits"].mean()), rel=1e-6)
    assert found["fit"]["df"] == pytest.approx(1.0, abs=1e-6)
    assert found["fit"]["deviance"] == pytest.approx(found["fit"]["null_deviance"], rel=1e-6)


def test_the_summary_says_the_penalty() -> None:
    question = {"formula": "ill ~ age + arm", "family": "binomial", "ridge": 0.05}
    study = isthmus.Study(
        title="cohort",
        dataset="cohort",
        purpose={"duo": "DUO:0000042", "text": "reference check", "commercial": False},
        analyses={"m": {"glm": question}},
    )
    text = isthmus.rehearse(study, tables(rows()), rules=plain(OPEN))["m"].summary()
    assert "ridge = 0.05" in text


def test_multiple_imputation_combines_ridge_fits() -> None:
    table = rows()
    table["dose"] = np.where(np.arange(table["dose"].size) % 7 == 0, np.nan, table["dose"])
    analyses = {"m": {"glm": {"formula": "ill ~ age + dose", "family": "binomial", "ridge": 0.05}}}
    found = asked(table, analyses, impute={"m": 3, "cycles": 2}, seed=5)["m"]
    assert found["n"] == table["dose"].size
    assert all(term["std_error"] > 0 for term in found["terms"])
