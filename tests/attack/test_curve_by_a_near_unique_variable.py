"""Attack: survival curves by a variable that nearly everyone has a value of their own of: each curve is one person.

Defence: every group of a question reaches the floor at every site, zero included.
"""

import numpy as np
from hole_lab import answered, ask, refused, sites

from attack import Attack
from isthmus.model.rules import OPEN

ATTACK = Attack("Kaplan-Meier by a near-unique variable", "minimum_count on every group")


def tables(sizes: int):
    made = sites()
    for table in made:
        table["WARD"] = np.array([f"w{i // sizes:03d}" for i in range(len(table["AGE"]))], dtype=object)
    return made


def test_bare_each_curve_is_a_person(leak):
    made = [{k: v[:30] for k, v in table.items()} for table in tables(1)]
    for at, table in enumerate(made):
        table["WARD"] = np.array([f"{at}-{i}" for i in range(30)], dtype=object)
    curves = ask("kaplan_meier", {"time": "DAYS", "event": "DIED", "by": "WARD"}, made, OPEN)["curves"]
    alone = [c for c in curves if c["n"] == 1]
    first = next(c for c in alone if c["group"]["WARD"] == "0-0")
    left = next(t for t, e, c in zip(first["time"], first["events"], first["censored"], strict=True) if e or c)
    assert left == made[0]["DAYS"][0]
    assert len(alone) == 90
    leak(f"{len(alone)} of 90 people's days and fates")


def test_through_the_site_it_is_refused(stop):
    grid = {"every": 100, "to": 400}
    for size in (1, 5, 10):
        for kind in ("kaplan_meier", "log_rank"):
            assert refused(kind, {"time": "DAYS", "event": "DIED", "by": "WARD", "grid": grid}, tables(size))
    stop("wards of 1, 5 and 10 are refused, curves and tests")


def test_a_few_large_wards_are_answered():
    question = {"time": "DAYS", "event": "DIED", "by": "WARD", "grid": {"every": 400, "to": 400}}
    assert answered("kaplan_meier", question, tables(200))
