"""Propensity of treatment (kind `propensity`): the model, how the scores of both arms overlap, balance before and after weighting.

One logistic model for all sites is fitted on pooled sums, as `effect` fits it. Scores are counted by arm in bins of a
sixteenth, or wider: the cuts that every site may show are found by a masked ballot (`cutting`). Result keys: `terms` (the
model's, z), `cells` (`from`, `to`, the treatment, `count`), `fit` (`estimand`, `ess` and `balance` under its weights, `link`,
`deviance`, `null_deviance`, `converged`), `n`, `events` (the treated), `reference`, `grid`, `test`. `exactness` is `grid`, for the
cells; all else is exact. In R: `glm(treat ~ age + stage, binomial)`, `cobalt::bal.tab`, `hist(fitted(m))`.

References: Rosenbaum & Rubin (1983), Biometrika 70:41; Austin & Stuart (2015), Stat Med 34:3661.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import special

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.record import record
from isthmus.statistics import (
    cutting,
    effect,
    effect_flow,
    effect_report,
    effect_site,
    glm_flow,
    lockstep,
)
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.cutting import Cut
from isthmus.statistics.effect_question import Effect
from isthmus.statistics.effect_site import Estimand, Rows
from isthmus.statistics.families import FAMILIES
from isthmus.statistics.inference import term_rows
from isthmus.statistics.show import count, head, number, size

NEAR = 2.0**-20  # of 0 and 1: so that the range is halved at sixteenths
SCORE = Cut("propensity", Variable(type="number", range=(NEAR, 1.0 - NEAR)), ("control", "treated"), halvings=4)


@record
class Propensity:
    """Arguments of `propensity`: `treatment` 0/1, `adjust` the model's terms, `estimand` whose weights are balanced."""

    treatment: str
    adjust: str
    estimand: Estimand = "ATE"


def _weighted(question: Propensity) -> Effect:
    """The effect that begins with this model; its outcome is the treatment, of which nothing new is said."""
    told = (question.treatment, question.adjust, question.estimand)
    return Effect(treatment=told[0], outcome=told[0], adjust=told[1], estimand=told[2], method="iptw", errors="known")


def _needs(question: Propensity) -> Needs:
    return effect.needs_of(_weighted(question))


def _rungs(question: Propensity, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _prepare(question: Propensity, setting: Setting, inputs: Inputs) -> Rows:
    made: Rows = effect.STATISTIC.prepare(_weighted(question), setting, inputs)
    return made


def _evidence(question: Propensity, setting: Setting, prepared: Rows) -> Evidence:
    return effect.model_evidence(_weighted(question), setting, prepared)


def _flow(question: Propensity, setting: Setting) -> Flow:
    plan = effect.plan_of(_weighted(question), setting)
    found = yield from effect_flow.fitted(plan.propensity, "ps ", "the propensity model")
    base: dict[str, Any] = {"unit": 1.0, "stacked": 0, **found.params}
    cuts = cutting.refined(SCORE, effect_flow.uncut(found), lambda _: [0], 1)
    weigh = lockstep.once(Round(effect_flow.weigh_layout(plan), {"step": "weigh", **base}))
    at, pooled = yield from lockstep.both(lockstep.beside(cuts, base), weigh)
    rounds = found.fitted.rounds + 2  # the ballot, then balance beside the counts on what passed
    made = effect_flow.estimate(plan, found, pooled, effect_flow.NO_MEANS, rounds)
    place, last = found.start.place, found.fitted
    told = {
        "vcov": place.covariance(last.inverse),
        "deviance": last.deviance,
        "null": glm_flow.null_parts(plan.propensity, found.start, last.null),
        "edges": at.grid.edges,
    }
    counts = glm_flow.counts(plan.propensity, found.start, made.n) | {
        "scores": Counts("cells", at.counts),
        "arms": made.counts["arms"],
    }
    values = {**made.values, **told}
    return replace(made, kind="propensity", exactness="grid", counts=counts, values=values)


def _summarise(question: Propensity, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    if lockstep.PARTS in asked.params:
        return lockstep.answered(asked, lambda _, own: _summarise(question, setting, prepared, own))
    if asked.params["step"] not in {"cells", "ballot"}:
        return effect.STATISTIC.summarise(_weighted(question), setting, prepared, asked)
    scores = special.expit(effect_site.predictor(prepared.columns, asked.params, "ps "))
    return cutting.summarised(SCORE, cutting.grouped(scores, prepared.treated.astype(np.intp), 2), False, asked)


def _report(question: Propensity, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    found, names = estimate.values, () if setting.design is None else setting.design.names
    edges = [0.0, *found["edges"], 1.0]
    table = np.asarray(estimate.counts["scores"].values, dtype=np.float64).tolist()
    return {
        **head(estimate),
        "events": size(estimate.counts["events"]),
        "terms": term_rows(names, found["propensity"], np.sqrt(np.diag(found["vcov"])), setting.conf_level, None),
        "cells": [
            {"from": low, "to": high, question.treatment: "01"[arm], "count": count(table[arm][at])}
            for at, (low, high) in enumerate(pairwise(edges))
            for arm in (1, 0)
        ],
        "fit": {
            "estimand": question.estimand,
            "link": "logit",
            "deviance": number(found["deviance"]),
            "null_deviance": number(glm_flow.null_shown(FAMILIES["binomial", "logit"], found["null"], estimate.counts)),
            "converged": True,
            **effect_report.weights(setting, estimate),
        },
        "reference": {} if setting.design is None else dict(setting.design.reference),
        "conf_level": setting.conf_level,
        "test": "z",
        "grid": {"edges": list(found["edges"])},
        "bound": None,
    }


STATISTIC = Statistic(
    kind="propensity",
    question=Propensity,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
