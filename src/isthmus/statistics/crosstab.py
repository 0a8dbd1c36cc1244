"""Cross-tabulation of two categories (kind `crosstab`) with Pearson's chi-square, as R's `chisq.test`.

Result keys: `cells`: per combination `count`, `percent` (of all), `row_percent`, `column_percent`; `fit`:
`statistic`, `df`, `p_value`, `corrected` (Yates' correction, on 2 x 2 tables unless `correct: false`); `n`. Levels
without rows do not count for `df`. The test follows from the counts shown: null where one is suppressed.

Reference: Pearson (1900), Phil Mag 50:157; Yates (1934), J R Stat Soc Suppl 1:217.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.statistics import tables
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.inference import chi_square_p
from isthmus.statistics.noisy import tables as noisy
from isthmus.statistics.show import count, head, number
from isthmus.summary import Field, FloatArray, IntArray, Layout, Summary


@record
class Crosstab:
    """Arguments of `crosstab`: two categories; `correct: false` leaves out Yates' correction of a 2 x 2 table."""

    rows: str
    columns: str
    correct: bool = True


def _names(question: Crosstab) -> tuple[str, str]:
    if question.rows == question.columns:
        raise Invalid("E-VARIABLE", "a cross-tabulation needs two different variables")
    return question.rows, question.columns


def _needs(question: Crosstab) -> Needs:
    return Needs(categories=_names(question))


def _rungs(question: Crosstab, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _prepare(question: Crosstab, setting: Setting, inputs: Inputs) -> IntArray:
    return tables.cross(_names(question), setting.levels, inputs.codes, inputs.rows)


def _evidence(question: Crosstab, setting: Setting, prepared: IntArray) -> Evidence:
    return Evidence(rows=int(prepared.sum()), cells={" x ".join(_names(question)): prepared.reshape(-1)})


def _flow(question: Crosstab, setting: Setting) -> Flow:
    shape = tables.shape(_names(question), setting.levels)
    pooled = yield Round(Layout(fields=(Field(name="cells", shape=shape, kind="histogram"),)), {"step": "cells"})
    found = pooled["cells"].astype(np.int64)
    n = int(found.sum())
    shown = {"n": Counts("size", np.array([n])), "cells": Counts("cells", found)}
    return Estimate(kind="crosstab", exactness="exact", n=n, rounds=1, counts=shown)


def _summarise(question: Crosstab, setting: Setting, prepared: IntArray, asked: Round) -> Answer:
    return Answer(Summary(asked.layout, {"cells": prepared}))


def _report(question: Crosstab, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    table = np.asarray(estimate.counts["cells"].values, dtype=np.float64)
    labels = tables.labels(_names(question), setting.levels)
    shares = [_percent(table, axis).reshape(-1).tolist() for axis in (None, 1, 0)]
    cells = [
        {
            **label,
            "count": count(value),
            "percent": number(whole),
            "row_percent": number(row),
            "column_percent": number(column),
        }
        for label, value, whole, row, column in zip(labels, table.reshape(-1).tolist(), *shares, strict=True)
    ]
    return {
        **head(estimate),
        "cells": cells,
        "fit": pearson(table, question.correct),
    }


def _percent(table: FloatArray, axis: int | None) -> FloatArray:
    whole = table.sum(axis=axis, keepdims=True) * np.ones_like(table)
    return np.where(whole > 0.0, 100.0 * table / np.where(whole > 0.0, whole, 1.0), np.nan)


def pearson(table: FloatArray, correct: bool) -> dict[str, Any]:
    """Chi-square of independence of a table of counts; null where a count is NaN or fewer than two levels have rows."""
    nothing = {"statistic": None, "df": None, "p_value": None, "corrected": False}
    if not bool(np.all(np.isfinite(table))):
        return nothing
    used = table[np.ix_(table.sum(axis=1) > 0.0, table.sum(axis=0) > 0.0)]
    df = (used.shape[0] - 1) * (used.shape[1] - 1)
    if df < 1:
        return nothing
    expected = np.outer(used.sum(axis=1), used.sum(axis=0)) / used.sum()
    gap = np.abs(used - expected)
    yates = correct and used.shape == (2, 2)
    gap = gap - min(0.5, float(gap.min())) if yates else gap
    statistic = math.fsum((gap * gap / expected).reshape(-1).tolist())
    return {"statistic": statistic, "df": df, "p_value": number(chi_square_p(statistic, df)), "corrected": yates}


def _noisy_flow(question: Crosstab, setting: Setting) -> Flow:
    return noisy.flow("crosstab", tables.shape(_names(question), setting.levels), setting)


def _noisy_summarise(question: Crosstab, setting: Setting, prepared: IntArray, asked: Round) -> Answer:
    return noisy.answer(prepared, asked)


def _noisy_report(question: Crosstab, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    """No test of independence: its distribution would be that of the cells without noise."""
    shown = _report(question, setting, estimate)
    return {**shown, "fit": dict.fromkeys(shown["fit"])}


_EXACT = Statistic(
    kind="crosstab",
    question=Crosstab,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
STATISTIC = replace(_EXACT, noisy=replace(_EXACT, flow=_noisy_flow, summarise=_noisy_summarise, report=_noisy_report))
