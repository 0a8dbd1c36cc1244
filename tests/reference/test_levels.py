"""Outcomes with levels against R's nnet::multinom and MASS::polr (r/levels.R), bare and through the masked path."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from reference_cases import run, worst

import isthmus
from isthmus.model.canonical import plain
from isthmus.model.errors import Invalid
from isthmus.model.rules import OPEN

HERE = Path(__file__).parent / "r"
KINDS = ("multinomial", "ordinal")
FORMULA = "y ~ age + I((year - 2000) / 10) + arm"


def table() -> dict[str, np.ndarray]:
    """Site 0 has no row of level d."""
    with (HERE / "levels.csv").open() as file:
        rows = list(csv.DictReader(file))
    made = {name: np.array([float(row[name]) for row in rows]) for name in ("age", "year")}
    made |= {name: np.array([row[name] for row in rows], dtype=object) for name in ("arm", "y")}
    return made | {"site_": np.array([row["site"] for row in rows])}


def compared(body: dict[str, Any], kind: str) -> dict[str, float]:
    expected = json.loads((HERE / "levels.json").read_text())
    own = {name: [t[name] for t in body["terms"]] for name in ("estimate", "std_error")}
    own["deviance"] = body["fit"]["deviance"]
    exact = max(worst(own[name], expected[kind][name]) for name in own)
    package = max(worst(own[name], expected["packages"][kind][name]) for name in own)
    return {"exact": exact, "package": package}


@pytest.mark.parametrize("kind", KINDS)
def test_equals_r(kind) -> None:
    found = compared(run(kind, {"formula": FORMULA}, table()).report, kind)
    assert found["exact"] < 1e-9
    assert found["package"] < 1e-3  # where the packages' optimisers stop, and polr's numeric Hessian


@pytest.mark.parametrize("kind", KINDS)
def test_equals_r_through_the_masked_path(kind) -> None:
    rows = table()
    tables = {
        f"s{site}": pa.table({name: rows[name][rows["site_"] == site] for name in ("age", "year", "arm", "y")})
        for site in np.unique(rows["site_"])
    }
    study = isthmus.Study(
        title="levels",
        dataset="levels",
        purpose={"duo": "DUO:0000042", "text": "reference check", "commercial": False},
        analyses={"a": {kind: {"formula": FORMULA}}},
    )
    answer = isthmus.rehearse(study, tables, rules=plain(OPEN)).to_dict()["analyses"]["a"]
    assert "status" not in answer, answer
    assert compared(answer, kind)["exact"] < 1e-9


def made(**columns: Any) -> dict[str, np.ndarray]:
    return table() | {name: np.asarray(values) for name, values in columns.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_ends_in_an_error_that_names_the_column(kind) -> None:
    rows = table()
    late = np.searchsorted(["a", "b", "c", "d"], rows["y"].astype(str))
    separated = made(x=late * 10.0 + rows["age"] / 100.0)
    with pytest.raises(Invalid, match="'x'") as caught:
        run(kind, {"formula": "y ~ x + arm"}, separated)
    assert caught.value.code == "E-SEPARATED"
    with pytest.raises(Invalid, match="'double'") as caught:
        run(kind, {"formula": "y ~ age + double"}, made(double=rows["age"] * 2.0 + 1.0))
    assert caught.value.code == "E-COLLINEAR"
    with pytest.raises(Invalid, match="'flat'") as caught:
        run(kind, {"formula": "y ~ age + flat"}, made(flat=np.full(len(late), 3.0)))
    assert caught.value.code == "E-COLLINEAR"
    with pytest.raises(Invalid, match="at least one term") as caught:
        run(kind, {"formula": "y ~ 1"}, rows)
    assert caught.value.code == "E-FORMULA"
    with pytest.raises(Invalid, match="'y' has one level") as caught:
        run(kind, {"formula": "y ~ age"}, made(y=np.full(len(late), "a", dtype=object)))
    assert caught.value.code == "E-OUTCOME"
