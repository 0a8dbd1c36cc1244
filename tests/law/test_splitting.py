"""Splitting invariance, for every question kind: how rows are dealt to sites changes no estimate.

With a floor of 1 every answer is the pooled one. With a floor of 11 an answer on a grid prints a bound, and the pooled
value lies within it. A kind gets all of this by having an example in `examples.py`; one that answers on a grid must also
say here what its bound is about (`COVERED`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from bare import make, over
from dealings import SHAPES, dealings
from examples import QUESTIONS, ROWS, cases, clustered_cases, example, site_cases, table
from hypothesis import given, settings
from hypothesis import strategies as st
from test_federation_laws import EVERY, rehearsed, study

import isthmus
from isthmus import strict
from isthmus.model.canonical import plain
from isthmus.model.errors import Invalid
from isthmus.model.rules import OPEN
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.testing import check_statistic, largest_difference

CASES = cases()
SITE_CASES = site_cases()
CLUSTERED = clustered_cases()
ROWS_TABLE = table()
MARKS = {name: ROWS_TABLE[name] for name in ("event", "died", "arm", "stage", "cause", "treat")}
FLOOR = plain(OPEN) | {"minimum_count": 11, "minimum_count_site": 11, "minimum_sites": 3}
COARSE = {"edges": [25, 60]}  # days; 14 people or more of an arm in each step at each site
PLENTY = 4000
PRACTICES = 30


def each_case(run: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.parametrize(("name", "statistic", "question"), CASES, ids=[c[0] for c in CASES])(run)


def each_site_case(run: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.parametrize(
        ("name", "statistic", "question", "pooled"), SITE_CASES, ids=[c[0] for c in SITE_CASES]
    )(run)


# -- a floor of 1: the pooled answer --------------------------------------------------------------------------------


@each_case
@given(sites=dealings(MARKS))
@settings(max_examples=4)
def test_any_dealing_gives_the_pooled_answer(name, statistic, question, sites) -> None:
    check_statistic(statistic, example(statistic, question), sites)


@pytest.mark.long
@each_case
@given(sites=dealings(MARKS))
@settings(max_examples=60)
def test_any_of_many_dealings_gives_the_pooled_answer(name, statistic, question, sites) -> None:
    check_statistic(statistic, example(statistic, question), sites)


@pytest.mark.parametrize(("name", "statistic", "question"), CLUSTERED, ids=[c[0] for c in CLUSTERED])
@given(practices=dealings({"practice": np.arange(PRACTICES)}))
@settings(max_examples=6)
def test_clusters_dealt_whole_give_the_pooled_answer(name, statistic, question, practices) -> None:
    check_statistic(statistic, example(statistic, question), practices[ROWS_TABLE["practice"].astype(int)])


@each_site_case
@given(sites=dealings(MARKS))
@settings(max_examples=8)
def test_sites_as_strata_equal_a_pooled_stratified_analysis(name, statistic, question, pooled, sites) -> None:
    """Which rows a site has is part of such a question; the answer is that of one table with a column for the site."""
    rows = table()
    rows["clinic"] = np.array([f"c{s:02}" for s in sites], dtype=object)
    federated = over_or_error(statistic, question, rows, sites)
    together = over_or_error(statistic, pooled, rows, np.zeros(ROWS, dtype=int))
    if isinstance(federated, str) or isinstance(together, str):  # no site has both arms, say: nor has any stratum
        assert federated == together
        return
    for key in ("n", "events", "zph", "cells"):
        assert largest_difference(federated.get(key), together.get(key)) < 1e-9
    # What else a term shows follows from these two; an end of an interval may lie near 0, where no digit is left.
    terms = [[(t["estimate"], t["std_error"]) for t in body.get("terms", ())] for body in (federated, together)]
    assert largest_difference(*([list(t) for t in listed] for listed in terms)) < 1e-9
    fits = [dict(body["fit"]) for body in (federated, together)]
    for key in ("loglik", "loglik_null", "statistic", "p_value"):
        assert largest_difference(fits[0].get(key), fits[1].get(key)) < 1e-9


@pytest.mark.parametrize(
    "stated",
    [
        {"outcome": "died", "method": "iptw"},
        {"outcome": "pressure", "method": "aipw", "family": "gaussian"},
        {"time": "time", "event": "event", "method": "iptw", "at": [30], "tau": 60},
        {"time": "time", "event": "event", "method": "iptw", "strata": ["site"]},
    ],
)
def test_a_propensity_model_of_each_site_is_dealt_inside_sites_only(stated) -> None:
    """Each site's model is of its own rows, in whatever order, whoever else takes part."""
    statistic = CATALOGUE["effect"]
    asked = {"treatment": "treat", "adjust": "age + pressure", "propensity": "site", **stated}
    question, draw = strict.parse(statistic.question, asked), np.random.default_rng(3)
    sites, rows = draw.integers(0, 3, ROWS), table()
    shuffled = draw.permutation(ROWS)
    first = over(statistic, question, make(statistic, question, rows), sites).report
    moved = {name: values[shuffled] for name, values in rows.items()}
    again = over(statistic, question, make(statistic, question, moved), sites[shuffled] + 1).report  # and an empty site
    assert largest_difference(first, again) < 1e-9
    common = strict.parse(statistic.question, {**asked, "propensity": "common"})
    alone = [over(statistic, q, make(statistic, q, rows), np.zeros(ROWS, dtype=int)).report for q in (question, common)]
    for key in ("terms", "curves"):  # one site's own model is the common one
        assert largest_difference(alone[0].get(key), alone[1].get(key)) < 1e-9


@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATO"])
def test_a_hazard_ratio_within_sites_is_the_same_whatever_the_floor(estimand) -> None:
    stated = {"treatment": "treat", "time": "time", "event": "event", "adjust": "age", "method": "iptw"}
    asked = study({"m": {"effect": {**stated, "estimand": estimand, "strata": ["site"]}}})
    rows, sites = table(PLENTY, 2), np.random.default_rng(2).choice(3, PLENTY, p=[0.6, 0.2, 0.2])
    answers = [
        isthmus.rehearse(asked, shared_out(rows, sites), rules=rules).to_dict()["analyses"]["m"]
        for rules in (plain(OPEN), FLOOR)
    ]
    assert [answer["exactness"] for answer in answers] == ["exact", "exact"]
    assert largest_difference(answers[0]["terms"], answers[1]["terms"]) < 1e-12


def over_or_error(statistic: Any, question: Any, rows: dict[str, Any], sites: np.ndarray) -> Any:
    """The report, or the error's code."""
    try:
        return over(statistic, question, make(statistic, question, rows), sites).report
    except Invalid as error:
        return error.code


@given(shape=st.sampled_from(sorted(SHAPES)), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=3)
def test_any_dealing_through_gate_and_masks_gives_the_pooled_answer(shape, seed) -> None:
    _compare(SHAPES[shape](np.random.default_rng(seed), ROWS, 3, MARKS["event"]))


@pytest.mark.long
@pytest.mark.timeout(3600)  # the whole catalogue, masks and all, for each dealing
@given(sites=dealings(MARKS))
@settings(max_examples=25)
def test_any_of_many_dealings_through_gate_and_masks_gives_the_pooled_answer(sites) -> None:
    _compare(sites)


@cache
def whole() -> dict[str, Any]:
    """Every row at one site and none at the other; the least a rehearsal takes is two."""
    return rehearsed(EVERY, np.zeros(ROWS, dtype=np.int64))["analyses"]


def _compare(sites: np.ndarray) -> None:
    answers = rehearsed(EVERY, sites)["analyses"]
    for name in EVERY:
        assert "status" not in answers[name], answers[name]
        assert largest_difference(answers[name], whole()[name]) < 1e-9, name


# -- a floor of 11: the bound of a grid -----------------------------------------------------------------------------


def covered_curves(found: dict[str, Any], pooled: dict[str, Any], what: str) -> Iterator[float]:
    for mine, theirs in zip(found["curves"], pooled["curves"], strict=True):
        at = np.searchsorted(theirs["time"], mine["time"], side="right") - 1
        start = 1.0 if what == "survival" else 0.0
        exact = np.where(at < 0, start, np.array(theirs[what])[at])
        yield from (abs(e - v) for e, v in zip(exact, mine[what], strict=True) if v is not None)


def covered_cells(found: dict[str, Any], pooled: dict[str, Any], what: str) -> Iterator[float]:
    for mine, theirs in zip(found["cells"], pooled["cells"], strict=True):
        yield abs(mine[what] - theirs[what]) if mine[what] is not None else 0.0


def covered_fit(found: dict[str, Any], pooled: dict[str, Any], what: str) -> Iterator[float]:
    if what in found["fit"]:
        yield abs(found["fit"][what] - pooled["fit"][what])


def covered_tests(found: dict[str, Any], pooled: dict[str, Any], what: str) -> Iterator[float]:
    """As a share of the bound of each test."""
    for name, mine in found["tests"].items():
        if mine["bound"] is not None:
            yield abs(mine[what] - pooled["tests"][name][what]) / mine["bound"]


def printed(found: dict[str, Any]) -> float | None:
    return found["bound"]


def own(name: str) -> Callable[[dict[str, Any]], float | None]:
    return lambda found: found["fit"].get(name)


def each(found: dict[str, Any]) -> float | None:
    """The bound of each test is beside it."""
    return 1.0 if any(test["bound"] is not None for test in found["tests"].values()) else None


def covered_effect(found: dict[str, Any], pooled: dict[str, Any], what: str) -> Iterator[float]:
    """Curves; of truncated weights the means, for the pooled cut lies nearer to the percentile."""
    if "curves" in found:
        yield from covered_curves(found, pooled, what)
        return
    for mine, theirs in zip(found["terms"], pooled["terms"], strict=True):
        yield 0.0 if mine["term"].startswith("log") else abs(mine["estimate"] - theirs["estimate"])


Bounded = tuple[Callable[..., Iterator[float]], str, Callable[[dict[str, Any]], float | None]]
COVERED: dict[str, tuple[Bounded, ...]] = {
    "quantiles": ((covered_cells, "value", printed),),
    "roc": (
        (covered_fit, "auc", printed),
        (covered_fit, "partial_auc", own("partial_bound")),
        (covered_fit, "difference", own("difference_bound")),
        (covered_fit, "statistic", own("statistic_bound")),
    ),
    "spearman": ((covered_cells, "estimate", printed),),
    "kruskal_wallis": ((covered_fit, "statistic", printed),),
    "kaplan_meier": ((covered_curves, "survival", printed),),
    "cumulative_incidence": ((covered_curves, "incidence", printed), (covered_tests, "statistic", each)),
    "rmst": ((covered_cells, "rmst", printed),),
    "log_rank": ((covered_fit, "statistic", printed),),
    "effect": ((covered_effect, "survival", printed),),
    "fine_gray": (),
    "penalised": (),
    "cox": (),  # one baseline on a grid is an estimate of its own: it prints no bound, and says so
}


def gridded() -> dict[str, tuple[str, dict[str, Any]]]:
    """name -> (kind, arguments): every example of a kind with a `grid`, or cut by ballots, on a grid that such a floor allows."""
    found = {}
    for kind, listed in QUESTIONS.items():
        if kind != "spearman" and "grid" not in {f.name for f in dataclasses.fields(CATALOGUE[kind].question)}:
            continue
        for i, stated in enumerate(listed):
            timed = "time" in stated or "Surv(" in stated.get("formula", "")
            rest = {k: v for k, v in stated.items() if k not in {"grid", "at", "strata"}}
            found[f"{kind}{i}"] = (kind, rest | ({"grid": COARSE} if timed else {}))
    return found


def shared_out(rows: dict[str, Any], sites: np.ndarray) -> dict[str, pa.Table]:
    whole = pa.table(rows)
    return {f"s{i}": whole.filter(pa.array(sites == i)) for i in range(int(sites.max()) + 1)}


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long), pytest.param(3, marks=pytest.mark.long)])
def test_the_printed_bound_of_a_grid_covers_the_pooled_value(seed: int) -> None:
    asked = gridded()
    rows = table(PLENTY, seed)
    sites = np.random.default_rng(seed).choice(3, PLENTY, p=[0.6, 0.2, 0.2])
    found = isthmus.rehearse(
        study({n: {k: v} for n, (k, v) in asked.items()}), shared_out(rows, sites), rules=FLOOR
    ).to_dict()["analyses"]
    ended = rows["time"] <= COARSE["edges"][-1]  # a grid that ends there asks about follow-up until then
    seen = rows | {"time": np.where(ended, rows["time"], COARSE["edges"][-1] + 1), "event": rows["event"] * ended}
    seen["cause"] = np.where(ended, rows["cause"], "0").astype(object)
    free = {n: {k: {a: b for a, b in v.items() if a != "grid"}} for n, (k, v) in asked.items()}
    pooled = isthmus.rehearse(study(free), shared_out(seen, sites), rules=plain(OPEN)).to_dict()["analyses"]
    compared = set()
    for name, (kind, _) in asked.items():
        if found[name].get("exactness") != "grid":
            continue
        assert kind in COVERED, f"say in COVERED what the bound of {kind!r} is about"
        assert COVERED[kind] or found[name]["bound"] is None, f"{kind!r} prints a bound"
        for far, what, bound in COVERED[kind]:
            if bound(found[name]) is not None:  # else there is no promise, and the result says so
                assert max(far(found[name], pooled[name], what)) <= bound(found[name]) * (1 + 1e-9), (name, what)
                compared.add((kind, what))
    assert compared == {(kind, what) for kind, listed in COVERED.items() for _, what, _ in listed}
