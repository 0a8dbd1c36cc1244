"""Proportional odds (kind `ordinal`): logit P(Y <= k) = zeta_k - x'b, levels in the codebook's order.

Result keys: `terms` (`low|high` for each zeta, then the columns), `fit` (deviance, loglik, aic, df_residual,
converged), `n`, `levels`, `reference`, `conf_level`, `test` (`z`), `vcov` where released. Signs are those of R's
`MASS::polr`; errors are the inverse observed information's.

Reference: McCullagh (1980), J R Stat Soc B 42:109.
"""

from __future__ import annotations

from typing import Literal

from isthmus.model.record import record
from isthmus.statistics import levelled_kind


@record
class Ordinal:
    """Arguments of `ordinal`. `formula`: `outcome ~ terms`, the outcome a category with ordered levels."""

    formula: str
    release: tuple[Literal["vcov"], ...] = ()


STATISTIC = levelled_kind.statistic("ordinal", Ordinal)
