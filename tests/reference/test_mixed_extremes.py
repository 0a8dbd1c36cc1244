"""A random intercept at extreme tables against the optimum in extended precision, and the rounds it takes."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
from mixed_extremes import Exact, Table, cases, sloped_cases, sloped_deviance, sloped_table, table
from reference_cases import run

from isthmus.model.errors import Invalid

MOST = 4  # rounds after the start, which takes one, or two where columns need new coordinates
MOST_SLOPED = 27  # all rounds that may be, of which the most extreme tables take nearly as many
MOST_OF_THEM = 0.75  # of each 24th take at most 9; of all, 0.88
LOST = (
    ("giant", 5, (1e3, 1e3, 0), "binary"),
    "reml",
)  # has no end: one group has nearly all rows, and they say next to nothing of a variance
MOST_ROWS = 600  # of a table whose optimum is searched for again
NOTHING = 1e-8  # of the residual variance: below it a variance is compared to this


def rounds(rows: Table, method: str) -> int:
    """After the start, where the answer is right."""
    question = {"formula": "y ~ x", "group": "group", "reml": method == "reml"}
    found = run("mixed", question, rows | {"site_": rows["group"] % 3})
    right, fit = Exact(rows, method == "reml").best(), found.report["fit"]
    assert fit["sigma2"] == pytest.approx(right.sigma2, rel=1e-9)
    assert fit["variances"]["(Intercept)"] == pytest.approx(right.variance, rel=1e-7, abs=NOTHING * right.sigma2)
    slope = found.report["terms"][1]
    assert abs(slope["estimate"] - right.slope) < 1e-8 * right.error
    assert slope["std_error"] == pytest.approx(right.error, rel=1e-8)
    return sum(asked.params["step"] != "start" for asked in found.rounds)


def checked(chosen: list[tuple[str, int, float, str]]) -> None:
    for case in chosen:
        for method in ("reml", "ml"):
            if case[0] == "singles" and case[3] == "constant":
                with pytest.raises(Invalid, match="unexplained"):
                    rounds(table(*case), method)
            else:
                assert rounds(table(*case), method) <= MOST, case


def test_six_rounds_are_enough_on_some_extreme_tables() -> None:
    checked(list(islice(cases(), 3, None, 67)))


@pytest.mark.long
@pytest.mark.parametrize("start", range(12))
def test_six_rounds_are_enough_on_all_extreme_tables(start: int) -> None:
    checked(list(islice(cases(), start, None, 12)))


def sloped(case: tuple[str, int, tuple[float, ...], str], method: str) -> int:
    """Rounds of a random slope, where no search from its answer finds a better one."""
    rows = sloped_table(*case)
    question = {"formula": "y ~ x", "group": "group", "slopes": ["x"], "reml": method == "reml"}
    found = run("mixed", question, rows | {"site_": rows["group"] % 3}).report
    if rows["y"].size < MOST_ROWS:
        own, least = sloped_deviance(rows, found["fit"], method == "reml")
        assert own - least < 1e-6, (case, method)
    return found["rounds"]


def test_a_random_slope_comes_to_its_end_on_some_extreme_tables() -> None:
    taken = [sloped(case, method) for case in islice(sloped_cases(), 5, None, 193) for method in ("reml", "ml")]
    assert max(taken) <= MOST_SLOPED
    assert sorted(taken)[len(taken) // 2] <= 10


def test_one_table_has_no_end_and_is_told_why() -> None:
    with pytest.raises(Invalid, match="tell too little of their variances") as caught:
        sloped(*LOST)
    assert "one group has nearly all rows, or 'x' varies inside few of them" in caught.value.hint


@pytest.mark.long
@pytest.mark.parametrize("start", range(24))
def test_a_random_slope_comes_to_its_end_on_all_extreme_tables_but_one(start: int) -> None:
    fits = [(case, method) for case in islice(sloped_cases(), start, None, 24) for method in ("reml", "ml")]
    taken = [sloped(*one) for one in fits if one != LOST]
    assert max(taken) <= MOST_SLOPED
    assert sum(one <= 9 for one in taken) >= MOST_OF_THEM * len(taken)


# of these none came to an end by steps in one frame with one theta a round
NO_END = (
    ("pairs", 200, (100, 1, 0.5), "groupish", "ml"),
    ("even", 200, (10, 0.1, -0.8), "groupish", "reml"),
    ("wide", 5, (1, 1, 0.9), "groupish", "reml"),
    ("giant", 5, (1, 1, 0.9), "skew", "ml"),
    ("giant", 12, (1, 1, 0), "time", "ml"),
    ("few", 200, (100, 1, 0.5), "groupish", "reml"),
    ("ladder", 5, (1, 100, 0.3), "groupish", "ml"),
)


@pytest.mark.parametrize("case", NO_END)
def test_a_random_slope_comes_to_its_end_where_groups_are_least_alike(case: tuple[Any, ...]) -> None:
    assert sloped(case[:4], case[4]) <= 22


def test_of_two_singular_ends_the_likelier_is_found() -> None:
    """lme4 ends there from its three optimizers; the other end is 0.33 of -2 log-likelihood above it."""
    rows = sloped_table("even", 12, (1, 1, 0), "groupish")
    question = {"formula": "y ~ x", "group": "group", "slopes": ["x"], "reml": False}
    fit = run("mixed", question, rows | {"site_": rows["group"] % 3}).report["fit"]
    assert -2.0 * fit["loglik"] == pytest.approx(722.9706956460583, abs=1e-9)
    assert list(fit["variances"].values()) == pytest.approx([0.15858, 0.39158], abs=1e-4)
    assert fit["singular"]


def test_a_singular_fit_says_so() -> None:
    rows = sloped_table("ladder", 5, (1, 100, 0.3), "groupish")
    question = {"formula": "y ~ x", "group": "group", "slopes": ["x"], "reml": False}
    body = run("mixed", question, rows | {"site_": rows["group"] % 3}).report
    one, other = body["fit"]["variances"].values()
    assert body["fit"]["covariances"]["(Intercept):x"] ** 2 == pytest.approx(one * other, rel=1e-6)
    assert body["fit"]["singular"]
    assert any("singular fit" in warning for warning in body["warnings"])
