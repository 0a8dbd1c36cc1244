"""An expression that only one patient meets: any statistic of the derived variable is then that patient's value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import isthmus
from attack import Attack, Say
from stated_rules import STRICT

ATTACK = Attack(
    "An expression that one patient meets (CASE WHEN age > 97)",
    "minimum_count on both sides of everything an expression decides",
)

OPEN: dict[str, Any] = {
    **STRICT,
    "minimum_count": 1,
    "minimum_count_site": 1,
    "round_to": 1,
    "dominance": {"n": 2, "k": 1.0, "p": 0.0},
    "minimum_dof": 1,
    "parameters_per_row": 1.0,
    "maximum_leverage": 1.0,
    "maximum_weight_share": 1.0,
    "digits": 17,
}
SECRET = 337.0  # cholesterol of the only patient above 97
PURPOSE = {"duo": "DUO:0000007", "text": "a test", "commercial": False}


def sites() -> dict[str, pa.Table]:
    rng = np.random.default_rng(1)
    made = {}
    for number in range(3):
        age, chol = np.round(rng.uniform(20, 90, 300), 2), np.round(rng.normal(200, 30, 300))
        bmi = [None if i < 3 else float(v) for i, v in enumerate(np.round(rng.normal(27, 4, 300), 1))]
        if number == 0:
            age[7], chol[7] = 97.25, SECRET
        made[f"s{number}"] = pa.table({"AGE": age, "CHOL": chol, "BMI": bmi})
    return made


def ask(derived: str, rules: dict[str, Any], **keys: Any) -> dict[str, Any]:
    analyses = {"mean": {"glm": {"formula": "v ~ 1", "family": "gaussian"}}}
    study = isthmus.Study(title="t", dataset="d", purpose=PURPOSE, derive={"v": derived}, analyses=analyses, **keys)
    answer: dict[str, Any] = isthmus.rehearse(study, sites=sites(), rules=rules).to_dict()["analyses"]["mean"]
    return answer


def test_bare_the_mean_is_the_patients_value(leak: Say) -> None:
    answer = ask("CASE WHEN AGE > 97 THEN CHOL ELSE 0 END", OPEN)
    assert answer["terms"][0]["estimate"] * 900 == pytest.approx(SECRET)
    leak(f"the patient's cholesterol, {SECRET:.0f}, exactly")


@pytest.mark.parametrize(
    "derived",
    [
        "CASE WHEN AGE > 97 THEN CHOL + 1000 ELSE CHOL END",
        "CASE WHEN AGE <= 97 THEN CHOL ELSE -CHOL END",
        "CASE WHEN AGE > 97 THEN NULL ELSE CHOL END",
        "CASE WHEN AGE < 50 THEN CHOL WHEN AGE < 96 THEN CHOL + 5 ELSE 900 END",
        "CASE WHEN AGE > 50 AND CHOL = 337 AND AGE > 80 THEN 1 ELSE 0 END + CHOL",
        "CHOL + CAST(AGE IN (97.25, 200) AS INTEGER)",
        "CHOL + CAST(AGE BETWEEN 97 AND 98 AS INTEGER)",
        "CHOL + GREATEST(AGE - 97, 0)",
        "CHOL + LEAST(97 - AGE, 0)",
        "CHOL + ABS(AGE - 97)",
        "CHOL + FLOOR(AGE / 97)",
        "CHOL + 1 / (AGE - 97.25)",
        "CHOL + SQRT(97 - AGE)",
        "CHOL + COALESCE(LN(97 - AGE), 0)",
    ],
)
def test_under_a_floor_it_is_refused(stop: Say, derived: str) -> None:
    answer = ask(derived, STRICT)
    assert answer["status"] == "refused"
    assert answer["error"]["code"] == "E-DISCLOSURE"
    stop("refused in all forms: CASE, IN, BETWEEN, GREATEST, ABS, FLOOR, division, SQRT, COALESCE")


def test_a_population_that_leaves_one_out_is_refused() -> None:
    assert ask("CHOL + 0", STRICT, population={"where": "AGE <= 97"})["status"] == "refused"
    steps = [{"label": "low", "where": "CHOL < 1000"}, {"label": "not the oldest", "where": "AGE <= 97"}]
    assert ask("CHOL + 0", STRICT, population={"steps": steps})["status"] == "refused"


@pytest.mark.parametrize(
    "derived",
    [
        "CASE WHEN AGE > 60 THEN CHOL ELSE CHOL + 5 END",
        "CASE WHEN AGE < 40 THEN CHOL WHEN AGE < 60 THEN CHOL + 5 ELSE CHOL + 9 END",
        "CASE WHEN AGE > 12 THEN CHOL ELSE 0 END",  # nobody is younger
        "CASE WHEN BMI IS NULL OR AGE IS NULL THEN NULL WHEN BMI > 27 THEN CHOL ELSE CHOL + 1 END",  # 3 lack BMI
        "LEAST(CHOL, 200) + ABS(AGE - 50)",
        "CHOL / 10",
    ],
)
def test_an_ordinary_split_is_answered(derived: str) -> None:
    assert "terms" in ask(derived, STRICT, population={"where": "AGE >= 12"})
