"""Figures that are null come with a word: which, and why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import isthmus
from isthmus.model.rules import OPEN

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "attack"))
from hole_lab import patients, sites

from stated_rules import STRICT

RATE = {"rate": {"event": "DIED", "time": "DAYS", "by": "ARM"}}


def asked(tables: list[dict[str, Any]], analysis: dict[str, Any], rules: Any = OPEN) -> Any:
    study = isthmus.Study(title="t", dataset="d", analyses={"m": analysis})
    return isthmus.rehearse(study, {f"s{i}": pa.table(t) for i, t in enumerate(tables)}, rules=rules)["m"]


def spared(deaths: int = 0) -> list[dict[str, Any]]:
    """In arm B nobody died, or a few at each site."""
    found = [patients(seed) for seed in (1, 2, 3)]
    for table in found:
        treated = table["ARM"] == "B"
        table["DIED"] = np.where(treated & (np.cumsum(treated) > deaths), 0.0, table["DIED"])
        table["DIED"] = np.where(treated & (np.cumsum(treated) <= deaths), 1.0, table["DIED"])
    return found


@pytest.mark.parametrize("rules", [OPEN, STRICT])
def test_a_rate_ratio_without_events_says_why(rules: Any) -> None:
    found = asked(spared(), RATE, rules)
    body = found.to_dict()
    assert body["terms"][0]["estimate"] is None
    (said,) = body["warnings"]
    assert said.startswith("no estimate of rate ratio[B]: in one of its groups nobody has the event")
    assert said in found.summary()


def test_suppression_is_not_told_from_zero() -> None:
    """Three deaths at each site: nine in all, which the output gate blanks. The words fit both causes."""
    rules = {**STRICT, "minimum_count_site": 1}
    body = asked(spared(3), RATE, rules).to_dict()
    assert body["terms"][0]["estimate"] is None
    assert body["warnings"][0].endswith("or a count behind it is not shown")


def test_an_ordinary_result_has_no_words() -> None:
    for analysis in (
        RATE,
        {"accuracy": {"marker": "HIV", "outcome": "DIED"}},
        {"crosstab": {"rows": "ARM", "columns": "ARM2"}},
    ):
        tables = [{**table, "ARM2": table["ARM"][::-1]} for table in sites()]
        assert "warnings" not in asked(tables, analysis).to_dict()


def test_shares_of_none_and_all_have_limits_of_0_and_1() -> None:
    tables = sites()
    for table in tables:
        table["TEST"] = table["DIED"]
    terms = {
        t["term"]: t for t in asked(tables, {"accuracy": {"marker": "TEST", "outcome": "DIED"}}).to_dict()["terms"]
    }
    assert terms["sensitivity"]["conf_high"] == 1.0
    for table in tables:
        table["TEST"] = 1.0 - table["DIED"]
    terms = {
        t["term"]: t for t in asked(tables, {"accuracy": {"marker": "TEST", "outcome": "DIED"}}).to_dict()["terms"]
    }
    assert terms["sensitivity"]["conf_low"] == 0.0


SURVIVAL = {"treatment": "HIV", "time": "DAYS", "event": "DIED", "adjust": "AGE", "method": "iptw", "at": [1e6]}


def test_what_lies_beyond_a_curve_is_said() -> None:
    body = asked(sites(), {"kaplan_meier": {"time": "DAYS", "event": "DIED", "at": [30, 1e6]}}).to_dict()
    assert body["warnings"] == ["no figures of all rows at 1e+06: the curve ends before"]
    body = asked(sites(), {"effect": SURVIVAL}).to_dict()
    assert any(said.startswith("no estimate of survival") or "1e+06" in said for said in body["warnings"])


def test_an_arm_without_events_is_named() -> None:
    tables = sites()
    for table in tables:
        table["DIED"] = table["DIED"] * (1.0 - table["HIV"])
    error = asked(tables, {"effect": {**SURVIVAL, "at": [30]}}).to_dict()["error"]
    assert error["message"].startswith("'DIED' by 'HIV': an arm has no event")


def test_a_level_without_a_risk_ratio_is_left_out_of_a_meta_analysis() -> None:
    tables = sites()
    for table in tables:
        table["WARD"] = np.array(["a", "b", "c", "d"] * 100).astype(object)
        table["DIED"] = np.where((table["WARD"] == "d") & (table["HIV"] == 1.0), 0.0, table["DIED"])
    effect = {"treatment": "HIV", "outcome": "DIED", "adjust": "AGE", "method": "iptw"}
    body = asked(tables, {"meta": {"by": "WARD", "of": {"effect": effect}, "term": "log odds ratio"}}).to_dict()
    assert body["left_out"] == {"d": "E-TERM"}
    assert [row["term"] for row in body["terms"]] == ["a", "b", "c", "pooled"]
    wrong = asked(tables, {"meta": {"by": "WARD", "of": {"effect": effect}, "term": "log hazard"}}).to_dict()
    assert wrong["error"]["code"] == "E-TERM"
