"""Accelerated failure times: who makes up the sums of the logarithm of the time, and rounds that are weighed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stat_help import codebook, evidence, make, run

from isthmus import strict
from isthmus.disclosure.site import dominance, minimum_count, minimum_count_site, weigh
from isthmus.model.rules import Rules
from isthmus.statistics import lockstep
from isthmus.statistics import parametric_survival_flow as flow
from isthmus.statistics.catalogue import CATALOGUE
from stated_rules import STRICT

DISTRIBUTIONS = ("exponential", "weibull", "lognormal")


def patients(late: float = 30.0) -> dict:
    draw = np.random.default_rng(3)
    time = np.where(np.arange(90) == 4, late, np.ceil(draw.exponential(12, 90)))
    return {"t": time, "e": (draw.random(90) < 0.7).astype(float), "x": draw.normal(size=90)}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_time_that_one_row_alone_makes_is_seen(rules, distribution) -> None:
    question = {"formula": "Surv(t, e) ~ x", "distribution": distribution}
    plain = evidence("parametric_survival", question, patients())
    lone = evidence("parametric_survival", question, patients() | {"t": np.where(np.arange(90) == 4, 30.0, 5.0)})
    assert (minimum_count(plain, rules), dominance(plain, rules)) == ((), ())
    assert "spread of t" in " ".join(minimum_count(lone, rules))
    assert dominance(lone, rules) == ("sum t",)


def test_a_round_steered_until_one_row_speaks_is_refused(rules) -> None:
    statistic, asked = CATALOGUE["parametric_survival"], {"formula": "Surv(t, e) ~ x", "distribution": "weibull"}
    trace = run("parametric_survival", asked, patients())
    fair = trace.rounds[-1]
    question = statistic.question(**asked)
    made = make(statistic, question, patients(), codebook(patients()))
    rows = statistic.prepare(question, made.setting, made.inputs)
    model = flow.Model("weibull", "t", "e", made.setting.design, made.setting.dictionary)
    own = lockstep.asked_of(fair, 0).params
    steered = {**own, "coefficients": np.array([0.0, 300.0]), "log_scale": 2.0}
    assert weigh(flow.newton_sums(model, rows, own)[1], rules).holds
    assert not weigh(flow.newton_sums(model, rows, steered)[1], rules).holds


def test_a_few_late_entries_are_seen(rules) -> None:
    question = {"formula": "Surv(s, t, e) ~ x", "distribution": "weibull"}
    rows = patients() | {"s": np.zeros(90)}
    few = rows | {"s": np.where(np.arange(90) < 3, 0.5, 0.0)}
    many = rows | {"s": np.where(np.arange(90) < 40, 0.1 + 0.005 * np.arange(90), 0.0)}
    assert "late by s" in " ".join(minimum_count(evidence("parametric_survival", question, few), rules))
    assert minimum_count(evidence("parametric_survival", question, many), rules) == ()


def test_an_interval_of_few_people_is_seen(rules) -> None:
    question = {"formula": "Surv(t, e) ~ x", "distribution": "piecewise_exponential", "cuts": [8]}
    wide, last = (evidence("parametric_survival", question | {"cuts": cuts}, patients()) for cuts in ([8], [8, 38]))
    assert minimum_count_site(wide, rules) == ()
    assert "cell rows per interval" in minimum_count_site(last, rules)


def test_a_round_over_intervals_is_weighed(rules) -> None:
    statistic = CATALOGUE["parametric_survival"]
    asked = {"formula": "Surv(t, e) ~ x", "distribution": "piecewise_exponential", "cuts": [8]}
    fair, question = run("parametric_survival", asked, patients()).rounds[-1], strict.parse(statistic.question, asked)
    made = make(statistic, question, patients(), codebook(patients()))
    rows = statistic.prepare(question, made.setting, made.inputs)
    steered = replace(fair, params={**fair.params, "coefficients": np.array([30.0])})
    assert weigh(statistic.summarise(question, made.setting, rows, fair).weights, rules).holds
    assert not weigh(statistic.summarise(question, made.setting, rows, steered).weights, rules).holds


@pytest.mark.parametrize(
    ("survival", "slope"),
    [
        ({"distribution": "weibull"}, 9.0),
        ({"distribution": "lognormal"}, 30.0),
        ({"distribution": "piecewise_exponential", "cuts": [8]}, 9.0),
    ],
)
def test_the_middle_of_a_sandwich_is_weighed(rules, survival, slope) -> None:
    statistic = CATALOGUE["parametric_survival"]
    asked = {"formula": "Surv(t, e) ~ x", "robust": True, **survival}
    fair, question = run("parametric_survival", asked, patients()).rounds[-1], strict.parse(statistic.question, asked)
    made = make(statistic, question, patients(), codebook(patients()))
    rows = statistic.prepare(question, made.setting, made.inputs)
    name = next(n for n in fair.params if n.endswith("coefficients"))
    far = np.zeros_like(fair.params[name])
    far[-1] = slope
    steered = replace(fair, params={**fair.params, name: far})
    assert weigh(statistic.summarise(question, made.setting, rows, fair).weights, rules).holds
    assert not weigh(statistic.summarise(question, made.setting, rows, steered).weights, rules).holds


def test_a_sample_of_which_most_is_censored_is_answered(rules) -> None:
    draw = np.random.default_rng(7)
    x = draw.normal(size=2000)
    died, left = draw.exponential(3000 * np.exp(0.3 * x)), draw.uniform(300, 900, 2000)
    many = {"t": np.ceil(np.minimum(died, left)), "e": (died <= left).astype(float), "x": x}
    statistic, asked = CATALOGUE["parametric_survival"], {"formula": "Surv(t, e) ~ x", "distribution": "weibull"}
    trace = run("parametric_survival", asked, many)
    question = statistic.question(**asked)
    made = make(statistic, question, many, codebook(many))
    rows = statistic.prepare(question, made.setting, made.inputs)
    steps = trace.rounds[1:]
    assert len(steps) > 3
    assert all(weigh(statistic.summarise(question, made.setting, rows, step).weights, rules).holds for step in steps)


@pytest.fixture
def rules():
    return strict.parse(Rules, STRICT)
