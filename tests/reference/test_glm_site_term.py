"""`site` as a term of a glm, of every family and link, against R's glm with a factor of the site (r/glm_site_term.R)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cohort import asked, cohort, column, expected
from reference_cases import worst

QUESTIONS: dict[str, dict[str, Any]] = {
    "gaussian": {"formula": "bp ~ age + dose + arm + site", "family": "gaussian"},
    "logit": {"formula": "ill ~ site + age + dose + arm", "family": "binomial"},
    "probit": {"formula": "ill ~ age + dose + arm + site", "family": "binomial", "link": "probit"},
    "cloglog": {"formula": "ill ~ age + arm + site", "family": "binomial", "link": "cloglog"},
    "log_binomial": {"formula": "ill ~ dose + arm + site", "family": "binomial", "link": "log"},
    "share": {"formula": "ill ~ arm + site", "family": "binomial", "link": "identity"},
    "poisson": {"formula": "visits ~ age + dose + arm + site", "family": "poisson"},
    "poisson_identity": {"formula": "visits ~ dose + arm + site", "family": "poisson", "link": "identity"},
    "gamma": {"formula": "cost ~ age + arm + site", "family": "gamma"},
    "gamma_log": {"formula": "cost ~ age + dose + arm + site", "family": "gamma", "link": "log"},
    "inverse_gaussian_log": {"formula": "cost ~ age + dose + site", "family": "inverse_gaussian", "link": "log"},
    "inverse_gaussian_inverse": {"formula": "cost ~ arm + site", "family": "inverse_gaussian", "link": "inverse"},
    "inverse_gaussian": {"formula": "cost ~ arm + site", "family": "inverse_gaussian"},
    "quasibinomial": {"formula": "ill ~ age + arm + site", "family": "quasibinomial", "link": "probit"},
    "probit_offset": {
        "formula": "ill ~ age + arm + site + offset(quarter)",
        "family": "binomial",
        "link": "probit",
    },
    "gamma_weights": {
        "formula": "cost ~ age + dose + arm + site",
        "family": "gamma",
        "link": "log",
        "weights": {"variable": "w", "kind": "precision"},
    },
    "frequency": {
        "formula": "ill ~ age + dose + arm + site",
        "family": "binomial",
        "link": "probit",
        "weights": {"variable": "times", "kind": "frequency"},
    },
}
ERRORS = ("HC0", "HC1", "HC2", "HC3")
GATE = 1e-9


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    rows = cohort()
    rows |= {"quarter": np.log(rows["years"]) / 4}
    analyses = {name: {"glm": question} for name, question in QUESTIONS.items()}
    analyses |= {f"{name} {e}": {"glm": {**q, "robust": e}} for name, q in QUESTIONS.items() for e in ERRORS}
    return asked(rows, analyses | {f"{n} cluster": {"glm": {**q, "cluster": "gp"}} for n, q in QUESTIONS.items()})


@pytest.mark.parametrize("name", QUESTIONS)
def test_equals_r_but_for_the_terms_of_the_site(answers, name) -> None:
    r, found = expected("glm_site_term")[name], answers[name]
    assert worst(column(found, "estimate"), r["estimate"]) < GATE
    assert worst(column(found, "std_error"), r["std_error"]) < GATE
    for key in ("deviance", "null_deviance", "dispersion", "loglik", "aic"):
        if key in r:
            assert worst(found["fit"][key], r[key]) < GATE, key
    assert found["fit"]["df_residual"] == r["df_residual"]
    assert found["exactness"] == "exact"
    assert found["rounds"] <= 14
    assert not [term for term in column(found, "term") if "site" in term or term == "(Intercept)"]


@pytest.mark.parametrize("error", [*ERRORS, "cluster"])
@pytest.mark.parametrize("name", QUESTIONS)
def test_robust_and_clustered_errors_equal_sandwich(answers, name, error) -> None:
    r, found = expected("glm_site_term")[name], answers[f"{name} {error}"]
    assert worst(column(found, "std_error"), r[error]) < GATE
    assert found["error"] == error


def test_sites_as_clusters_beside_their_intercepts() -> None:
    rows = cohort()
    rows["site_"] = np.arange(rows["age"].size) % 12
    found = asked(rows, {"m": {"glm": {**QUESTIONS["gaussian"], "cluster": "site"}}})["m"]
    assert worst(column(found, "std_error"), expected("glm_site_term")["by_site"]["cluster"]) < GATE
