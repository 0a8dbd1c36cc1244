"""Validation of a published prediction model (kind `validate_model`): discrimination, calibration and net benefit at once.

The model is a variable that holds its predicted risk (`prediction`), or its equation: `formula`, terms over the codebook, and
`coefficients` by column (`(Intercept)`, `AGE`, `SEX[M]`). The risk is 1 / (1 + exp(-lp)); with `baseline`, a Cox model's
survival at the horizon for lp = 0, it is 1 - baseline ** exp(lp). Nothing is fitted to the rows but the recalibration.

Result keys: `fit`: `auc`, `std_error`, `conf_low`, `conf_high`, `n_pos`, `n_neg` (as `roc`), `observed`, `expected`,
`observed_expected`, `brier`, `brier_null`; `terms` and `cells` (as `calibration`), `curve` (as `roc`), `net_benefit` (the cells of
`decision_curve`), `events`, `bound`, `grid`. The parts are those kinds on the risk, with their guards, in the same rounds; an equation
has the guards of a logistic model with its columns too, as if it were fitted. Risks are kept 1e-9 from 0 and 1. The outcome is
0 or 1: of a Cox model, the event by the horizon, missing for who was not followed so long.

`groups: {by: country}` of the study asks it of each country, `release: [site_results]` of each site, where the agreement has
`site_results` among its releases: `sites`, site -> its answer. Each site answers for itself, all together, or it is
`refused`; where one refuses, there is no answer of all sites (less the others' it would be that site's).

Reference: Steyerberg (2019), Clinical Prediction Models, ch. 15 to 17; Collins et al. (2015), Ann Intern Med 162:55 (TRIPOD).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid
from isthmus.model.formula import Formula, parse
from isthmus.model.record import record
from isthmus.statistics import calibration, decision_curve, glm, grids, lockstep, roc
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.glm import Glm
from isthmus.statistics.glm_kernel import Rows as ModelRows
from isthmus.statistics.part import with_part
from isthmus.statistics.show import size
from isthmus.summary import FloatArray

RISK = "predicted risk"
EDGE = 1e-9
INTERCEPT = "(Intercept)"


@record
class ValidateModel:
    """Arguments of `validate_model`: an `outcome` of 0 and 1, and `prediction`, or `formula` with `coefficients`.

    `baseline`: survival at the horizon for a linear predictor of 0; `thresholds`: of the net benefit;
    `release: [site_results]`: the answer of each single site too, where the agreement allows it.
    """

    outcome: str
    prediction: str | None = None
    formula: str | None = None
    coefficients: Mapping[str, float] | None = None
    baseline: float | None = None
    thresholds: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5)
    release: tuple[Literal["site_results"], ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """One site's rows as each part has them, and those of the equation's columns, if it is one."""

    parts: Mapping[str, Any]
    columns: ModelRows | None
    rows: int


def _formula(question: ValidateModel) -> Formula | None:
    """The equation's, or None where the risk is a variable."""
    if question.prediction is not None:
        if question.formula is not None or question.coefficients is not None or question.baseline is not None:
            raise Invalid(
                "E-MODEL", "a model is a variable or an equation", "`prediction`, or `formula`, `coefficients`"
            )
        return None
    if question.formula is None or not question.coefficients:
        raise Invalid("E-MODEL", "no model is stated", "`prediction`, or `formula` and `coefficients`")
    if question.baseline is not None and not 0.0 < question.baseline < 1.0:
        raise Invalid("E-MODEL", "`baseline` is a survival between 0 and 1", "of people with a linear predictor of 0")
    formula = parse(f"{question.outcome} ~ {question.formula}")
    if formula.strata or formula.cluster or formula.offset or not formula.intercept or not formula.terms:
        raise Invalid("E-FORMULA", "`formula` is terms alone", "write `AGE + SEX`")
    return formula


def _needs(question: ValidateModel) -> Needs:
    formula = _formula(question)
    if formula is not None:
        return Needs(numbers=(question.outcome,), formula=formula, each_site=bool(question.release))
    names = (str(question.prediction), question.outcome)
    if names[0] == names[1]:
        raise Invalid("E-VARIABLE", "prediction and outcome are different variables")
    return Needs(numbers=names, times=names[:1], each_site=bool(question.release))


def _book(question: ValidateModel, dictionary: Codebook) -> Codebook:
    """The outcome and the risk, as the parts know them."""
    risk = Variable(type="number", range=(0.0, 1.0))
    if question.prediction is not None:
        risk = replace(grids.declared(question.prediction, dictionary), range=(0.0, 1.0), grid=None)
    variables = {question.outcome: grids.declared(question.outcome, dictionary), RISK: risk}
    return Codebook(name=dictionary.name, variables=variables)


def _asked(question: ValidateModel) -> dict[str, tuple[Statistic, Any]]:
    """Each part's statistic and question."""
    outcome = question.outcome
    benefit = decision_curve.DecisionCurve(prediction=RISK, outcome=outcome, thresholds=question.thresholds)
    return {
        "roc": (roc.STATISTIC, roc.Roc(marker=RISK, outcome=outcome)),
        "calibration": (calibration.STATISTIC, calibration.Calibration(prediction=RISK, outcome=outcome)),
        "decision_curve": (decision_curve.STATISTIC, benefit),
    }


def _rungs(question: ValidateModel, dictionary: Codebook) -> tuple[Grid, ...]:
    """Those of the ROC curve; the other parts have one each."""
    book = _book(question, dictionary)
    for statistic, asked in _asked(question).values():
        statistic.needs(asked)
    return roc.STATISTIC.rungs(_asked(question)["roc"][1], book)


def _inner(name: str, question: ValidateModel, setting: Setting) -> Setting:
    """The setting of one part."""
    book = _book(question, setting.dictionary)
    grid = setting.grid
    if name != "roc":
        statistic, asked = _asked(question)[name]
        grid = statistic.rungs(asked, book)[0]
    return replace(setting, dictionary=book, levels={}, design=None, grid=grid)


def risks(question: ValidateModel, setting: Setting, inputs: Inputs) -> FloatArray:
    """(rows,) predicted risks.

    Raises:
        Invalid: E-MODEL, coefficients that are not of the formula's columns; E-PROBABILITY.
    """
    if question.prediction is not None:
        found = inputs.numbers[question.prediction]
        if not bool(np.all((found >= 0.0) & (found <= 1.0))):
            raise Invalid("E-PROBABILITY", f"{question.prediction!r} must lie between 0 and 1", "state the equation")
        return np.clip(found, EDGE, 1.0 - EDGE)
    if setting.design is None or inputs.design is None:
        raise Invalid("E-DESIGN", "an equation needs the columns of its formula")
    coefficients = dict(question.coefficients or {})
    names = setting.design.names
    stray = [name for name in coefficients if name not in names]
    lacking = [name for name in names if name not in coefficients and name != INTERCEPT]
    if stray or lacking:
        wrong = f"no column {stray[0]!r}" if stray else f"no coefficient of {lacking[0]!r}"
        raise Invalid("E-MODEL", f"the equation does not fit its formula: {wrong}", "columns: " + ", ".join(names))
    linear = np.zeros(inputs.rows)
    for name, column in zip(names, inputs.design, strict=True):
        linear = linear + coefficients.get(name, 0.0) * column
    bounded = np.clip(linear, -700.0, 700.0)
    if question.baseline is None:
        found = 1.0 / (1.0 + np.exp(-bounded))
    else:
        found = -np.expm1(math.log(question.baseline) * np.exp(bounded))
    return np.clip(found, EDGE, 1.0 - EDGE)


def _prepare(question: ValidateModel, setting: Setting, inputs: Inputs) -> Prepared:
    risk = risks(question, setting, inputs)
    rows = Inputs(rows=inputs.rows, numbers={question.outcome: inputs.numbers[question.outcome], RISK: risk}, codes={})
    parts = {
        name: statistic.prepare(asked, _inner(name, question, setting), rows)
        for name, (statistic, asked) in _asked(question).items()
    }
    columns = None
    if question.prediction is None and inputs.design is not None:
        columns = ModelRows(inputs.design, inputs.numbers[question.outcome], None, None)
    return Prepared(parts, columns, inputs.rows)


def _evidence(question: ValidateModel, setting: Setting, prepared: Prepared) -> Evidence:
    """Of each part; of an equation also what fitting its columns would need, since it could be chosen to single people out."""
    found = Evidence(rows=prepared.rows)
    for name, (statistic, asked) in _asked(question).items():
        own = statistic.evidence(asked, _inner(name, question, setting), prepared.parts[name])
        found = with_part(found, own, name)
    if prepared.columns is None:
        return found
    model = Glm(formula=f"{question.outcome} ~ {question.formula}", family="binomial")
    return with_part(found, glm.STATISTIC.evidence(model, setting, prepared.columns), "equation")


def _flow(question: ValidateModel, setting: Setting) -> Flow:
    """The parts in lockstep, for none needs another."""
    parts = _asked(question)
    flows = [statistic.flow(asked, _inner(name, question, setting)) for name, (statistic, asked) in parts.items()]
    try:
        found, rounds = yield from lockstep.tallied(lockstep.every(flows))
    except Invalid as error:
        message = f"{question.outcome!r} and its predicted risk: {error.message}"
        raise Invalid(error.code, message, error.hint) from error
    made = dict(zip(parts, found, strict=True))
    counts: dict[str, Counts] = {
        f"{name} {key}": counted for name, one in made.items() for key, counted in one.counts.items()
    }
    return Estimate(
        "validate_model",
        made["roc"].exactness,
        made["roc"].n,
        rounds=rounds,
        counts=counts,
        values={"parts": made},
        parameters=made["calibration"].parameters,
    )


def _summarise(question: ValidateModel, setting: Setting, prepared: Prepared, asked: Round) -> Answer:
    def answer(at: int, own: Round) -> Answer:
        name, (statistic, inner) = list(_asked(question).items())[at]
        return statistic.summarise(inner, _inner(name, question, setting), prepared.parts[name], own)

    return lockstep.answered(asked, answer)


def _report(question: ValidateModel, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    shown: dict[str, dict[str, Any]] = {}
    for name, (statistic, asked) in _asked(question).items():
        one: Estimate = estimate.values["parts"][name]
        own = {key: estimate.counts[f"{name} {key}"] for key in one.counts}
        shown[name] = statistic.report(asked, _inner(name, question, setting), replace(one, counts=own))
    area, fitted = shown["roc"], shown["calibration"]
    return {
        "kind": estimate.kind,
        "exactness": estimate.exactness,
        "n": size(estimate.counts["roc n"]),
        "events": fitted["events"],
        "rounds": estimate.rounds,
        "conf_level": setting.conf_level,
        "test": fitted["test"],
        "terms": fitted["terms"],
        "fit": {**area["fit"], **fitted["fit"]},
        "cells": fitted["cells"],
        "curve": area["curve"],
        "net_benefit": shown["decision_curve"]["cells"],
        **{key: area[key] for key in ("bound", "grid") if key in area},
    }


STATISTIC = Statistic(
    kind="validate_model",
    question=ValidateModel,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
