"""Short forms for the tests of the statistics."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from isthmus import strict
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.testing import Trace

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "law"))
from bare import codebook, make, over


def run(kind: str, arguments: dict[str, Any], table: dict[str, Any], sites: Any = None, **book: bool) -> Trace:
    """A question over the table's rows dealt to three sites, or to `sites`."""
    statistic = CATALOGUE[kind]
    question = strict.parse(statistic.question, arguments)
    rows = len(next(iter(table.values())))
    made = make(statistic, question, table, codebook(table, **book))
    return over(statistic, question, made, np.arange(rows) % 3 if sites is None else np.asarray(sites))


def report(kind: str, arguments: dict[str, Any], table: dict[str, Any], sites: Any = None, **book: bool) -> Any:
    """What people see of it."""
    return run(kind, arguments, table, sites, **book).report


def evidence(kind: str, arguments: dict[str, Any], table: dict[str, Any]) -> Any:
    """Evidence of one site holding the table."""
    statistic = CATALOGUE[kind]
    question = strict.parse(statistic.question, arguments)
    made = make(statistic, question, table)
    return statistic.evidence(question, made.setting, statistic.prepare(question, made.setting, made.inputs))


def column(rows: Any, key: str) -> list[Any]:
    """One key of all rows."""
    return [row[key] for row in rows]


def texts(*words: str) -> np.ndarray:
    """A category column."""
    return np.array(words, dtype=object)
