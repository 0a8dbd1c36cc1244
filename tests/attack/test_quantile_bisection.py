"""Attack 11: thirteen counts of "above m" find the largest value, by bisection.

Every count alone is of a large group, or is refused. Without the history the attacker still walks down to the group of
the floor, and each step tells on which side of m it lies. Defence: both sides of the comparison hold the floor, a
population near an earlier one is refused, and every question, answered or not, is charged to the cap.
"""

from pathlib import Path

import numpy as np
from history_lab import Forgetful, Recalling

from attack import Attack

ATTACK = Attack("Quantile bisection", "minimum_count on both sides; history; cap on questions", number=11)
STEPS = 13


def bisect(at_least_one, low: float, high: float) -> tuple[float, float]:
    """The interval that is left of the largest value."""
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if at_least_one(middle) else (low, middle)
    return low, high


def pressures(sites: Forgetful) -> np.ndarray:
    return np.concatenate([np.asarray(table["SBP"]) for table in sites.tables.values()])


def test_bare_counts_find_the_largest(leak):
    values = pressures(Forgetful())
    low, high = bisect(lambda m: np.count_nonzero(values > m) > 0, 0.0, 400.0)
    assert low <= values.max() <= high
    assert high - low < 0.1
    leak(f"the largest pressure to {high - low:.2f}")


def test_through_the_sites_the_interval_stays_above_the_floor(stop, tmp_path: Path):
    sites, asked = Recalling(folder=tmp_path, cap=(40, None)), []

    def answered(m: float) -> bool:
        found = not sites.ask(f"SBP > {m}", m={"count": {}}).refused("m")
        asked.append(found)
        return found

    low, high = bisect(answered, 0.0, 400.0)
    values = pressures(sites)
    beyond = int(np.count_nonzero(values > low))
    assert beyond >= 3 * 11  # the floor at each of three sites
    assert values.max() > high  # where the attacker looks, the largest value is not
    assert asked.count(False) >= STEPS // 2
    stop(f"{asked.count(True)} of {STEPS} counts are answered; more than 30 people lie beyond all of them")
