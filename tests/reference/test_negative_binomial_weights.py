"""Negative binomial models with weights, robust and clustered errors and `site`, against MASS and sandwich (r/negative_binomial_weights.R)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cohort import asked, cohort, column, expected
from reference_cases import worst

WEIGHTS = {"weights": {"variable": "w", "kind": "precision"}}
TIMES = {"weights": {"variable": "times", "kind": "frequency"}}
QUESTIONS: dict[str, dict[str, Any]] = {
    "plain": {"formula": "falls ~ age + dose + arm"},
    "precision": {"formula": "falls ~ age + dose + arm", **WEIGHTS},
    "offset": {"formula": "falls ~ age + arm + offset(rate)", **WEIGHTS},
    "frequency": {"formula": "falls ~ age + arm", **TIMES},
    "site": {"formula": "falls ~ age + dose + arm + site"},
    "site_weights": {"formula": "falls ~ age + arm + site", "offset": "rate", **WEIGHTS},
}
ERRORS = ("HC0", "HC1", "HC2", "HC3")


def answered(**more: Any) -> dict[str, Any]:
    rows = cohort()
    rows |= {"rate": np.log(rows["years"]), "falls": rows["visits"] + (rows["visits"] > 2) * rows["times"]}
    made = {name: {**question, "family": "negative_binomial"} for name, question in QUESTIONS.items()}
    analyses = {name: {"glm": question} for name, question in made.items()}
    analyses |= {f"{name} {e}": {"glm": {**q, "robust": e}} for name, q in made.items() for e in ERRORS}
    analyses |= {f"{name} cluster": {"glm": {**q, "cluster": "gp"}} for name, q in made.items()}
    sampling = {"variable": "w", "kind": "sampling"}
    return asked(rows, analyses | {"sampling": {"glm": {**made["precision"], "weights": sampling}}} | more)


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    return answered()


@pytest.mark.parametrize("name", QUESTIONS)
def test_equals_glm_nb(answers, name) -> None:
    r, found = expected("negative_binomial_weights")[name], answers[name]
    assert worst(column(found, "estimate"), r["estimate"]) < 1e-9
    assert worst(column(found, "std_error"), r["std_error"]) < 1e-9
    for key in ("theta", "theta_error", "deviance", "loglik"):
        assert worst(found["fit"][key], r[key]) < 1e-9, key
    assert found["fit"]["df_residual"] == r["df_residual"]


@pytest.mark.parametrize("error", [*ERRORS, "cluster"])
@pytest.mark.parametrize("name", QUESTIONS)
def test_errors_equal_sandwich(answers, name, error) -> None:
    found = answers[f"{name} {error}"]
    assert worst(column(found, "std_error"), expected("negative_binomial_weights")[name][error]) < 1e-9
    assert found["error"] == error


def test_sampling_weights_have_robust_errors(answers) -> None:
    assert answers["sampling"]["error"] == "HC0"
    assert answers["sampling"]["terms"] == answers["precision HC0"]["terms"]
