"""Figures that are null come with a word: which, and why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import isthmus
from isthmus.model.errors import Invalid
from isthmus.model.rules import OPEN
from isthmus.statistics.unsaid import WITHIN, of_clusters

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


@pytest.mark.parametrize(
    "analysis",
    [
        {"glm": {"formula": "DIED ~ AGE + BMI + HIV", "family": "binomial", "cluster": "FAMILY"}},
        {"cox": {"formula": "Surv(DAYS, DIED) ~ AGE + cluster(FAMILY)", "strata": ["site"]}},
        {"gee": {"formula": "DIED ~ AGE", "family": "binomial", "cluster": "FAMILY", "correlation": "independence"}},
    ],
)
def test_clustered_errors_say_that_clusters_are_counted_within_sites(analysis: dict[str, Any]) -> None:
    body = asked(in_families(20), analysis).to_dict()
    assert body.get("clusters", body["fit"].get("clusters")) == 40
    assert body["warnings"] == [WITHIN]


def test_where_no_cluster_can_be_at_two_sites_there_is_nothing_to_say_of_it() -> None:
    terms = [{"term": "age", "std_error": 0.5}]
    assert of_clusters({"clusters": 9, "terms": terms}, several=False) == []
    plain = asked(in_families(20), {"glm": {"formula": "DIED ~ AGE", "family": "binomial"}})
    assert "warnings" not in plain.to_dict()


def test_no_more_clusters_than_coefficients_are_a_warning() -> None:
    """Four clusters: with three coefficients the covariance has full rank, with four it has not."""
    for terms, singular in (("AGE + BMI", False), ("AGE + BMI + HIV", True)):
        glm = {"formula": f"DIED ~ {terms}", "family": "binomial", "cluster": "FAMILY", "release": ["vcov"]}
        body = asked(in_families(2), {"glm": glm}).to_dict()
        assert body["clusters"] == 4
        variance = np.array(body["vcov"])
        scale = np.sqrt(np.diag(variance))
        smallest = np.linalg.eigvalsh(variance / np.outer(scale, scale))[0]
        assert (smallest < 1e-9) == singular
        few = "errors of 4 coefficients from 4 clusters: with fewer than 5 their covariance is singular"
        assert [said for said in body["warnings"] if said.startswith(few)] == body["warnings"][1:]
        assert len(body["warnings"]) == 1 + singular


def in_families(count: int) -> list[dict[str, Any]]:
    """Two sites, each with so many families, by the same identifiers."""
    found = [patients(seed) for seed in (1, 2)]
    for table in found:
        table["FAMILY"] = np.array([f"f{at % count}" for at in range(len(table["AGE"]))])
    return found


def test_small_tables_and_alike_markers_say_why_there_is_no_test() -> None:
    draw = np.random.default_rng(4)
    x = draw.normal(size=60)
    table = {"x": x, "z": np.exp(x), "k": draw.normal(size=60), "one": (np.arange(60) == 7).astype(int)}
    parts = [{k: v[i::2] for k, v in table.items()} for i in range(2)]
    table["y"] = (x + draw.normal(size=60) > 0).astype(int)
    alike = asked([{k: v[i::2] for k, v in table.items()} for i in range(2)], roc("y", "z")).to_dict()
    assert (alike["fit"]["p_value"], alike["fit"]["difference_error"]) == (None, None)
    assert alike["warnings"] == ["no test: both markers order the rows of either class alike"]
    lone = asked(parts, roc("one", "k")).to_dict()
    assert (lone["fit"]["std_error"], lone["fit"]["conf_low"]) == (None, None)
    assert lone["warnings"] == ["no error, interval and test of an area: one of the classes has one person"]
    pair = asked(
        [{k: v[i : i + 1] for k, v in table.items()} for i in range(2)], {"correlation": {"variables": ["x", "k"]}}
    )
    assert pair.to_dict()["warnings"] == [
        "no test of x and k: there are fewer than 3 rows",
        "no interval of x and k: there are fewer than 4 rows",
    ]


def roc(outcome: str, other: str) -> dict[str, Any]:
    return {"roc": {"marker": "x", "outcome": outcome, "compare": {"marker": other}}}


def test_everybody_had_the_event() -> None:
    """The incidence is 1, not what rounding makes of it; its transformation has no end there."""
    draw = np.random.default_rng(5)
    for n in (70, 82, 88):
        table = {"t": np.round(draw.exponential(100, n) + 1), "cause": np.ones(n, int)}
        parts = [{k: v[i::2] for k, v in table.items()} for i in range(2)]
        stated = {"time": "t", "cause": "cause", "causes": {"1": "discharge"}}
        body = asked(parts, {"cumulative_incidence": stated}).to_dict()
        curve = body["curves"][0]
        assert (curve["incidence"][-1], curve["conf_low"][-1], curve["conf_high"][-1]) == (1.0, None, None)
        assert curve["std_error"][-1] > 0.0
        (said,) = body["warnings"]
        assert (
            said
            == f"no interval of discharge in all rows at {table['t'].max():g} and later: everybody has had the event"
        )


def test_a_test_on_wide_steps_says_that_it_says_nothing() -> None:
    draw = np.random.default_rng(2)
    n = 600
    group = np.where(draw.random(n) < 0.4, "b", "a")
    hidden, censored = draw.exponential(300 / (1 + 0.4 * (group == "b"))), draw.uniform(1, 720, n)
    cause = np.where(hidden <= censored, 1 + (draw.random(n) < 0.3), 0)
    table = {"t": np.round(np.minimum(hidden, censored) + 1), "cause": cause, "e": (cause > 0).astype(int), "g": group}
    parts = [{k: v[i::2] for k, v in table.items()} for i in range(2)]
    wide = {"edges": [360.0, 720.0]}
    gray = {"time": "t", "cause": "cause", "causes": {"1": "r", "2": "d"}, "by": "g"}
    rank = {"time": "t", "event": "e", "by": "g"}
    body = asked(parts, {"cumulative_incidence": {**gray, "grid": wide}}).to_dict()
    assert [w.partition(":")[0] for w in body["warnings"]] == ["Gray's test of r", "Gray's test of d"]
    (said,) = asked(parts, {"log_rank": {**rank, "grid": wide}}).to_dict()["warnings"]
    assert said.startswith("the test: ")
    assert "a finer grid" in said
    assert "warnings" not in asked(parts, {"log_rank": rank}).to_dict()
    shown = asked(parts, {"cumulative_incidence": {**gray, "grid": {"every": 1, "to": 720}}})
    assert "Test Chi-square Bound df p" in " ".join(shown.summary().split())
    fine = shown.to_dict()
    assert all(0.0 < test["bound"] < 1.0 for test in fine["tests"].values())


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        ({"kaplan_meier": {"time": "t", "event": "y", "at": [-5.0]}}, "E-TIME"),
        ({"cumulative_incidence": {"time": "t", "cause": "y", "causes": {"1": "a"}, "at": [-5.0]}}, "E-TIME"),
        ({"effect": {"treatment": "y", "outcome": "y", "adjust": "t", "method": "iptw"}}, "E-OUTCOME"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(stated: dict[str, Any], code: str) -> None:
    rows = np.arange(20)
    with pytest.raises(Invalid) as caught:
        asked([{"t": rows + 1.0, "y": rows % 2}, {"t": rows + 2.0, "y": rows % 2}], stated)
    assert caught.value.code == code
