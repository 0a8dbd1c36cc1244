"""A Fleming-Harrington test whose power is so large that only the first event of each site has a weight."""

from __future__ import annotations

from hole_lab import ask, refused, sites

from attack import Attack
from isthmus.model.canonical import plain
from isthmus.model.rules import OPEN

ATTACK = Attack(
    "The first event alone, by a log-rank test with a large rho", "maximum_weight_share over the weighted events"
)
QUESTION = {"time": "DAYS", "event": "DIED", "by": "ARM", "strata": ["site"]}


def test_bare_the_arm_of_each_sites_first_death(leak) -> None:
    tables = sites()
    for table in tables:
        first = int(table["DAYS"].argmin())
        table["DAYS"][first], table["DIED"][first] = 0.5, 1.0
    fit = ask("log_rank", QUESTION | {"rho": 20_000.0}, tables, plain(OPEN))["fit"]
    firsts = [table["ARM"][table["DAYS"].argmin()] for table in tables]
    told = dict(zip(fit["groups"], [round(v) for v in fit["weighted_observed"]], strict=True))
    assert told == {arm: firsts.count(arm) for arm in ("A", "B")}
    leak("the arm of the first death at each site")


def test_through_the_sites_it_is_refused(stop) -> None:
    assert refused("log_rank", QUESTION | {"rho": 20_000.0}, sites())
    assert not refused("log_rank", QUESTION | {"rho": 1.0}, sites())
    assert refused("log_rank", QUESTION | {"gamma": 200.0}, sites())  # the last event
    assert not refused("log_rank", QUESTION | {"gamma": 1.0}, sites())
    stop("refused, a large gamma too; 1 is answered")
