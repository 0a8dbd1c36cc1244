"""Degrees of freedom of a linear mixed model after Satterthwaite, as R's `lmerTest`.

The variance c = l'Cl of a sum of coefficients varies with what theta and sigma might be: df = 2 c^2 / Var(c), by the
delta method from the second derivatives of the deviance. Tests of several terms as `lmerTest::contestMD`: F over the
eigenvectors of their covariance, whose degrees of freedom are put together.

Reference: Kuznetsova, Brockhoff & Christensen (2017), J Stat Softw 82(13); Fai & Cornelius (1996), J Stat Comput Simul
54:363.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.model.errors import Invalid
from isthmus.statistics import linear
from isthmus.statistics.inference import f_p, positions, term_rows
from isthmus.statistics.mixed_profile import Profile
from isthmus.statistics.show import number
from isthmus.summary import FloatArray

SAME = 1e-8  # degrees of freedom that differ less are one number (lmerTest)
FEWEST = 2.0  # below which F has no mean, so that no df fits it


@dataclass(frozen=True, slots=True)
class Spread:
    """`leans` (m, p, p): by theta, the slope of C with the residual variance following; `angles` (m, m) inverse curvature."""

    covariance: FloatArray
    leans: FloatArray
    angles: FloatArray
    residual: float

    def df(self, row: FloatArray) -> float:
        """Of one sum of coefficients, `row` (p,) its weights."""
        variance = linear.dot(row, linear.product(self.covariance, row))
        slopes = np.array([linear.dot(row, linear.product(lean, row)) for lean in self.leans])
        spread = linear.dot(slopes, linear.product(self.angles, slopes)) + variance**2 / self.residual
        return variance**2 / spread


def slopes(found: Profile, grams: FloatArray) -> tuple[FloatArray, FloatArray]:
    """`leans` in the coordinates of the fit and of a residual variance of 1, and `angles`, where theta is best.

    `found` and `grams` (k, P, P) are of the last round, with derivatives.
    """
    p = len(found.coefficients)
    moved = [linear.congruence(found.inverse, gram[:p, :p]) for gram in grams[1 : 1 + len(found.falls)]]
    each = [found.falls[i] / found.rest * found.inverse - one for i, one in enumerate(moved)]
    return np.array(each), _inverse(found.curvature)


def _inverse(matrix: FloatArray) -> FloatArray:
    """(m, m) with 0 for entries of theta along which nothing changes: those of a variance of 0."""
    kept = list(range(len(matrix)))
    made = np.zeros_like(matrix)
    while kept:
        at = np.ix_(kept, kept)
        try:
            made[at] = linear.inverse(linear.cholesky(matrix[at]))
        except linear.Dependent as error:
            del kept[error.pivot]
        else:
            break
    return made


def shown(
    rows: Iterable[tuple[str, FloatArray]], estimates: FloatArray, spread: Spread, conf_level: float
) -> list[dict[str, Any]]:
    """Rows as of terms, of (name, weights of the coefficients), each with its df."""
    found = []
    for name, row in rows:
        variance, df = linear.dot(row, linear.product(spread.covariance, row)), spread.df(row)
        value, error = np.array([linear.dot(row, estimates)]), np.sqrt(np.array([variance]))
        found += [term | {"df": number(df)} for term in term_rows((name,), value, error, conf_level, df)]
    return found


def tests(
    asked: Mapping[str, Sequence[str]], names: Sequence[str], estimates: FloatArray, spread: Spread
) -> dict[str, dict[str, Any]]:
    """F tests that all terms named are 0.

    Raises:
        Invalid: E-TERM; E-COLLINEAR, terms that determine each other.
    """
    found = {}
    for name, terms in asked.items():
        at = positions(terms, names)
        values, vectors = linear.eigen(spread.covariance[np.ix_(at, at)])
        if not float(values.min()) > linear.COLLINEAR * float(values.max()):
            listed = ", ".join(repr(term) for term in terms)
            raise Invalid("E-COLLINEAR", f"the terms {listed} of a test determine each other", "leave one of them out")
        squares = linear.product(vectors.T, estimates[at]) ** 2 / values
        statistic = float(linear.total(squares)) / len(at)
        df = _joint([spread.df(_row(len(names), at, vector)) for vector in vectors.T])
        p_value = number(f_p(statistic, len(at), df))
        found[name] = {"statistic": statistic, "df": len(at), "df_residual": df, "p_value": p_value}
    return found


def _row(size: int, at: Sequence[int], weights: FloatArray) -> FloatArray:
    row = np.zeros(size)
    row[list(at)] = weights
    return row


def _joint(each: Sequence[float]) -> float:
    """Of F, from those of its independent t (lmerTest: get_Fstat_ddf)."""
    if max(each) - min(each) < SAME:
        return sum(each) / len(each)
    if min(each) <= FEWEST:
        return FEWEST
    mean = sum(df / (df - 2.0) for df in each)
    return 2.0 * mean / (mean - len(each))
