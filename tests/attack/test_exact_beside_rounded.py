"""Attack: counts are rounded to 5; a number that follows from the exact ones stands beside them and gives them back."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hole_lab import ask, sites

from attack import Attack, Say
from stated_rules import STRICT

ATTACK = Attack(
    "An exact count out of a number beside the rounded one",
    "such numbers follow from the counts as the gate leaves them",
)
QUESTIONS: dict[str, dict[str, Any]] = {
    "log_rank": {"time": "DAYS", "event": "DIED", "by": "ARM", "strata": ["site"]},
    "penalised": {"formula": "DIED ~ AGE + BMI", "family": "binomial", "points": 3},
    "propensity": {"treatment": "DIED", "adjust": "AGE", "estimand": "ATE"},
}
WEIGHTED: dict[str, dict[str, Any]] = {  # everyone treated weighs 1
    "propensity": {"treatment": "DIED", "adjust": "AGE", "estimand": "ATT"},
    "effect": {"treatment": "DIED", "outcome": "BMI", "adjust": "AGE", "method": "iptw", "estimand": "ATT"},
}


def uneven() -> list[dict[str, Any]]:
    """No multiple of 5 dies."""
    tables = sites()
    while sum(int(table["DIED"].sum()) for table in tables) % 5 != 2:
        tables[0]["DIED"][int(tables[0]["DIED"].argmin())] = 1.0
    return tables


def deaths(kind: str, answer: Any) -> list[int]:
    """Numbers of deaths from which the number beside the count follows, to its digits."""
    fit = answer["fit"]
    if kind == "log_rank":
        return [round(sum(fit["expected"]))]
    n, near = answer["n"], answer["events"]
    tried = {d: -2.0 * (d * math.log(d / n) + (n - d) * math.log1p(-d / n)) for d in range(near - 9, near + 10)}
    return [d for d, deviance in tried.items() if abs(deviance / fit["null_deviance"] - 1.0) < 1e-9]


@pytest.mark.parametrize("kind", QUESTIONS)
def test_bare_the_number_gives_the_exact_count(kind: str, leak: Say) -> None:
    tables = uneven()
    assert deaths(kind, ask(kind, QUESTIONS[kind], tables)) == [sum(int(t["DIED"].sum()) for t in tables)]
    leak("how many died, exactly")


@pytest.mark.parametrize("kind", QUESTIONS)
def test_under_rules_it_gives_the_rounded_one(kind: str, stop: Say) -> None:
    rules = {**STRICT, "minimum_count_site": 1, "digits": 12}
    answer = ask(kind, QUESTIONS[kind], uneven(), rules)
    assert answer["events"] != sum(int(table["DIED"].sum()) for table in uneven())
    assert deaths(kind, answer) == [answer["events"]]
    stop("the rounded count again")


def test_a_small_power_weighs_each_death_by_one() -> None:
    asked = QUESTIONS["log_rank"] | {"rho": 1e-9}
    bare = ask("log_rank", asked, uneven())["fit"]["weighted_observed"]
    assert [round(v) for v in bare] == ask("log_rank", QUESTIONS["log_rank"], uneven())["fit"]["observed"]
    told = ask("log_rank", asked, uneven(), {**STRICT, "minimum_count_site": 1, "digits": 12})
    assert told["fit"]["weighted_observed"] is None
    assert deaths("log_rank", told) == [told["events"]]


def test_the_path_starts_from_the_deviance_that_is_told() -> None:
    answer = ask("penalised", QUESTIONS["penalised"], uneven(), {**STRICT, "digits": 12})
    fit = answer["fit"]
    for point in fit["path"]:
        assert point["deviance"] == pytest.approx(fit["null_deviance"] * (1.0 - point["dev_ratio"]), rel=1e-9)


@pytest.mark.parametrize("kind", WEIGHTED)
def test_bare_effective_people_are_the_exact_count(kind: str, leak: Say) -> None:
    tables = uneven()
    shown = ask(kind, WEIGHTED[kind], tables)["fit"]["ess"]["treated"]
    assert shown == pytest.approx(sum(int(t["DIED"].sum()) for t in tables), rel=1e-12)
    leak("how many died, exactly, as people effective after weighting")


@pytest.mark.parametrize("kind", WEIGHTED)
def test_under_rules_effective_people_are_of_the_rounded_count(kind: str, stop: Say) -> None:
    answer = ask(kind, WEIGHTED[kind], uneven(), {**STRICT, "minimum_count_site": 1, "digits": 12})
    died = sum(int(t["DIED"].sum()) for t in uneven())
    assert died % 5
    assert answer["fit"]["ess"]["treated"] == pytest.approx(5 * round(died / 5), rel=1e-11)
    control = answer["fit"]["ess"]["control"]
    assert 0.0 < control <= answer["n"] - 5 * round(died / 5)
    stop("the rounded count again")
