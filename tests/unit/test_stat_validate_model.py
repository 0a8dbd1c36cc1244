"""`validate_model`: a published risk or equation; what is asked wrongly, and what an equation could single out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import isthmus
from isthmus import strict
from isthmus.model.errors import Invalid
from isthmus.model.rules import OPEN
from isthmus.statistics.validate_model import STATISTIC, ValidateModel
from isthmus.testing import largest_difference

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "attack"))
from hole_lab import answered, ask, refused, sites

from stated_rules import STRICT

AGE = {"formula": "AGE + HIV", "coefficients": {"(Intercept)": -2.0, "AGE": 0.0213, "HIV": 0.3337}}  # without ties
ASKED: dict[str, Any] = {"outcome": "DIED", **AGE, "thresholds": [0.3, 0.4]}


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        ({"outcome": "DIED"}, "E-MODEL"),
        ({**ASKED, "prediction": "RISK"}, "E-MODEL"),
        ({**ASKED, "baseline": 1.5}, "E-MODEL"),
        ({**ASKED, "formula": "AGE + strata(ARM)"}, "E-FORMULA"),
        ({"outcome": "DIED", "prediction": "DIED"}, "E-VARIABLE"),
    ],
)
def test_what_is_asked_wrongly(stated, code) -> None:
    with pytest.raises(Invalid) as caught:
        STATISTIC.needs(strict.parse(ValidateModel, stated))
    assert caught.value.code == code


@pytest.mark.parametrize("coefficients", [{"AGE": 0.02}, {"AGE": 0.02, "HIV": 0.3, "BMI": 1.0}])
def test_coefficients_fit_the_formula(coefficients) -> None:
    found = ask("validate_model", {**ASKED, "coefficients": coefficients}, sites())
    assert found["error"]["code"] == "E-MODEL"
    assert "columns: (Intercept), AGE, HIV" in found["error"]["hint"]


def test_a_risk_outside_its_range_is_an_error() -> None:
    assert ask("validate_model", {"outcome": "DIED", "prediction": "BMI"}, sites())["error"]["code"] == "E-PROBABILITY"


def test_an_equation_is_its_risk() -> None:
    tables = sites()
    for table in tables:
        linear = -2.0 + 0.0213 * table["AGE"] + 0.3337 * table["HIV"]
        table["RISK"] = 1.0 / (1.0 + np.exp(-linear))
        table["COX"] = 1.0 - 0.8 ** np.exp(linear)
    for more, variable in (({}, "RISK"), ({"baseline": 0.8}, "COX")):
        given = ask("validate_model", {**ASKED, **more}, tables)
        known = ask("validate_model", {"outcome": "DIED", "prediction": variable, "thresholds": [0.3, 0.4]}, tables)
        assert given["exactness"] == known["exactness"] == "exact"
        assert given["fit"]["auc"] == pytest.approx(known["fit"]["auc"], rel=1e-12)
        assert given["fit"]["std_error"] == pytest.approx(known["fit"]["std_error"], rel=1e-12)
        for key in ("expected", "observed", "brier"):
            assert given["fit"][key] == pytest.approx(known["fit"][key], rel=1e-9)
        assert given["net_benefit"] == known["net_benefit"]
        slopes = [next(t["estimate"] for t in one["terms"] if t["term"] == "slope") for one in (given, known)]
        assert slopes[0] == pytest.approx(slopes[1], rel=1e-9)


def test_it_is_answered_under_strict_rules() -> None:
    assert answered("validate_model", ASKED, sites())


def test_a_rare_column_of_the_equation_is_refused() -> None:
    """With and without it, two squared errors would differ by the few who have it, and tell their outcomes."""
    tables = sites()
    for table in tables:
        table["HIV"] = np.where(np.arange(len(table["AGE"])) < 6, 1.0, 0.0)
    assert refused("validate_model", ASKED, tables)


def test_a_threshold_moved_by_a_few_is_refused() -> None:
    """The risk is no variable, yet the history holds who lies above a threshold of it."""
    tables = sites()
    plain = {"outcome": "DIED", "formula": "AGE", "coefficients": {"(Intercept)": -2.0, "AGE": 0.02}}
    ages = np.sort(tables[0]["AGE"])
    cuts = [1.0 / (1.0 + np.exp(2.0 - 0.02 * (ages[at] + 0.01))) for at in (200, 203)]
    analyses = {f"v{i}": {"validate_model": {**plain, "thresholds": [float(cut)]}} for i, cut in enumerate(cuts)}
    study = isthmus.Study(title="t", dataset="d", analyses=analyses)
    made = {f"s{i}": pa.table(table) for i, table in enumerate(tables)}
    found = isthmus.rehearse(study, made, rules=STRICT)
    assert found.refused == ("v1",)


def test_each_site_has_its_own_answer() -> None:
    """That of a study of its rows alone, whoever else answers."""
    tables = sites()
    asked = {**ASKED, "release": ["site_results"]}
    found = ask("validate_model", asked, tables)
    assert found["n"] == sum(own["n"] for own in found["sites"].values())
    for at, own in enumerate(found["sites"].values()):
        parts = [
            {name: column[rows] for name, column in tables[at].items()} for rows in (slice(0, 200), slice(200, None))
        ]
        alone = ask("validate_model", ASKED, parts)
        for key in ("n", "fit", "terms", "net_benefit"):
            assert largest_difference(own[key], alone[key]) < 1e-9, key


def test_it_is_not_imputed_site_by_site() -> None:
    study = {
        "impute": {"m": 2},
        "seed": 1,
        "analyses": {"m": {"validate_model": {**ASKED, "release": ["site_results"]}}},
    }
    tables = {f"s{i}": pa.table(table) for i, table in enumerate(sites())}
    with pytest.raises(isthmus.IsthmusError):
        isthmus.rehearse(isthmus.Study(title="t", dataset="d", **study), tables, rules=OPEN)
