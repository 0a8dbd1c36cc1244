"""Answers with noise in a rehearsal: a budget that stops the second question, and the same noise for the same one."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

import isthmus
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid, Refused
from isthmus.model.rules import OPEN

RULES = {name: getattr(OPEN, name) for name in OPEN.__dataclass_fields__} | {
    "dominance": {"n": 2, "k": 1.0, "p": 0.0},
    "digits": 17,
}
PRIVACY = {"rho": 0.1, "delta": 1e-6, "per_person": 0.1, "per_project": 0.1, "colluders": 1}
SITES = {
    name: pa.table({"arm": ["A"] * 300 + ["B"] * 200, "age": [float(20 + k % 60) for k in range(500)]})
    for name in ("leeds", "oxford", "boston")
}


def rehearsed(analyses: dict[str, Any], privacy: dict[str, Any] | None = PRIVACY) -> isthmus.Result:
    study = isthmus.Study(title="t", dataset="d", purpose={"duo": "DUO:0000007", "text": "t"}, analyses=analyses)
    return isthmus.rehearse(study, SITES, rules={**RULES, "privacy": privacy})


def test_a_count_answers_with_noise_and_says_what_it_cost() -> None:
    result = rehearsed({"n": {"count": {"by": ["arm"], "privacy": {"rho": 0.05}}}})["n"].to_dict()
    assert result["exactness"] == "approximate"
    assert result["privacy"]["rho"] == 0.05
    assert result["privacy"]["delta"] == 1e-6
    assert 0.5 < result["privacy"]["epsilon"] < 2.5
    # one honest site hides a row (2 sites in a sum, 1 colluder): sigma**2 = 1 / (2 rho) each, three sites in the sum
    assert result["privacy"]["sigma"]["cells"] == pytest.approx((3 / 0.1) ** 0.5, rel=0.01)
    found = [cell["count"] for cell in result["cells"]]
    assert all(abs(a - b) < 60 for a, b in zip(found, (900, 600), strict=True))


def test_the_budget_stops_the_second_question() -> None:
    asked = {"rho": 0.06}
    result = rehearsed({"a": {"count": {"privacy": asked}}, "b": {"count": {"by": ["arm"], "privacy": asked}}})
    assert result["a"].status == "released"
    assert result["b"].status == "refused"
    assert result["b"].error["code"] == "E-DISCLOSURE"


@pytest.mark.parametrize(
    ("analysis", "privacy", "code"),
    [
        ({"count": {"by": ["arm"]}}, PRIVACY, "E-PRIVACY"),
        ({"count": {"by": ["arm"], "privacy": {"rho": 0.0}}}, PRIVACY, "E-PRIVACY"),
        ({"count": {"by": ["arm"], "privacy": {"rho": 0.05}}}, None, "E-PRIVACY"),
        ({"count": {"by": ["arm"], "privacy": {"rho": 0.05}}}, {**PRIVACY, "colluders": 0}, "E-PRIVACY"),
        ({"count": {"by": ["arm"], "privacy": {"rho": 0.05}}}, {**PRIVACY, "per_person": 0.2}, "E-PRIVACY"),
    ],
)
def test_privacy_is_stated_where_it_is_due_and_only_there(
    analysis: dict[str, Any], privacy: dict[str, Any] | None, code: str
) -> None:
    with pytest.raises(Invalid) as caught:
        rehearsed({"a": analysis}, privacy)
    assert caught.value.code == code


def test_a_kind_without_a_noisy_variant_is_refused_by_name_before_anything_runs() -> None:
    with pytest.raises(Refused, match="log_rank") as caught:
        rehearsed({"a": {"log_rank": {"time": "age", "event": "age", "by": "arm", "privacy": {"rho": 0.05}}}})
    assert caught.value.code == "E-PRIVACY-KIND"


BOOK = Codebook(
    name="d",
    variables={
        "arm": Variable(type="category", levels=("A", "B")),
        "age": Variable(
            type="number", range=(0.0, 100.0), grid=((0.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 100.0),)
        ),
    },
)


def booked(kind: str, question: dict[str, Any], rho: float) -> dict[str, Any]:
    study = isthmus.Study(
        title="t",
        dataset="d",
        purpose={"duo": "DUO:0000007", "text": "t"},
        analyses={"a": {kind: {**question, "privacy": {"rho": rho}}}},
    )
    generous = {**PRIVACY, "rho": 100.0, "per_person": 100.0, "per_project": 100.0}
    return isthmus.rehearse(study, SITES, rules={**RULES, "privacy": generous}, codebook=BOOK)["a"].to_dict()


def test_a_histogram_and_quantiles_with_noise() -> None:
    shown = booked("histogram", {"variable": "age"}, 1.0)
    found = {cell["from"]: cell["count"] for cell in shown["cells"]}
    exact = sum(20 + k % 60 < 30 for k in range(500)) * 3
    assert abs(found[20.0] - exact) < 15
    cells = booked("quantiles", {"variable": "age", "probs": [0.5]}, 1.0)["cells"]
    assert cells[0]["from"] <= cells[0]["value"] <= cells[0]["to"]
    assert abs(cells[0]["value"] - 49.0) < 3.0


def test_a_table_with_noise_has_means_near_the_exact_ones_and_says_by_how_much() -> None:
    shown = booked("table_one", {"variables": ["age", "arm"], "by": "arm"}, 5.0)
    assert shown["exactness"] == "approximate"
    assert set(shown["privacy"]["sigma"]) == {"n", "sum", "square", "count arm"}
    text = repr(shown["cells"])
    means = [cell["mean"] for cell in shown["cells"] if cell.get("mean") is not None]
    assert means, text
    assert all(abs(mean - 47.5) < 4.0 for mean in means)


def test_a_table_with_noise_has_no_tests() -> None:
    shown = booked("table_one", {"variables": ["age"], "by": "arm", "tests": True}, 5.0)
    assert "noisy numbers have no tests" in shown["error"]["message"]
