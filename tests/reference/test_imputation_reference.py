"""Multiple imputation against R: Rubin's rules over our own completed data sets exactly, mice's imputation as one draw of
the same posterior (r/imputation.R).
"""

from __future__ import annotations

import csv
import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imputed_rows import QUESTIONS, ROWS, WISH, answered, holes
from imputing import imputed
from reference_cases import worst

from isthmus.testing import run_flow

HERE = Path(__file__).parent / "r"


@cache
def right() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "imputation.json").read_text())
    return found


@pytest.mark.parametrize("name", QUESTIONS)
def test_pooled_results_are_those_of_r_over_the_same_completed_rows(name: str) -> None:
    trace, made = answered(name)
    body, known = trace.report, right()["exact"][name]
    _are_committed(name, made)
    for key in ("estimate", "std_error"):
        assert worst([t[key] for t in body["terms"]], known[key]) < 1e-9, key
    for key in ("df", "riv", "fmi"):  # of a ratio of variances, which carries fewer digits
        assert worst([t[key] for t in body["terms"]], known[key]) < 1e-7, key
    if "vcov" in QUESTIONS[name][1].get("release", ()):
        got = np.array(body["vcov"])
        assert np.max(np.abs(got - np.array(known["vcov"]))) < 1e-9 * np.max(np.abs(got))
    if "contrast" in known:
        (row,) = body["contrasts"]
        assert (
            worst([row["estimate"], row["std_error"]], [known["contrast"][k] for k in ("estimate", "std_error")]) < 1e-9
        )
        assert worst(row["df"], known["contrast"]["df"]) < 1e-7
    if "test" in known:
        test = body["tests"]["stage"]
        assert worst([test["statistic"], test["riv"]], [known["test"][k] for k in ("statistic", "riv")]) < 1e-7
        assert (test["df"], worst(test["df_residual"], known["test"]["df_residual"]) < 1e-7) == (
            known["test"]["df"],
            True,
        )


def _are_committed(name: str, made: list[dict[str, Any]]) -> None:
    """The rows that R read are those that the chains make today."""
    with (HERE / "completed.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["question"] == name]
    for row in rows:
        one, at = made[int(row["chain"])], int(row["row"])
        assert one["stage"][at] == row["stage"]
        assert one["pressure"][at] == pytest.approx(float(row["pressure"]), rel=1e-9)
    assert len(rows) == WISH["m"] * sum(math.isnan(p) or s is None for p, s in zip(*_holed(), strict=True))


def _holed() -> tuple[Any, Any]:
    found = holes()
    return found["pressure"].tolist(), found["stage"].tolist()


OURS = {"m": 40, "cycles": 10, "seed": 5}
THEIRS = 200


@pytest.mark.long
@pytest.mark.parametrize("name", ["glm", "cox"])
def test_mice_draws_from_the_same_posterior(name: str) -> None:
    """Two independent runs: a pooled estimate varies by the root of B / m, B the variance between data sets.

    So ours and mice's differ by less than four roots of B (1 / 40 + 1 / 200), but once in 15,000. Standard errors of m
    = 40 are good to some 11 % of their part between (chi-square with 39 degrees of freedom), hence to 10 % as a whole.
    mice's polyreg keeps its coefficients, ours draws them: a difference within that of these errors.
    """
    stated = {"glm": {"formula": "died ~ age + stage + pressure", "family": "binomial"}}.get(name, QUESTIONS[name][1])
    names = ("died", "age", "stage", "pressure") if name == "glm" else ("age", "stage", "pressure", "time", "event")
    rows = {key: value for key, value in holes().items() if key in names}
    statistic, example = imputed(name, {k: v for k, v in stated.items() if k != "tests"}, rows, OURS)
    body, known = run_flow(statistic, example.question, example.setting, [example.inputs]).report, right()["mice"][name]
    assert body["n"] == ROWS
    for term, estimate, between, error in zip(
        body["terms"], known["estimate"], known["between"], known["std_error"], strict=True
    ):
        apart = math.sqrt(between * (1 / OURS["m"] + 1 / THEIRS))
        assert abs(term["estimate"] - estimate) < 4 * apart, term
        assert term["std_error"] == pytest.approx(error, rel=0.1), term
