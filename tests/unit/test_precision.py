"""What a country gained: the people it would need alone, and what they cost."""

from __future__ import annotations

import pytest

import isthmus
from isthmus.sdk.result import AnalysisResult


def body(n: int, error: float | None, **more: object) -> dict[str, object]:
    return {"kind": "glm", "n": n, "terms": [{"term": "arm", "estimate": 0.1, "std_error": error}], **more}


def test_people_needed_alone_and_their_cost() -> None:
    whole = body(3000, 0.1, groups={"GB": body(2000, 0.125), "US": body(1000, 0.2)})
    rows = isthmus.precision(AnalysisResult("m", whole, {}), {"GB": 100.0}).to_pylist()
    assert [(r["country"], r["best"], r["needed"], r["gained"]) for r in rows] == [
        ("GB", True, 3125, 1125),
        ("US", False, 4000, 3000),
    ]
    assert [r["cost"] for r in rows] == [pytest.approx(112_500.0), None]


def test_a_country_without_an_estimate_has_no_row() -> None:
    refused = {"kind": "glm", "status": "refused", "error": {"code": "E-DISCLOSURE", "message": "no"}}
    whole = body(3000, 0.1, groups={"GB": body(2000, 0.125), "US": body(1000, None), "IE": refused})
    assert [r["country"] for r in isthmus.precision(AnalysisResult("m", whole, {})).to_pylist()] == ["GB"]


def test_without_results_of_countries_it_says_so() -> None:
    with pytest.raises(isthmus.Refused) as caught:
        isthmus.precision(AnalysisResult("m", body(3000, 0.1), {}))
    assert caught.value.code == "E-COUNTRY"
    assert "groups" in caught.value.hint
