"""Thirty ordinary questions over real data under a floor of 11: what should be answered is, what should not is not.

The list and what was expected of each before the first run: questions.yaml. In words: docs/ordinary-questions.md.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest
from ordinary import Outcome, Sites, asked, expected, listed, page, run_all

from isthmus.federation.rehearsal import stage

QUESTIONS = [(study, name) for study, entry in listed()["studies"].items() for name in entry["questions"]]


@lru_cache(maxsize=1)
def outcomes(data: Path) -> dict[str, dict[str, Outcome]]:
    return run_all(data)


def test_there_are_thirty() -> None:
    assert len(QUESTIONS) == 30
    assert {entry["expected"] for _, entry in _entries()} == {"answered", "refused"}


@pytest.mark.parametrize(("study", "name"), QUESTIONS)
def test_a_question_ends_as_expected(shared: Path, study: str, name: str) -> None:
    wanted, got = expected(listed()["studies"][study]["questions"][name]), outcomes(shared / "data")[study][name]
    assert got.status == wanted["expected"], got.rules
    if got.status == "refused":
        assert wanted["rule"] in got.rules
        assert got.body["error"]["code"] == "E-DISCLOSURE"


@pytest.mark.parametrize(("name", "question"), [("surv_lung", "sexes"), ("aSAH", "biomarker")])
def test_curves_of_a_small_trial_are_answered_where_only_sums_leave(shared: Path, name: str, question: str) -> None:
    """What their corrections say."""
    study = stage(**asked(name, shared / "data", minimum_count_site=1))
    assert Sites().outcomes(study)[question].status == "answered"


def test_the_page_is_made_of_the_list(root: Path) -> None:
    """`python tests/reference/ordinary/ordinary.py` writes it."""
    assert (root / "docs" / "ordinary-questions.md").read_text() == page()


def _entries() -> list[tuple[str, dict[str, str]]]:
    return [(name, listed()["studies"][study]["questions"][name]) for study, name in QUESTIONS]
