"""The reference cases of `../shared/checks/cases.py`: prepared rows, their split into sites, and R's results."""

from __future__ import annotations

import importlib.util
import json
import math
import secrets
import sys
from functools import reduce
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from isthmus import strict
from isthmus.disclosure.gate import Clearance, clear, release, release_ballot
from isthmus.disclosure.site import consider
from isthmus.model.canonical import digest
from isthmus.model.formula import variables
from isthmus.model.rules import Rules
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.statistics.contract import Answer, Estimate, Inputs, Setting, Statistic
from isthmus.summary import Summary, add
from isthmus.testing import Trace

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "law"))
from bare import codebook as codebook
from bare import make, over


def cases(shared: Path) -> dict[str, dict[str, Any]]:
    """Cases that the catalogue can answer, by name."""
    spec = importlib.util.spec_from_file_location("shared_cases", shared / "checks" / "cases.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {c["name"]: c for c in module.CASES}


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
    names = {*needs.numbers, *needs.categories, *needs.keys, *(variables(needs.formula) if needs.formula else ())}
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


def through_gates(
    statistic: Statistic, question: Any, setting: Setting, inputs: list[Inputs], rules: Rules
) -> Estimate:
    """A flow over sites that each gate what they send, without wire. Refused where one of them refuses."""
    prepared = [statistic.prepare(question, setting, own) for own in inputs]
    facts = [statistic.evidence(question, setting, own) for own in prepared]
    cleared = [clear(digest("q"), consider(evidence, rules)) for evidence in facts]
    flow = statistic.flow(question, setting)
    try:
        asked = next(flow)
        while True:
            answers = [statistic.summarise(question, setting, own, asked) for own in prepared]
            sums = [_sent(answer, c, rules) for answer, c in zip(answers, cleared, strict=True)]
            asked = flow.send(reduce(add, sums))
    except StopIteration as ended:
        return ended.value


def _sent(answer: Answer, clearance: Clearance, rules: Rules) -> Summary:
    if answer.choices is not None:
        return release_ballot(
            answer.summary, answer.choices, clearance, rules, secrets.token_bytes, answer.cells
        ).summary
    return release(answer.summary, answer.weights, clearance, rules, answer.cells).summary
