"""Baseline-category logits (kind `multinomial`): log P(level) / P(reference level) = x'b of each other level.

Result keys: `terms` (`level: column`), `fit` (deviance, loglik, aic, df_residual, converged), `n`, `levels`,
`reference`, `conf_level`, `test` (`z`), `vcov` where released. The deviance is -2 log-likelihood, as R's
`nnet::multinom` at convergence; errors are the inverse information's.

Reference: Agresti (2013), Categorical Data Analysis, section 8.1.
"""

from __future__ import annotations

from typing import Any, Literal

from isthmus.evidence import Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.record import record
from isthmus.statistics import levelled, levelled_rows
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.levelled import Model, Rows
from isthmus.statistics.levelled_report import report


@record
class Multinomial:
    """Arguments of `multinomial`. `formula`: `outcome ~ terms`, the outcome a category."""

    formula: str
    release: tuple[Literal["vcov"], ...] = ()


def _model(question: Multinomial, setting: Setting) -> Model:
    return levelled.model_of("multinomial", levelled.read(question.formula, "multinomial"), setting)


def _needs(question: Multinomial) -> Needs:
    formula = levelled.read(question.formula, "multinomial")
    return Needs(categories=(str(formula.response),), formula=formula)


def _rungs(question: Multinomial, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _prepare(question: Multinomial, setting: Setting, inputs: Inputs) -> Rows:
    return levelled.rows_of(_model(question, setting), inputs)


def _evidence(question: Multinomial, setting: Setting, prepared: Rows) -> Evidence:
    return levelled.evidence(_model(question, setting), prepared)


def _flow(question: Multinomial, setting: Setting) -> Flow:
    return levelled.fit(_model(question, setting))


def _summarise(question: Multinomial, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    return levelled_rows.summarise(_model(question, setting), prepared, asked)


def _report(question: Multinomial, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    return report(_model(question, setting), setting, estimate, question.release)


STATISTIC = Statistic(
    kind="multinomial",
    question=Multinomial,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
