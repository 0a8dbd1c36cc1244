"""Laws of the whole path, for every question kind: the same answer through files, gate, masks and sums.

One study asks every example of `examples.py`, so that a kind that is listed there is held to them.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from examples import QUESTIONS, SITE_STRATA, keyed, table

import isthmus
from isthmus.federation.body import BUNDLE, extension, names
from isthmus.model.canonical import plain
from isthmus.model.rules import OPEN
from isthmus.testing import largest_difference

ROWS = 120
COUNTRIES = ("GB", "US")
STRICT = plain(OPEN) | {"minimum_count": 11, "minimum_sites": 3, "digits": 4, "round_to": 5}


def analyses(questions: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {f"{kind}{i}": {kind: stated} for kind, listed in questions.items() for i, stated in enumerate(listed)}


def study(asked: dict[str, Any]) -> Any:
    purpose = {"duo": "DUO:0000042", "text": "laws", "commercial": False}
    return isthmus.Study(title="laws", dataset="made", purpose=purpose, analyses=asked, missing="analysis")


def dealt(sites: np.ndarray) -> dict[str, pa.Table]:
    """A table per site, two sites at least; one may have no rows."""
    whole = pa.table(table(ROWS))
    return {f"s{i}": whole.filter(pa.array(sites == i)) for i in range(max(int(sites.max()) + 1, 2))}


def rehearsed(asked: dict[str, Any], sites: np.ndarray, rules: dict[str, Any] | None = None) -> dict[str, Any]:
    return isthmus.rehearse(study(asked), dealt(sites), rules=rules or plain(OPEN)).to_dict()


ALL = analyses(QUESTIONS)
KEYED = {name: asked for name, asked in ALL.items() if keyed(*next(iter(asked.items())))}
EVERY = {name: asked for name, asked in ALL.items() if name not in KEYED}


def test_groups_dealt_whole_give_the_pooled_answer() -> None:
    practice = table(ROWS)["practice"].astype(int)
    first, second = (rehearsed(KEYED, practice % count)["analyses"] for count in (2, 5))
    for name, answer in first.items():
        assert "status" not in answer, answer
        assert largest_difference(answer, second[name]) < 1e-9, name


def test_the_same_run_gives_the_same_bits() -> None:
    sites = np.arange(ROWS) % 3
    first, again = (rehearsed(EVERY | analyses(SITE_STRATA), sites) for _ in range(2))
    assert json.dumps(first["analyses"]) == json.dumps(again["analyses"])
    assert first["proof"]["site_signatures"] != again["proof"]["site_signatures"]  # keys and masks were fresh


@pytest.mark.parametrize("kind", sorted(QUESTIONS))
def test_a_small_site_is_refused_whatever_is_asked(kind: str) -> None:
    """Ten people at one site, under a floor of 11: nothing is answered, nobody learns which site it was."""
    sites = np.where(np.arange(ROWS) < 10, 2, np.arange(ROWS) % 2)
    answers = rehearsed(analyses({kind: QUESTIONS[kind]}), sites, STRICT)["analyses"]
    for answer in answers.values():
        assert answer["status"] == "refused"
        assert answer["error"]["code"] == "E-DISCLOSURE"
        assert not any(f"s{i}" in answer["error"]["message"] for i in range(3))


def test_rows_stay_and_little_leaves() -> None:
    body = rehearsed(EVERY, np.arange(ROWS) % 3)
    assert body["traffic"]["rows_left"] == 0
    assert set(body["traffic"]["bytes_out"]) == {"s0", "s1", "s2"}
    assert json.loads(json.dumps(body)) == body
    for name, answer in body["analyses"].items():  # what the egress gate looks for is in no kind's answer
        assert (names(answer), extension(answer)) == (0, BUNDLE), name
