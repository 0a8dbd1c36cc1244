"""Counts (kind `count`): rows, cross-classified by any number of categories.

Result keys: `cells`: per combination of the levels of `by` its `count`; `n`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.record import record
from isthmus.statistics import tables
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.noisy import tables as noisy
from isthmus.statistics.show import counts, head
from isthmus.summary import Field, IntArray, Layout, Summary


@record
class Count:
    """Arguments of `count`: `by` names categories."""

    by: tuple[str, ...] = ()


def _needs(question: Count) -> Needs:
    return Needs(categories=tuple(dict.fromkeys(question.by)))


def _rungs(question: Count, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _names(question: Count) -> tuple[str, ...]:
    return tuple(dict.fromkeys(question.by))


def _prepare(question: Count, setting: Setting, inputs: Inputs) -> IntArray:
    return tables.cross(_names(question), setting.levels, inputs.codes, inputs.rows).reshape(-1)


def _evidence(question: Count, setting: Setting, prepared: IntArray) -> Evidence:
    cells = {" x ".join(_names(question)): prepared} if question.by else {}
    return Evidence(rows=int(prepared.sum()), cells=cells)


def _flow(question: Count, setting: Setting) -> Flow:
    shape = tables.shape(_names(question), setting.levels)
    cells = int(np.prod(shape, dtype=np.intp))
    pooled = yield Round(Layout(fields=(Field(name="cells", shape=(cells,), kind="histogram"),)), {"step": "cells"})
    found = pooled["cells"].astype(np.int64)
    n = int(found.sum())
    values = {"n": Counts("size", np.array([n])), "cells": Counts("cells", found.reshape(shape or (1,)))}
    return Estimate(kind="count", exactness="exact", n=n, rounds=1, counts=values)


def _summarise(question: Count, setting: Setting, prepared: IntArray, asked: Round) -> Answer:
    return Answer(Summary(asked.layout, {"cells": prepared}))


def _report(question: Count, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    shown = counts(np.asarray(estimate.counts["cells"].values).reshape(-1))
    names = tables.labels(_names(question), setting.levels)
    return {
        **head(estimate),
        "cells": [{**label, "count": value} for label, value in zip(names, shown, strict=True)],
    }


def _noisy_flow(question: Count, setting: Setting) -> Flow:
    return noisy.flow("count", tables.shape(_names(question), setting.levels), setting)


def _noisy_summarise(question: Count, setting: Setting, prepared: IntArray, asked: Round) -> Answer:
    return noisy.answer(prepared, asked)


_EXACT = Statistic(
    kind="count",
    question=Count,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
STATISTIC = replace(_EXACT, noisy=replace(_EXACT, flow=_noisy_flow, summarise=_noisy_summarise))
