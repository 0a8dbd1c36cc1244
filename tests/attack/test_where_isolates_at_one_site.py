"""Attack: a filter that keeps thousands over all sites, but one person at one of them. The others' parts are known to
whoever asks (its own site, or a published table), so the sum is that person's.

Defence: the floor holds at each site, zero included, in the masked vote; nobody learns which site it was.
"""

import numpy as np
import pytest
from hole_lab import STRICT, ask, refused, sites

from attack import Attack
from isthmus.model.rules import OPEN

ATTACK = Attack("A filter that isolates one person at one site", "minimum_count at every site")
WHERE = "REGION = 1"
QUESTION = {"variables": ["CHOL"], "where": WHERE}


def tables(at_first: int):
    made = sites()
    for table in made:
        table["REGION"] = np.ones(len(table["AGE"]))
    made[0]["REGION"][:] = 0.0
    made[0]["REGION"][7 : 7 + at_first] = 1.0
    return made


def test_bare_the_total_less_the_known_parts_is_one_persons(leak):
    made = tables(1)
    (cell,) = ask("table_one", QUESTION, made, OPEN)["cells"]
    rest = sum(float(table["CHOL"].sum()) for table in made[1:])
    found = cell["mean"] * cell["n"] - rest
    assert found == pytest.approx(made[0]["CHOL"][7])
    leak(f"one person's cholesterol, {found:.0f}, exactly")


@pytest.mark.parametrize("people", [0, 1, 10])
def test_through_the_sites_it_is_refused(stop, people):
    assert refused("table_one", QUESTION, tables(people), STRICT)
    stop("refused with 0, 1 and 10 people there alike")


def test_enough_people_are_answered():
    assert "n" in ask("table_one", QUESTION, tables(60), STRICT)
