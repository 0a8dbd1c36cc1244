"""Attack: a total over everyone, over the men of 47.77 and younger, and over those above: nobody differs by few from
another, and all minus one minus the other is one patient's value, since 47.77 itself was left out of both.

Defence: a set that earlier ones nearly make up, or that nearly completes them, is refused, in whatever order they come;
so is the same split by two groups of one table.
"""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest
from history_lab import VICTIM, VICTIMS_AGE, Forgetful, Recalling
from test_differencing import PRESSURE, summed

from attack import Attack, Say
from isthmus.disclosure.history import FAMILY

ATTACK = Attack("A subgroup and its complement but for one", "history: near a union of earlier sets")


WHOLE, BELOW, ABOVE = None, f"AGE < {VICTIMS_AGE}", f"AGE > {VICTIMS_AGE}"


def test_it_works_on_sites_that_forget(leak: Say) -> None:
    sites = Forgetful()
    totals = [summed(sites.ask(where, m=PRESSURE)) for where in (WHOLE, BELOW, ABOVE)]
    assert totals[0] - totals[1] - totals[2] == pytest.approx(sites.tables["leeds"]["SBP"][VICTIM].as_py(), rel=1e-9)
    leak("one patient's pressure, exactly")


@pytest.mark.parametrize("order", list(permutations((WHOLE, BELOW, ABOVE))))
def test_through_the_site_one_study_is_refused(stop: Say, tmp_path: Path, order: tuple[str | None, ...]) -> None:
    """The third; or the second of two halves, whose sizes the size of the whole dataset, known to many, makes up."""
    sites = Recalling(folder=tmp_path)
    third = [False, True, False] if order[2] is WHOLE else [False, False, True]
    assert [sites.ask(where, m=PRESSURE).refused("m") for where in order] == third
    assert {(site, why) for site, _, why in sites.notes} == {("leeds", FAMILY)}
    stop("the study that completes them is refused, in all six orders")


def test_nor_within_one_study() -> None:
    sites = Forgetful()
    asked = sites.ask(
        everyone=PRESSURE,
        below={"glm": {**PRESSURE["glm"], "where": BELOW}},
        above={"glm": {**PRESSURE["glm"], "where": ABOVE}},
    )
    assert [asked.refused(name) for name in ("everyone", "below", "above")] == [False, False, True]


def test_a_subgroup_and_its_whole_complement_are_answered(tmp_path: Path) -> None:
    sites = Recalling(folder=tmp_path)
    for where in (WHOLE, BELOW, f"AGE >= {VICTIMS_AGE}"):
        assert not sites.ask(where, m=PRESSURE).refused("m")
