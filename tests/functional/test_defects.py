"""A defect inside one analysis ends that analysis with E-INTERNAL, at every party alike; the others are answered."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import isthmus
from isthmus.model.canonical import plain
from isthmus.model.rules import OPEN
from isthmus.statistics import catalogue

ROWS = {"x": np.arange(30.0), "g": np.resize(np.array(["a", "b"], dtype=object), 30)}
ERRORS = (ZeroDivisionError, OverflowError, FloatingPointError, np.linalg.LinAlgError, KeyError, TypeError)
SECRET = "17.25 of a row"


def asked() -> dict[str, Any]:
    sites = {f"s{i}": pa.table({name: values[i::3] for name, values in ROWS.items()}) for i in range(3)}
    study = isthmus.Study(
        title="t",
        dataset="d",
        purpose={"duo": "DUO:0000042", "text": "x", "commercial": False},
        analyses={"m": {"quantiles": {"variable": "x"}}, "n": {"table_one": {"variables": ["g"]}}},
    )
    return isthmus.rehearse(study, sites=sites, rules=plain(OPEN)).to_dict()["analyses"]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("part", ["flow", "round", "report", "evidence", "prepare", "summarise"])
def test_the_other_analyses_are_answered(part: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = catalogue.CATALOGUE["quantiles"]

    def fail(*_: Any) -> Any:
        raise error(SECRET)

    def fail_later(question: Any, setting: Any) -> Any:
        yield next(whole.flow(question, setting))
        raise error(SECRET)

    spoilt = {"flow": fail_later} if part == "round" else {part: fail}
    monkeypatch.setitem(catalogue.CATALOGUE, "quantiles", dataclasses.replace(whole, **spoilt))
    answers = asked()
    assert answers["m"]["status"] == "failed"
    assert answers["m"]["error"]["code"] == "E-INTERNAL"
    assert error.__name__ in answers["m"]["error"]["message"]
    assert SECRET not in str(answers)
    assert [cell["count"] for cell in answers["n"]["cells"]] == [15, 15]


def test_levels_of_very_different_precision_are_pooled() -> None:
    """One absurd value makes one level's error tiny; it used to end the whole study."""
    draw = np.random.default_rng(0)
    rows = {"x": draw.normal(0, 1, 300), "y": draw.normal(0, 1, 300), "g": np.resize(np.array(["a", "b", "c"]), 300)}
    rows["x"][5] = 1e9
    sites = {f"s{i}": pa.table({name: values[i::2] for name, values in rows.items()}) for i in range(2)}
    meta = {"by": "g", "of": {"glm": {"formula": "y ~ x", "family": "gaussian"}}, "term": "x"}
    study = isthmus.Study(
        title="t",
        dataset="d",
        purpose={"duo": "DUO:0000042", "text": "x", "commercial": False},
        analyses={"m": {"meta": meta}},
    )
    answer = isthmus.rehearse(study, sites=sites, rules=plain(OPEN)).to_dict()["analyses"]["m"]
    assert answer["fit"]["tau2"] == pytest.approx(0.0, abs=1e-12)
