"""Proportional odds (kind `ordinal`): logit P(Y <= k) = zeta_k - x'b, levels in the codebook's order.

Result keys: `terms` (`low|high` for each zeta, then the columns), `fit` (deviance, loglik, aic, df_residual,
converged), `n`, `levels` (rows that have a weight), `reference`, `conf_level`, `test` (`z`), `error` (`model`, `HC0` or `cluster`),
`clusters`, `contrasts`, `tests`, `vcov` where released. Signs are those of R's
`MASS::polr`; the model's errors are the inverse observed information's.

`robust` is the sandwich of the rows' scores about the inverse information (as `sandwich` of a `polr`), `cluster` that of the sums over clusters
inside a site, without small-sample factor. Weights say what they are, as of `glm`: `frequency` (a row stands for w rows),
`precision` (R's `weights`: the likelihood's), `sampling` (as precision, robust errors always).

Reference: McCullagh (1980), J R Stat Soc B 42:109.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from isthmus.model.record import record
from isthmus.statistics import levelled_kind
from isthmus.statistics.weighting import Weighting


@record
class Ordinal:
    """Arguments of `ordinal`.

    `formula`: `outcome ~ terms`, the outcome a category with ordered levels, `cluster(...)` and `offset(...)` allowed;
    `weights`: {variable, kind}; `robust: HC0`; `cluster`: a variable whose values group the rows of a site, or `site`
    with 10 sites or more; `contrasts`: name -> {term: weight}; `tests`: name -> terms tested jointly;
    `release: [vcov]` shows the covariance matrix.
    """

    formula: str
    weights: Weighting | None = None
    robust: Literal["HC0"] | None = None
    cluster: str | None = None
    contrasts: Mapping[str, Mapping[str, float]] | None = None
    tests: Mapping[str, tuple[str, ...]] | None = None
    release: tuple[Literal["vcov"], ...] = ()


STATISTIC = levelled_kind.statistic("ordinal", Ordinal)
