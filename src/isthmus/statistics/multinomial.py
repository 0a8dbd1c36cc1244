"""Baseline-category logits (kind `multinomial`): log P(level) / P(reference level) = x'b of each other level.

Result keys: `terms` (`level: column`), `fit` (deviance, loglik, aic, df_residual, converged), `n`, `levels` (rows that have a weight), `reference`, `conf_level`, `test` (`z`), `error` (`model`, `HC0` or `cluster`),
`clusters`, `contrasts`, `tests`, `vcov` where released. The deviance is -2 log-likelihood, as R's
`nnet::multinom` at convergence; the model's errors are the inverse information's.

`robust` is the sandwich of the rows' scores about the inverse information (as `sandwich` would have it of a `multinom`), `cluster` that of the sums over clusters
inside a site, without small-sample factor. Weights say what they are, as of `glm`: `frequency` (a row stands for w rows),
`precision` (R's `weights`: the likelihood's), `sampling` (as precision, robust errors always).

Reference: Agresti (2013), Categorical Data Analysis, section 8.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from isthmus.model.record import record
from isthmus.statistics import levelled_kind
from isthmus.statistics.weighting import Weighting


@record
class Multinomial:
    """Arguments of `multinomial`.

    `formula`: `outcome ~ terms`, the outcome a category, `cluster(...)` allowed;
    `weights`: {variable, kind}; `robust: HC0`; `cluster`: a variable whose values group the rows of a site, or `site`
    with 10 sites or more; `contrasts`: name -> {term: weight}; `tests`: name -> terms tested jointly (a term named without its level is that of all levels);
    `release: [vcov]` shows the covariance matrix.
    """

    formula: str
    weights: Weighting | None = None
    robust: Literal["HC0"] | None = None
    cluster: str | None = None
    contrasts: Mapping[str, Mapping[str, float]] | None = None
    tests: Mapping[str, tuple[str, ...]] | None = None
    release: tuple[Literal["vcov"], ...] = ()


STATISTIC = levelled_kind.statistic("multinomial", Multinomial)
