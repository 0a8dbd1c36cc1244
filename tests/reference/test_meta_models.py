"""A model of each kind in each region, pooled, and UK v US, against R: the kind's own package, then metafor (`r/meta_models.R`).

Through the masked path: four sites, two of either nation, each with rows of three regions.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from reference_cases import relative, worst

import isthmus
from isthmus.model.canonical import plain
from isthmus.model.rules import OPEN

HERE = Path(__file__).parent / "r"
R = json.loads((HERE / "meta_models.json").read_text())
NUMBERS = ("age", "time", "pressure", "ill", "marker", "other")
NATIONS = {"uk1": "GB", "uk2": "GB", "us1": "US", "us2": "US"}
UK = ("east", "north", "west")
CAUSES = {"causes": {"1": "relapse", "2": "death"}, "cause": "relapse"}
ROC = {"marker": "marker", "outcome": "ill"}
ASKED: dict[str, tuple[dict[str, Any], str, str | None]] = {  # R's name -> the model, its term, what exp(estimate) is
    "multinomial": ({"multinomial": {"formula": "kind ~ age + arm"}}, "z: arm[B]", "OR"),
    "ordinal": ({"ordinal": {"formula": "grade ~ age + arm"}}, "arm[B]", "OR"),
    "fine_gray": ({"fine_gray": {"formula": "Surv(time, cause) ~ age + arm", **CAUSES}}, "arm[B]", "SHR"),
    "mixed": ({"mixed": {"formula": "pressure ~ age + arm", "group": "gp"}}, "arm[B]", None),
    "roc": ({"roc": ROC}, "auc", None),
    "paired": ({"roc": {**ROC, "compare": {"marker": "other"}}}, "difference", None),
    "conditional_logistic": ({"conditional_logistic": {"formula": "ill ~ age + arm", "sets": "gp"}}, "arm[B]", "OR"),
    "rate": ({"rate": {"event": "ill", "time": "time", "by": "arm"}}, "rate ratio[B]", "RR"),
}
CLOSED = {"roc": 1e-12, "rate": 1e-12}  # no iteration; a paired difference of areas loses two digits
ITERATED = 1e-9
VARIANCES = {"mixed": 1e-6}  # errors follow from the variances


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """By region and by country, of every kind."""
    with (HERE / "meta_models.csv").open() as file:
        rows = list(csv.DictReader(file))
    columns = {
        name: np.array([float(row[name]) for row in rows])
        if name in NUMBERS
        else np.array([row[name] for row in rows], dtype=object)
        for name in rows[0]
    }
    tables = {
        site: pa.table({k: v[columns["site"] == site] for k, v in columns.items() if k != "site"}) for site in NATIONS
    }
    analyses = {}
    for name, (of, term, _) in ASKED.items():
        regions = {"UK": list(UK), "US": ["maine", "ohio", "texas"]}
        countries = {"UK": ["GB"], "US": ["US"]}
        asked = {"of": of, "term": term}
        analyses[f"{name} regions"] = {"meta": {**asked, "by": "region", "compare": regions}}
        analyses[f"{name} countries"] = {"meta": {**asked, "by": "country", "method": "fixed", "compare": countries}}
    study = isthmus.Study(
        title="regions",
        dataset="regions",
        purpose={"duo": "DUO:0000042", "text": "reference check", "commercial": False},
        analyses=analyses,
    )
    found: dict[str, Any] = isthmus.rehearse(study, tables, rules=plain(OPEN), countries=NATIONS).to_dict()["analyses"]
    return found


@pytest.mark.parametrize("name", ASKED)
def test_each_region_and_all_of_them(answers, name) -> None:
    found, r = answers[f"{name} regions"], R[name]
    studies, pooled, gate = found["terms"][:-1], found["terms"][-1], CLOSED.get(name, ITERATED)
    assert [row["term"] for row in studies] == r["regions"]
    assert worst([row["estimate"] for row in studies], r["estimate"]) < gate
    assert worst([row["std_error"] for row in studies], r["std_error"]) < VARIANCES.get(name, gate)
    spread = max(gate, ITERATED, VARIANCES.get(name, 0.0))  # tau2 is iterated, whatever is pooled
    assert worst([pooled["estimate"], pooled["std_error"]], [r["pooled"], r["pooled_error"]]) < spread
    assert relative(found["fit"]["q"], r["q"]) < spread
    assert abs(found["fit"]["tau2"] - r["tau2"]) < spread * max(r["tau2"], 1e-3)
    assert found["fit"]["measure"] == ASKED[name][2]
    assert found["exactness"] == "exact"
    assert found["left_out"] == {}


@pytest.mark.parametrize("name", ASKED)
def test_the_two_nations_differ_as_in_r(answers, name) -> None:
    spread = max(ITERATED, VARIANCES.get(name, 0.0))
    for level, (estimate, error, p) in {
        "regions": ("interaction", "interaction_error", "between_p"),
        "countries": ("nation_gap", "nation_gap_error", "nation_p"),
    }.items():
        found, r = answers[f"{name} {level}"], R[name]
        gap = found["subgroups"][-1]
        assert gap["term"] == "US - UK"
        assert worst([gap["estimate"], gap["std_error"]], [r[estimate], r[error]]) < spread
        assert relative(found["tests"]["subgroups"]["p_value"], r[p]) < 10.0 * spread


@pytest.mark.parametrize("name", ASKED)
def test_each_country(answers, name) -> None:
    found, r = answers[f"{name} countries"], R[name]
    studies, gate = found["terms"][:-1], CLOSED.get(name, ITERATED)
    assert [row["term"] for row in studies] == ["GB", "US"]
    assert worst([row["estimate"] for row in studies], r["nation"]) < gate
    assert worst([row["std_error"] for row in studies], r["nation_error"]) < VARIANCES.get(name, gate)
