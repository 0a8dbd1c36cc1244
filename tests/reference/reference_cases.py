"""The reference cases of `../shared/checks/cases.py`: prepared rows, their split into sites, and R's results."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from isthmus import strict
from isthmus.model.formula import variables
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.testing import Trace

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "law"))
from bare import make, over

# Kinds, links and errors that are not offered yet; the cases that ask for them belong to later work.
LATER = ("AUC",)


def cases(shared: Path) -> dict[str, dict[str, Any]]:
    """Cases that the catalogue can answer, by name."""
    spec = importlib.util.spec_from_file_location("shared_cases", shared / "checks" / "cases.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {c["name"]: c for c in module.CASES if not any(word in c["name"] for word in LATER)}


def truth(shared: Path) -> dict[str, Any]:
    """R's results by file."""
    return {p.stem: json.loads(p.read_text()) for p in (shared / "truth").glob("*.json")}


def rows(shared: Path, data: str, prepare: str, split: str = "0") -> dict[str, np.ndarray]:
    """Columns of the prepared table; `site_` numbers the sites of `split`."""
    with duckdb.connect() as connection:
        source = (shared / "data" / data).as_posix()
        connection.sql(f"create table t as select *, row_number() over () as row_ from read_parquet('{source}')")
        connection.sql(f"create table p as {prepare}")
        found = connection.sql(f"select *, {split} as site_ from p").to_arrow_table()
    return {name: found[name].to_numpy(zero_copy_only=False) for name in found.column_names}


def run(kind: str, arguments: dict[str, Any], table: dict[str, np.ndarray]) -> Trace:
    """The bare statistic over the sites of `site_`, complete cases of what it reads."""
    statistic = CATALOGUE[kind]
    question = strict.parse(statistic.question, arguments)
    needs = statistic.needs(question)
    names = {*needs.numbers, *needs.categories, *(variables(needs.formula) if needs.formula else ())}
    whole = np.ones(len(table["site_"]), dtype=bool)
    for name in names:
        whole &= np.array([v is not None and v == v for v in table[name].tolist()])
    kept = {name: plain(table[name][whole]) for name in names}
    sites = np.unique(table["site_"][whole].astype(str), return_inverse=True)[1]
    return over(statistic, question, make(statistic, question, kept), sites)


def plain(values: np.ndarray) -> np.ndarray:
    """Numbers as float64, texts as they are."""
    return values if any(isinstance(v, str) for v in values[:1]) else values.astype(float)


def worst(got: Any, expected: Any) -> float:
    """Largest relative difference of two numbers or lists, as `truth_check.py` measures it."""
    left, right = (list(v) if isinstance(v, (list, tuple)) else [v] for v in (got, expected))
    return max(map(relative, left, right)) if len(left) == len(right) else math.inf


def relative(a: float | None, b: float | None) -> float:
    if a == b:
        return 0.0
    return math.inf if a is None or b is None else abs(a - b) / max(abs(b), 1e-8)
