"""Proportional odds (kind `ordinal`): logit P(Y <= k) = zeta_k - x'b, levels in the codebook's order.

Result keys: `terms` (`low|high` for each zeta, then the columns), `fit` (deviance, loglik, aic, df_residual,
converged), `n`, `levels`, `reference`, `conf_level`, `test` (`z`), `vcov` where released. Signs are those of R's
`MASS::polr`; errors are the inverse observed information's.

Reference: McCullagh (1980), J R Stat Soc B 42:109.
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
class Ordinal:
    """Arguments of `ordinal`. `formula`: `outcome ~ terms`, the outcome a category with ordered levels."""

    formula: str
    release: tuple[Literal["vcov"], ...] = ()


def _model(question: Ordinal, setting: Setting) -> Model:
    return levelled.model_of("ordinal", levelled.read(question.formula, "ordinal"), setting)


def _needs(question: Ordinal) -> Needs:
    formula = levelled.read(question.formula, "ordinal")
    return Needs(categories=(str(formula.response),), formula=formula)


def _rungs(question: Ordinal, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _prepare(question: Ordinal, setting: Setting, inputs: Inputs) -> Rows:
    return levelled.rows_of(_model(question, setting), inputs)


def _evidence(question: Ordinal, setting: Setting, prepared: Rows) -> Evidence:
    return levelled.evidence(_model(question, setting), prepared)


def _flow(question: Ordinal, setting: Setting) -> Flow:
    return levelled.fit(_model(question, setting))


def _summarise(question: Ordinal, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    return levelled_rows.summarise(_model(question, setting), prepared, asked)


def _report(question: Ordinal, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    return report(_model(question, setting), setting, estimate, question.release)


STATISTIC = Statistic(
    kind="ordinal",
    question=Ordinal,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
