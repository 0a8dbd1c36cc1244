"""A log-rank test over strata of sites: who had no event, by group, was nobody's cell."""

from __future__ import annotations

import numpy as np
import pytest
from hole_lab import ONLY_SUMS, answered, ask, refused, sites

from attack import Attack

ATTACK = Attack(
    "Those without the event, in a log-rank test with sites as strata",
    "minimum_count_site on both outcomes of each group; no test where a group's events are suppressed",
)
QUESTION = {"time": "DAYS", "event": "DIED", "by": "ARM", "strata": ["site"]}


def wards(alive: int) -> list[dict[str, np.ndarray]]:
    """Three sites; in arm A `alive` people of the first survive, and nobody of the others."""
    tables = sites()
    for i, table in enumerate(tables):
        inside = np.flatnonzero(table["ARM"] == "A")
        table["DIED"][inside] = 1.0
        table["DIED"][inside[: 0 if i else alive]] = 0.0
    return tables


@pytest.mark.parametrize("alive", [1, 3, 7])
def test_bare_the_survivors_of_an_arm_are_size_less_events(alive: int, leak) -> None:
    tables = wards(alive)
    size = sum(int(np.sum(table["ARM"] == "A")) for table in tables)
    fit = ask("log_rank", QUESTION, tables)["fit"]
    assert size - fit["observed"][fit["groups"].index("A")] == alive
    leak("survivors of an arm: 1, 3 and 7, exactly")


@pytest.mark.parametrize("alive", [1, 3, 7])
def test_through_the_sites_it_is_refused(alive: int, stop) -> None:
    assert refused("log_rank", QUESTION, wards(alive))
    stop("refused; where only sums leave, the test goes with the suppressed cell")


def test_the_test_does_not_give_the_suppressed_cell_back() -> None:
    """With open rules at the sites the output gate alone stands between; expected and statistic would undo it."""
    answer = ask("log_rank", QUESTION, wards(3), ONLY_SUMS)
    fit = answer["fit"]
    assert None in fit["observed"]
    assert fit["statistic"] is None
    assert fit["p_value"] is None
    assert fit["expected"] == [None, None]


@pytest.mark.parametrize("arm", ["event", "no event"])
def test_a_cox_model_counts_both_sides_of_each_indicator(arm: str) -> None:
    tables = wards(3)
    if arm == "event":
        for table in tables:
            table["DIED"] = 1.0 - table["DIED"]
    assert refused("cox", {"formula": "Surv(DAYS, DIED) ~ ARM", "strata": ["site"]}, tables)


def test_an_ordinary_test_is_answered() -> None:
    assert answered("log_rank", QUESTION, sites())
    fit = ask("log_rank", QUESTION, sites(), ONLY_SUMS)["fit"]
    assert fit["statistic"] is not None
    assert None not in fit["observed"]
