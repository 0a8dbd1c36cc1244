"""A party subtracts its own part from a pooled cell and is left with the few people of another."""

import numpy as np
from hole_lab import STRICT, ask, refused

from attack import Attack

ATTACK = Attack(
    "A party subtracts its own part from the total", "minimum_count_site; the report says Look where it is not implied"
)


ROWS = 300
CELL = ("rare", "yes")


def tables(parts):
    """Three sites; `parts` people of each are in the one cell, nobody is where no site has anyone."""
    found = []
    for part in parts:
        level = np.where(np.arange(ROWS) < part + 60, "rare", "common").astype(object)
        answer = np.where(np.arange(ROWS) < part, "yes", "no").astype(object)
        answer[150:] = np.where(np.arange(150) % 2 == 0, "yes", "no")
        found.append({"LEVEL": level, "ANSWER": answer})
    return found


QUESTION = {"rows": "LEVEL", "columns": "ANSWER"}


def rest(rules, parts):
    """What the first site finds of the others in the cell; the sum it is sent is exact, whatever rounding people see."""
    answer = ask("crosstab", QUESTION, tables(parts), {**rules, "round_to": 1})
    (cell,) = [c["count"] for c in answer["cells"] if (c["LEVEL"], c["ANSWER"]) == CELL]
    look = {entry["rule"]: entry["status"] for entry in answer["disclosure"]}["minimum_count_site"]
    return cell - parts[0], look


def test_a_floor_shared_among_the_others_is_undone_where_one_of_them_has_all():
    """6 = ceil(11 / 2) at each of two other sites would be 12 together; but one of them may have none."""
    assert rest({**STRICT, "minimum_count_site": 6}, (40, 6, 0)) == (6, "Look")


def test_only_sums_leave_and_a_sum_less_one_part_is_anything(leak):
    assert rest({**STRICT, "minimum_count_site": 1}, (40, 1, 0)) == (1, "Look")
    leak("a cell of 1 at another site (and the report says Look)")


def test_the_full_floor_at_each_site_holds(stop):
    assert refused("crosstab", QUESTION, tables((40, 6, 0)))
    assert rest(STRICT, (40, 12, 0)) == (12, "Passed")
    stop("refused, or 12 and more are left")


def test_a_shared_floor_holds_where_nobody_may_have_none():
    shared = {**STRICT, "minimum_count_site": 6, "zeros": "barred"}
    assert refused("crosstab", QUESTION, tables((40, 6, 0)), shared)
    assert rest(shared, (40, 6, 6)) == (12, "Passed")
