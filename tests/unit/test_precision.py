"""What a country gained: the people it would need alone, and what they cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_country_results import STRICT, asked, tables

import isthmus
from isthmus.cli.app import main
from isthmus.sdk.result import AnalysisResult
from isthmus.statistics.precision import gained

GRID = {"edges": [50, 100, 200]}


def body(n: int, error: float | None, **more: object) -> dict[str, Any]:
    return {"kind": "glm", "n": n, "terms": [{"term": "arm", "estimate": 0.1, "std_error": error}], **more}


def told(n: int, error: float, **countries: dict[str, Any]) -> AnalysisResult:
    whole = body(n, error)
    return AnalysisResult("m", {**whole, "groups": countries, "precision": gained(whole, countries)}, {})


def test_people_needed_alone_and_their_cost() -> None:
    rows = isthmus.precision(told(3000, 0.1, GB=body(2000, 0.125), US=body(1000, 0.2)), {"GB": 100.0}).to_pylist()
    assert [(r["country"], r["best"], r["needed"], r["gained"]) for r in rows] == [
        ("GB", True, 3125, 1125),
        ("US", False, 4000, 3000),
    ]
    assert [r["cost"] for r in rows] == [pytest.approx(112_500.0), None]


def test_a_country_without_an_estimate_has_no_row() -> None:
    refused = {"kind": "glm", "status": "refused", "error": {"code": "E-DISCLOSURE", "message": "no"}}
    found = told(3000, 0.1, GB=body(2000, 0.125), US=body(1000, None), IE=refused)
    assert [r["country"] for r in isthmus.precision(found).to_pylist()] == ["GB"]


def test_without_results_of_countries_it_says_so() -> None:
    with pytest.raises(isthmus.Refused) as caught:
        isthmus.precision(AnalysisResult("m", body(3000, 0.1), {}))
    assert caught.value.code == "E-COUNTRY"
    assert "groups" in caught.value.hint


def test_areas_groups_pairs_and_intervals_have_it_too() -> None:
    def area(n: int, error: float) -> dict[str, Any]:
        return {"kind": "roc", "n": n, "fit": {"auc": 0.7, "std_error": error}}

    assert gained(area(3000, 0.01), {"GB": area(2000, 0.02)})[0]["countries"]["GB"]["needed"] == 8000

    def rates(n: int, half: float) -> dict[str, Any]:
        cells = [
            {"arm": arm, "n": n, "rate": 0.5, "conf_low": 0.5 - half, "conf_high": 0.5 + half} for arm in ("a", "b")
        ]
        return {"kind": "rate", "n": n, "conf_level": 0.95, "cells": cells}

    found = gained(rates(900, 0.1), {"GB": rates(400, 0.2)})
    assert [row["term"] for row in found] == ["rate a", "rate b"]
    assert found[0]["countries"]["GB"] == {
        "std_error": pytest.approx(0.2 / 1.959964, rel=1e-6),
        "n": 400,
        "needed": 1600,
        "gained": 1200,
    }

    def pairs(n: int, half: float) -> dict[str, Any]:
        return {
            "kind": "spearman",
            "n": n,
            "cells": [{"first": "x", "second": "y", "estimate": 0.1, "conf_low": -half, "conf_high": half}],
        }

    assert [row["term"] for row in gained(pairs(900, 0.1), {"GB": pairs(400, 0.2)})] == ["x y"]


def test_curves_have_it_at_the_times_asked_for() -> None:
    def curves(n: int, error: float | None) -> dict[str, Any]:
        at = [{"time": 0.0, "survival": 1.0, "std_error": 0.0}, {"time": 30.0, "survival": 0.8, "std_error": error}]
        return {"kind": "kaplan_meier", "n": n, "curves": [{"group": {"arm": "a"}, "survival_at": at}, {"group": {}}]}

    found = gained(curves(900, 0.02), {"GB": curves(400, 0.04), "US": curves(500, None)})
    assert [row["term"] for row in found] == ["survival a at 30"]
    assert found[0]["countries"] == {"GB": {"std_error": 0.04, "n": 400, "needed": 1600, "gained": 1200}}
    deaths = {"group": {}, "cause": "death", "incidence_at": [{"time": 7.5, "incidence": 0.1, "std_error": 0.01}]}
    told = {"kind": "cumulative_incidence", "n": 900, "curves": [deaths]}
    assert [row["term"] for row in gained(told, {"GB": told})] == ["incidence death at 7.5"]


def test_a_curve_of_two_countries_has_it() -> None:
    asks = {"km": {"kaplan_meier": {"time": "DAYS", "event": "DIED", "at": [100], "grid": GRID}}}
    found = asked(tables(), STRICT, groups={"by": "country"}, analyses=asks)["analyses"]["km"]
    assert [row["term"] for row in found["precision"]] == ["survival at 100"]
    for row, curve in zip(found["precision"], found["curves"], strict=True):
        place = curve["time"].index(100.0)
        assert row["std_error"] == curve["survival_at"][0]["std_error"] == curve["std_error"][place]


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    """Two countries of three parties each, under strict rules."""
    return asked(tables(), STRICT, groups={"by": "country"})


def test_it_stands_in_the_result_beside_the_terms(result: dict[str, Any]) -> None:
    found = result["analyses"]
    assert [row["term"] for row in found["risk"]["precision"]] == [row["term"] for row in found["risk"]["terms"]]
    for row in found["risk"]["precision"]:
        alone = [own["std_error"] for own in row["countries"].values()]
        assert row["countries"][row["best"]]["std_error"] == min(alone) > row["std_error"]
        assert all(own["needed"] > own["n"] == 1200 for own in row["countries"].values())
    assert all("precision" not in found[name] for name in ("who", "middle", "curve", "tables"))
    assert isthmus.Result(result)["risk"].tidy().column_names == [
        *("term", "estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high")
    ]
    assert "risk: precision gained" in isthmus.Result(result).summary()


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main([*arguments])
    return int(left.value.code or 0)


def test_on_the_command_line(result: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "result.json"
    file.write_text(json.dumps(result))
    assert run("results", "precision", str(file), "--price", "GB=12.5") == 0
    shown = capsys.readouterr().out
    assert "Needed alone" in shown
    assert "Cost" in shown
    assert run("results", "precision", str(file), "--analysis", "risk", "--price", "GB=12.5", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["analyses"]["risk"]
    assert [r["cost"] for r in rows if r["country"] == "GB"] == [
        12.5 * r["gained"] for r in rows if r["country"] == "GB"
    ]
    assert {r["cost"] for r in rows if r["country"] == "US"} == {None}


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        (["--price", "GB=much"], "E-USAGE"),
        (["--price", "12.5"], "E-USAGE"),
        (["--analysis", "nosuch"], "E-ANALYSIS"),
        (["--analysis", "who"], "E-COUNTRY"),
    ],
)
def test_asked_wrongly(stated: list[str], code: str, result: dict[str, Any], tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "result.json"
    file.write_text(json.dumps(result))
    assert run("results", "precision", str(file), *stated) != 0
    assert code in capsys.readouterr().err
