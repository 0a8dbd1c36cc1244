"""Linear mixed models (kind `mixed`): a random intercept, and slopes, by group; as R's `lme4::lmer`.

`group` is `site`, or a variable whose values group the rows of one site (a value at two sites is two groups). REML
unless `reml: false`. Result keys: `terms` (Wald z), `fit` (sigma2, variances, covariances, icc, loglik, aic, reml,
singular, groups, converged), `n`, `reference`, `conf_level`, `test`, `contrasts`, `tests`, `vcov`.

A variance that is best at 0 is reported as 0, with `singular: true` (lme4's singular fit). Under restrictive rules
fewer than 5 groups are refused, and so is a grouping whose own sums would come out of the pooled ones (`mixed_guard`).
Rounds: one for the start, one for a grid of theta, 2 to 4 Newton steps; more with random slopes.

Reference: Bates, Maechler, Bolker & Walker (2015), J Stat Softw 67(1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any, Literal

import numpy as np

from isthmus.evidence import Evidence, weights_of
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.formula import Formula, parse
from isthmus.model.record import record
from isthmus.statistics import glm_kernel, mixed_flow, mixed_groups, mixed_guard
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.families import FAMILIES
from isthmus.statistics.glm_evidence import glm_evidence
from isthmus.statistics.glm_model import Model, implied_columns
from isthmus.statistics.inference import contrast_rows, term_rows, wald_tests
from isthmus.statistics.mixed_flow import Plan
from isthmus.statistics.mixed_groups import Rows
from isthmus.statistics.show import size
from isthmus.statistics.summaries import filled

SITE = "site"
MOST_SLOPES = 2


@record
class Mixed:
    """Arguments of `mixed`.

    `formula`: `outcome ~ terms`; `group`: `site` or a variable; `slopes`: columns of the formula whose coefficients vary
    by group as the intercept does, with any covariance; `contrasts`: name -> {term: weight}; `tests`: name -> terms
    tested jointly; `release: [vcov]` shows the covariance matrix.
    """

    formula: str
    group: str
    slopes: tuple[str, ...] = ()
    reml: bool = True
    contrasts: Mapping[str, Mapping[str, float]] | None = None
    tests: Mapping[str, tuple[str, ...]] | None = None
    release: tuple[Literal["vcov"], ...] = ()


def _formula(question: Mixed) -> Formula:
    formula = parse(question.formula)
    if formula.response is None or formula.surv is not None:
        raise Invalid("E-FORMULA", "a mixed model has one outcome on the left", "write `outcome ~ terms`")
    if formula.strata or formula.cluster or formula.offset:
        raise Invalid("E-FORMULA", "a mixed model takes no strata(), cluster() or offset()", "state `group`")
    if question.group == "country":
        raise Invalid("E-GROUPS", "a group lies inside one site, and a country need not", "take it as a term")
    return formula


def _plan(question: Mixed, setting: Setting) -> Plan:
    formula, design = _formula(question), setting.design
    if design is None:
        raise Invalid("E-DESIGN", "a mixed model needs a design")
    unknown = [name for name in question.slopes if name not in design.names or name == "(Intercept)"]
    if unknown or len(set(question.slopes)) < len(question.slopes) or len(question.slopes) > MOST_SLOPES:
        known = ", ".join(name for name in design.names if name != "(Intercept)")
        message = f"`slopes` are up to {MOST_SLOPES} different columns of the formula"
        raise Invalid("E-FORMULA", message, f"its columns: {known}")
    family = FAMILIES["gaussian", "identity"]
    model = Model(family, str(formula.response), design, setting.dictionary, None, False, None)
    slopes = tuple(design.names.index(name) for name in question.slopes)
    return Plan(model, slopes, question.reml, setting.open_rules, question.group)


def _needs(question: Mixed) -> Needs:
    formula = _formula(question)
    keys = () if question.group == SITE else (question.group,)
    return Needs(numbers=(str(formula.response),), formula=formula, keys=keys)


def _rungs(question: Mixed, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _prepare(question: Mixed, setting: Setting, inputs: Inputs) -> Rows:
    plan = _plan(question, setting)
    if inputs.design is None:
        raise Invalid("E-DESIGN", "a mixed model needs a design")
    key = np.zeros(inputs.rows, dtype=np.int32) if question.group == SITE else inputs.keys[question.group]
    return mixed_groups.sorted_rows(inputs.design, inputs.numbers[plan.model.outcome], key, plan.slopes)


def _plain(rows: Rows) -> glm_kernel.Rows:
    return glm_kernel.Rows(rows.columns, rows.y, None, None)


def _evidence(question: Mixed, setting: Setting, prepared: Rows) -> Evidence:
    plan = _plan(question, setting)
    found = glm_evidence(plan.model, _plain(prepared))
    sizes, sums = prepared.sizes, mixed_guard.unknowns(plan.model.size + 1, plan.random)
    own = (
        mixed_guard.of_sites(sizes, setting.sites, sums, plan.numbers)
        if question.group == SITE
        else mixed_guard.of_groups(sizes, sums, plan.numbers)
    )
    return replace(found, sides={**found.sides, **own}, parameters=plan.model.size + plan.angles)


def _flow(question: Mixed, setting: Setting) -> Flow:
    return mixed_flow.fit(_plan(question, setting))


def _summarise(question: Mixed, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    plan, params = _plan(question, setting), asked.params
    values: dict[str, Any]
    if params["step"] == "start":
        model, rows = plan.model, _plain(prepared)
        totals = glm_kernel.start_sums(model.family, rows, params)
        values = {"gram": totals.gram, "right": totals.score, "marks": implied_columns(model, rows)}
        values |= glm_kernel.outcome_sums(model.family, rows, float(params["response_scale"]))
        values["groups"] = len(prepared.starts)
        return Answer(filled(asked.layout, values), totals.weights())
    theta, found = np.asarray(params["theta"]), mixed_groups.sums(prepared, params)
    if params["step"] == "grid":
        each = [mixed_groups.evaluated(found, one) for one in theta]
        logs, grams = np.array([log for log, _ in each]), np.array([gram for _, gram in each])
    else:
        logs, grams = mixed_groups.derivatives(found, theta)
    weights = weights_of(np.ones(prepared.y.size), plan.model.size)
    return Answer(filled(asked.layout, {"logs": logs, "grams": grams}), weights)


def _report(question: Mixed, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    found, names = estimate.values, setting.design.names if setting.design is not None else ()
    model = (found["estimates"], found["vcov"])
    random, labels = found["random"], ("(Intercept)", *question.slopes)
    between = float(random[0, 0])
    fit: dict[str, Any] = {
        "family": "gaussian",
        "reml": question.reml,
        "sigma2": found["sigma2"],
        "variances": {name: float(random[k, k]) for k, name in enumerate(labels)},
        "covariances": {
            f"{labels[j]}:{labels[k]}": float(random[j, k]) for j, k in combinations(range(len(labels)), 2)
        },
        "icc": None if question.slopes else between / (between + found["sigma2"]),
        "loglik": found["loglik"],
        "aic": 2.0 * (found["parameters"] - found["loglik"]),
        "singular": found["singular"],
        "groups": size(estimate.counts["groups"]),
        "converged": True,
    }
    body: dict[str, Any] = {
        "kind": estimate.kind,
        "exactness": estimate.exactness,
        "n": size(estimate.counts["n"]),
        "rounds": estimate.rounds,
        "terms": term_rows(names, *_two(model), setting.conf_level, None),
        "fit": fit,
        "group": question.group,
        "reference": dict(setting.design.reference) if setting.design is not None else {},
        "conf_level": setting.conf_level,
        "test": "z",
        "error": "model",
        "vcov": found["vcov"].tolist() if "vcov" in question.release else None,
    }
    if question.contrasts:
        body["contrasts"] = contrast_rows(question.contrasts, names, model, setting.conf_level, None)
    if question.tests:
        body["tests"] = wald_tests(question.tests, names, model, None)
    return body


def _two(model: tuple[Any, Any]) -> tuple[Any, Any]:
    """Estimates and their errors."""
    return model[0], np.sqrt(np.diag(model[1]))


STATISTIC = Statistic(
    kind="mixed",
    question=Mixed,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
