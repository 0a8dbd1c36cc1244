"""Cross-validation of `penalised` against R's cv.glmnet, over the same folds (`r/penalised_folds.R` made the numbers)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from cohort import R, asked, cohort, expected
from reference_cases import run, worst
from test_penalised import FORMULA, OUTCOMES, survived  # noqa: F401  (a fixture)

from isthmus.model.errors import Invalid
from isthmus.statistics.penalised_folds import folds_of

SEED, FOLDS = 7, 5
SURVIVAL = "Surv(time, event) ~ x + age + arm"
COX: dict[str, dict[str, Any]] = {
    "cox": {"formula": SURVIVAL, "strata": ["site"]},
    "one_baseline": {"formula": SURVIVAL},
    "late": {"formula": SURVIVAL.replace("time", "entry, time", 1)},
}


def question(family: str) -> dict[str, Any]:
    asked_of = {"folds": FOLDS, "lambdas": expected("penalised_folds")[family]["lambda"], "family": family}
    if family in COX:
        return asked_of | {"family": "cox", **COX[family]}
    return asked_of | {"formula": OUTCOMES[family] + FORMULA}


def compared(found: dict[str, Any], family: str) -> None:
    r, cv = expected("penalised_folds")[family], found["fit"]["cv"]
    assert worst([p["mean"] for p in cv["path"]], r["mean"]) < 1e-9
    assert worst([p["std_error"] for p in cv["path"]], r["error"]) < 1e-9
    assert (found["fit"]["lambda_min"], found["fit"]["lambda_1se"]) == (r["lambda_min"], r["lambda_1se"])


def drawn(survival: dict[str, Any]) -> dict[str, Any]:
    """The folds of each family's rows."""
    rows = cohort()
    columns = [np.ones(900), rows["age"], rows["dose"], rows["arm"] == "b", rows["sex"] == "m", rows["smoker"]]
    x = np.array([*columns, rows["years"], rows["w"]], dtype=float)
    found = {family: folds_of(x, [rows[name]], FOLDS, SEED).tolist() for family, name in OUTCOMES.items()}
    s = np.array([survival["x"], survival["age"], survival["arm"] == "treated"], dtype=float)
    times = [survival[name] for name in ("entry", "event", "time")]
    read = {"cox": times[1:], "late": times}  # what a row holds: entries too, where the question reads them
    return found | {name: folds_of(s, own, FOLDS, SEED).tolist() for name, own in read.items()}


def test_folds_are_those_that_r_had(survived) -> None:  # noqa: F811
    found = drawn(survived)
    assert found == json.loads((R / "folds.json").read_text())
    sizes = np.bincount(found["gaussian"])
    assert sizes.size == FOLDS
    assert abs(sizes - 180).max() < 40


@pytest.mark.parametrize("family", OUTCOMES)
def test_equals_cv_glmnet(family) -> None:
    compared(run("penalised", question(family) | {"seed": SEED}, cohort()).report, family)


@pytest.mark.parametrize("name", COX)
def test_cox_equals_cv_glmnet(survived, name) -> None:  # noqa: F811
    compared(run("penalised", question(name) | {"seed": SEED}, survived).report, name)


def test_through_files_gate_and_masks_with_the_seed_of_the_study(survived) -> None:  # noqa: F811
    found = asked(cohort(), {f: {"penalised": question(f)} for f in OUTCOMES}, seed=SEED, missing="analysis")
    for family in OUTCOMES:
        compared(found[family], family)
    rows = {name: values for name, values in survived.items() if name != "site"}
    rows["site_"] = survived["site_"].astype(int)
    found = asked(rows, {name: {"penalised": question(name)} for name in COX}, seed=SEED, missing="analysis")
    for name in COX:
        compared(found[name], name)


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"seed": None}, "E-PENALTY", "state `seed`"),
        ({"folds": 2}, "E-PENALTY", "folds are 3 to 20"),
        ({"folds": 21}, "E-PENALTY", "folds are 3 to 20"),
        ({"fold": 5}, "E-UNKNOWN-KEY", "'folds'"),
    ],
)
def test_folds_that_cannot_be_say_why(change, code, named) -> None:
    with pytest.raises(Invalid) as caught:
        run("penalised", question("binomial") | {"seed": SEED} | change, cohort())
    assert caught.value.code == code
    assert named in f"{caught.value.message} {caught.value.hint}"
