"""Attack: a rate's person-time is nearly one patient's, or its events are a few: both stand in the answer.

Defence: events, and people without one, are cells of every group at each site; person-time of a group is made by enough
people, and dominated by none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hole_lab import TARGET, answered, ask, refused, sites

from attack import Attack, Say

ATTACK = Attack("A rate over one patient's time, or of a few events", "dominance of person-time; cells of events")
QUESTION: dict[str, Any] = {"event": "DIED", "time": "DAYS"}
LONG = 600_000.0


def one_long_stay() -> list[dict[str, Any]]:
    tables = sites()
    tables[0]["DAYS"][TARGET] = LONG
    return tables


def few_deaths() -> list[dict[str, Any]]:
    """Two in arm B of the first site."""
    tables = sites()
    arm_b = np.flatnonzero(tables[0]["ARM"] == "B")
    tables[0]["DIED"][arm_b] = 0.0
    tables[0]["DIED"][arm_b[:2]] = 1.0
    return tables


def test_bare_the_others_subtract_their_time(leak: Say) -> None:
    """The usual patient's time is known from the other two sites."""
    tables = one_long_stay()
    (cell,) = ask("rate", QUESTION, tables)["cells"]
    known = sum(float(table["DAYS"].sum()) for table in tables[1:])
    found = cell["person_time"] - known * 1.5 + float(np.mean(tables[1]["DAYS"]))
    assert found == pytest.approx(LONG, rel=0.02)
    leak(f"one patient's time to within {100 * abs(found / LONG - 1):.1f} %")


def test_bare_the_others_subtract_their_events(leak: Say) -> None:
    tables = few_deaths()
    cells = {cell["ARM"]: cell for cell in ask("rate", {**QUESTION, "by": "ARM"}, tables)["cells"]}
    known = sum(float(table["DIED"][table["ARM"] == "B"].sum()) for table in tables[1:])
    assert cells["B"]["events"] - known == 2
    leak("two deaths in one arm of a site, exactly")


def test_through_the_sites_both_are_refused(stop: Say) -> None:
    assert refused("rate", QUESTION, one_long_stay())
    assert refused("rate", {**QUESTION, "by": "ARM"}, few_deaths())
    stop("both are refused")


def test_ordinary_rates_are_answered() -> None:
    assert answered("rate", {**QUESTION, "by": "ARM"}, sites())
