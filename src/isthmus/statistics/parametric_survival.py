"""Accelerated failure times (kind `parametric_survival`): exponential, Weibull and log-normal, as R's `survreg`.

Coefficients are of the logarithm of the time: a positive one means longer. Result keys: `terms` (`Log(scale)` last,
except for `exponential`, whose scale is 1), `fit` (distribution, scale, loglik, df, events), `n`, `events`,
`reference`, `conf_level`, `test` (`z`), `error` (`model`), `contrasts`, `tests`, `vcov`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from isthmus.evidence import Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.formula import Formula, Surv, parse
from isthmus.model.record import record
from isthmus.statistics import indicators, parametric_survival_flow, survival, unusual
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.model_body import model_body
from isthmus.statistics.parametric_survival_flow import Distribution, Model, Rows
from isthmus.statistics.show import size
from isthmus.statistics.summaries import filled


@record
class ParametricSurvival:
    """Arguments of `parametric_survival`.

    `formula`: `Surv(time, event) ~ terms`; `contrasts`: name -> {term: weight}; `tests`: name -> terms tested jointly;
    `release: [vcov]` shows the covariance matrix.
    """

    formula: str
    distribution: Distribution
    contrasts: Mapping[str, Mapping[str, float]] | None = None
    tests: Mapping[str, tuple[str, ...]] | None = None
    release: tuple[Literal["vcov"], ...] = ()


def _formula(question: ParametricSurvival) -> tuple[Formula, Surv]:
    formula = parse(question.formula)
    if formula.surv is None or formula.surv.entry is not None:
        raise Invalid(
            "E-FORMULA", "a parametric_survival model has `Surv(time, event)` on the left", "without an entry"
        )
    if not formula.intercept:
        raise Invalid("E-FORMULA", "a parametric_survival model has an intercept", "leave `- 1` out")
    if formula.offset or formula.cluster or formula.strata:
        raise Invalid("E-FORMULA", "a parametric_survival model takes no offset(), cluster() or strata()")
    return replace(formula, surv=None), formula.surv  # for a design with an intercept, which a Surv() has not


def _needs(question: ParametricSurvival) -> Needs:
    formula, surv = _formula(question)
    return Needs(numbers=(surv.time, surv.event), formula=formula)


def _rungs(question: ParametricSurvival, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _model(question: ParametricSurvival, setting: Setting) -> Model:
    if setting.design is None:
        raise Invalid("E-DESIGN", "a parametric_survival model needs a design")
    surv = _formula(question)[1]
    return Model(question.distribution, surv.time, surv.event, setting.design, setting.dictionary)


def _prepare(question: ParametricSurvival, setting: Setting, inputs: Inputs) -> Rows:
    _, surv = _formula(question)
    if inputs.design is None:
        raise Invalid("E-DESIGN", "a parametric_survival model needs a design")
    time, event = inputs.numbers[surv.time], inputs.numbers[surv.event]
    survival.check_times((surv.time, surv.event), time, event)
    if not bool(np.all(time > 0.0)):
        raise Invalid("E-TIME", f"time {surv.time!r} must be above 0", "a time of 0 has no logarithm")
    return Rows(inputs.design, np.log(time), event)


def _evidence(question: ParametricSurvival, setting: Setting, prepared: Rows) -> Evidence:
    """As of a linear model of the logarithm of the time: its spread, who makes up its sums, its unusual values."""
    model, (_, surv), y = _model(question, setting), _formula(question), prepared.log_time
    own, outcome = indicators.leverage(prepared.columns), (surv.event, prepared.event)
    found = indicators.design_evidence(model.design, prepared.columns, outcome, own, None, (surv.time, y))
    found = replace(found, parameters=model.free)
    if not y.size:
        return found
    supports = {**found.supports, f"spread of {surv.time}": np.array([unusual.spread(y)], dtype=np.int64)}
    sides = {**found.sides, f"unusual {surv.time}": np.array([unusual.away(y)], dtype=np.int64)}
    return replace(found, supports=supports, sides=sides, sums={surv.time: np.abs(y - unusual.middle(y))})


def _flow(question: ParametricSurvival, setting: Setting) -> Flow:
    return parametric_survival_flow.fit(_model(question, setting))


def _summarise(question: ParametricSurvival, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    model = _model(question, setting)
    sums = parametric_survival_flow.start_sums if asked.params["step"] == "start" else None
    values, weights = (sums or parametric_survival_flow.newton_sums)(model, prepared, asked.params)
    return Answer(filled(asked.layout, values), weights)


def _report(question: ParametricSurvival, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    found, events = estimate.values, size(estimate.counts["events"])
    fit = {"distribution": question.distribution, "scale": found["scale"], "loglik": found["loglik"]}
    return model_body(question, setting, estimate, {**fit, "df": estimate.parameters, "events": events}) | {
        "error": "model"
    }


STATISTIC = Statistic(
    kind="parametric_survival",
    question=ParametricSurvival,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
