"""From estimates and their covariance to what people read: broom's columns, contrasts and Wald tests.

Wald intervals throughout (R's `confint.glm` profiles instead). `df` None means normal (z), else Student's t.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import special

from isthmus.model.errors import Invalid
from isthmus.statistics import linear
from isthmus.statistics.show import number
from isthmus.summary import FloatArray


def quantile(conf_level: float, df: float | None = None) -> float:
    """Two-sided critical value."""
    tail = (1.0 + conf_level) / 2.0
    return float(special.ndtri(tail) if df is None else special.stdtrit(df, tail))


def two_sided(statistic: float, df: float | None = None) -> float:
    """Two-sided p-value of z or t."""
    low = -abs(statistic)
    return float(2.0 * (special.ndtr(low) if df is None else special.stdtr(df, low)))


def chi_square_p(statistic: float, df: int) -> float:
    """Upper tail of the chi-square distribution; NaN when df is 0."""
    return float(special.chdtrc(df, statistic)) if df > 0 and statistic >= 0.0 else math.nan


def f_p(ratio: float, df: float, df_residual: float) -> float:
    """Upper tail of the F distribution."""
    return float(special.fdtrc(df, df_residual, ratio))


def term_rows(
    names: Sequence[str], estimates: FloatArray, errors: FloatArray, conf_level: float, df: float | None
) -> list[dict[str, Any]]:
    """One row per name: term, estimate, std_error, statistic, p_value, conf_low, conf_high."""
    reach = quantile(conf_level, df)
    rows = []
    for name, estimate, error in zip(names, estimates.tolist(), errors.tolist(), strict=True):
        statistic = estimate / error if error > 0.0 else math.nan
        values = (estimate, error, statistic, two_sided(statistic, df), estimate - reach * error)
        shown = [number(v) for v in (*values, estimate + reach * error)]
        keys = ("estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high")
        rows.append({"term": name, **dict(zip(keys, shown, strict=True))})
    return rows


def contrast_rows(
    contrasts: Mapping[str, Mapping[str, float]],
    names: Sequence[str],
    model: tuple[FloatArray, FloatArray],
    conf_level: float,
    df: float | None,
) -> list[dict[str, Any]]:
    """Weighted sums of terms, as rows like the terms'. `model` is (estimates (p,), covariance (p, p))."""
    estimates, vcov = model
    rows = []
    for name, weights in contrasts.items():
        row = weighted(weights, names)
        estimate = linear.dot(row, estimates)
        variance = linear.dot(row, linear.product(vcov, row))
        rows += term_rows((name,), np.array([estimate]), np.sqrt(np.array([variance])), conf_level, df)
    return rows


def weighted(weights: Mapping[str, float], names: Sequence[str]) -> FloatArray:
    """(p,) weights of all terms.

    Raises:
        Invalid: E-TERM.
    """
    row = np.zeros(len(names))
    for term, weight in weights.items():
        row[position(term, names)] = weight
    return row


def wald(estimates: FloatArray, vcov: FloatArray, terms: Sequence[str] = ()) -> float:
    """b' V**-1 b; `terms` are named when it cannot be had.

    Raises:
        Invalid: E-COLLINEAR, the covariance is singular.
    """
    try:
        lower = linear.cholesky(vcov)
    except linear.Dependent as error:
        listed = "".join(f" {term!r}" for term in terms)
        message = f"the terms{listed} of a test determine each other, or the model fits perfectly"
        raise Invalid("E-COLLINEAR", message, "leave one of them out") from error
    half = linear.forward(lower, estimates)
    return linear.dot(half, half)


def wald_tests(
    tests: Mapping[str, Sequence[str]], names: Sequence[str], model: tuple[FloatArray, FloatArray], df: float | None
) -> dict[str, dict[str, Any]]:
    """Joint tests that all named terms are 0 (`positions`): chi-square where `df` is None, else F with (k, df) degrees of freedom."""
    found: dict[str, dict[str, Any]] = {}
    for name, terms in tests.items():
        at = positions(terms, names)
        statistic = wald(model[0][at], model[1][np.ix_(at, at)], terms)
        if df is None:
            found[name] = {"statistic": statistic, "df": len(at), "p_value": number(chi_square_p(statistic, len(at)))}
            continue
        ratio = statistic / len(at)
        p_value = number(f_p(ratio, len(at), df))
        found[name] = {"statistic": ratio, "df": len(at), "df_residual": df, "p_value": p_value}
    return found


def positions(terms: Sequence[str], names: Sequence[str]) -> list[int]:
    """Where `terms` stand, each once; `stage` is all columns of that term, `stage[II]` and `stage[III]`.

    Of a model with a predictor for each level of its outcome (`dead: stage[II]`) a term is that of every level.

    Raises:
        Invalid: E-TERM.
    """
    called = [_called(name) for name in names]
    found = [[i for i, own in enumerate(called) if term in own] or [position(term, names)] for term in terms]
    return list(dict.fromkeys(i for own in found for i in own))


def _called(name: str) -> set[str]:
    """What stands for a column in a test: its term, with the level of a category or without, of one predictor or all."""
    whole = re.sub(r"\[[^\]]*\]", "", name)
    return {name, whole, *(text.rsplit(": ", 1)[-1] for text in (name, whole))}


def position(term: str, names: Sequence[str]) -> int:
    """Where `term` stands.

    Raises:
        Invalid: E-TERM.
    """
    if term not in names:
        raise Invalid("E-TERM", f"{term!r} is not a term of the model", "terms: " + ", ".join(names))
    return list(names).index(term)
