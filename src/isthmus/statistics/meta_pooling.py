"""Pooling of estimates with known variances: the arithmetic of a meta-analysis, as R's `metafor` (3.8).

Everything is a function of (k,) arrays of estimates and variances. With subgroups the model is one mean for each and one
tau2 for all (`rma(yi, vi, mods = ~ factor(group))`); without, there is one group. P below is metafor's
W - W X (X'W X)**-1 X'W, whose traces are sums over groups where X is the indicators of groups.

Methods for tau2: `fixed` (0), `DL` (DerSimonian-Laird), `REML` (Fisher scoring), `PM` (Paule-Mandel). `hksj` scales
errors by the mean weighted square of residuals and uses t with k - groups degrees of freedom (Hartung-Knapp-Sidik-Jonkman,
metafor's `test = "knha"`, without a lower bound). Sums are exactly rounded, so every party gets the same bits.

No difference of large weights is taken: what is left of the total beside one weight is the sum of the others, and estimates
are measured from the most precise one of their group. So standard errors may be of any sizes, however different.

References: DerSimonian & Laird (1986), Control Clin Trials 7:177; Viechtbauer (2005), J Educ Behav Stat 30:261; Paule &
Mandel (1982), J Res NBS 87:377; Hartung & Knapp (2001), Stat Med 20:3875; Higgins & Thompson (2002), Stat Med 21:1539.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from isthmus.model.errors import Invalid
from isthmus.statistics.inference import chi_square_p
from isthmus.summary import FloatArray

Method = Literal["fixed", "DL", "REML", "PM"]
Interval = Literal["z", "hksj"]
Places = NDArray[np.intp]
ROUNDS = 10_000  # Fisher scoring is linear where tau2 is near 0
TINY = 1e-140  # of a variance, whose weight's square is still a number
CLOSE = 1e-14  # change of tau2 relative to itself and the typical variance


@dataclass(frozen=True, slots=True)
class Pooled:
    """Means of groups and what is left between estimates.

    Attributes:
        estimates: (groups,) means.
        errors: (groups,) their standard errors, scaled where the interval is `hksj`.
        weights: (k,) 1 / (variance + tau2).
        df: of t, None for z.
        tau2, tau2_error: variance between estimates and its standard error (NaN for `fixed`).
        i2, h2: share of the variance that is between estimates, in per cent, and total over typical variance.
        q, q_df, q_p: Cochran's test about the (group) means at tau2 = 0.
    """

    estimates: FloatArray
    errors: FloatArray
    weights: FloatArray
    df: float | None
    tau2: float
    tau2_error: float
    i2: float
    h2: float
    q: float
    q_df: int
    q_p: float


@dataclass(frozen=True, slots=True)
class _Traces:
    """Of one set of weights: y'Py, y'PPy, tr P, tr PP."""

    ypy: float
    yppy: float
    p: float
    pp: float


def pool(y: FloatArray, v: FloatArray, group: Places, method: Method, interval: Interval) -> Pooled:
    """The pooled mean of each group.

    Args:
        y: (k,) estimates.
        v: (k,) their variances, above 0.
        group: (k,) of 0, 1, ...; each occurs.
        method: how tau2 is estimated.
        interval: what errors and intervals rest on.

    Raises:
        Invalid: E-META, fewer than two estimates, or none to spare for `hksj`; a variance that is not above 0; no
            convergence.
    """
    check(y, v)
    groups, df = int(group.max()) + 1, len(y) - int(group.max()) - 1
    fixed = _traces(y, v, group, 0.0)
    tau2 = 0.0 if method == "fixed" or not df else _METHODS[method](y, v, group)
    w = 1.0 / (v + tau2)
    mass = _by(group, w, groups)
    means = _by(group, w * y, groups) / mass
    errors = np.sqrt(1.0 / mass)
    if interval == "hksj":
        if not df:
            raise Invalid("E-META", "hksj needs more estimates than groups", "use interval: z")
        errors = errors * math.sqrt(_total(w * _residuals(y, w, group) ** 2) / df)
    i2, h2 = _inconsistency(fixed, df, tau2, method)
    spread = _tau2_error(v, tau2, fixed, _traces(y, v, group, tau2), (len(y), df), method) if df else math.nan
    told = float(df) if interval == "hksj" else None
    return Pooled(means, errors, w, told, tau2, spread, i2, h2, fixed.ypy, df, chi_square_p(fixed.ypy, df))


def check(y: FloatArray, v: FloatArray) -> None:
    """Two estimates or more, finite, each with a variance above 0 whose weight can be squared.

    Raises:
        Invalid: E-META.
    """
    if len(y) < 2 or len(y) != len(v):
        raise Invalid("E-META", "a meta-analysis needs two estimates or more, each with its variance")
    if not bool(np.all(np.isfinite(y)) and np.all(np.isfinite(v)) and np.all(v > 0.0)):
        raise Invalid("E-META", "an estimate is missing, or its variance is not above 0", "leave it out, or look why")
    if v.min() < TINY or v.max() > 1.0 / TINY:
        raise Invalid("E-META", "an estimate's variance is absurdly small or large", "leave it out, or look why")


def between(pooled: Pooled) -> tuple[float, int]:
    """Wald statistic that all groups have one mean, and its degrees of freedom; over its df it is F where errors are scaled."""
    inverse = 1.0 / pooled.errors**2
    common = _total(inverse * pooled.estimates) / _total(inverse)
    return _total(inverse * (pooled.estimates - common) ** 2), len(inverse) - 1


def _total(values: FloatArray) -> float:
    return math.fsum(values.tolist())


def _by(group: Places, values: FloatArray, groups: int) -> FloatArray:
    return np.array([_total(values[group == g]) for g in range(groups)])


def _traces(y: FloatArray, v: FloatArray, group: Places, tau2: float) -> _Traces:
    w = 1.0 / (v + tau2)
    groups = int(group.max()) + 1
    mass = _by(group, w, groups)[group]
    residual = w * _residuals(y, w, group)
    diagonal = w * (_others(w, group) / mass)  # of P; beside it, w w' / mass
    return _Traces(
        ypy=_total(residual * residual / w),
        yppy=_total(residual * residual),
        p=_total(diagonal),
        pp=_total(diagonal * diagonal) + _total((w / mass) ** 2 * _others(w * w, group)),
    )


def _residuals(y: FloatArray, w: FloatArray, group: Places) -> FloatArray:
    """(k,) distances from the means of groups, each with its own digits: y is measured from the heaviest of its group."""
    found = np.empty_like(y)
    for g in range(int(group.max()) + 1):
        mine = group == g
        far = y[mine] - y[mine][np.argmax(w[mine])]
        found[mine] = far - _total(w[mine] * far) / _total(w[mine])
    return found


def _others(values: FloatArray, group: Places) -> FloatArray:
    """(k,) sum of the others of one's group; `values` are positive."""
    found = np.zeros_like(values)
    for g in range(int(group.max()) + 1):
        mine = np.flatnonzero(group == g)
        ahead, behind = np.cumsum(values[mine]), np.cumsum(values[mine][::-1])[::-1]
        found[mine[1:]] += ahead[:-1]
        found[mine[:-1]] += behind[1:]
    return found


def _dersimonian_laird(y: FloatArray, v: FloatArray, group: Places) -> float:
    at = _traces(y, v, group, 0.0)
    return max(0.0, (at.ypy - (len(y) - int(group.max()) - 1)) / at.p)


def _paule_mandel(y: FloatArray, v: FloatArray, group: Places) -> float:
    """Where y'Py equals its degrees of freedom: Newton's steps from 0 on a falling convex function stay below the root."""
    df, tau2 = len(y) - int(group.max()) - 1, 0.0
    for _ in range(ROUNDS):
        at = _traces(y, v, group, tau2)
        step = (at.ypy - df) / at.yppy
        if step <= CLOSE * tau2 or step <= 0.0:
            return tau2
        tau2 += step
    raise Invalid("E-META", "tau2 does not converge", "use method: DL")


def _restricted(y: FloatArray, v: FloatArray, group: Places) -> float:
    """Fisher scoring from the unweighted variance (Hedges); a step that would leave tau2 >= 0 is halved."""
    even = _traces(y, np.ones_like(v), group, 0.0)
    df = len(y) - int(group.max()) - 1
    count = _by(group, np.ones_like(v), int(group.max()) + 1)
    tau2 = max(0.0, (even.ypy - _total(v * (1.0 - (1.0 / count)[group]))) / df)
    unit = float(np.median(v))
    for _ in range(ROUNDS):
        at = _traces(y, v, group, tau2)
        step = (at.yppy - at.p) / at.pp
        moved = tau2 + step if tau2 + step >= 0.0 else tau2 / 2.0
        if abs(moved - tau2) <= CLOSE * (moved + CLOSE * unit):
            return moved
        if moved < CLOSE * unit:
            return 0.0
        tau2 = moved
    raise Invalid("E-META", "tau2 does not converge", "use method: DL")


_METHODS = {"DL": _dersimonian_laird, "PM": _paule_mandel, "REML": _restricted}


def _inconsistency(fixed: _Traces, df: int, tau2: float, method: Method) -> tuple[float, float]:
    if not df:
        return math.nan, math.nan
    if method == "fixed":
        return (max(0.0, 100.0 * (fixed.ypy - df) / fixed.ypy) if fixed.ypy > 0.0 else 0.0), fixed.ypy / df
    typical = df / fixed.p
    return 100.0 * tau2 / (typical + tau2), tau2 / typical + 1.0


def _tau2_error(
    v: FloatArray, tau2: float, fixed: _Traces, at: _Traces, size: tuple[int, int], method: Method
) -> float:
    k, df = size
    match method:
        case "REML":
            return math.sqrt(2.0 / at.pp)
        case "DL":
            return math.sqrt(2.0 * df + 4.0 * tau2 * fixed.p + 2.0 * tau2 * tau2 * fixed.pp) / fixed.p
        case "PM":
            return math.sqrt(2.0 * k * k / df) / _total(1.0 / (v + tau2))
        case _:
            return math.nan
