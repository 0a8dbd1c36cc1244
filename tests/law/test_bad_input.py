"""Bad input, for every question kind: the pooled answer where it exists, else an error that names a column and a cause.

Each trouble is one way to spoil the rows of `examples.table`; every example that reads a spoilt variable is asked over
them, dealt to three sites and at one. A kind gets this by having an example.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from bare import codebook, make
from examples import ROWS, cases, table

import isthmus
from isthmus.federation.question import reads
from isthmus.model.canonical import plain
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid, Refused
from isthmus.model.rules import OPEN
from isthmus.statistics.unsaid import words
from isthmus.testing import largest_difference, run_flow, split, together

Rows = dict[str, Any]
GOOD = table()
BOOK = codebook(GOOD)
SITES = np.arange(ROWS) % 3


def put(**columns: Callable[[Rows], Any]) -> Callable[[Rows], Rows]:
    return lambda rows: rows | {name: make_column(rows) for name, make_column in columns.items()}


def first(name: str, value: float) -> Callable[[Rows], Rows]:
    def spoil(rows: Rows) -> Rows:
        column = rows[name].copy()
        column[0] = value
        return rows | {name: column}

    return spoil


def at_site_1(name: str, value: Any) -> Callable[[Rows], Rows]:
    return put(**{name: lambda rows: np.where(SITES == 1, value, rows[name]).astype(rows[name].dtype)})


def all_of(name: str, value: Any) -> Callable[[Rows], Rows]:
    return put(**{name: lambda rows: np.full(ROWS, value, dtype=rows[name].dtype)})


TROUBLES: dict[str, Callable[[Rows], Rows]] = {
    "separation": put(died=lambda r: (r["age"] > 63).astype(float)),
    "separation by a level": put(died=lambda r: np.where(r["arm"] == "treated", 0.0, r["died"])),
    "collinear numbers": put(year=lambda r: 2 * r["age"]),
    "collinear category": put(arm=lambda r: np.where(r["stage"] == "II", "treated", "control").astype(object)),
    "constant number": all_of("age", 60.0),
    "constant outcome": all_of("pressure", 140.0),
    "zero outcome": all_of("pressure", 0.0),
    "one level": all_of("arm", "control"),
    "an empty stratum": all_of("region", "north"),
    "a level nobody has": put(stage=lambda r: np.where(r["stage"] == "III", "I", r["stage"]).astype(object)),
    "no case": all_of("died", 0.0),
    "all cases": all_of("died", 1.0),
    "no event": all_of("event", 0.0),
    "all events": all_of("event", 1.0),
    "no event in a group": put(event=lambda r: np.where(r["arm"] == "treated", 0.0, r["event"])),
    "no event of a cause": put(cause=lambda r: np.where(r["cause"] == "2", "0", r["cause"]).astype(object)),
    "every cause censored": all_of("cause", "0"),
    "ties everywhere": all_of("time", 30.0),
    "a negative time": first("time", -1.0),
    "a time of zero": first("time", 0.0),
    "an event of 2": first("event", 2.0),
    "a case of 2": first("died", 2.0),
    "an absurd value": first("age", 1e30),
    "a huge value": first("pressure", 1e12),
    "a tiny spread": put(age=lambda r: 1.0 + 1e-13 * r["age"]),
    "negative counts": first("visits", -1.0),
    "no count": all_of("visits", 0.0),
    "weights of zero": all_of("exposure", 0.0),
    "a negative weight": first("exposure", -1.0),
    "faint weights": put(exposure=lambda r: 1e-9 * r["exposure"]),
    "one weight": put(exposure=lambda r: (np.arange(ROWS) == 5).astype(float)),
    "copies of zero": all_of("copies", 0.0),
    "copies of a half": first("copies", 0.5),
    "nobody treated": all_of("treat", 0.0),
    "all treated": all_of("treat", 1.0),
    "treated by age": put(treat=lambda r: (r["age"] > 63).astype(float)),
    "quasi separation by a level": put(died=lambda r: np.where(r["stage"] == "III", 1.0, r["died"])),
    "separation by two columns": put(
        died=lambda r: (0.05 * (r["age"] - 63) + (r["arm"] == "treated") > 0.5).astype(float)
    ),
    "separation of levels": put(
        stage=lambda r: np.where(r["age"] < 58, "I", np.where(r["age"] < 68, "II", "III")).astype(object)
    ),
    "separation in an arm": put(died=lambda r: np.where(r["treat"] > 0, (r["age"] > 63).astype(float), r["died"])),
    "a monotone hazard": put(
        time=lambda r: 200.0 - r["age"],
        entry=lambda r: np.zeros(ROWS),
        event=lambda r: (r["age"] > 63).astype(float),
    ),
    "a level of one arm": put(
        stage=lambda r: np.where((r["arm"] == "treated") & (r["stage"] == "III"), "I", r["stage"]).astype(object)
    ),
    "treated by a level": put(treat=lambda r: np.where(r["stage"] == "III", 1.0, r["treat"])),
    "no case in the treated": put(died=lambda r: np.where(r["treat"] > 0, 0.0, r["died"])),
    "no count in a group": put(
        visits=lambda r: np.where(r["arm"] == "treated", 0.0, r["visits"]),
        falls=lambda r: np.where(r["arm"] == "treated", 0.0, r["falls"]),
    ),
    "no fall": all_of("falls", 0.0),
    "a constant score": all_of("score", 50.0),
    "a constant year": all_of("year", 2010.0),
    "a constant risk": all_of("risk", 0.3),
    "a constant predictor": all_of("logit", 0.0),
    "one practice": all_of("practice", 3.0),
    "every row a practice": put(practice=lambda r: np.arange(ROWS) * 1.0),
    "a site without a case": at_site_1("died", 0.0),
    "a site of cases": at_site_1("died", 1.0),
    "a site without an event": at_site_1("event", 0.0),
    "a site without a cause": at_site_1("cause", "0"),
    "a site of one arm": at_site_1("arm", "control"),
    "a site of one treatment": at_site_1("treat", 1.0),
    "a level at one site": put(
        stage=lambda r: np.where((SITES != 0) & (r["stage"] == "III"), "I", r["stage"]).astype(object)
    ),
    "an age of -1e300": first("age", -1e300),
    "an age of 1e55": first("age", 1e55),
    "a pressure of -1e12": first("pressure", -1e12),
    "a time of 1e40": first("time", 1e40),
    "an offset or weight of 1e40": first("exposure", 1e40),
    "a count of 1e12": first("visits", 1e12),
    "falls of 1e12": first("falls", 1e12),
    "copies of 1e12": first("copies", 1e12),
    "negative weights": all_of("exposure", -1.0),
    "weights of 1e-300": all_of("exposure", 1e-300),
    "times of zero": all_of("time", 0.0),
    "negative times": all_of("time", -5.0),
    "entry after time": put(entry=lambda r: r["time"] + 1.0),
    "risks of 0": all_of("risk", 0.0),
    "risks of 1": all_of("risk", 1.0),
    "risk beyond 1": first("risk", 1.5),
    "risk of 0 with the event": put(risk=lambda r: np.where(r["died"] > 0, 0.0, r["risk"])),
}


def spoilt() -> list[Any]:
    found = []
    for name, statistic, question in cases():
        read = set(reads(statistic.needs(question)))
        for trouble, spoil in TROUBLES.items():
            rows = spoil(GOOD)
            if any(rows[variable] is not GOOD[variable] for variable in read):
                found.append(pytest.param(statistic, question, rows, id=f"{name} {trouble}"))
    return found


def outcome(statistic: Any, question: Any, rows: Rows, sites: np.ndarray) -> Any:
    """The report, or the error."""
    made = make(statistic, question, rows, BOOK)
    try:
        parts = split(made.inputs, together(made.inputs, sites), int(sites.max()) + 1)
        return run_flow(statistic, question, made.setting, parts).report
    except STOPS as error:
        return error


STOPS = (Invalid, Refused)
# About how many rows there are, whatever the columns hold; a question has one variable of weights.
NO_COLUMN = {"E-NO-ROWS", "E-TOO-MANY-TERMS", "E-WEIGHTS"}


FIGURES = re.compile(
    r"terms\[\]\.(estimate|p_value)|cells\[\]\.(rate|standardised|mean|percent|mean_rank|value|statistic)"
    r"|curves\[\]\.(survival|incidence)\[\]|(fit|tests)\.(.*\.)?p_value|fit\.smd\..*"
)


def silent(found: Any, path: str = "") -> set[str]:
    """Figures that are null although the kind always has them."""
    if isinstance(found, dict):
        return {p for key, value in found.items() for p in silent(value, f"{path}.{key}".lstrip("."))}
    if isinstance(found, list):
        return {p for value in found for p in silent(value, f"{path}[]")}
    return {path} if found is None and FIGURES.fullmatch(path) else set()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # overflow at a site ends in sums that are not finite
@pytest.mark.parametrize(("statistic", "question", "rows"), spoilt())
def test_bad_input_gives_the_pooled_answer_or_an_error_that_names_a_column(statistic, question, rows) -> None:
    federated = outcome(statistic, question, rows, SITES)
    pooled = outcome(statistic, question, rows, np.zeros(ROWS, dtype=int))
    if isinstance(federated, STOPS):
        assert isinstance(pooled, STOPS), federated
        assert pooled.code == federated.code
        named = any(variable in federated.message for variable in reads(statistic.needs(question)))
        beyond = (
            federated.code == "E-LAW" and "not finite" in federated.message
        )  # a site says E-RANGE and what was read
        assert named or beyond or federated.code in NO_COLUMN, federated
        return
    assert not isinstance(pooled, STOPS), pooled
    json.dumps(federated, allow_nan=False)
    assert federated.get("warnings") or words(federated) or not silent(federated), silent(federated)
    assert largest_difference(federated, pooled) < 1e-6  # spoilt rows may leave few digits; whole ones are held to 1e-9


# -- through files, gate and masks ----------------------------------------------------------------------------------


def ask(
    rows: Rows, analysis: dict[str, Any], sites: np.ndarray = SITES, book: Codebook | None = BOOK
) -> dict[str, Any]:
    whole = pa.table(rows)
    dealt = {f"s{i}": whole.filter(pa.array(sites == i)) for i in range(int(sites.max()) + 1)}
    study = isthmus.Study(title="t", dataset="d", analyses={"asked": analysis})
    answer: dict[str, Any] = isthmus.rehearse(study, dealt, rules=plain(OPEN), codebook=book).to_dict()["analyses"]
    return answer["asked"]


COX = {"cox": {"formula": "Surv(time, event) ~ age + arm", "strata": ["site"]}}
LOGISTIC = {"glm": {"formula": "died ~ age + arm", "family": "binomial"}}
WEIGHTED = {
    "glm": {
        "formula": "pressure ~ arm",
        "family": "gaussian",
        "weights": {"variable": "exposure", "kind": "precision"},
    }
}
WEIGHABLE: list[dict[str, Any]] = [
    {"cox": {"formula": "Surv(time, event) ~ arm"}},
    {"cox": {"formula": "Surv(time, event) ~ arm", "strata": ["site"]}},
    {"parametric_survival": {"formula": "Surv(time, event) ~ arm", "distribution": "weibull"}},
    {
        "parametric_survival": {
            "formula": "Surv(time, event) ~ arm",
            "distribution": "piecewise_exponential",
            "cuts": [45],
        }
    },
    {"multinomial": {"formula": "stage ~ arm"}},
    {"ordinal": {"formula": "stage ~ arm"}},
]
FAINT = [WEIGHTED] + [
    {kind: {**asked, "weights": {"variable": "exposure", "kind": "sampling"}}}
    for one in WEIGHABLE
    for kind, asked in one.items()
]
TWICE = {"glm": {"formula": "died ~ age + year", "family": "binomial"}}
GEE = {"gee": {"formula": "died ~ age + arm", "family": "binomial", "cluster": "practice"}}
MATCHED = {"conditional_logistic": {"formula": "died ~ age + arm", "sets": "practice"}}
COUNTS = {"glm": {"formula": "falls ~ age + arm + offset(exposure)", "family": "poisson"}}
LEVELS: dict[str, dict[str, Any]] = {
    kind: {kind: {"formula": "stage ~ age + arm"}} for kind in ("multinomial", "ordinal")
}
AUGMENTED = {
    "effect": {"treatment": "treat", "outcome": "died", "adjust": "age", "method": "aipw", "family": "binomial"}
}
OWN = {
    "effect": {
        "treatment": "treat",
        "outcome": "died",
        "adjust": "age + stage",
        "method": "iptw",
        "propensity": "site",
    }
}
CONTROLS = {
    "effect": {
        "treatment": "treat",
        "outcome": "died",
        "adjust": "age",
        "method": "iptw",
        "negative_controls": ["event", "left", "tall"],
    }
}
SUBHAZARD = {
    "fine_gray": {
        "formula": "Surv(time, cause) ~ age + arm",
        "causes": {"1": "relapse", "2": "death"},
        "cause": "relapse",
    }
}
KAPLAN = {"kaplan_meier": {"time": "time", "event": "event", "by": "arm"}}

ERRORS: list[tuple[str, dict[str, Any], str, str]] = [
    ("separation", LOGISTIC, "E-SEPARATED", "outcome 'died' is separated by 'age': its"),
    ("separation by a level", LOGISTIC, "E-SEPARATED", "outcome 'died' is separated by 'arm[treated]': its"),
    ("separation by two columns", LOGISTIC, "E-SEPARATED", "separated by 'age', 'arm[treated]' together: their"),
    ("separation", GEE, "E-SEPARATED", "outcome 'died' is separated by 'age': its"),
    ("separation by a level", GEE, "E-SEPARATED", "outcome 'died' is separated by 'arm[treated]': its"),
    ("no count in a group", COUNTS, "E-SEPARATED", "outcome 'falls' is separated by 'arm[treated]': its"),
    ("separation", MATCHED, "E-SEPARATED", "event 'died' is separated by 'age': its"),
    ("separation by a level", MATCHED, "E-SEPARATED", "event 'died' is separated by 'arm[treated]': its"),
    ("separation of levels", LEVELS["multinomial"], "E-SEPARATED", "outcome 'stage' is separated by 'age': its"),
    ("separation of levels", LEVELS["ordinal"], "E-SEPARATED", "outcome 'stage' is separated by 'age': its"),
    ("separation in an arm", AUGMENTED, "E-SEPARATED", "the outcome model where 'treat' is 1: outcome 'died' is"),
    ("treated by age", AUGMENTED, "E-SEPARATED", "the propensity model: outcome 'treat' is separated by 'age'"),
    ("treated by age", OWN, "E-SEPARATED", "'treat' is told apart by 'age' at a site"),
    ("a monotone hazard", COX, "E-SEPARATED", "event 'event' is separated by 'age': its"),
    ("no event in a group", COX, "E-SEPARATED", "event 'event' is separated by 'arm[treated]': its"),
    ("every cause censored", SUBHAZARD, "E-NO-EVENTS", "no row has the event 'cause = relapse'"),
    ("an offset or weight of 1e40", COUNTS, "E-OFFSET", "'exposure'"),
    ("all events", CONTROLS, "E-OUTCOME", "'event' does not vary"),
    ("collinear numbers", TWICE, "E-COLLINEAR", "year"),
    ("constant number", LOGISTIC, "E-COLLINEAR", "age"),
    ("constant number", COX, "E-COLLINEAR", "age"),
    ("one level", LOGISTIC, "E-COLLINEAR", "arm[treated]"),
    ("no case", LOGISTIC, "E-NO-EVENTS", "died"),
    ("all cases", LOGISTIC, "E-OUTCOME", "died"),
    ("no event", COX, "E-NO-EVENTS", "event"),
    ("a case of 2", LOGISTIC, "E-OUTCOME", "died"),
    ("an event of 2", KAPLAN, "E-EVENT", "event"),
    ("a negative time", KAPLAN, "E-TIME", "time"),
    ("a negative time", COX, "E-TIME", "time"),
    ("a negative weight", WEIGHTED, "E-WEIGHTS", "exposure"),
    ("weights of zero", WEIGHTED, "E-NO-ROWS", "weight"),
    ("constant outcome", WEIGHTED, "E-OUTCOME", "pressure"),
    *(("faint weights", asked, "E-WEIGHTS", "weights") for asked in FAINT),
]


@pytest.mark.parametrize(
    ("trouble", "analysis", "code", "name"), ERRORS, ids=[f"{next(iter(a))}-{t}" for t, a, _, _ in ERRORS]
)
def test_the_error_says_which_column_and_why(trouble, analysis, code, name) -> None:
    answer = ask(TROUBLES[trouble](GOOD), analysis)
    assert answer["status"] == "failed", answer
    assert answer["error"]["code"] == code, answer["error"]
    assert name in answer["error"]["message"]


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e61, 1e300, -1e300])
def test_an_infinite_or_absurd_value_is_refused_at_the_door(value) -> None:
    answer = ask(first("age", value)(GOOD), LOGISTIC)
    assert answer["error"]["code"] == "E-NOT-FINITE"
    assert "'age' is infinite" in answer["error"]["message"]


def test_sums_beyond_the_masks_name_what_was_read() -> None:
    answer = ask(first("pressure", 1e30)(GOOD), {"glm": {"formula": "pressure ~ age", "family": "inverse_gaussian"}})
    assert answer["error"]["code"] == "E-RANGE"
    assert "'pressure'" in answer["error"]["message"]


@pytest.mark.parametrize(
    "analysis",
    [LOGISTIC, COX, {"table_one": {"variables": ["age"], "by": "arm"}}, GEE, *LEVELS.values(), SUBHAZARD, AUGMENTED],
    ids=lambda analysis: next(iter(analysis)),
)
def test_a_column_that_is_missing_at_a_whole_site_leaves_the_answer_of_the_others(analysis) -> None:
    hollow = GOOD | {"age": np.where(SITES == 1, np.nan, GOOD["age"])}
    others = {name: values[SITES != 1] for name, values in GOOD.items()}
    found, pooled = ask(hollow, analysis), ask(others, analysis, np.where(SITES != 1, SITES // 2, 0)[SITES != 1])
    assert found["excluded"] == {"age": int(np.count_nonzero(SITES == 1))}
    assert found["n"] == pooled["n"] == int(np.count_nonzero(SITES != 1))
    for part in ("terms", "cells"):
        assert largest_difference(found.get(part), pooled.get(part)) < 1e-9


def test_ties_everywhere_are_still_the_pooled_answer() -> None:
    tied = TROUBLES["ties everywhere"](GOOD)
    answer = ask(tied, COX, book=None)
    assert answer["terms"][0]["std_error"] > 0.0
    curve = ask(tied, KAPLAN, book=None)["curves"][0]
    control = GOOD["arm"] == "control"
    assert curve["survival"] == [pytest.approx(1 - GOOD["event"][control].mean())]
