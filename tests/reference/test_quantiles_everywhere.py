"""Pooled quantiles are R's type 7 on every data set, through files, gate, masks and sums.

Every numeric column of every data set is asked for, its rows dealt to three sites: exact at a floor of 1, within the
printed interval at a floor of 11. numpy's `linear` is R's type 7; values of R itself are checked beside it.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

import isthmus
from isthmus.model.canonical import plain
from isthmus.model.rules import OPEN

DATA = ("aSAH", "dat_bcg", "heart4", "indo_rct", "ist", "opt", "strep_tb", "surv_lung", "surv_veteran")
PROBS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
FLOOR = plain(OPEN) | {"minimum_count": 11, "minimum_count_site": 11, "round_to": 5, "minimum_sites": 3}
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


@pytest.mark.parametrize("data", DATA)
def test_within_the_printed_interval_at_a_floor_of_eleven(shared: Path, data: str) -> None:
    """Answered wherever each site has 11 rows and 11 lie on each side; then the interval holds R's value."""
    table = columns(shared / "data" / f"{data}.parquet")
    answers = ask(table, PROBS, FLOOR)
    for name, values in table.items():
        known, answer = np.isfinite(values), answers[name]
        expected = np.quantile(values[known], PROBS, method="linear")
        least = min(np.count_nonzero(known & (dealt(len(values)) == k)) for k in range(3))
        if least < 11 or min(np.count_nonzero(known) * p for p in (PROBS[0], 1 - PROBS[-1])) < 11:
            assert answer.get("status") == "refused" or np.count_nonzero(known) * PROBS[0] > 10
            continue
        for cell, value in zip(answer["cells"], expected, strict=True):
            low = -np.inf if cell["from"] is None else cell["from"]
            high = np.inf if cell["to"] is None else cell["to"]
            assert low <= value <= high, (name, cell, value)
            if cell["value"] is not None and answer.get("bound") is not None:
                assert abs(cell["value"] - value) <= answer["bound"] * (1 + 1e-12), (name, cell, value)
        assert answer["exactness"] == "exact" or "grid" in answer


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
