"""Rubin's rules: one estimate of m, with the degrees of freedom of Barnard and Rubin.

References: Rubin (1987), Multiple Imputation for Nonresponse in Surveys; Barnard & Rubin (1999), Biometrika 86:948.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from isthmus.statistics.inference import term_rows
from isthmus.statistics.show import number


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
    observed = (df + 1.0) / (df + 3.0) * df * (1.0 - share)
    return 1.0 / (share * share / max(m - 1, 1) + 1.0 / observed)
