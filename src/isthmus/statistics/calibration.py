"""Calibration of predicted risks (kind `calibration`): intercept, slope, Brier score, observed over expected, curve.

Result keys: `terms`: `calibration in the large` (the intercept with the slope held at 1), `slope`, `intercept` (beside that
slope), each with `estimate`, `std_error`, `statistic`, `p_value`, `conf_low`, `conf_high`; the slope is tested against 1. `fit`:
`observed`, `expected`, `observed_expected`, `brier`, `brier_null`. `cells`: the curve: predictions `from` to `to`, `count`, `observed`,
`share`, `conf_low`, `conf_high` (Wilson). `n`, `events`.

The two logistic models are `glm`'s on the linear predictor, with its evidence and guards. The curve counts both classes
on cells of the prediction, a stated grid or public cuts that every site may show (`cutting.py`); no mean prediction of a
cell leaves, only its ends. Reference: Cox (1958), Biometrika 45:562; Steyerberg (2019), Clinical Prediction Models, ch. 15.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid
from isthmus.model.formula import design, parse
from isthmus.model.record import record
from isthmus.statistics import cutting, glm, grids, lockstep, unusual
from isthmus.statistics.accuracy import binary, proportion
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.cutting import Cut
from isthmus.statistics.glm import Glm
from isthmus.statistics.glm_kernel import Rows as ModelRows
from isthmus.statistics.grids import Cells
from isthmus.statistics.halving import Sorted
from isthmus.statistics.histogram import grid_of
from isthmus.statistics.inference import term_rows
from isthmus.statistics.show import count, head, number
from isthmus.statistics.survival import GridWish
from isthmus.summary import Field, FloatArray, IntArray, Layout, Summary

STAGES = 2  # ballots
PARTS = 5  # halvings in one ballot: a curve of up to 32 cells
LOGITS = (-8.0, 8.0)  # where linear predictors lie, for the scale of sums
SUMS = Layout(fields=(Field(name="expected", shape=(1,), kind="sum"), Field(name="squares", shape=(1,), kind="sum")))
MODELS = {
    "slope": Glm(formula="outcome ~ linear", family="binomial"),
    "large": Glm(formula="outcome ~ 1", family="binomial", offset="linear"),
}


@record
class Calibration:
    """Arguments of `calibration`.

    `prediction`: a probability strictly between 0 and 1, or with `scale: linear` its logit; `outcome`: 0 or 1; `grid` of
    the curve, on the prediction as given.
    """

    prediction: str
    outcome: str
    scale: Literal["probability", "linear"] = "probability"
    grid: GridWish | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's rows: prediction as given by outcome and in order; its logit and probability, outcome."""

    sorted: Sorted
    linear: FloatArray
    risk: FloatArray
    outcome: Cells


def _needs(question: Calibration) -> Needs:
    if question.prediction == question.outcome:
        raise Invalid("E-VARIABLE", "prediction and outcome are different variables")
    return Needs(numbers=(question.prediction, question.outcome))


def _variable(question: Calibration, dictionary: Codebook) -> Variable:
    variable = grids.declared(question.prediction, dictionary)
    return replace(variable, range=(0.0, 1.0)) if question.scale == "probability" else variable


def _rungs(question: Calibration, dictionary: Codebook) -> tuple[Grid, ...]:
    if question.grid is not None:
        return grids.rungs(question.prediction, question.grid, dictionary, 1)
    if _variable(question, dictionary).range is None:
        raise Invalid("E-NO-GRID", f"no grid for {question.prediction!r}", "state `grid`, or a range in the codebook")
    return (Grid((), recorded=False),)


def _cut(question: Calibration, setting: Setting) -> Cut:
    groups = tuple(f"{question.outcome} {level}" for level in (0, 1))
    return Cut(question.prediction, _variable(question, setting.dictionary), groups, PARTS)


def _inner(name: str, question: Calibration, setting: Setting) -> Setting:
    """The setting of one of the two models."""
    stated = grids.declared(question.prediction, setting.dictionary).range
    spread = stated if question.scale == "linear" and stated is not None else LOGITS
    names = {"outcome": Variable(type="integer", range=(0, 1)), "linear": Variable(type="number", range=spread)}
    book = Codebook(name=setting.dictionary.name, variables=names)
    return replace(setting, dictionary=book, design=design(parse(MODELS[name].formula), book, {}, {}), grid=None)


def _model_rows(name: str, rows: Rows) -> ModelRows:
    y, ones = rows.outcome.astype(np.float64), np.ones(rows.linear.size)
    if name == "slope":
        return ModelRows(np.array([ones, rows.linear]), y, None, None)
    return ModelRows(np.array([ones]), y, None, rows.linear)


def _prepare(question: Calibration, setting: Setting, inputs: Inputs) -> Rows:
    given = inputs.numbers[question.prediction]
    outcome = binary(question.outcome, inputs.numbers[question.outcome]).astype(np.intp)
    in_order = cutting.grouped(given, outcome, 2)
    if question.scale == "linear":
        return Rows(in_order, given, 1.0 / (1.0 + np.exp(-np.clip(given, -700.0, 700.0))), outcome)
    if not bool(np.all((given > 0.0) & (given < 1.0))):
        raise Invalid(
            "E-PROBABILITY", f"{question.prediction!r} must lie strictly between 0 and 1", "or state `scale: linear`"
        )
    return Rows(in_order, np.log(given) - np.log1p(-given), given, outcome)


def _evidence(question: Calibration, setting: Setting, prepared: Rows) -> Evidence:
    grid = grid_of(setting)
    counts = cutting.counts(question.prediction, prepared.sorted, grid)
    found = [
        glm.STATISTIC.evidence(model, _inner(name, question, setting), _model_rows(name, prepared))
        for name, model in MODELS.items()
    ]
    error = prepared.risk - prepared.outcome
    spread = np.array([unusual.spread(prepared.risk)], dtype=np.int64)
    return replace(
        found[0],
        groups={question.outcome: counts.sum(axis=1)},
        supports={**found[0].supports, **found[1].supports, "spread of risks": spread},
        sides={**found[0].sides, **found[1].sides},
        cells={**found[0].cells, **cutting.named(_cut(question, setting), counts)},
        sums={**found[0].sums, **found[1].sums, "expected": prepared.risk, "squared errors": error * error},
    )


def _flow(question: Calibration, setting: Setting) -> Flow:
    """The curve, the sums of the Brier score and both models side by side: none needs another."""
    models = [
        _routed(name, question, glm.STATISTIC.flow(model, _inner(name, question, setting)))
        for name, model in MODELS.items()
    ]
    flows: list[lockstep.Asking[Any]] = [
        _counted(question, setting),
        lockstep.once(Round(SUMS, {"step": "sums"})),
        *models,
    ]
    (at, sums, *fits), rounds = yield from lockstep.tallied(lockstep.every(flows))
    values: dict[str, Any] = {name: float(sums[name][0]) for name in ("expected", "squares")}
    counts = {"cells": Counts("cells", at.counts)}
    for name, fitted in zip(MODELS, fits, strict=True):
        values[name] = (fitted.values["estimates"], np.sqrt(np.diag(fitted.values["vcov"])))
        counts |= {key if key in {"n", "events"} else f"{name} {key}": c for key, c in fitted.counts.items()}
    n = int(at.counts.sum())
    return Estimate("calibration", "exact", n, rounds, counts=counts, values=values | {"grid": at.grid}, parameters=2)


def _counted(question: Calibration, setting: Setting) -> cutting.Asking:
    """The curve's cells."""
    what = _cut(question, setting)
    at = yield from cutting.searched(what, grid_of(setting), _held, 0 if question.grid else STAGES)
    if not at.counts.any():
        raise Invalid("E-NO-ROWS", "no row has all variables of this question", "look at `excluded`")
    return at


def _held(counts: IntArray) -> list[int]:
    """Cells with rows."""
    return np.flatnonzero(counts.sum(axis=0)).tolist()


def _routed(name: str, question: Calibration, flow: Flow) -> Generator[Round, Summary, Estimate]:
    """A model's rounds under its name, so that sites know which of the two is asked; its errors name the question's columns."""
    try:
        return (yield from lockstep.beside(flow, {"model": name}))
    except Invalid as error:
        told = error.message.replace("'outcome'", repr(question.outcome)).replace("'linear'", repr(question.prediction))
        raise Invalid(error.code, told, error.hint) from error


def _summarise(question: Calibration, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    if lockstep.PARTS in asked.params:
        return lockstep.answered(asked, lambda _, own: _summarise(question, setting, prepared, own))
    if "model" in asked.params:
        name = str(asked.params["model"])
        inner = _inner(name, question, setting)
        return glm.STATISTIC.summarise(MODELS[name], inner, _model_rows(name, prepared), asked)
    if asked.params["step"] == "sums":
        error = prepared.risk - prepared.outcome
        sums = {"expected": np.array([prepared.risk.sum()]), "squares": np.array([error @ error])}
        return Answer(Summary(asked.layout, sums))
    return cutting.summarised(_cut(question, setting), prepared.sorted, False, asked)


def _report(question: Calibration, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    found = estimate.values
    n, events = (float(estimate.counts[name].values[0]) for name in ("n", "events"))
    share = events / n
    return {
        **head(estimate),
        "events": count(events),
        "conf_level": setting.conf_level,
        "test": "z",
        "terms": _terms(found["large"], found["slope"], setting.conf_level),
        "fit": {
            "observed": count(events),
            "expected": found["expected"],
            "observed_expected": number(events / found["expected"]),
            "brier": found["squares"] / estimate.n,
            "brier_null": number(share * (1.0 - share)),
        },
        "cells": _curve(estimate, setting.conf_level),
    }


def _terms(large: Any, slope: Any, conf_level: float) -> list[dict[str, Any]]:
    """The slope's statistic and p value are about 1."""
    rows = term_rows(("calibration in the large",), large[0], large[1], conf_level, None)
    about = term_rows(("intercept", "slope"), slope[0] - np.array([0.0, 1.0]), slope[1], conf_level, None)
    moved = {key: about[1][key] + 1.0 for key in ("estimate", "conf_low", "conf_high") if about[1][key] is not None}
    return [*rows, about[1] | moved, about[0]]


def _curve(estimate: Estimate, conf_level: float) -> list[dict[str, Any]]:
    """Observed shares by cell of the prediction, from gated counts; cells without rows are left out."""
    ends = (-math.inf, *estimate.values["grid"].edges, math.inf)
    cells = []
    neg, pos = np.asarray(estimate.counts["cells"].values, dtype=np.float64)
    for low, high, without, having in zip(ends[:-1], ends[1:], neg.tolist(), pos.tolist(), strict=True):
        if without + having == 0.0:
            continue
        row = proportion("", having, without + having, conf_level)
        shown = {"share": row["estimate"], "conf_low": row["conf_low"], "conf_high": row["conf_high"]}
        place = {"from": number(low), "to": number(high), "count": count(without + having), "observed": count(having)}
        cells.append(place | shown)
    return cells


STATISTIC = Statistic(
    kind="calibration",
    question=Calibration,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
