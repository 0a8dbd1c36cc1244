"""Pearson correlations of numbers (kind `correlation`), each pair with R's `cor.test`.

Result keys: `cells`: per pair `first`, `second`, `estimate`, `conf_low`, `conf_high` (Fisher's z), `statistic`, `df`, `p_value`; `n`,
`conf_level`. Rows complete in all its variables. Two rounds: sums, then products about the pooled means, so that nothing
is lost to cancellation; variables are centred and scaled by their declared ranges before.

A correlation of numbers with two values is a fourfold table, and one far-off row makes any correlation: the evidence is
that of a regression on all variables. Reference: Fisher (1921), Metron 1:3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.formula import Factor, Formula
from isthmus.model.record import record
from isthmus.statistics import coordinates, indicators, unusual
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.inference import quantile, two_sided
from isthmus.statistics.show import head, number
from isthmus.summary import Field, FloatArray, Layout, Summary

ROUNDING = 1e-14  # of a correlation of 1 or -1, with sums carried to 64 fractional bits
SAME = 1e-28  # variance over mean square, in units of the range: below this a variable is constant but for rounding


@record
class Correlation:
    """Arguments of `correlation`: two numbers or more."""

    variables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's rows: `values` (k, rows) in units of the declared ranges, `columns` (1 + k, rows) of the design."""

    values: FloatArray
    columns: FloatArray


def _needs(question: Correlation) -> Needs:
    names = question.variables
    if len(set(names)) < max(len(names), 2):
        raise Invalid("E-VARIABLE", "a correlation needs two or more different variables")
    terms = tuple((Factor(name=name),) for name in names)
    text = "~ " + " + ".join(names)
    formula = Formula(text=text, response=None, surv=None, terms=terms, intercept=True)
    return Needs(numbers=names, formula=formula)


def _rungs(question: Correlation, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _prepare(question: Correlation, setting: Setting, inputs: Inputs) -> Rows:
    if inputs.design is None:
        raise Invalid("E-DESIGN", "a correlation needs the columns of its variables")
    scales = [coordinates.variable_scale(name, setting.dictionary) for name in question.variables]
    values = [(inputs.numbers[n] - c) / s for n, (c, s) in zip(question.variables, scales, strict=True)]
    return Rows(np.array(values).reshape(len(values), inputs.rows), inputs.design)


def _evidence(question: Correlation, setting: Setting, prepared: Rows) -> Evidence:
    if setting.design is None:
        raise Invalid("E-DESIGN", "a correlation needs the columns of its variables")
    largest = indicators.leverage(prepared.columns)
    found = indicators.design_evidence(setting.design, prepared.columns, None, largest)
    sums: dict[str, FloatArray] = {}
    if prepared.values.shape[1]:
        away = [np.abs(row - unusual.middle(row)) for row in prepared.values]
        sums |= {f"deviations of {n}": row for n, row in zip(question.variables, away, strict=True)}
        sums |= {f"squares of {n}": row * row for n, row in zip(question.variables, away, strict=True)}
    return replace(found, sums=sums)


def _flow(question: Correlation, setting: Setting) -> Flow:
    k = len(question.variables)
    first = Layout(fields=(Field(name="n", shape=(1,), kind="count"), Field(name="sum", shape=(k,), kind="sum")))
    pooled = yield Round(first, {"step": "sums"})
    n = int(pooled["n"][0])
    if not n:
        raise Invalid("E-NO-ROWS", "no row has all variables of this question", "look at `excluded`")
    mean = pooled["sum"] / n
    second = Layout(fields=(Field(name="products", shape=(k, k), kind="gram"),))
    pooled = yield Round(second, {"step": "products", "mean": mean})
    products = pooled["products"]
    for name, square, middle in zip(question.variables, np.diag(products).tolist(), mean.tolist(), strict=True):
        if not square > SAME * n * max(middle * middle, 1.0):
            raise Invalid("E-COLLINEAR", f"column {name!r} is constant", "leave it out")
    counts = {"n": Counts("size", np.array([n]))}
    return Estimate("correlation", "exact", n, 2, counts=counts, values={"products": products}, parameters=k)


def _summarise(question: Correlation, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    values = prepared.values
    if asked.params["step"] == "sums":
        n = np.array([values.shape[1]], dtype=np.int64)
        return Answer(Summary(asked.layout, {"n": n, "sum": values.sum(axis=1)}))
    away = values - np.asarray(asked.params["mean"])[:, None]
    return Answer(Summary(asked.layout, {"products": away @ away.T}))


def _report(question: Correlation, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    products, n = estimate.values["products"], float(estimate.counts["n"].values[0])
    cells = [
        {"first": question.variables[i], "second": question.variables[j]}
        | dict(pair_cell(products[i, j] / math.sqrt(products[i, i] * products[j, j]), n, setting.conf_level))
        for i, j in combinations(range(len(products)), 2)
    ]
    return {
        **head(estimate),
        "conf_level": setting.conf_level,
        "cells": cells,
    }


def pair_cell(
    found: float, n: float, conf_level: float, *, ranks: bool = False, rounding: float = ROUNDING
) -> Mapping[str, float | None]:
    """A correlation with Fisher's interval (from 4 rows on) and Student's test (from 3 on), as `cor.test`.

    Of `ranks` the variance of Fisher's z is Bonett and Wright's; what lies within `rounding` of 1 or -1 is that.
    """
    r = max(-1.0, min(1.0, found))
    inside = 1.0 - abs(r) > rounding
    r = r if inside else math.copysign(1.0, r)
    wider = math.sqrt(1.0 + r * r / 2.0) if ranks else 1.0
    reach = quantile(conf_level) * wider / math.sqrt(n - 3.0) if n > 3.0 else math.nan
    ends = [math.tanh(math.atanh(r) + side * reach) for side in (-1.0, 1.0)] if inside else [r + 0.0 * reach] * 2
    statistic = r * math.sqrt((n - 2.0) / (1.0 - r * r)) if inside and n > 2.0 else math.nan
    p_value = two_sided(statistic, n - 2.0) if math.isfinite(statistic) else 0.0 if n > 2.0 else math.nan
    shown = (r, *ends, statistic, n - 2.0, p_value)
    keys = ("estimate", "conf_low", "conf_high", "statistic", "df", "p_value")
    return dict(zip(keys, map(number, shown), strict=True))


STATISTIC = Statistic(
    kind="correlation",
    question=Correlation,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
