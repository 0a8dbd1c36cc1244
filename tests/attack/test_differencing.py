"""Attack 1: the total of a variable over a ward, then over the same ward but one patient; the difference is the patient's.

Every population is large, and both sides of every comparison hold enough people. Defence: a site remembers the row set
of every question on a dataset, and refuses one that differs from an earlier one by fewer people than the floor.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from history_lab import VICTIM, VICTIMS_AGE, Asked, Forgetful, Recalling

from attack import Attack, Say
from isthmus.disclosure.history import NEAR

ATTACK = Attack("Differencing: a ward, and the ward without one patient", "history: near an earlier set", number=1)


WITH, WITHOUT = f"AGE <= {VICTIMS_AGE}", f"AGE < {VICTIMS_AGE}"
PRESSURE = {"glm": {"formula": "SBP ~ 1", "family": "gaussian"}}
SUM, SCALE, CENTRE = (
    "right",
    128.0,
    200.0,
)  # of a column that ranges to 400, sums are about its middle, over a power of two


def summed(asked: Asked) -> float:
    """The outcome's sum, from what the hub holds."""
    return SCALE * asked.total("m", SUM) + CENTRE * asked.total("m", "n")


def recovered(sites: Forgetful) -> float:
    more, less = sites.ask(WITH, m=PRESSURE), sites.ask(WITHOUT, m=PRESSURE)
    assert not more.refused("m")
    assert not less.refused("m")
    return summed(more) - summed(less)


def test_it_works_on_sites_that_forget(leak: Say) -> None:
    sites = Forgetful()
    victim = sites.tables["leeds"]["SBP"][VICTIM].as_py()
    assert recovered(sites) == pytest.approx(victim, rel=1e-9)
    leak(f"one patient's pressure, {victim:.0f}, exactly")


@pytest.mark.parametrize(("first", "second"), [(WITH, WITHOUT), (WITHOUT, WITH)])
def test_through_the_site_the_second_study_is_refused(stop: Say, tmp_path: Path, first: str, second: str) -> None:
    sites = Recalling(folder=tmp_path)
    assert not sites.ask(first, m=PRESSURE).refused("m")
    assert sites.ask(second, m=PRESSURE).refused("m")
    assert {(site, why) for site, _, why in sites.notes} == {("leeds", NEAR)}
    stop("the second study is refused, in either order")


@pytest.mark.parametrize("other", [PRESSURE, {"glm": {"formula": "AGE ~ 1", "family": "gaussian"}}])
def test_asking_again_what_was_answered_opens_no_way_round(tmp_path: Path, other: dict) -> None:
    """A question that is known is not compared again; one near it is, and so is another question on its very rows."""
    sites = Recalling(folder=tmp_path)
    first = sites.ask(WITH, m=PRESSURE)
    again = sites.ask(WITH, m=PRESSURE)
    assert summed(again) == summed(first)
    assert sites.ask(WITHOUT, m=other).refused("m")
    assert not sites.ask(WITH, m=PRESSURE).refused("m")
    assert sites.ask(WITHOUT, m=PRESSURE).refused("m")
    assert {(site, why) for site, _, why in sites.notes} == {("leeds", NEAR)}
