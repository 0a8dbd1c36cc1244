"""Rates, their ratios and direct standardisation against R (r/rates.R), through the masked path; what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cohort import asked, cohort, column, expected
from reference_cases import run, worst

import isthmus
from isthmus.model.errors import Invalid

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from stated_rules import STRICT

STANDARD = {"by": "sex", "weights": {"f": 3, "m": 1}}
QUESTION: dict[str, Any] = {"event": "died", "time": "years", "by": "arm", "standardise": STANDARD}


def rows() -> dict[str, np.ndarray]:
    found = cohort()
    return found | {"years": found["days"] / 365.25}


def test_equals_r() -> None:
    analyses = {"all": {"event": "died", "time": "years"}, "arms": QUESTION, "per": {**QUESTION, "per": 1000}}
    found, r = asked(rows(), {name: {"rate": question} for name, question in analyses.items()}), expected("rates")
    keys = ("events", "person_time", "rate", "conf_low", "conf_high")
    (whole,) = found["all"]["cells"]
    assert worst([whole[k] for k in keys], [r["all"][k] for k in keys]) < 1e-12
    assert found["all"]["terms"] == []
    for cell, thousand in zip(found["arms"]["cells"], found["per"]["cells"], strict=True):
        arm = r["crude"][cell["arm"]]
        assert worst([cell[k] for k in keys], [arm[k] for k in keys]) < 1e-12
        shown = [cell[k] for k in ("standardised", "standardised_low", "standardised_high")]
        assert worst(shown, [r["adjusted"][cell["arm"]][k] for k in ("rate", "low", "high")]) < 1e-12
        assert thousand["rate"] == pytest.approx(1000 * cell["rate"], rel=1e-14)
    assert [t["term"] for t in found["arms"]["terms"]] == ["rate ratio[b]", "standardised ratio[b]"]
    both = [r["ratio"], r["standardised"]]
    assert worst(column(found["arms"], "estimate"), [t["estimate"] for t in both]) < 1e-12
    assert worst(column(found["arms"], "std_error"), [t["std_error"] for t in both]) < 1e-12


def test_a_group_without_an_event_has_a_rate_and_no_ratio() -> None:
    table = rows()
    table["died"] = np.where(table["arm"] == "a", 0.0, table["died"])
    body = run("rate", QUESTION, table).report
    assert (body["cells"][0]["rate"], body["cells"][0]["conf_low"]) == (0.0, 0.0)
    assert body["cells"][0]["conf_high"] > 0
    assert body["terms"][0]["estimate"] is None


@pytest.mark.parametrize(
    ("change", "code", "match"),
    [
        ({"time": "none"}, "E-TIME", "'none' must be above 0"),
        ({"event": "times"}, "E-OUTCOME", "'times' must be 0 or 1"),
        ({"standardise": {"by": "sex", "weights": {"f": 1}}}, "E-WEIGHTS", "each level of 'sex'"),
        ({"standardise": {"by": "sex", "weights": {"f": 0, "m": 0}}}, "E-WEIGHTS", "has people"),
        ({"by": "sex"}, "E-VARIABLE", "different variables"),
        ({"per": 0}, "E-TIME", "above 0"),
    ],
)
def test_bad_input_ends_in_an_error(change, code, match) -> None:
    with pytest.raises(Invalid, match=match) as caught:
        run("rate", {**QUESTION, **change}, rows() | {"none": np.zeros(900)})
    assert caught.value.code == code


def strict_answer(change: Any) -> dict[str, Any]:
    """Of three sites of 300 under strict rules, their rows changed first."""
    table = rows()
    change(table)
    names = ("died", "years", "arm", "sex")
    sites = {f"s{k}": pa.table({n: table[n][k::3] for n in names}) for k in range(3)}
    purpose = {"duo": "DUO:0000007", "text": "t", "commercial": False}
    study = isthmus.Study(
        title="t", dataset="d", purpose=purpose, analyses={"a": {"rate": QUESTION}, "n": {"count": {}}}
    )
    found: dict[str, Any] = isthmus.rehearse(study, sites, rules=STRICT).to_dict()["analyses"]["a"]
    return found


def few_events(table: dict[str, np.ndarray]) -> None:
    table["died"] = np.where((table["arm"] == "b") & (np.arange(900) > 30), 0.0, table["died"])


def one_long_stay(table: dict[str, np.ndarray]) -> None:
    table["years"] = np.where(np.arange(900) == 0, 1e6, 1.0)


@pytest.mark.parametrize("change", [few_events, one_long_stay])
def test_few_events_or_one_persons_time_is_refused(change) -> None:
    assert strict_answer(change)["status"] == "refused"


def test_ordinary_rates_are_answered() -> None:
    assert "terms" in strict_answer(lambda table: None)
