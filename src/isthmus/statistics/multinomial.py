"""Baseline-category logits (kind `multinomial`): log P(level) / P(reference level) = x'b of each other level.

Result keys: `terms` (`level: column`), `fit` (deviance, loglik, aic, df_residual, converged), `n`, `levels`,
`reference`, `conf_level`, `test` (`z`), `vcov` where released. The deviance is -2 log-likelihood, as R's
`nnet::multinom` at convergence; errors are the inverse information's.

Reference: Agresti (2013), Categorical Data Analysis, section 8.1.
"""

from __future__ import annotations

from typing import Literal

from isthmus.model.record import record
from isthmus.statistics import levelled_kind


@record
class Multinomial:
    """Arguments of `multinomial`. `formula`: `outcome ~ terms`, the outcome a category."""

    formula: str
    release: tuple[Literal["vcov"], ...] = ()


STATISTIC = levelled_kind.statistic("multinomial", Multinomial)
