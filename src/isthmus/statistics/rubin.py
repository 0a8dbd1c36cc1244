"""Rubin's rules: one estimate of m, with the degrees of freedom of Barnard and Rubin; tests of several terms at once.

References: Rubin (1987), Multiple Imputation for Nonresponse in Surveys; Barnard & Rubin (1999), Biometrika 86:948; Li,
Raghunathan & Rubin (1991), J Am Stat Assoc 86:1065 (D1); Reiter (2007), Biometrika 94:502 (its degrees of freedom).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from isthmus.statistics import linear
from isthmus.statistics.inference import f_p, positions, term_rows, wald
from isthmus.statistics.show import number
from isthmus.summary import FloatArray


def combined(each: Sequence[Sequence[Mapping[str, Any]]], df: float, conf_level: float) -> list[dict[str, Any]]:
    """Terms of m fits as one; `df` is that of the complete data (n - p)."""
    rows = []
    for terms in zip(*each, strict=True):
        estimates = np.array([term["estimate"] for term in terms])
        within = float(np.mean([term["std_error"] ** 2 for term in terms]))
        m = len(terms)
        between = float(np.var(estimates, ddof=1)) if m > 1 else 0.0
        total = within + (1.0 + 1.0 / m) * between
        share = (1.0 + 1.0 / m) * between / total
        degrees = barnard_rubin(share, m, df)
        riv = share / (1.0 - share)
        fmi = (riv + 2.0 / (degrees + 3.0)) / (riv + 1.0)
        mean, error = np.array([float(np.mean(estimates))]), np.array([math.sqrt(total)])
        (row,) = term_rows((str(terms[0]["term"]),), mean, error, conf_level, degrees)
        extra = {key: terms[0][key] for key in terms[0] if key not in row}  # an outcome's level
        rows.append({**extra, **row, "df": number(degrees), "fmi": number(fmi), "riv": number(riv)})
    return rows


def barnard_rubin(share: float, m: int, df: float) -> float:
    """Degrees of freedom of a combined estimate; `share` of its variance lies between the m data sets.

    Reference: Barnard & Rubin (1999), Biometrika 86:948.
    """
    observed = _observed(df) * (1.0 - share)
    return 1.0 / (share * share / max(m - 1, 1) + 1.0 / observed)


def _observed(df: float) -> float:
    return (df + 1.0) / (df + 3.0) * df


def covariance(fits: Sequence[tuple[FloatArray, FloatArray]]) -> FloatArray:
    """(p, p) of the combined estimates, from (estimates, covariance) of each fit."""
    within, between = _parts(fits)
    return within + (1.0 + 1.0 / len(fits)) * between


def _parts(fits: Sequence[tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, FloatArray]:
    estimates, m = np.array([one for one, _ in fits]), len(fits)
    within: FloatArray = np.add.reduce(np.array([vcov for _, vcov in fits])) / m
    away = estimates - np.add.reduce(estimates) / m
    between = np.add.reduce(away[:, :, None] * away[:, None, :]) / max(m - 1, 1)
    return within, between


def d1(
    tests: Mapping[str, Sequence[str]], names: Sequence[str], fits: Sequence[tuple[FloatArray, FloatArray]], df: float
) -> dict[str, dict[str, Any]]:
    """Joint tests that all named terms are 0: F of the mean, its covariance taken as proportional to that within."""
    found, m = {}, len(fits)
    for name, terms in tests.items():
        at = positions(terms, names)
        here = [(estimates[at], vcov[np.ix_(at, at)]) for estimates, vcov in fits]
        within, between = _parts(here)
        mean, k = np.add.reduce(np.array([one for one, _ in here])) / m, len(at)
        wald(mean, within, terms)  # within has an inverse, or the error names the terms
        increase = (1.0 + 1.0 / m) * _trace_over(between, within) / k
        statistic = wald(mean, within, terms) / (k * (1.0 + increase))
        degrees = _degrees(k * (m - 1), increase, df, k)
        p_value = number(f_p(statistic, k, degrees))
        found[name] = {"statistic": statistic, "df": k, "df_residual": degrees, "p_value": p_value, "riv": increase}
    return found


def _trace_over(between: FloatArray, within: FloatArray) -> float:
    """Of `between` times the inverse of `within`."""
    return float(linear.total(np.diag(linear.solve(linear.cholesky(within), between))))


def _degrees(t: int, r: float, df: float, k: int) -> float:
    """Of D1's denominator: Reiter's, or Li, Raghunathan and Rubin's where t = k (m - 1) is at most 4."""
    if not t or r == 0.0:
        return _observed(df)
    if t <= 4:
        return t * (1.0 + 1.0 / k) * (1.0 + 1.0 / r) ** 2 / 2.0
    a = r * t / (t - 2.0)
    known = _observed(df)
    c0, c1, c2 = 1.0 / (t - 4.0), known - 2.0 * (1.0 + a), known - 4.0 * (1.0 + a)
    inverse = 1.0 / c2 + c0 * (a * a * c1 / ((1.0 + a) ** 2 * c2))
    inverse += c0 * (8.0 * a * a * c1 / ((1.0 + a) * c2**2) + 4.0 * a * a / ((1.0 + a) * c2))
    inverse += c0 * (4.0 * a * a / (c2 * c1) + 16.0 * a * a * c1 / c2**3) + c0 * (8.0 * a * a / c2**2)
    return 4.0 + 1.0 / inverse
