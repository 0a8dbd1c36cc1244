"""Tests of differences between the groups of a table, from the sizes, means and deviations that it shows.

Numbers: Welch's test, R's `oneway.test` (of two groups `t.test`, F = t**2), and the analysis of variance, `anova(lm)`.
Categories: Pearson's chi-square as `chisq.test` (see `crosstab`). Groups without a row are left out.
Reference: Welch (1951), Biometrika 38:330.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from isthmus.statistics.show import number
from isthmus.summary import FloatArray

NOTHING = {"statistic": None, "df": None, "df_residual": None, "p_value": None}


def of_number(sizes: FloatArray, means: FloatArray, deviations: FloatArray) -> dict[str, Any]:
    """Both tests over groups (k,); nulls where a size was suppressed or fewer than two groups have two rows.

    Without variance in a group Welch's test is not defined; without any, neither is.
    """
    used = sizes != 0.0
    n, m, s = sizes[used], means[used], deviations[used]
    sound = n.size > 1 and bool(np.all(np.isfinite(n) & np.isfinite(m) & np.isfinite(s)))
    if not sound:
        return {"test": "welch", **NOTHING, "anova": dict(NOTHING)}
    return {"test": "welch", **_welch(n, m, s), "anova": _anova(n, m, s)}


def _welch(n: FloatArray, m: FloatArray, s: FloatArray) -> dict[str, Any]:
    if not bool(np.all(s > 0.0)):
        return dict(NOTHING)
    k = n.size
    weight = n / np.square(s)
    total = weight.sum()
    spread = float((np.square(1.0 - weight / total) / (n - 1.0)).sum()) / (k * k - 1.0)
    gap = m - (weight * m).sum() / total
    ratio = float((weight * gap * gap).sum()) / ((k - 1.0) * (1.0 + 2.0 * (k - 2.0) * spread))
    return _shown(ratio, k - 1, 1.0 / (3.0 * spread))


def _anova(n: FloatArray, m: FloatArray, s: FloatArray) -> dict[str, Any]:
    within, df = float(((n - 1.0) * np.square(s)).sum()), float(n.sum()) - n.size
    if not within > 0.0:
        return dict(NOTHING)
    gap = m - (n * m).sum() / n.sum()
    between = float((n * gap * gap).sum()) / (n.size - 1.0)
    return _shown(between * df / within, n.size - 1, df)


def _shown(ratio: float, df: int, rest: float) -> dict[str, Any]:
    p_value = number(float(special.fdtrc(df, rest, ratio)))
    return {"statistic": number(ratio), "df": df, "df_residual": number(rest), "p_value": p_value}
