"""Penalised regression (kind `penalised`): ridge, lasso and elastic-net paths, as R's `glmnet`.

With family `cox` the outcome is `Surv(time, event)` or `Surv(entry, time, event)`, ties are Breslow's, and there is no
intercept. `strata` with `site` among them (exact: only score and information leave), or one baseline over all sites on recorded
times or a grid.

Result keys: `cells`, one per penalty and term (`lambda`, `term`, `estimate`; 0 where the lasso left it out), `fit`
(`family`, `alpha`, `null_deviance`, `path`: per penalty `lambda`, `df` (terms in the model), `deviance`, `dev_ratio`),
`n`, `events`, `reference`; of Cox models also `strata`, and `grid` on a grid. A penalised estimate has no standard error.
A constant column has the coefficient 0, and `warnings` names it; columns may depend on each other, as in glmnet (a lasso then has
several answers: one is given whose columns do not).
Where rules round the counts, the null deviance of a binomial or Poisson model follows from the rounded ones, and the
deviances of the path are in proportion to it.

`folds: K` adds `cv.glmnet`'s choice of a penalty (`fit`: `lambda_min`, `lambda_1se`, `cv` with `folds`, `measure`, and the `path` of
mean and standard error of what is left out): mean squared error of a gaussian outcome, else deviance per row (Cox:
partial likelihood per event). The fold of a row follows from `seed` and what the row holds, wherever it lies.

The objective is glmnet's: loss / n + lambda ((1 - alpha) / 2 sum b**2 + alpha sum |b|), b the coefficients of columns
scaled by their population standard deviation, the intercept free; loss is minus the log-likelihood (Cox: partial), of a gaussian
half the sum of squares, whose ridge part is divided by the standard deviation of the outcome (glmnet scales the outcome).
`glmnet` stops its descent at `thresh`; here each point meets the KKT conditions to rounding. For a Cox model
`glmnet` (4.1) adds 2.2e-14 to the times of the censored, so that they come after an event of the same time; a time of 256 or
more loses that, and the path then depends on the order of the rows: divide such times.
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
from isthmus.model.formula import Formula, no_site, parse
from isthmus.model.record import record
from isthmus.statistics import (
    cox_common,
    cox_rows,
    glm_flow,
    glm_kernel,
    lockstep,
    penalised_cox,
    penalised_flow,
    penalised_folds,
)
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.cox import STATISTIC as COX
from isthmus.statistics.cox import Cox, common_answer, cox_marks, cox_model
from isthmus.statistics.families import FAMILIES, link_names
from isthmus.statistics.glm import check_outcome
from isthmus.statistics.glm_evidence import glm_evidence
from isthmus.statistics.glm_kernel import Rows
from isthmus.statistics.glm_model import Model, start_part
from isthmus.statistics.penalised_cox import Shown
from isthmus.statistics.penalised_path import ROUNDS, Path
from isthmus.statistics.show import head, number, size
from isthmus.statistics.summaries import filled
from isthmus.statistics.survival import GridWish

MOST = 100  # penalties
# Numbers of a path must stay below those of the rows, n p: where `parameters_per_row` is 0.1, this is that limit.
SHARE = 10


@record
class Penalised:
    """Arguments of `penalised`.

    `formula`: `outcome ~ terms`, with an intercept, or `Surv(time, event) ~ terms`; `strata`, `grid`: of `cox`, as there; `alpha`: 1 the lasso, 0 ridge, between them the elastic net;
    `lambdas`: the penalties; or `points` of them from the least that leaves no term, down to `smallest` times that; `folds`: 3 to 20 for cross-validation,
    with a `seed` (the study's unless stated here).
    """

    formula: str
    family: Literal["gaussian", "binomial", "poisson", "cox"]
    alpha: float = 1.0
    lambdas: tuple[float, ...] = ()
    points: int = 10
    smallest: float = 0.01
    strata: tuple[str, ...] = ()
    grid: GridWish | None = None
    folds: int = 0
    seed: int | None = None


def _formula(question: Penalised) -> Formula:
    formula = no_site(parse(question.formula), "take `country` as a term; a cox model has `strata: [site]`")
    if question.family == "cox":
        surv = formula.surv
        if surv is None or not formula.terms or formula.cluster or formula.offset:
            raise Invalid("E-FORMULA", "a penalised cox model is times and terms", "write `Surv(time, event) ~ terms`")
        if len({surv.entry, surv.time, surv.event}) < 3:
            raise Invalid("E-FORMULA", "entry, time and event of `Surv` are different variables")
    else:
        simple = formula.response is not None and formula.surv is None and formula.intercept
        if not simple or not formula.terms or formula.strata or formula.cluster or formula.offset:
            raise Invalid("E-FORMULA", "a penalised model is an outcome and terms", "write `outcome ~ terms`")
        if question.strata or question.grid is not None:
            raise Invalid("E-FORMULA", f"a {question.family} model has no strata and no grid", "family: cox has")
    _check_path(question)
    return formula


def _check_path(question: Penalised) -> None:
    _check_folds(question)
    if not 0.0 <= question.alpha <= 1.0 or not 0.0 < question.smallest < 1.0:
        raise Invalid("E-PENALTY", "alpha lies between 0 and 1, and so does smallest", "1 is the lasso, 0 ridge")
    if not 1 <= (len(question.lambdas) or question.points) <= MOST:
        raise Invalid("E-PENALTY", f"a path has 1 to {MOST} penalties", "state fewer `points` or `lambdas`")
    if not all(math.isfinite(value) and value > 0.0 for value in question.lambdas):
        raise Invalid("E-PENALTY", "penalties are above 0", "a model without one is a glm")


def _check_folds(question: Penalised) -> None:
    if not question.folds:
        return
    if not penalised_folds.FEWEST <= question.folds <= penalised_folds.MOST:
        text = f"folds are {penalised_folds.FEWEST} to {penalised_folds.MOST}"
        raise Invalid("E-PENALTY", text, "10 are usual; leave `folds` out for the path alone")
    if question.seed is None:
        raise Invalid("E-PENALTY", "folds are drawn by a seed", "state `seed` in the study")


def _survival(question: Penalised) -> Cox:
    """A Cox question that reads and knows the same."""
    return Cox(formula=question.formula, ties="breslow", strata=question.strata, grid=question.grid)


def _needs(question: Penalised) -> Needs:
    formula = _formula(question)
    if question.family == "cox":
        return COX.needs(_survival(question))
    return Needs(numbers=(str(formula.response),), formula=formula)


def _rungs(question: Penalised, dictionary: Codebook) -> tuple[Grid, ...]:
    return COX.rungs(_survival(question), dictionary) if question.family == "cox" else ()


def _model(question: Penalised, setting: Setting) -> Model:
    formula = _formula(question)
    if setting.design is None or formula.response is None:
        raise Invalid("E-DESIGN", "a penalised model needs a design")
    family = FAMILIES[question.family, link_names(question.family)[0]]
    return Model(family, formula.response, setting.design, setting.dictionary, None, False, None)


def _prepare(question: Penalised, setting: Setting, inputs: Inputs) -> Rows | cox_rows.Rows:
    if question.family == "cox":
        if question.folds and inputs.design is not None:  # it goes along with its row, as a cluster would
            others = [inputs.numbers[name] for name in sorted(inputs.numbers)]
            fold = penalised_folds.folds_of(inputs.design, others, question.folds, question.seed or 0)
            inputs = replace(inputs, keys={"fold": fold.astype(np.int32)})
        made: cox_rows.Rows = COX.prepare(_survival(question), setting, inputs)
        return made
    if inputs.design is None:
        raise Invalid("E-DESIGN", "a penalised model needs a design")
    name = str(_formula(question).response)
    check_outcome(question.family, name, inputs.numbers[name])
    return Rows(inputs.design, inputs.numbers[name], None, None)


def _evidence(question: Penalised, setting: Setting, prepared: Rows | cox_rows.Rows) -> Evidence:
    """With folds, each of them as well: what all rows tell less what the others tell."""
    whole = _told(question, setting, prepared, ROUNDS)
    if not question.folds:
        return whole
    alone, fold = replace(question, folds=0), _folds(question, prepared)
    parts = [
        (f"fold {k + 1}", replace(_told(alone, setting, penalised_folds.kept(prepared, fold == k), ROUNDS), fits={}))
        for k in range(question.folds)
    ]
    return penalised_folds.together(whole, parts)


def _told(question: Penalised, setting: Setting, prepared: Rows | cox_rows.Rows, rounds: int) -> Evidence:
    """Of the model without a penalty, and how many numbers the path tells in `rounds` beside those that the rows hold."""
    if isinstance(prepared, cox_rows.Rows):
        found: Evidence = COX.evidence(_survival(question), setting, prepared)
        columns = len(prepared.columns)
    else:
        found, columns = glm_evidence(_model(question, setting), prepared), len(prepared.columns)
        if question.family == "gaussian":
            return found  # one matrix, whatever the path
    points = len(question.lambdas) or question.points
    told = (1 + question.folds) * (1 + (rounds - 1) * points) * (columns + 1) * (columns + 2) // 2
    return replace(found, fits={**found.fits, "path": (prepared.size, math.ceil(told / (columns * SHARE)))})


def _folds(question: Penalised, prepared: Rows | cox_rows.Rows) -> Any:
    """(n,) fold of each row."""
    if isinstance(prepared, cox_rows.Rows):
        return prepared.told.cluster
    return penalised_folds.folds_of(prepared.columns, (prepared.y,), question.folds, question.seed or 0)


def _flow(question: Penalised, setting: Setting) -> Flow:
    stated = tuple(sorted(set(question.lambdas), reverse=True))
    shown = Shown(len(stated) or question.points)
    found: Estimate = yield from _path(question, setting, stated, shown)
    if not question.folds:
        return found
    lambdas = found.values["lambdas"]
    fitted = yield from lockstep.every([_path(question, setting, lambdas, shown) for _ in range(question.folds)])
    where = np.array([one.values["coefficients"] for one in fitted])
    if setting.grid is not None:
        model = cox_model(_survival(question), setting)
        held, lost = yield from penalised_cox.left_out(model, found, where, shown)
    else:
        params: dict[str, Any] = {"step": "left out", "coefficients": where, "scale": np.ones(where.shape[-1])}
        pooled = yield Round(penalised_folds.layout(question.folds, len(lambdas)), params)
        held, lost = pooled["held"], pooled["lost"]
    if question.family == "cox":
        lost = -2.0 * lost - 2.0 * found.values["tied"] - np.array([one.values["deviance"] for one in fitted])
    values = {**found.values, "cv": penalised_folds.chosen(lambdas, held, lost)}
    return replace(found, values=values, rounds=found.rounds + max(one.rounds for one in fitted) + 1)


def _path(question: Penalised, setting: Setting, stated: tuple[float, ...], shown: Shown) -> Flow:
    rest = (question.alpha, stated, question.points, question.smallest)
    if question.family == "cox":
        return penalised_cox.run(Path(cox_model(_survival(question), setting), *rest), shown)
    return penalised_flow.run(Path(_model(question, setting), *rest))


def _summarise(question: Penalised, setting: Setting, prepared: Rows | cox_rows.Rows, asked: Round) -> Answer:
    if lockstep.PARTS in asked.params:
        return _all_folds(question, setting, prepared, asked)
    if asked.params["step"] == "left out":
        return _left_out(question, setting, prepared, asked)
    if isinstance(prepared, cox_rows.Rows):
        values, weights = _cox_part(question, setting, prepared, asked)
    else:
        values, weights = _part(question, setting, prepared, asked)
    number = asked.params.get("round")
    more = (_told(question, setting, prepared, number),) if isinstance(number, int) and number > ROUNDS else ()
    return Answer(filled(asked.layout, values), weights, evidence=more)


def _all_folds(question: Penalised, setting: Setting, prepared: Rows | cox_rows.Rows, asked: Round) -> Answer:
    """Each fold's model is one of the rows that are not in it."""
    fold = _folds(question, prepared)

    def answer(k: int, own: Round) -> Answer:
        return _summarise(question, setting, penalised_folds.kept(prepared, fold != k), own)

    return lockstep.answered(asked, answer)


def _left_out(question: Penalised, setting: Setting, prepared: Rows | cox_rows.Rows, asked: Round) -> Answer:
    fold = _folds(question, prepared)
    if isinstance(prepared, cox_rows.Rows) and setting.grid is not None:
        cell, steps = _cells(question, setting, prepared), len(setting.grid.edges) + 1
        values, weights = penalised_cox.common_left_out(prepared, cell, steps, fold, asked.params)
    elif isinstance(prepared, cox_rows.Rows):
        values, weights = penalised_folds.all_at(prepared, fold, asked.params)
    else:
        where = np.asarray(asked.params["coefficients"])
        values, weights = penalised_folds.left_out(prepared, _model(question, setting).family, fold, where)
    return Answer(filled(asked.layout, values), weights)


def _part(question: Penalised, setting: Setting, rows: Rows, asked: Round) -> tuple[dict[str, Any], Weights]:
    model, params = _model(question, setting), asked.params
    if params["step"] == "start":
        return start_part(model, rows, params, FAMILIES["gaussian", "identity"])
    each = [
        glm_kernel.newton_sums(model.family, rows, {**params, "coefficients": row})
        for row in np.asarray(params["coefficients"])
    ]
    values = {n: np.array([getattr(t, n) for t in each]) for n in ("score", "gram", "deviance")}
    return values, worst(totals.weights() for totals in each)


def _cox_part(question: Penalised, setting: Setting, rows: cox_rows.Rows, asked: Round) -> tuple[dict[str, Any], Any]:
    step, params = asked.params["step"], asked.params
    if step == "moments":
        return {"moments": cox_common.moments(rows, params)}, None
    if setting.grid is None:
        if step == "path":
            return penalised_cox.site_path(rows, params)
        return penalised_cox.site_count(rows, params) | cox_marks(setting, rows, asked), None
    if step == "count":
        return common_answer(_survival(question), setting, rows, asked)
    part = penalised_cox.common_risk if step == "risk" else penalised_cox.common_hazard
    return part(rows, _cells(question, setting, rows), params)


def _cells(question: Penalised, setting: Setting, rows: cox_rows.Rows) -> Any:
    """(n,) step of each row on the grid."""
    if setting.grid is None:
        raise Invalid("E-NO-GRID", "the question has no time grid yet")
    return cox_common.cells(rows, cox_model(_survival(question), setting).time, setting.grid)


def _null_shown(question: Penalised, estimate: Estimate) -> float:
    """The null deviance from the counts that the gate left, where they decide it."""
    null, parts = float(estimate.values["null"]), estimate.values.get("null_parts")
    if parts is None or "events" not in estimate.counts:
        return null
    return glm_flow.null_shown(FAMILIES[question.family, link_names(question.family)[0]], parts, estimate.counts)


def _report(question: Penalised, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    found, names = estimate.values, setting.design.names if setting.design is not None else ()
    null, shown = found["null"], _null_shown(question, estimate)
    scale = 1.0 if shown == null else shown / null
    points = zip(found["lambdas"], found["used"], found["deviance"], strict=True)
    body: dict[str, Any] = {
        **head(estimate),
        "cells": [
            {"lambda": lam, "term": name, "estimate": value}
            for lam, row in zip(found["lambdas"], found["coefficients"].tolist(), strict=True)
            for name, value in zip(names, row, strict=True)
        ],
        "fit": {
            "family": question.family,
            "alpha": question.alpha,
            "null_deviance": number(shown),
            "path": [
                {
                    "lambda": lam,
                    "df": df,
                    "deviance": number(dev * scale),
                    "dev_ratio": number(1.0 - dev / null if df else 0.0),
                }
                for lam, df, dev in points
            ],
        },
        "reference": dict(setting.design.reference) if setting.design is not None else {},
    }
    if "cv" in found:
        measure = "mean squared error" if question.family == "gaussian" else "deviance"
        body["fit"] |= {name: found["cv"][name] for name in ("lambda_min", "lambda_1se")}
        body["fit"]["cv"] = {"folds": question.folds, "measure": measure, "path": found["cv"]["path"]}
    body |= {"events": size(estimate.counts["events"])} if "events" in estimate.counts else {}
    body |= (
        {"strata": list(dict.fromkeys((*question.strata, *_formula(question).strata)))}
        if question.family == "cox"
        else {}
    )
    if estimate.exactness == "grid" and setting.grid is not None:
        body |= {"grid": {"edges": list(setting.grid.edges)}, "bound": None}
    return body | ({"warnings": list(found["warnings"])} if found["warnings"] else {})


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
