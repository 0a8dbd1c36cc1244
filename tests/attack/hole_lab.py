"""Rehearsals over tables in memory: the same question under open rules (bare) and under strict ones (the site decides)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

import isthmus
from isthmus.model.rules import OPEN
from stated_rules import STRICT

ONLY_SUMS = {**STRICT, "minimum_count_site": 1}  # a custodian lets only sums over sites leave
TARGET = 7  # row of the first site
ROWS = 400


def sites() -> list[dict[str, Any]]:
    """Three sites of invented patients."""
    return [patients(seed) for seed in (1, 2, 3)]


def patients(seed: int) -> dict[str, Any]:
    """One site: all ordinary columns."""
    draw = np.random.default_rng(seed)
    return {
        "AGE": np.round(draw.uniform(20, 90, ROWS), 1),
        "BMI": np.round(draw.normal(27, 4, ROWS), 2),
        "CHOL": np.round(np.exp(draw.normal(5.3, 0.4, ROWS))),
        "HIV": (draw.random(ROWS) < 0.2).astype(float),
        "DAYS": np.ceil(draw.exponential(200, ROWS)),
        "DIED": (draw.random(ROWS) < 0.4).astype(float),
        "ARM": np.where(draw.random(ROWS) < 0.5, "A", "B").astype(object),
    }


def ask(kind: str, question: dict[str, Any], tables: list[dict[str, Any]], rules: dict[str, Any] | None = None) -> Any:
    """The answer to one question as people see it."""
    study = isthmus.Study(
        title="t",
        question="q",
        dataset="d",
        analyses={"m": {kind: question}},
        purpose={"duo": "DUO:0000007", "text": "x", "commercial": False},
    )
    made = {f"s{i}": pa.table(table) for i, table in enumerate(tables)}
    found = isthmus.rehearse(study, sites=made, rules=OPEN if rules is None else rules)
    return found.to_dict()["analyses"]["m"]


def refused(kind: str, question: dict[str, Any], tables: list[dict[str, Any]], rules: Any = None) -> bool:
    """Whether strict rules refuse it, with the constant text."""
    try:
        answer = ask(kind, question, tables, STRICT if rules is None else rules)
    except isthmus.Refused as error:  # nothing else was asked
        return bool(error.to_dict()["code"] == "E-DISCLOSURE")
    return answer.get("status") == "refused" and answer["error"]["code"] == "E-DISCLOSURE"


def answered(kind: str, question: dict[str, Any], tables: list[dict[str, Any]], rules: Any = None) -> bool:
    """Whether strict rules answer it."""
    return "n" in ask(kind, question, tables, STRICT if rules is None else rules)


def estimates(answer: Any) -> list[float]:
    """Of a model's terms."""
    return [term["estimate"] for term in answer["terms"]]
