"""Penalised regression (kind `penalised`): ridge, lasso and elastic-net paths, as R's `glmnet`.

Result keys: `cells`, one per penalty and term (`lambda`, `term`, `estimate`; 0 where the lasso left it out), `fit`
(`family`, `alpha`, `null_deviance`, `path`: per penalty `lambda`, `df` (terms in the model), `deviance`, `dev_ratio`),
`n`, `events`, `reference`. A penalised estimate has no standard error.

The objective is glmnet's: loss / n + lambda ((1 - alpha) / 2 sum b**2 + alpha sum |b|), b the coefficients of columns
scaled by their population standard deviation, the intercept free; loss is minus the log-likelihood, of a gaussian half the sum
of squares, whose ridge part is divided by the standard deviation of the outcome (glmnet scales the outcome).
`glmnet` stops its descent at `thresh`; here each point meets the KKT conditions to rounding.
Reference: Friedman, Hastie & Tibshirani (2010), J Stat Softw 33(1).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from isthmus.evidence import Evidence, Weights, worst
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.formula import Formula, parse
from isthmus.model.record import record
from isthmus.statistics import glm_kernel, penalised_flow
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.families import FAMILIES, link_names
from isthmus.statistics.glm import check_outcome
from isthmus.statistics.glm_evidence import glm_evidence
from isthmus.statistics.glm_kernel import Rows
from isthmus.statistics.glm_model import Model, start_part
from isthmus.statistics.penalised_flow import ROUNDS, Path
from isthmus.statistics.show import number, size
from isthmus.statistics.summaries import filled

MOST = 100  # penalties
# Numbers of a path must stay below those of the rows, n p: where `parameters_per_row` is 0.1, this is that limit.
SHARE = 10


@record
class Penalised:
    """Arguments of `penalised`.

    `formula`: `outcome ~ terms`, with an intercept; `alpha`: 1 the lasso, 0 ridge, between them the elastic net;
    `lambdas`: the penalties; or `points` of them from the least that leaves no term, down to `smallest` times that.
    """

    formula: str
    family: Literal["gaussian", "binomial", "poisson"]
    alpha: float = 1.0
    lambdas: tuple[float, ...] = ()
    points: int = 10
    smallest: float = 0.01


def _formula(question: Penalised) -> Formula:
    formula = parse(question.formula)
    simple = formula.response is not None and formula.surv is None and formula.intercept
    if not simple or not formula.terms or formula.strata or formula.cluster or formula.offset:
        raise Invalid("E-FORMULA", "a penalised model is an outcome and terms", "write `outcome ~ terms`")
    if not 0.0 <= question.alpha <= 1.0 or not 0.0 < question.smallest < 1.0:
        raise Invalid("E-PENALTY", "alpha lies between 0 and 1, and so does smallest", "1 is the lasso, 0 ridge")
    if not 1 <= (len(question.lambdas) or question.points) <= MOST:
        raise Invalid("E-PENALTY", f"a path has 1 to {MOST} penalties", "state fewer `points` or `lambdas`")
    if not all(math.isfinite(value) and value > 0.0 for value in question.lambdas):
        raise Invalid("E-PENALTY", "penalties are above 0", "a model without one is a glm")
    return formula


def _needs(question: Penalised) -> Needs:
    formula = _formula(question)
    return Needs(numbers=(str(formula.response),), formula=formula)


def _rungs(question: Penalised, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _model(question: Penalised, setting: Setting) -> Model:
    formula = _formula(question)
    if setting.design is None or formula.response is None:
        raise Invalid("E-DESIGN", "a penalised model needs a design")
    family = FAMILIES[question.family, link_names(question.family)[0]]
    return Model(family, formula.response, setting.design, setting.dictionary, None, False, None)


def _prepare(question: Penalised, setting: Setting, inputs: Inputs) -> Rows:
    if inputs.design is None:
        raise Invalid("E-DESIGN", "a penalised model needs a design")
    name = str(_formula(question).response)
    check_outcome(question.family, name, inputs.numbers[name])
    return Rows(inputs.design, inputs.numbers[name], None, None)


def _evidence(question: Penalised, setting: Setting, prepared: Rows) -> Evidence:
    """Of the model without a penalty, and how many numbers the path tells beside those that the rows hold."""
    found = glm_evidence(_model(question, setting), prepared)
    if question.family == "gaussian":
        return found  # one matrix, whatever the path
    columns, points = len(prepared.columns), len(question.lambdas) or question.points
    told = (1 + (ROUNDS - 1) * points) * (columns + 1) * (columns + 2) // 2
    return replace(found, fits={**found.fits, "path": (prepared.size, math.ceil(told / (columns * SHARE)))})


def _flow(question: Penalised, setting: Setting) -> Flow:
    stated = tuple(sorted(set(question.lambdas), reverse=True))
    model = _model(question, setting)
    return penalised_flow.run(Path(model, question.alpha, stated, question.points, question.smallest))


def _summarise(question: Penalised, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    model, params = _model(question, setting), asked.params
    if params["step"] == "start":
        values, weights = start_part(model, prepared, params, FAMILIES["gaussian", "identity"])
        return Answer(filled(asked.layout, values), weights)
    each = [
        glm_kernel.newton_sums(model.family, prepared, {**params, "coefficients": row})
        for row in np.asarray(params["coefficients"])
    ]
    names = ("score", "gram", "deviance")
    guard: Weights = worst(totals.weights() for totals in each)
    return Answer(filled(asked.layout, {n: np.array([getattr(t, n) for t in each]) for n in names}), guard)


def _report(question: Penalised, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    found, names = estimate.values, setting.design.names if setting.design is not None else ()
    null = found["null"]
    points = zip(found["lambdas"], found["used"], found["deviance"], strict=True)
    body: dict[str, Any] = {
        "kind": estimate.kind,
        "exactness": estimate.exactness,
        "n": size(estimate.counts["n"]),
        "rounds": estimate.rounds,
        "cells": [
            {"lambda": lam, "term": name, "estimate": value}
            for lam, row in zip(found["lambdas"], found["coefficients"].tolist(), strict=True)
            for name, value in zip(names, row, strict=True)
        ],
        "fit": {
            "family": question.family,
            "alpha": question.alpha,
            "null_deviance": number(null),
            "path": [
                {"lambda": lam, "df": df, "deviance": number(dev), "dev_ratio": number(1.0 - dev / null if df else 0.0)}
                for lam, df, dev in points
            ],
        },
        "reference": dict(setting.design.reference) if setting.design is not None else {},
    }
    return body | ({"events": size(estimate.counts["events"])} if "events" in estimate.counts else {})


STATISTIC = Statistic(
    kind="penalised",
    question=Penalised,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
