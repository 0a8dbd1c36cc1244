"""A hidden cell comes back from the margins: by subtraction, or by solving for several at once."""

import numpy as np
from hole_lab import ONLY_SUMS, ask

from attack import Attack
from isthmus.disclosure.audit import audit

ATTACK = Attack(
    "Complementary suppression: a hidden cell from the margins", "secondary suppression, audited", number=19
)


FLOOR = 11
SMALL = np.array([[3, 4, 160], [5, 2, 180], [190, 195, 199]])


def tables(counts):
    """The people of a table, dealt to three sites."""
    people = [(f"r{i}", f"c{j}") for i, row in enumerate(counts.tolist()) for j, n in enumerate(row) for _ in range(n)]
    found = []
    for site in range(3):
        mine = people[site::3]
        found.append({"ROW": np.array([p[0] for p in mine], object), "COL": np.array([p[1] for p in mine], object)})
    return found


def shown(counts):
    """What the crosstab shows under rules that let only sums over sites leave; rounding is not needed for it to hold."""
    answer = ask("crosstab", {"rows": "ROW", "columns": "COL"}, tables(counts), {**ONLY_SUMS, "round_to": 1})
    cells = [np.nan if cell["count"] is None else cell["count"] for cell in answer["cells"]]
    return answer, np.array(cells, dtype=float).reshape(counts.shape)


def test_one_hidden_cell_comes_back_by_subtraction(leak):
    counts = np.array([[3, 50, 60], [70, 40, 80], [90, 95, 99]])
    alone = counts < FLOOR
    low, high = audit(counts, alone, 0)
    assert low[0, 0] == high[0, 0] == 3  # hiding the small cell and no other
    _, seen = shown(counts)
    low, high = audit(counts, np.isnan(seen), 1)
    assert high[0, 0] - low[0, 0] >= FLOOR
    leak("a cell of 3, exactly")


def test_two_hidden_cells_in_each_line_are_solved_together(leak, stop):
    """Every line has two hidden cells, and together they hold the floor in no way that helps: all four are within 2."""
    alone = SMALL < FLOOR
    low, high = audit(SMALL, alone, 1)
    assert np.max((high - low)[alone]) <= 5
    assert np.max(high[alone]) < FLOOR  # all are known to be below the floor
    answer, seen = shown(SMALL)
    assert np.all(np.isnan(seen[alone]))
    low, high = audit(SMALL, np.isnan(seen), 1)
    assert np.min((high - low)[np.isnan(seen)]) >= FLOOR
    status = {entry["rule"]: entry["status"] for entry in answer["disclosure"]}
    assert status["minimum_count"] == "Passed after suppression"
    stop(f"every hidden cell lies anywhere in at least {FLOOR + 1} values")
    leak("four cells to within 5, all known to be below the floor")
