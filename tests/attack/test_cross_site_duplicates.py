"""Attack 21: patients who were treated at several sites count once at each: a pooled cell of 12 may be 4 people.

Isthmus does not link records across sites (SECURITY.md says so): a pooled floor alone is a floor on records. Defence:
`minimum_count_site`, which each site holds against its own people; several rows of one person at a site count once.
"""

from __future__ import annotations

import numpy as np
from hole_lab import ONLY_SUMS, ROWS, ask, refused, sites

from attack import Attack, Say
from isthmus.disclosure.traces import people_of

ATTACK = Attack(
    "The same patients at several sites", "minimum_count_site: each site holds the floor by itself", number=21
)
SHARED = 4  # patients whom all three sites treated
QUESTION = {"by": ["RARE"]}


def duplicated() -> list:
    """Tables whose rare level is the same four people at each site."""
    tables = sites()
    for table in tables:
        table["RARE"] = np.where(np.arange(ROWS) < SHARED, "yes", "no").astype(object)
    return tables


def test_a_pooled_floor_lets_four_people_pass_as_twelve(leak: Say) -> None:
    shown = {cell["RARE"]: cell["count"] for cell in ask("count", QUESTION, duplicated(), ONLY_SUMS)["cells"]}
    assert shown["yes"] == 10  # 12 rounded to 5: above the floor of 11, and four people
    leak(f"a cell shown as 10 that is {SHARED} people, below the floor of 11")


def test_each_site_holds_the_floor_against_its_own(stop: Say) -> None:
    assert refused("count", QUESTION, duplicated())
    stop("refused")


def test_rows_of_one_person_at_a_site_count_once() -> None:
    person = np.repeat(np.arange(4, dtype=np.uint64), 3)  # twelve rows
    from pyroaring import BitMap

    assert people_of(person, np.zeros_like(person)).count(BitMap(range(12))) == 4
