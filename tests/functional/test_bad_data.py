"""Data that do not fit the codebook: a coded error that names the column and the site, never a value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import isthmus
from isthmus.model.canonical import plain
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid
from isthmus.model.rules import OPEN
from stated_rules import STRICT

BOOK = Codebook(name="d", variables={"x": Variable(type="category", levels=("a", "b")), "y": Variable(type="number")})
STUDY = isthmus.Study(title="t", dataset="d", analyses={"g": {"glm": {"formula": "y ~ x", "family": "gaussian"}}})
GOOD = pa.table({"x": ["a", "b"] * 20, "y": np.arange(40.0)})
BAD = {
    "E-LEVEL": pa.table({"x": ["a", "secret"] * 20, "y": np.arange(40.0)}),
    "E-TEXT-IN-NUMBER": pa.table({"x": ["a", "b"] * 20, "y": ["1", "secret"] * 20}),
    "E-COLUMN-MISSING": pa.table({"x": ["a", "b"] * 20}),
}


@pytest.mark.parametrize("code", sorted(BAD))
@pytest.mark.parametrize("processes", [False, True], ids=["memory", "processes"])
def test_a_site_whose_data_do_not_fit_says_so(code: str, processes: bool) -> None:
    sites: dict[str, Any] = {"leeds": GOOD, "boston": BAD[code]}
    with pytest.raises(Invalid) as caught:
        isthmus.rehearse(STUDY, sites, rules=plain(OPEN), codebook=BOOK, processes=processes)
    assert caught.value.code == code
    assert "boston" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.hint


ROWS = 60
MADE = np.random.default_rng(1)
WRONG: dict[str, dict[str, Any]] = {
    "E-OUTCOME": {"glm": {"formula": "three ~ x", "family": "binomial"}},
    "E-TIME": {"kaplan_meier": {"time": "x", "event": "event"}},
    "E-NOT-FINITE": {"glm": {"formula": "event ~ log(x)", "family": "binomial"}},
}


def made() -> pa.Table:
    columns = {"x": MADE.normal(size=ROWS), "three": MADE.integers(0, 3, ROWS), "event": MADE.integers(0, 2, ROWS)}
    return pa.table(columns)


@pytest.mark.parametrize("code", sorted(WRONG))
def test_one_analysis_that_cannot_be_done_says_why_and_spoils_no_other(code: str) -> None:
    study = isthmus.Study(title="t", dataset="d", analyses={"wrong": WRONG[code], "right": {"count": {}}})
    answers = isthmus.rehearse(study, {"leeds": made(), "boston": made()}, rules=plain(OPEN)).to_dict()["analyses"]
    assert answers["wrong"]["status"] == "failed"
    assert answers["wrong"]["error"]["code"] == code
    assert answers["right"]["n"] == 2 * ROWS


@pytest.mark.parametrize("rules", [plain(OPEN), STRICT], ids=["open", "strict"])
def test_where_rules_restrict_it_does_not_say_at_which_site(rules: dict[str, Any]) -> None:
    tables = {"leeds": made(), "oxford": made(), "boston": made()}
    study = isthmus.Study(title="t", dataset="d", analyses={"wrong": WRONG["E-NOT-FINITE"], "right": {"count": {}}})
    found = isthmus.rehearse(study, tables, rules=rules).to_dict()["analyses"]["wrong"]["error"]
    assert found["code"] == "E-NOT-FINITE"
    assert ("where" in found) == (rules is not STRICT)


@pytest.mark.parametrize("value", [np.inf, -1e61])
@pytest.mark.parametrize("missing", ["study", "analysis"])
def test_an_infinite_value_ends_what_reads_its_column_alone(value: float, missing: str) -> None:
    wild = made()
    column = wild["x"].to_numpy().copy()
    column[3] = value
    wild = wild.set_column(0, "x", pa.array(column))
    asks = {
        "reads": {"glm": {"formula": "event ~ x", "family": "binomial"}},
        "through": {"quantiles": {"variable": "twice", "probs": [0.5], "grid": {"from": -9, "to": 9, "bins": 9}}},
        "right": {"glm": {"formula": "three ~ event", "family": "gaussian"}},
    }
    study = isthmus.Study(title="t", dataset="d", analyses=asks, derive={"twice": "2 * x"}, missing=missing)
    book = Codebook(name="d", variables={n: Variable(type="number", range=(-9, 9)) for n in ("x", "three", "event")})
    for codebook in (None, book):
        sites = {"leeds": made(), "boston": wild}
        answers = isthmus.rehearse(study, sites, rules=plain(OPEN), codebook=codebook).to_dict()["analyses"]
        assert answers["right"]["n"] == 2 * ROWS
        for name, read in (("reads", "'x'"), ("through", "'twice'")):
            assert answers[name]["error"]["code"] == "E-NOT-FINITE"
            assert read in answers[name]["error"]["message"]
            assert answers[name]["error"]["where"] == "site boston"


def test_between_parties_the_same_data_give_the_constant_refusal() -> None:
    """What a rehearsal tells its owner is not in the body that sites sign."""
    from isthmus.federation import rehearsal

    candid, rehearsal.candid = rehearsal.candid, lambda body, _staged, _met: body
    try:
        study = isthmus.Study(title="t", dataset="d", analyses={"wrong": WRONG["E-OUTCOME"]})
        body = isthmus.rehearse(study, {"leeds": made(), "boston": made()}, rules=plain(OPEN)).to_dict()
    finally:
        rehearsal.candid = candid
    assert body["analyses"]["wrong"]["error"]["code"] == "E-DISCLOSURE"
