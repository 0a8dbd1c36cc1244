"""What a result says of weights truncated at percentiles: no bound where none is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isthmus.evidence import Counts
from isthmus.model.errors import Refused
from isthmus.statistics import effect_truncation
from isthmus.statistics.contract import Estimate, Grid
from isthmus.statistics.cutting import Counted
from isthmus.statistics.effect_truncation import Truncated
from isthmus.summary import Summary


def bound(weights: float, prob: float, estimand: str) -> Any:
    """Of a 0/1 outcome: cells of 10 people in each arm, sums of weights of each, large weights cut at the second edge."""
    groups = 1 if estimand == "ATT" else 2
    at = Counted(Grid((-1.0, 0.0, 1.0), recorded=False), np.full((groups, 4), 10), 0)
    values = {
        "truncated": Truncated(at, {"most": 1}, estimand),
        "means": np.array([0.4, 0.5]),
        "binary": True,
        "weights": np.full(2, weights),
    }
    counts = {"weights": Counts("cells", at.counts)}
    made = Estimate("effect", "grid", 80, 9, counts=counts, values=values)
    return effect_truncation.body(made, (0.0, prob))["bound"]


@pytest.mark.parametrize(("estimand", "known"), [("ATE", 0.23), ("ATT", 0.11)])
def test_the_bound_is_of_those_beyond_and_how_far_their_weights_may_be_apart(estimand: str, known: float) -> None:
    """Of 20 in an arm each weight by e - 1, each outcome from its mean by 0.6 or 0.5: 1.718 (12 + 10) / (200 - 34.4) at ATE."""
    assert bound(200.0, 0.7, estimand) == pytest.approx(known)


@pytest.mark.parametrize("estimand", ["ATE", "ATT"])
@pytest.mark.parametrize(("weights", "prob"), [(10.0, 0.7), (200.0, 0.9)])
def test_no_bound_where_the_weights_may_be_moved_away_or_a_cell_is_open(
    estimand: str, weights: float, prob: float
) -> None:
    assert bound(weights, prob, estimand) is None


def chosen(monkeypatch: pytest.MonkeyPatch, refused: list[int]) -> dict[str, int]:
    """Places of the cuts at 40 and 60 per cent of four equal cells, where these of the three edges did not pass."""
    at = Counted(Grid((-1.0, 0.0, 1.0), recorded=False), np.full((2, 4), 10), 0)

    def refined(*_: Any) -> Any:
        yield from ()
        return at

    monkeypatch.setattr(effect_truncation.cutting, "refined", refined)
    asking = effect_truncation.found((0.4, 0.6), "ATE", at)
    told = next(asking)
    with pytest.raises(StopIteration) as ended:
        asking.send(Summary(told.layout, {"cuts": np.array(refused, dtype=np.uint64)}))
    return dict(ended.value.value.places)


def test_the_upper_cut_lies_above_the_lower(monkeypatch) -> None:
    """Both percentiles are nearest to the middle edge; cut there on both sides all weights would be one."""
    assert chosen(monkeypatch, [0, 0, 0]) == {"least": 1, "most": 2}
    assert chosen(monkeypatch, [0, 1, 0]) == {"least": 0, "most": 2}
    with pytest.raises(Refused):
        chosen(monkeypatch, [1, 0, 1])
