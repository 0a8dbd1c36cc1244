"""One patient has no value of DIED: an expression that gives the missing a value makes a variable of that patient alone.

Hidden beneath a variable that everyone has, it looks ordinary; the same sum without it is the second question, over the
very same rows, so that no history of row sets sees a difference. Defence: what chooses a value by missingness is counted
like any comparison; what leaves the missing out is not (nobody chose whose value is missing).
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from history_lab import VICTIM, Forgetful, Recalling

from attack import Attack, Say

ATTACK = Attack(
    "A missing value as an indicator", "minimum_count on both sides of IS NULL and COALESCE where they choose a value"
)
MEAN = {"glm": {"formula": "v ~ 1", "family": "gaussian"}}


def with_a_gap(sites: Forgetful) -> Forgetful:
    """One patient of leeds has no DIED."""
    table = sites.tables["leeds"]
    died = table["DIED"].to_pylist()
    died[VICTIM] = None
    sites.tables["leeds"] = table.set_column(table.schema.get_field_index("DIED"), "DIED", pa.array(died, pa.int64()))
    return sites


def derived(text: str) -> dict[str, dict[str, str]]:
    return {"derive": {"v": text}}


FORMS = [
    "COALESCE(DIED * 0, 1) * SBP + AGE",
    "CASE WHEN DIED IS NULL THEN SBP + AGE ELSE AGE END",
    "CASE WHEN DIED IS NOT NULL THEN AGE ELSE AGE + SBP END",
    "CASE WHEN DIED IS NULL THEN SBP + AGE WHEN ARM = 'A' THEN AGE ELSE AGE END",
    "CAST(DIED IS NULL AS INTEGER) * SBP + AGE",
    "CAST((DIED + AGE) IS NULL AS INTEGER) * SBP + AGE",
    "CAST((DIED IS NULL) = (ARM = 'A') AS INTEGER) * SBP + AGE",
    "CASE WHEN DIED IS NULL OR ARM = 'A' THEN SBP + AGE ELSE AGE END",
]


def test_bare_two_sums_over_the_same_rows_are_the_patients_value(monkeypatch: pytest.MonkeyPatch, leak: Say) -> None:
    monkeypatch.setattr("isthmus.data.indicators._add", lambda _found, _tree: None)
    monkeypatch.setattr("isthmus.data.frame.figures", lambda _tree: {})
    sites = with_a_gap(Forgetful())
    secret = sites.tables["leeds"]["SBP"][VICTIM].as_py()
    more = sites.ask(None, derived(FORMS[0]), m=MEAN)
    less = sites.ask(None, derived("AGE + 0 * SBP"), m=MEAN)
    assert more.total("m", "right") - less.total("m", "right") == pytest.approx(secret, rel=1e-9)
    leak(f"one patient's pressure, {secret}, exactly")


@pytest.mark.parametrize("form", FORMS)
def test_through_the_site_every_form_is_refused(stop: Say, tmp_path: Path, form: str) -> None:
    sites = with_a_gap(Recalling(folder=tmp_path))
    assert sites.ask(None, derived(form), m=MEAN).refused("m")
    assert {site for site, _, _ in sites.notes} == {"leeds"}
    stop("refused in all forms: COALESCE, CASE, CAST, =, OR")


@pytest.mark.parametrize(
    "form",
    [
        "CASE WHEN DIED IS NULL THEN NULL WHEN DIED = 1 THEN AGE ELSE AGE + 5 END",
        "DIED * 5 + AGE",
    ],
)
def test_leaving_the_missing_out_is_answered(form: str) -> None:
    assert not with_a_gap(Forgetful()).ask(None, derived(form), m=MEAN).refused("m")
