"""R's values through the full path: files, gate, masks, sums, output gate. Not the bare statistic.

Each case of ../shared/checks splits a data set into sites; a rehearsal runs the study over them with open rules.
"""

from __future__ import annotations

import importlib.util
import json
import math
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import isthmus
from isthmus.model.canonical import plain
from isthmus.model.rules import OPEN


def read_cases(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("shared_cases", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SHARED = Path(__file__).resolve().parents[3] / "shared"  # as tests/conftest.py has it
NAMES = (
    [c["name"] for c in read_cases(SHARED / "checks" / "cases.py").CASES]
    if SHARED.is_dir()
    else ["shared data missing"]
)


@lru_cache(maxsize=1)
def truth(folder: Path) -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


def sites(case: dict[str, Any], data: Path) -> dict[str, pa.Table]:
    con = duckdb.connect()
    con.execute(
        f"create table t as select *, row_number() over () as row_ from read_parquet('{(data / case['data']).as_posix()}')"
    )
    con.execute(f"create table p as {case['prepare']}")
    con.execute(f"create table q as select *, {case['split']} as site_ from p")
    found = [row[0] for row in con.execute("select distinct site_ from q order by site_").fetchall()]
    query = "select * exclude (site_) from q where site_ = ?"
    return {f"s{site}": con.sql(query, params=[site]).to_arrow_table() for site in found}


def rehearsed(dataset: str, tables: dict[str, pa.Table], analyses: dict[str, Any], **study: Any) -> dict[str, Any]:
    asked = isthmus.Study(
        title=dataset,
        dataset=dataset,
        purpose={"duo": "DUO:0000042", "text": "reference check", "commercial": False},
        analyses=analyses,
        **study,
    )
    return isthmus.rehearse(asked, tables, rules=plain(OPEN)).to_dict()


def relative(got: Any, expected: Any) -> float:
    if got == expected:
        return 0.0
    if got is None or expected is None:
        return math.inf
    return abs(float(got) - float(expected)) / max(abs(float(expected)), 1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_equals_r(shared: Path, name: str) -> None:
    module = read_cases(shared / "checks" / "cases.py")
    case = next(c for c in module.CASES if c["name"] == name)
    answer = rehearsed("reference", sites(case, shared / "data"), {"a": case["analysis"]})["analyses"]["a"]
    assert "status" not in answer, answer  # neither refused nor failed
    for label, got, expected, gate in case["compare"](answer, truth(shared / "truth")):
        pair = [v if isinstance(v, list | tuple) else [v] for v in (got, expected)]
        assert len(pair[0]) == len(pair[1]), label
        worst = max(relative(g, e) for g, e in zip(*pair, strict=True))
        assert worst <= gate, f"{label}: {worst:.1e} above {gate:.0e}"


# The trial's published figures (Lancet 1997; 349: 1569-81), per cent of patients, to the digit printed.
PUBLISHED = {
    "death within 14 days": ("died14", "RXASP", {"Y": 9.0, "N": 9.4}),
    "dead or dependent at 6 months": ("dead_or_dependent", "RXASP", {"Y": 62.2, "N": 63.5}),
    "recurrent ischaemic stroke": ("ischaemic", "heparin", {"1": 2.9, "0": 3.8}),
    "haemorrhagic stroke": ("haemorrhagic", "heparin", {"1": 1.2, "0": 0.4}),
}
DERIVE = {
    "died14": "CASE WHEN ID14 = 1 THEN 1 ELSE 0 END",
    "dead_or_dependent": "CASE WHEN OCCODE = 1 OR OCCODE = 2 THEN 1 WHEN OCCODE = 3 OR OCCODE = 4 THEN 0 END",
    "ischaemic": "CASE WHEN ISC14 = 1 OR NK14 = 1 THEN 1 ELSE 0 END",  # ischaemic or of unknown type, as the paper counts
    "haemorrhagic": "CASE WHEN H14 = 1 THEN 1 ELSE 0 END",
    "heparin": "CASE WHEN RXHEP = 'N' THEN 0 ELSE 1 END",
}


def test_published_figures_of_the_stroke_trial(shared: Path) -> None:
    """UK, USA and the rest as three sites."""
    source = (shared / "data" / "ist.parquet").as_posix()
    con = duckdb.connect()
    where = {"uk": "COUNTRY = 'UK'", "usa": "COUNTRY = 'USA'", "rest": "COUNTRY NOT IN ('UK', 'USA')"}
    tables = {
        s: con.sql(f"select * from read_parquet('{source}') where {w}").to_arrow_table() for s, w in where.items()
    }
    analyses = {
        name: {"crosstab": {"rows": outcome, "columns": arm}} for name, (outcome, arm, _) in PUBLISHED.items()
    } | {"adjusted": {"glm": {"formula": "dead_or_dependent ~ RXASP + EXPDD", "family": "binomial"}}}
    body = rehearsed("ist", tables, analyses, derive=DERIVE, missing="analysis")
    for name, (outcome, arm, expected) in PUBLISHED.items():
        cells = body["analyses"][name]["cells"]
        for level, percent in expected.items():
            group = {c[outcome]: c["count"] for c in cells if c[arm] == level}
            assert round(100 * group["1"] / (group["1"] + group["0"]), 1) == percent, (name, level)
    aspirin = next(t for t in body["analyses"]["adjusted"]["terms"] if t["term"] == "RXASP[Y]")
    assert aspirin["estimate"] < 0
    assert round(aspirin["p_value"], 2) == 0.03
