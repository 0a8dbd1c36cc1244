"""Attack: a table of one variable and a model on the same, over populations that differ by one: the mean of the first,
the intercept of the second. Different kinds, different words, the same rows.

Defence: the history compares row sets, not kinds; within one study too.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from history_lab import VICTIM, VICTIMS_AGE, Forgetful, Recalling

from attack import Attack, Say

ATTACK = Attack("A table and a model of the same variable", "history: near an earlier set, whatever the kind")
TABLE = {"table_one": {"variables": ["SBP"], "where": f"AGE <= {VICTIMS_AGE}"}}
MODEL = {"glm": {"formula": "SBP ~ 1", "family": "gaussian", "where": f"AGE < {VICTIMS_AGE}"}}


def test_bare_the_two_sums_differ_by_one_patient(leak: Say) -> None:
    sites = Forgetful()
    table, model = sites.ask(t=TABLE), sites.ask(m=MODEL)
    n = [int(a.total(k, "n")) for a, k in ((table, "t"), (model, "m"))]
    assert n[0] - n[1] == 1
    total = sum(r["SBP"] for t in sites.tables.values() for r in t.to_pylist() if r["AGE"] <= VICTIMS_AGE)
    rest = (
        128.0 * model.total("m", "right") + 200.0 * n[1]
    )  # the codebook says 0 to 400: about the middle, over a power of two
    secret = sites.tables["leeds"]["SBP"][VICTIM].as_py()
    assert total - rest == pytest.approx(secret, rel=1e-6)
    leak(f"one patient's pressure, {secret:.0f}, exactly")


def test_through_the_site_the_second_is_refused(stop: Say, tmp_path: Path) -> None:
    sites = Recalling(folder=tmp_path)
    assert not sites.ask(t=TABLE).refused("t")
    assert sites.ask(m=MODEL).refused("m")
    both = Recalling(folder=tmp_path / "one").ask if (tmp_path / "one").mkdir() is None else None
    asked = both(t=TABLE, m=MODEL)
    assert [asked.refused(name) for name in ("t", "m")] == [False, True]
    stop("the second is refused, in another study and in the same")
