"""Attack 10: the smallest or the largest value of a variable, or a quantile so far out that nearly nobody lies beyond.

Such an answer is one person's value. Isthmus has no kind for a minimum, a maximum or a range; probs 0 and 1 are
refused, and any other quantile is an interval that is not answered unless the floor lies on each side of it.
"""

from __future__ import annotations

import numpy as np
import pytest
from hole_lab import STRICT, TARGET, ask, refused, sites

import isthmus
from attack import Attack, Say
from isthmus.statistics.catalogue import CATALOGUE

ATTACK = Attack(
    "The smallest, the largest and the outermost values",
    "no kind for endpoints; probs 0 and 1 are refused; minimum_count on each side",
    number=10,
)
OLDEST = 103.0
FLOOR = STRICT["minimum_count"]


def tables() -> list[dict[str, np.ndarray]]:
    made = sites()
    made[0]["AGE"][TARGET] = OLDEST
    return made


def ages() -> np.ndarray:
    return np.concatenate([table["AGE"] for table in tables()])


def test_bare_the_largest_is_one_persons_age(leak: Say) -> None:
    assert ages().max() == np.quantile(ages(), 1.0) == OLDEST
    assert np.count_nonzero(ages() == OLDEST) == 1
    leak(f"the oldest patient's age, {OLDEST:.0f}, exactly")


@pytest.mark.parametrize("kind", ["min", "max", "minimum", "maximum", "range", "extremes"])
def test_no_kind_asks_for_an_endpoint(kind: str) -> None:
    assert kind not in CATALOGUE
    with pytest.raises(isthmus.Invalid):
        ask(kind, {"variable": "AGE"}, tables())


@pytest.mark.parametrize(("prob", "offered"), [(0.0, "0.05"), (1.0, "0.95")])
@pytest.mark.parametrize("rules", [None, STRICT], ids=["open", "strict"])
def test_through_the_sites_an_endpoint_is_refused(stop: Say, prob: float, offered: str, rules: dict | None) -> None:
    with pytest.raises(isthmus.Refused) as caught:
        ask("quantiles", {"variable": "AGE", "probs": [0.5, prob]}, tables(), rules)
    assert caught.value.code == "E-ENDPOINT"
    assert offered in str(caught.value.to_dict())
    stop("probs 0 and 1 give E-ENDPOINT under any rules, with the 5th or 95th percentile offered")


@pytest.mark.parametrize("prob", [0.001, 0.004, 0.05, 0.95, 0.996, 0.999])
def test_the_floor_lies_in_every_interval_and_beyond_it(stop: Say, prob: float) -> None:
    """Of 1,200 people 1 to 5 lie beyond the outermost of these, 60 beyond the others."""
    asked = {"variable": "AGE", "probs": [prob]}
    if min(prob, 1.0 - prob) * ages().size < FLOOR:
        assert refused("quantiles", asked, tables())
        stop("a quantile with fewer than the floor beyond it is refused; the interval of any other holds the floor")
        return
    (cell,) = ask("quantiles", asked, tables(), {**STRICT, "digits": 17})["cells"]
    within = (cell["from"] <= ages()) & (ages() <= cell["to"])
    assert np.count_nonzero(within) >= FLOOR
    outward = ages() > cell["to"] if prob > 0.5 else ages() < cell["from"]
    assert np.count_nonzero(outward) not in range(1, FLOOR)  # none where the interval ends with the variable's range
