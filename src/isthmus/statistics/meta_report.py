"""The body of a meta-analysis: effects of studies, pooled, by subgroup, leaving each study out. Pure functions.

Used by the question `meta` and, on published figures, by the SDK. Prediction interval: pooled +/- critical value x
sqrt(error**2 + tau2) with the critical value of the pooled interval, as `metafor` 3.8's `predict`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.statistics import meta_tables
from isthmus.statistics.inference import chi_square_p, f_p, quantile, term_rows
from isthmus.statistics.meta_pooling import Interval, Method, Places, Pooled, between, check, pool
from isthmus.statistics.meta_tables import Measure
from isthmus.statistics.show import number
from isthmus.summary import FloatArray

Ways: TypeAlias = Literal["fixed", "DL", "REML", "PM", "MH", "Peto"]
POOLED = "pooled"
_MODELS: Mapping[str, Method] = {"fixed": "fixed", "DL": "DL", "REML": "REML", "PM": "PM"}


@record
class How:
    """How studies are pooled. `measure`: what exp(estimate) is called (`OR`, `RR`, `HR`), `RD`, or None."""

    method: Ways
    interval: Interval
    measure: str | None
    conf_level: float


@dataclass(frozen=True, slots=True)
class Studies:
    """What is pooled: k labels, estimates and variances; (k, 2, 2) tables for MH and Peto; a subgroup of each, if any."""

    labels: tuple[str, ...]
    estimates: FloatArray
    variances: FloatArray
    tables: FloatArray | None = None
    groups: tuple[str, ...] | None = None

    def kept(self, keep: Sequence[bool]) -> Studies:
        """Those where `keep` (k,) is True."""
        at = np.flatnonzero(np.asarray(keep, dtype=np.bool_))
        return Studies(
            tuple(self.labels[i] for i in at),
            self.estimates[at],
            self.variances[at],
            None if self.tables is None else self.tables[at],
            None if self.groups is None else tuple(self.groups[i] for i in at),
        )


@dataclass(frozen=True, slots=True)
class _Whole:
    """All studies pooled: estimate, error, df of t (None for z), (k,) weights and figures of the fit."""

    estimate: float
    error: float
    df: float | None
    weights: FloatArray
    fit: Mapping[str, float | int | None]


def of_tables(labels: Sequence[str], tables: FloatArray, how: How, groups: Sequence[str] | None = None) -> Studies:
    """Studies of (k, 2, 2) tables, the treated and the event first; for `Peto` their own effects are Peto's.

    Raises:
        Invalid: E-META, a measure that tables do not have.
    """
    measure: Measure | None = next((m for m in ("OR", "RR", "RD") if m == how.measure), None)
    if measure is None or (how.method == "Peto" and measure != "OR"):
        raise Invalid("E-META", "tables have the measures OR, RR and RD; Peto pools odds ratios", "state `measure`")
    y, v = meta_tables.peto_effects(tables) if how.method == "Peto" else meta_tables.effects(tables, measure)
    return Studies(tuple(labels), y, v, tables, None if groups is None else tuple(groups))


def body(studies: Studies, how: How) -> dict[str, Any]:
    """`terms` (each study, then `pooled`), `fit`, `leave_one_out`, and with subgroups `subgroups` and `tests`.

    Raises:
        Invalid: E-META, what cannot be pooled.
    """
    whole = _whole(studies, how)
    share = 100.0 * whole.weights / math.fsum(whole.weights.tolist())
    rows = term_rows(studies.labels, studies.estimates, np.sqrt(studies.variances), how.conf_level, None)
    for at, row in enumerate(rows):
        row |= {"type": "study", "weight": float(share[at])}
        row |= {} if studies.groups is None else {"group": studies.groups[at]}
    made: dict[str, Any] = {
        "terms": [*rows, _row(POOLED, whole, how) | {"type": "pooled", "weight": 100.0}],
        "fit": {"method": how.method, "interval": how.interval, "measure": how.measure, "studies": len(rows)}
        | {name: number(value) if isinstance(value, float) else value for name, value in whole.fit.items()},
        "test": "z" if whole.df is None else "t",
        "conf_level": how.conf_level,
        "leave_one_out": _left_out(studies, how),
    }
    return made | ({} if studies.groups is None else _compared(studies, studies.groups, how))


def _whole(studies: Studies, how: How) -> _Whole:
    if how.method not in _MODELS:
        return _combined(studies, how)
    found = pool(studies.estimates, studies.variances, _one(studies), _MODELS[how.method], how.interval)
    estimate, error = float(found.estimates[0]), float(found.errors[0])
    reach = math.nan
    if how.method != "fixed":
        reach = quantile(how.conf_level, found.df) * math.sqrt(error * error + found.tau2)
    fit = _heterogeneity(found) | {"pi_low": estimate - reach, "pi_high": estimate + reach}
    return _Whole(estimate, error, found.df, found.weights, fit)


def _combined(studies: Studies, how: How) -> _Whole:
    if studies.tables is None or how.interval != "z":
        raise Invalid("E-META", f"{how.method} pools tables, with interval z", "give counts, or use method: fixed")
    if len(studies.labels) < 2:
        raise Invalid("E-META", "a meta-analysis needs two studies or more")
    measure: Measure = "RR" if how.measure == "RR" else "RD" if how.measure == "RD" else "OR"
    mh = how.method == "MH"
    found = meta_tables.mantel_haenszel(studies.tables, measure) if mh else meta_tables.peto(studies.tables)
    fit = {"tau2": None, "tau2_error": None, "i2": None, "h2": None, "q": found.q, "q_df": len(studies.labels) - 1}
    return _Whole(found.estimate, found.error, None, found.weights, fit | {"q_p_value": found.q_p})


def _one(studies: Studies) -> Places:
    return np.zeros(len(studies.labels), dtype=np.intp)


def _heterogeneity(found: Pooled) -> dict[str, float | int | None]:
    names = ("tau2", "tau2_error", "i2", "h2", "q", "q_df")
    return {name: getattr(found, name) for name in names} | {"q_p_value": found.q_p}


def _row(name: str, whole: _Whole, how: How) -> dict[str, Any]:
    return term_rows((name,), np.array([whole.estimate]), np.array([whole.error]), how.conf_level, whole.df)[0]


def _left_out(studies: Studies, how: How) -> list[dict[str, Any]]:
    """Pooled without each study in turn; none where fewer than two would be left."""
    k = len(studies.labels)
    if k < 3:
        return []
    rows = []
    for at, label in enumerate(studies.labels):
        whole = _whole(studies.kept([other != at for other in range(k)]), how)
        told = {name: whole.fit[name] for name in ("tau2", "i2", "q", "q_p_value")}
        rows.append(_row(label, whole, how) | {k: number(v) if isinstance(v, float) else v for k, v in told.items()})
    return rows


def _compared(studies: Studies, groups: tuple[str, ...], how: How) -> dict[str, Any]:
    """A mean for each subgroup with one tau2, the test that they are equal, and of two their difference."""
    names = tuple(dict.fromkeys(groups))
    if how.method not in _MODELS or len(names) < 2:
        raise Invalid("E-META", "subgroups need a method with a variance and two of them", "fixed, DL, REML or PM")
    check(studies.estimates, studies.variances)
    place = np.array([names.index(group) for group in groups], dtype=np.intp)
    found = pool(studies.estimates, studies.variances, place, _MODELS[how.method], how.interval)
    rows = term_rows(names, found.estimates, found.errors, how.conf_level, found.df)
    if len(names) == 2:
        gap = found.estimates[1:] - found.estimates[:1]
        error = np.sqrt([math.fsum((found.errors**2).tolist())])
        rows += term_rows((f"{names[1]} - {names[0]}",), gap, error, how.conf_level, found.df)
    statistic, df = between(found)
    if found.df is None:
        test = {"statistic": statistic, "df": df, "p_value": number(chi_square_p(statistic, df))}
    else:
        ratio = statistic / df
        test = {"statistic": ratio, "df": df, "df_residual": found.df, "p_value": number(f_p(ratio, df, found.df))}
    told = {k: number(v) if isinstance(v, float) else v for k, v in _heterogeneity(found).items()}
    return {"subgroups": rows, "subgroups_fit": told, "tests": {"subgroups": test}}
