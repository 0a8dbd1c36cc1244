"""Laws that hold for every question kind; a new one gets them by being listed in `examples.py`."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from bare import make
from examples import QUESTIONS, ROWS, SITE_STRATA, cases, example, population_example, site_cases, table

from isthmus.model.errors import Invalid
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.statistics.contract import Answer
from isthmus.summary import Summary
from isthmus.testing import check_statistic, run_flow, split, subset

CASES = cases()
NAMES = [name for name, _, _ in CASES]
SITE_CASES = site_cases()
RESULT_KEYS = {"kind", "exactness", "n", "rounds"}


def test_every_kind_has_an_example() -> None:
    assert set(QUESTIONS) == set(CATALOGUE)


def test_every_kind_with_strata_has_an_example_with_sites_as_strata() -> None:
    stratified = {kind for kind, s in CATALOGUE.items() if "strata" in {f.name for f in fields(s.question)}}
    assert set(SITE_STRATA) == stratified - {"effect"}  # whose only stratum is `site`: test_effect_laws.py


@pytest.mark.parametrize(("name", "statistic", "question"), CASES, ids=NAMES)
def test_laws_hold(name, statistic, question) -> None:
    trace = check_statistic(statistic, example(statistic, question))
    assert set(trace.report) >= RESULT_KEYS
    assert trace.report["kind"] == statistic.kind
    assert {"terms", "curves", "cells", "fit"} & set(trace.report)
    assert trace.report["rounds"] == len(trace.rounds)


def test_population_obeys_the_laws() -> None:
    statistic, given_example = population_example()
    trace = check_statistic(statistic, given_example)
    assert trace.estimate.values["missing"] == [6, 8]
    assert trace.report["complete"] == 28


@pytest.mark.parametrize(("name", "statistic", "question", "pooled"), SITE_CASES, ids=[c[0] for c in SITE_CASES])
def test_sites_as_strata_obey_the_laws_but_pooling(name, statistic, question, pooled) -> None:
    made = make(statistic, question, table())
    parts = split(made.inputs, np.arange(ROWS) % 3, 4)
    first = run_flow(statistic, question, made.setting, parts)
    again = run_flow(statistic, question, made.setting, parts)
    assert first.report == again.report
    for part in parts:
        prepared = statistic.prepare(question, made.setting, part)
        assert statistic.evidence(question, made.setting, prepared).rows == part.rows


@pytest.mark.parametrize(("name", "statistic", "question"), CASES, ids=NAMES)
def test_a_site_without_events_or_a_level_changes_nothing(name, statistic, question) -> None:
    made = example(statistic, question)
    marks = made.inputs.numbers.get("event", made.inputs.numbers.get("died", np.arange(ROWS) % 2.0))
    check_statistic(statistic, made, (marks > 0).astype(np.int64))


@pytest.mark.parametrize(("name", "statistic", "question"), CASES, ids=NAMES)
def test_no_row_at_all_is_an_error_or_zero(name, statistic, question) -> None:
    made = example(statistic, question)
    empty = subset(made.inputs, np.zeros(ROWS, dtype=bool))
    if statistic.kind in {"count", "crosstab"}:
        assert run_flow(statistic, question, made.setting, [empty, empty]).report["n"] == 0
        return
    with pytest.raises(Invalid) as caught:
        run_flow(statistic, question, made.setting, [empty, empty])
    assert caught.value.code == "E-NO-ROWS"


@pytest.mark.parametrize(("name", "statistic", "question"), CASES, ids=NAMES)
def test_answers_carry_only_their_layout(name, statistic, question) -> None:
    made = example(statistic, question)
    prepared = statistic.prepare(question, made.setting, made.inputs)
    request = next(statistic.flow(question, made.setting))
    answer = statistic.summarise(question, made.setting, prepared, request)
    assert answer.summary.layout == request.layout
    if answer.weights is not None:
        assert 0 <= answer.weights.largest <= answer.weights.total


def test_a_statistic_that_does_not_add_up_is_caught() -> None:
    honest = CATALOGUE["count"]

    def crooked(question, setting, prepared, asked):
        answer = honest.summarise(question, setting, prepared, asked)
        return Answer(Summary(asked.layout, {k: v + 1 for k, v in answer.summary.values.items()}))

    question = honest.question(by=("arm",))
    with pytest.raises(Invalid, match="add up"):
        check_statistic(replace(honest, summarise=crooked), example(honest, question))
