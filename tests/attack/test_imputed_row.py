"""Attack: one person lacks a value. Every completed data set gives that person another one, and all else stays, so the
difference of two data sets' sums is that of one row: its ratio to the first is the person's other columns.

Defence: who lacks a value, alone and within each level, is nobody or enough people at the site, and enough for a fit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hole_lab import TARGET, sites

import isthmus
from attack import Attack, Say
from isthmus import strict
from isthmus.data.design_matrix import matrix
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.formula import design
from isthmus.model.rules import OPEN
from isthmus.statistics import glm, imputation, imputation_question
from isthmus.statistics.contract import Gaps, Inputs, Setting
from isthmus.testing import run_flow, split
from stated_rules import STRICT

ATTACK = Attack(
    "A row that lacks a value, through the differences of imputations",
    "minimum_count on missing patterns; parameters_per_row",
)
COLUMNS = ("CHOL", "BMI", "AGE", "HIV")
STATED = {"formula": "CHOL ~ BMI + AGE + HIV", "family": "gaussian"}


def holed(lacking: int) -> list[dict[str, Any]]:
    """BMI is missing for the first rows of the first site, the target's first."""
    tables = sites()
    at = [TARGET, *(i for i in range(lacking) if i != TARGET)][:lacking]
    tables[0]["BMI"] = tables[0]["BMI"].copy()
    tables[0]["BMI"][at] = np.nan
    return tables


def test_bare_two_imputations_differ_by_one_row(leak: Say) -> None:
    tables = holed(1)
    rows = {name: np.concatenate([t[name] for t in tables]) for name in COLUMNS}
    variables = {n: Variable(type="number", range=(float(np.nanmin(v)), float(np.nanmax(v)))) for n, v in rows.items()}
    book = Codebook(name="d", variables=variables)
    question = strict.parse(glm.Glm, STATED)
    needs = glm.STATISTIC.needs(question)
    setting = Setting(sites=3, dictionary=book, levels={}, conf_level=0.95)
    setting = replace(setting, design=design(needs.formula, book, {}, {}))  # type: ignore[arg-type]
    asked = imputation.over(
        imputation_question.Asked(glm.STATISTIC, question, needs, setting),
        imputation_question.Wish(m=2, cycles=1, seed=1),
    )
    size = len(rows["AGE"])
    inputs = Inputs(rows=size, numbers=rows, codes={}, gaps=Gaps(np.arange(size, dtype=np.uint64), matrix))
    trace = run_flow(
        asked.statistic, asked.arguments, asked.setting, split(inputs, np.repeat(np.arange(3), size // 3), 3)
    )
    at = next(i for i, r in enumerate(trace.rounds) if r.params["phase"] == "analysis")
    change = trace.pooled[at]["0.gram"][1] - trace.pooled[at]["1.gram"][1]  # the line of BMI: (v - v') times the row
    place = trace.rounds[at].params
    centre, scale = np.asarray(place["0.centre"]), np.asarray(place["0.scale"])
    age, hiv = change[2:] / change[0] * scale[2:] + centre[2:]
    assert age == pytest.approx(tables[0]["AGE"][TARGET], rel=1e-6)
    assert hiv == pytest.approx(tables[0]["HIV"][TARGET], abs=1e-6)
    leak(f"the patient's age, {age:.1f}, and HIV status, exactly")


@pytest.mark.parametrize("lacking", [1, 10, 20])  # twenty people are a group, but too few for a fit
def test_through_the_site_it_is_refused(lacking: int, stop: Say) -> None:
    assert answer(holed(lacking))["status"] == "refused"
    stop("refused, and with twenty people as well: too few for the sums that differ")


def test_an_ordinary_share_of_missing_values_is_answered() -> None:
    tables = sites()
    for seed, table in enumerate(tables):
        gone = np.random.default_rng(seed).random(len(table["BMI"])) < 0.3
        table["BMI"] = np.where(gone, np.nan, table["BMI"])
    assert answer(tables)["imputation"]["m"] == 2


def answer(tables: list[dict[str, Any]]) -> dict[str, Any]:
    study = isthmus.Study(title="t", dataset="d", analyses={"m": {"glm": STATED}}, seed=1, impute={"m": 2, "cycles": 1})
    made = {f"s{i}": pa.table({k: pa.array(v, from_pandas=True) for k, v in t.items()}) for i, t in enumerate(tables)}
    assert "status" not in isthmus.rehearse(study, made, rules=OPEN).to_dict()["analyses"]["m"]
    try:
        found: dict[str, Any] = isthmus.rehearse(study, made, rules=STRICT).to_dict()["analyses"]["m"]
    except isthmus.Refused as error:  # nothing else was asked
        return {"status": "refused", "error": error.to_dict()}
    return found
