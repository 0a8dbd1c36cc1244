"""Accuracy of a test (kind `accuracy`): sensitivity, specificity, predictive values, likelihood ratios.

Result keys: `cells`: `test` and `outcome` (1 or 0) with `count`; `terms`: per measure `term`, `estimate`, `conf_low`, `conf_high`
and for proportions `exact_low`, `exact_high`: `sensitivity`, `specificity`, `ppv`, `npv`, `accuracy`, `lr_positive`, `lr_negative`,
`odds_ratio`; `fit`: `youden`; `n`, `conf_level`. All follow from the four counts as the gate leaves them.

Wilson's interval without continuity correction in `conf_low`, Clopper and Pearson's in `exact_low` (R's `binom.test`).
Ratios: the log method (Simel et al. 1991; Woolf for the odds ratio). References: Wilson (1927), J Am Stat Assoc 22:209;
Clopper & Pearson (1934), Biometrika 26:404; Simel, Samsa & Matchar (1991), J Clin Epidemiol 44:763.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.inference import quantile
from isthmus.statistics.show import count, head, number
from isthmus.summary import Field, FloatArray, IntArray, Layout, Summary

LAYOUT = Layout(fields=(Field(name="cells", shape=(2, 2), kind="histogram"),))


@record
class Accuracy:
    """Arguments of `accuracy`: a `marker` that is 0 or 1, or positive from `threshold` on; an `outcome` that is 0 or 1."""

    marker: str
    outcome: str
    threshold: float | None = None


def binary(name: str, values: FloatArray) -> FloatArray:
    """`values` (rows,), each 0 or 1.

    Raises:
        Invalid: E-OUTCOME.
    """
    if not bool(np.all((values == 0.0) | (values == 1.0))):
        raise Invalid("E-OUTCOME", f"{name!r} must be 0 or 1", "derive it with CASE WHEN")
    return values


def _needs(question: Accuracy) -> Needs:
    if question.marker == question.outcome:
        raise Invalid("E-VARIABLE", "marker and outcome are different variables")
    return Needs(numbers=(question.marker, question.outcome))


def _rungs(question: Accuracy, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _prepare(question: Accuracy, setting: Setting, inputs: Inputs) -> IntArray:
    """(2, 2) counts by test (negative first) and outcome."""
    marker, outcome = inputs.numbers[question.marker], binary(question.outcome, inputs.numbers[question.outcome])
    positive = (
        marker >= question.threshold if question.threshold is not None else binary(question.marker, marker) == 1.0
    )
    flat = 2 * positive.astype(np.intp) + outcome.astype(np.intp)
    return np.bincount(flat, minlength=4).reshape(2, 2).astype(np.int64)


def _evidence(question: Accuracy, setting: Setting, prepared: IntArray) -> Evidence:
    return Evidence(
        rows=int(prepared.sum()),
        groups={question.outcome: prepared.sum(axis=0)},
        sides={question.marker: prepared.sum(axis=1)},
        cells={f"{question.marker} x {question.outcome}": prepared.reshape(-1)},
    )


def _flow(question: Accuracy, setting: Setting) -> Flow:
    pooled = yield Round(LAYOUT, {"step": "cells"})
    found = pooled["cells"].astype(np.int64)
    n = int(found.sum())
    if not n:
        raise Invalid("E-NO-ROWS", "no row has all variables of this question", "look at `excluded`")
    counts = {"n": Counts("size", np.array([n])), "cells": Counts("cells", found)}
    return Estimate("accuracy", "exact", n, rounds=1, counts=counts)


def _summarise(question: Accuracy, setting: Setting, prepared: IntArray, asked: Round) -> Answer:
    return Answer(Summary(asked.layout, {"cells": prepared}))


def _report(question: Accuracy, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    table = np.asarray(estimate.counts["cells"].values, dtype=np.float64)
    terms = measures(table, setting.conf_level)
    share = {term["term"]: term["estimate"] for term in terms}
    both = (share["sensitivity"], share["specificity"])
    return {
        **head(estimate),
        "conf_level": setting.conf_level,
        "terms": terms,
        "cells": [{"test": t, "outcome": o, "count": count(table[t, o])} for t in (1, 0) for o in (1, 0)],
        "fit": {"youden": None if None in both else sum(both) - 1.0},
    }


def measures(table: FloatArray, conf_level: float) -> list[dict[str, Any]]:
    """Rows of all measures, of the counts (2, 2) by test and outcome, negative first; null where one is suppressed."""
    (tn, fn), (fp, tp) = table.tolist()
    shares = {
        "sensitivity": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "ppv": (tp, tp + fp),
        "npv": (tn, tn + fn),
        "accuracy": (tp + tn, tp + tn + fp + fn),
    }
    rows = [proportion(name, hits, n, conf_level) for name, (hits, n) in shares.items()]
    ratios = {
        "lr_positive": ((tp, tp + fn), (fp, fp + tn)),
        "lr_negative": ((fn, tp + fn), (tn, fp + tn)),
    }
    rows += [_ratio(name, a, b, conf_level) for name, (a, b) in ratios.items()]
    return [*rows, _odds(tp, fp, fn, tn, conf_level)]


def proportion(name: str, hits: float, n: float, conf_level: float) -> dict[str, Any]:
    """Share with Wilson's and the exact interval; null without rows."""
    keys = ("estimate", "conf_low", "conf_high", "exact_low", "exact_high")
    if not n > 0.0 or not math.isfinite(hits):
        return {"term": name, **dict.fromkeys(keys)}
    share, z, tail = hits / n, quantile(conf_level), (1.0 - conf_level) / 2.0
    centre = (share + z * z / (2.0 * n)) / (1.0 + z * z / n)
    reach = z * math.sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n)) / (1.0 + z * z / n)
    low = float(special.betaincinv(hits, n - hits + 1.0, tail)) if hits > 0.0 else 0.0
    high = float(special.betaincinv(hits + 1.0, n - hits, 1.0 - tail)) if hits < n else 1.0
    score = (0.0 if hits == 0.0 else centre - reach, 1.0 if hits == n else centre + reach)
    return {"term": name, **dict(zip(keys, (share, *score, low, high), strict=True))}


def _ratio(name: str, first: tuple[float, float], second: tuple[float, float], conf_level: float) -> dict[str, Any]:
    (a, n), (b, m) = first, second
    if not (a > 0.0 and b > 0.0):
        return _around(name, math.nan, math.nan, conf_level)
    error = math.sqrt(max(1.0 / a - 1.0 / n + 1.0 / b - 1.0 / m, 0.0))
    return _around(name, (a / n) / (b / m), error, conf_level)


def _odds(tp: float, fp: float, fn: float, tn: float, conf_level: float) -> dict[str, Any]:
    cells = (tp, fp, fn, tn)
    if not all(cell > 0.0 for cell in cells):
        return _around("odds_ratio", math.nan, math.nan, conf_level)
    return _around("odds_ratio", tp * tn / (fp * fn), math.sqrt(sum(1.0 / cell for cell in cells)), conf_level)


def _around(name: str, ratio: float, log_error: float, conf_level: float) -> dict[str, Any]:
    factor = math.exp(quantile(conf_level) * log_error)
    limits = (number(v) for v in (ratio, ratio / factor, ratio * factor))
    return {"term": name, **dict(zip(("estimate", "conf_low", "conf_high"), limits, strict=True))}


STATISTIC = Statistic(
    kind="accuracy",
    question=Accuracy,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
