"""`glm` with sites as strata against R's glm with a factor of the site (r/glm_sites.R), through the masked path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cohort import asked, cohort, column, expected
from reference_cases import worst

WEIGHTS = {"variable": "w", "kind": "precision"}
SITE = {"strata": ["site"]}
QUESTIONS: dict[str, dict[str, Any]] = {
    "logit": {"formula": "ill ~ age + dose + arm", "family": "binomial", **SITE},
    "poisson": {"formula": "visits ~ age + dose + arm + strata(site)", "family": "poisson", "offset": "rate"},
    "gaussian": {"formula": "bp ~ age + dose + arm", "family": "gaussian", **SITE},
    "gaussian_offset": {"formula": "bp ~ age + arm", "family": "gaussian", "offset": "threefold", **SITE},
    "logit_sex": {"formula": "ill ~ age + arm", "family": "binomial", "offset": "quarter", "strata": ["site", "sex"]},
    "quasipoisson": {"formula": "visits ~ age + arm", "family": "quasipoisson", **SITE},
    "precision": {"formula": "bp ~ age + dose + arm", "family": "gaussian", "weights": WEIGHTS, **SITE},
}
NO_EVENTS = {"formula": "gone ~ age + dose + arm", "family": "binomial", **SITE}


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    rows = cohort()
    rate = np.log(rows["years"])
    rows |= {"rate": rate, "quarter": rate / 4, "threefold": rows["dose"] * 3}
    rows["gone"] = np.where(rows["site_"] == 1, 0.0, rows["ill"])
    analyses = {name: {"glm": question} for name, question in QUESTIONS.items()}
    analyses |= {f"{name} {e}": {"glm": {**q, "robust": e}} for name, q in QUESTIONS.items() for e in ("HC0", "HC1")}
    return asked(rows, analyses | {"no_events": {"glm": NO_EVENTS}})


@pytest.mark.parametrize("name", QUESTIONS)
def test_equals_r_without_the_terms_of_the_site(answers, name) -> None:
    r, found = expected("glm_sites")[name], answers[name]
    assert worst(column(found, "estimate"), r["estimate"]) < 1e-9
    assert worst(column(found, "std_error"), r["std_error"]) < 1e-9
    for key in ("deviance", "null_deviance", "dispersion", "loglik", "aic"):
        if key in r:
            assert worst(found["fit"][key], r[key]) < 1e-9, key
    assert (found["fit"]["df_residual"], found["fit"]["df_null"]) == (r["df_residual"], r["df_null"])
    assert found["exactness"] == "exact"
    assert "(Intercept)" not in column(found, "term")


@pytest.mark.parametrize("error", ["HC0", "HC1"])
@pytest.mark.parametrize("name", QUESTIONS)
def test_robust_errors_equal_sandwich(answers, name, error) -> None:
    r, found = expected("glm_sites")[name], answers[f"{name} {error}"]
    assert worst(column(found, "std_error"), r[error.lower()]) < 1e-9
    assert found["error"] == error


def test_a_site_without_an_event_says_nothing(answers) -> None:
    r, found = expected("glm_sites")["no_events"], answers["no_events"]
    assert worst(column(found, "estimate"), r["estimate"]) < 1e-9
    assert worst(column(found, "std_error"), r["std_error"]) < 1e-9
    assert worst(found["fit"]["deviance"], r["deviance"]) < 1e-9
    assert found["fit"]["df_residual"] == r["df_residual"]
