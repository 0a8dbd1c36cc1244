"""Decision curve of predicted risks (kind `decision_curve`): net benefit of treating from a threshold on.

Result keys: `cells`: per threshold `threshold`, `true_positive`, `false_positive`, `net_benefit`, `treat_all`; `n`, `events`. Rows with a
risk at or above the threshold count as treated. Net benefit is TP/n - FP/n x threshold / (1 - threshold); all follows from
the counts of each class between thresholds, as the gate leaves them: null where one beyond is suppressed.

Reference: Vickers & Elkin (2006), Med Decis Making 26:565.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.statistics import grids
from isthmus.statistics.accuracy import binary
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.show import count, head, number
from isthmus.summary import Field, FloatArray, IntArray, Layout, Summary


@record
class DecisionCurve:
    """Arguments of `decision_curve`: a risk between 0 and 1, an outcome that is 0 or 1, increasing thresholds."""

    prediction: str
    outcome: str
    thresholds: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5)


def _needs(question: DecisionCurve) -> Needs:
    steps = question.thresholds
    if not steps or not all(0.0 < t < 1.0 for t in steps) or any(b <= a for a, b in pairwise(steps)):
        raise Invalid("E-PROBABILITY", "thresholds increase between 0 and 1", "for example [0.1, 0.2, 0.3]")
    if question.prediction == question.outcome:
        raise Invalid("E-VARIABLE", "prediction and outcome are different variables")
    return Needs(numbers=(question.prediction, question.outcome))


def _rungs(question: DecisionCurve, dictionary: Codebook) -> tuple[Grid, ...]:
    return (Grid(question.thresholds, recorded=False),)


def _prepare(question: DecisionCurve, setting: Setting, inputs: Inputs) -> IntArray:
    """(2, 1 + thresholds) counts by outcome and by the highest threshold reached."""
    risk = inputs.numbers[question.prediction]
    if not bool(np.all((risk >= 0.0) & (risk <= 1.0))):
        raise Invalid("E-PROBABILITY", f"{question.prediction!r} must lie between 0 and 1", "derive a probability")
    outcome = binary(question.outcome, inputs.numbers[question.outcome]).astype(np.intp)
    grid = Grid(question.thresholds, recorded=False)
    return grids.tally(grids.cells(question.prediction, risk, grid), len(grid.edges) + 1, outcome, 2)


def _evidence(question: DecisionCurve, setting: Setting, prepared: IntArray) -> Evidence:
    return Evidence(
        rows=int(prepared.sum()),
        groups={question.outcome: prepared.sum(axis=1)},
        cells={f"{question.prediction} x {question.outcome}": prepared.reshape(-1)},
    )


def _flow(question: DecisionCurve, setting: Setting) -> Flow:
    shape = (2, len(question.thresholds) + 1)
    pooled = yield Round(Layout(fields=(Field(name="cells", shape=shape, kind="histogram"),)), {"step": "cells"})
    found = pooled["cells"].astype(np.int64)
    n = int(found.sum())
    if not n:
        raise Invalid("E-NO-ROWS", "no row has all variables of this question", "look at `excluded`")
    counts = {
        "n": Counts("size", np.array([n])),
        "events": Counts("size", found[1:].sum(axis=1)),
        "cells": Counts("cells", found),
    }
    return Estimate("decision_curve", "exact", n, rounds=1, counts=counts)


def _summarise(question: DecisionCurve, setting: Setting, prepared: IntArray, asked: Round) -> Answer:
    return Answer(Summary(asked.layout, {"cells": prepared}))


def _report(question: DecisionCurve, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    n, events = (float(estimate.counts[name].values[0]) for name in ("n", "events"))
    table = np.asarray(estimate.counts["cells"].values, dtype=np.float64)
    return {
        **head(estimate),
        "events": count(events),
        "cells": curve(question.thresholds, table, n, events),
    }


def curve(thresholds: tuple[float, ...], table: FloatArray, n: float, events: float) -> list[dict[str, Any]]:
    """Net benefit at each threshold, of the counts (2, 1 + thresholds) by outcome, NaN where one is suppressed."""
    beyond = np.add.accumulate(table[:, ::-1], axis=1)[:, ::-1][:, 1:]
    rows = []
    for threshold, false, true in zip(thresholds, *beyond.tolist(), strict=True):
        odds = threshold / (1.0 - threshold)
        share = events / n if n else math.nan
        rows.append(
            {
                "threshold": threshold,
                "true_positive": count(true),
                "false_positive": count(false),
                "net_benefit": number((true - false * odds) / n if n else math.nan),
                "treat_all": number(share - (1.0 - share) * odds),
            }
        )
    return rows


STATISTIC = Statistic(
    kind="decision_curve",
    question=DecisionCurve,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
