"""Pooled quantiles are R's type 7 on every data set, through files, gate, masks and sums.

Every numeric column of every data set is asked for, its rows dealt to three sites: exact at a floor of 1, within the
printed interval at a floor of 11. numpy's `linear` is R's type 7; values of R itself are checked beside it.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from reference_cases import through_gates

import isthmus
from isthmus.disclosure.output import gate_counts
from isthmus.model.canonical import plain
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Refused
from isthmus.model.rules import OPEN
from isthmus.statistics.contract import Inputs, Setting
from isthmus.statistics.quantiles import STATISTIC, Quantiles

DATA = ("aSAH", "dat_bcg", "heart4", "indo_rct", "ist", "opt", "strep_tb", "surv_lung", "surv_veteran")
PROBS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
RULES = replace(OPEN, minimum_count=11, minimum_count_site=11, round_to=5, minimum_sites=3)
NUMBERS = ("DOUBLE", "BIGINT", "INTEGER", "FLOAT", "HUGEINT")


@lru_cache(maxsize=1)
def columns(path: Path) -> dict[str, np.ndarray]:
    """Every numeric column with values, NaN where missing; named by number, since names differ in case only."""
    with duckdb.connect() as connection:
        table = connection.sql(f"select * from read_parquet('{path.as_posix()}')")
        chosen = [name for name, kind in zip(table.columns, map(str, table.types), strict=True) if kind in NUMBERS]
        found = {name: table.select(f'"{name}"::double as x').to_arrow_table()["x"] for name in chosen}
    arrays = {name: np.array(column.to_pylist(), dtype=np.float64) for name, column in found.items()}
    return {name: values for name, values in arrays.items() if np.isfinite(values).any()}


def dealt(rows: int) -> np.ndarray:
    """Sites (rows,) numbered 0 to 2."""
    return np.random.default_rng(5).integers(0, 3, rows)


def typed(values: np.ndarray) -> pa.Array:
    """Integers where every value is whole."""
    known = values[np.isfinite(values)]
    whole = bool(np.all(known == np.rint(known)))
    return pa.array(values, from_pandas=True).cast(pa.int64() if whole else pa.float64())


def ask(table: dict[str, np.ndarray], probs: tuple[float, ...], rules: dict[str, Any]) -> dict[str, Any]:
    """One study that asks quantiles of every column."""
    names = {f"v{i}": name for i, name in enumerate(table)}
    rows = pa.table({short: typed(table[name]) for short, name in names.items()})
    site = dealt(rows.num_rows)
    study = isthmus.Study(
        title="quantiles",
        dataset="d",
        purpose={"duo": "DUO:0000042", "text": "reference", "commercial": False},
        analyses={short: {"quantiles": {"variable": short, "probs": list(probs)}} for short in names},
        missing="analysis",
    )
    sites = {f"s{k}": rows.filter(pa.array(site == k)) for k in range(3)}
    found = isthmus.rehearse(study, sites, rules=rules).to_dict()["analyses"]
    return {name: found[short] for short, name in names.items()}


@pytest.mark.parametrize("data", DATA)
def test_exact_at_a_floor_of_one(shared: Path, data: str) -> None:
    table = columns(shared / "data" / f"{data}.parquet")
    answers = ask(table, PROBS, plain(OPEN))
    for name, values in table.items():
        expected = np.quantile(values[np.isfinite(values)], PROBS, method="linear")
        assert answers[name]["exactness"] == "exact", (name, answers[name])
        np.testing.assert_allclose([c["value"] for c in answers[name]["cells"]], expected, rtol=1e-12, atol=1e-12)


def gated(values: np.ndarray, site: np.ndarray) -> dict[str, Any] | None:
    """Quantiles of one column through each site's gate and the output gate, without wire; None where one refuses."""
    whole = bool(np.all(values == np.rint(values)))
    stated = Variable(type="integer" if whole else "number", range=(float(values.min()), float(values.max())))
    book = Codebook(name="d", variables={"x": stated})
    question = Quantiles(variable="x", probs=PROBS)
    setting = Setting(sites=3, dictionary=book, levels={}, conf_level=0.95, grid=STATISTIC.rungs(question, book)[0])
    inputs = [Inputs(rows=int(np.sum(site == k)), numbers={"x": values[site == k]}, codes={}) for k in range(3)]
    try:
        estimate = through_gates(STATISTIC, question, setting, inputs, RULES)
        counts = gate_counts(estimate.counts, RULES).counts
    except Refused:
        return None
    return STATISTIC.report(question, setting, replace(estimate, counts=counts))


@pytest.mark.parametrize("data", DATA)
def test_within_the_printed_interval_at_a_floor_of_eleven(shared: Path, data: str) -> None:
    """Answered if and only if each site has 11 rows and 11 lie on each side; then the interval holds R's value."""
    for name, column in columns(shared / "data" / f"{data}.parquet").items():
        values, site = column[np.isfinite(column)], dealt(column.size)[np.isfinite(column)]
        answer = gated(values, site)
        place = (values.size - 1) * PROBS[0]
        fits = min(np.count_nonzero(site == k) for k in range(3)) >= 11 and math.floor(place) + 1 >= 11
        assert (answer is not None) == fits, name
        if answer is not None:
            check(name, answer, np.quantile(values, PROBS, method="linear"))


def check(name: str, answer: dict[str, Any], expected: Any) -> None:
    """The interval of each quantile holds the expected value, and no value is further from it than `bound`."""
    assert answer["exactness"] == "exact" or answer["grid"]["edges"] is not None
    for cell, value in zip(answer["cells"], expected, strict=True):
        low, high = (np.nan if cell[k] is None else cell[k] for k in ("from", "to"))
        assert not value < low, (name, cell)
        assert not value > high, (name, cell)
        if answer.get("bound") is not None or answer["exactness"] == "exact":
            assert abs(cell["value"] - value) <= answer.get("bound", 0.0) * (1 + 1e-12), (name, cell)


def test_most_quantiles_are_narrow_at_a_floor_of_eleven(shared: Path) -> None:
    """What it costs: the widths of the intervals on the stroke trial, beside the spread of each variable."""
    table = columns(shared / "data" / "ist.parquet")
    for name, widest in (("AGE", 1.0), ("RSBP", 10.0), ("RDELAY", 1.0)):
        values = table[name]
        answer = gated(values, dealt(values.size))
        assert answer is not None
        assert max(c["to"] - c["from"] for c in answer["cells"]) <= widest, (name, answer["cells"])


def test_equal_to_r_itself(shared: Path) -> None:
    """Ten columns and groups whose quantiles R computed."""
    truth = json.loads((shared / "truth" / "table1_quantiles.json").read_text())
    for data, block in (("heart4", truth["heart4"]["continuous"]), ("ist", truth["ist_all"]["pooled"])):
        table = columns(shared / "data" / f"{data}.parquet")
        for name, stated in block.items():
            r = stated.get("overall", stated)
            probs = tuple(r["quantile_probs"][1:-1])
            answers = ask({name: table[name]}, probs, plain(OPEN))
            found = [c["value"] for c in answers[name]["cells"]]
            np.testing.assert_allclose(found, r["quantiles_type7"][1:-1], rtol=1e-12)
