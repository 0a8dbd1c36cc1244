"""Hazards constant between cuts, of which the last interval holds one patient: its hazard tells how long they lived."""

from __future__ import annotations

import math

from hole_lab import TARGET, answered, ask, refused, sites

from attack import Attack
from isthmus.model.canonical import plain
from isthmus.model.rules import OPEN

ATTACK = Attack("A hazard between cuts of one patient", "minimum_count_site on the rows and events of every interval")
CUT, LIVED = 3000, 3456.0
QUESTION = {"formula": "Surv(DAYS, DIED) ~ AGE", "distribution": "piecewise_exponential"}


def around_one() -> list[dict]:
    tables = sites()
    tables[0]["DAYS"][TARGET], tables[0]["DIED"][TARGET] = LIVED, 1.0
    return tables


def test_bare_the_hazard_is_that_patients_time(leak) -> None:
    tables = around_one()
    assert sum((table["DAYS"] > CUT).sum() for table in tables) == 1
    terms = {
        t["term"]: t["estimate"]
        for t in ask("parametric_survival", QUESTION | {"cuts": [300, CUT]}, tables, plain(OPEN))["terms"]
    }
    risk = math.exp(terms["AGE"] * tables[0]["AGE"][TARGET])
    lived = CUT + 1.0 / (math.exp(terms[f"Log(hazard)({CUT}, Inf]"]) * risk)
    assert abs(lived - LIVED) < 1e-6
    leak("the day on which one patient died")


def test_through_the_sites_it_is_refused(stop) -> None:
    assert refused("parametric_survival", QUESTION | {"cuts": [300, CUT]}, around_one())
    assert answered("parametric_survival", QUESTION | {"cuts": [300]}, sites())
    stop("refused; intervals of enough patients and deaths are answered")
