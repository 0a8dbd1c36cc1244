"""A number that one patient has, beneath one that everyone has: `RARE * SBP + AGE` looks like an age.

Its sum less the sum of AGE, over the very same rows, is the pressure of the one patient with RARE = 1. A quotient does the
same without a rare column: x / (x + 1e-7) is 0 where x is, and 1 elsewhere. Defence: the site looks at each part of a
sum or product, at the reciprocal of what is divided by, and at each arm of a CASE as at a number asked for by itself.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import history_lab
import numpy as np
import pyarrow as pa
import pytest
from history_lab import ROWS, VICTIM, Forgetful, Recalling

from attack import Attack, Say
from isthmus.model.codebook import Variable

ATTACK = Attack(
    "A number of one patient beneath one of everyone (RARE * SBP + AGE)",
    "effective rows of each part of a sum, product or quotient",
)
MEAN = {"glm": {"formula": "v ~ 1", "family": "gaussian"}}
RARE = Variable(type="integer", range=(0, 1))
# What is asked, what is subtracted, and how exactly it gives the victim's pressure.
FORMS = [
    ("RARE * SBP + AGE", "AGE + 0 * SBP", 1e-9),
    ("SBP / (1 + 1000000000 * (AGE - 47.77) * (AGE - 47.77)) + AGE", "AGE + 0 * SBP", 1e-4),
    ("SBP * (AGE - 47.77) / (AGE - 47.77 + 0.0000001)", "SBP + 0 * AGE", 1e-4),
]
OTHERS = [
    "SBP + RARE",
    "AGE + SQRT(RARE) * SBP",
    "CASE WHEN ARM = 'A' THEN RARE ELSE AGE END",
    "AGE + 1 / (0.001 + (AGE - 47.77) * (AGE - 47.77))",
    "AGE - (0 - RARE) * SBP",
]


@pytest.fixture(autouse=True)
def _a_rare_column(monkeypatch: pytest.MonkeyPatch) -> None:
    book = history_lab.BOOK
    monkeypatch.setattr(history_lab, "BOOK", replace(book, variables={**book.variables, "RARE": RARE}))


def with_rare(sites: Forgetful) -> Forgetful:
    """RARE is 1 for one patient of leeds."""
    for name, table in sites.tables.items():
        rare = (np.arange(ROWS) == VICTIM) & (name == "leeds")
        sites.tables[name] = table.append_column("RARE", pa.array(rare.astype(np.int64)))
    return sites


def derived(text: str) -> dict[str, dict[str, str]]:
    return {"derive": {"v": text}}


@pytest.mark.parametrize(("more", "less", "exact"), FORMS)
def test_bare_two_sums_are_the_patients_value(
    monkeypatch: pytest.MonkeyPatch, leak: Say, more: str, less: str, exact: float
) -> None:
    monkeypatch.setattr("isthmus.data.frame.figures", lambda _tree: {})
    sites = with_rare(Forgetful())
    secret = sites.tables["leeds"]["SBP"][VICTIM].as_py()
    first, second = (sites.ask(None, derived(text), m=MEAN).total("m", "right") for text in (more, less))
    assert abs(first - second) == pytest.approx(secret, rel=exact)
    leak(f"one patient's pressure, {secret}, exactly")


@pytest.mark.parametrize("text", [*(form for form, _, _ in FORMS), *OTHERS])
def test_through_the_site_it_is_refused(stop: Say, tmp_path: Path, text: str) -> None:
    sites = with_rare(Recalling(folder=tmp_path))
    assert sites.ask(None, derived(text), m=MEAN).refused("m")
    assert {site for site, _, _ in sites.notes} >= {"leeds"}
    stop(f"{len(FORMS) + len(OTHERS)} forms are refused")


@pytest.mark.parametrize(
    "text",
    [
        "SBP / (AGE * AGE)",  # as a body mass index
        "SBP * 2 + AGE",
        "DIED * AGE + SBP",
        "CASE WHEN ARM = 'A' THEN SBP ELSE AGE END",
        "(SBP - AGE) / (SBP + AGE)",
        "LN(SBP + 1)",
    ],
)
def test_ordinary_arithmetic_is_answered(text: str) -> None:
    assert not with_rare(Forgetful()).ask(None, derived(text), m=MEAN).refused("m")
