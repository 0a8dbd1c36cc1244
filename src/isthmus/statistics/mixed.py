"""Linear mixed models (kind `mixed`): a random intercept, and slopes, by group; as R's `lme4::lmer`.

`group` is `site`, or a variable whose values group the rows of one site (a value at two sites is two groups). REML
unless `reml: false`. `family` binomial or poisson: as `lme4::glmer` (`mixed_glmm`), with slopes at `points: 1`. Result keys: `terms` (Wald z; with `df: satterthwaite` t, each
with its df), `fit` (sigma2, variances, covariances, icc, loglik, aic, reml,
singular, groups, converged), `n`, `reference`, `conf_level`, `test`, `contrasts`, `tests`, `vcov`; `effects` of single sites (`site`, `term`, `estimate`, `std_error`, `n`), as `lme4::ranef`,
where `release: [site_results]` asks for them and the agreement allows it; `warnings` of these, of a singular fit, and of fewer than 5 groups.

A variance that is best at 0 is reported as 0, and a correlation that is best there as 1 or -1, with `singular: true` (lme4's singular fit) and a warning. Under restrictive rules
fewer than 5 groups are refused, and so is a grouping whose own sums would come out of the pooled ones (`mixed_guard`).
Rounds: one or two for the start, one or two for grids of theta, then 1 or 2 steps, at most 6 in all; with a random slope two
grids and 2 to 6 steps, in extreme cases more.

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
from isthmus.model.formula import Formula, no_site, offset_reads, parse, some_column
from isthmus.model.record import record
from isthmus.statistics import (
    glm_kernel,
    mixed_df,
    mixed_effects,
    mixed_flow,
    mixed_glmm,
    mixed_groups,
    mixed_guard,
    mixed_plan,
    mixed_quadrature,
    weighting,
)
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.families import FAMILIES, link_names
from isthmus.statistics.glm_evidence import glm_evidence
from isthmus.statistics.glm_model import Model, start_part
from isthmus.statistics.inference import weighted
from isthmus.statistics.mixed_groups import Rows
from isthmus.statistics.mixed_plan import Plan
from isthmus.statistics.model_body import model_body
from isthmus.statistics.show import size
from isthmus.statistics.summaries import filled

SITE = "site"
SITE_RESULTS = "site_results"
MOST_SLOPES = 2
MOST_POINTS = 25  # as lme4 recommends at most


WARNING = "effects are results of single sites; with few sites their variance is little more than a guess"
SINGULAR = "singular fit: a variance is 0, or a correlation 1 or -1, where the likelihood is largest"
FEW = f"fewer than {mixed_plan.FEWEST} groups: their variance is little more than a guess"


@record
class Mixed:
    """Arguments of `mixed`.

    `formula`: `outcome ~ terms`; `group`: `site` or a variable; `slopes`: columns of the formula whose coefficients vary
    by group as the intercept does, with any covariance; `family`: of the outcome; `points`: of quadrature, for families
    but the gaussian (`glmer`'s nAGQ); `contrasts`: name -> {term: weight}; `tests`: name -> terms
    tested jointly; `df: satterthwaite` gives t and F in place of z and chi-square (gaussian); `release`: `vcov` shows the
    covariance matrix; `site_results`, with `group: site`, the effect of each site, and lets sites be fewer than 5.
    """

    formula: str
    group: str
    slopes: tuple[str, ...] = ()
    family: Literal["gaussian", "binomial", "poisson"] = "gaussian"
    points: int = 9
    reml: bool = True
    df: Literal["satterthwaite"] | None = None
    contrasts: Mapping[str, Mapping[str, float]] | None = None
    tests: Mapping[str, tuple[str, ...]] | None = None
    release: tuple[Literal["vcov", "site_results"], ...] = ()


def _formula(question: Mixed) -> Formula:
    formula = no_site(some_column(parse(question.formula)), "write `group: site`, or fit a glm")
    if formula.response is None or formula.surv is not None:
        raise Invalid("E-FORMULA", "a mixed model has one outcome on the left", "write `outcome ~ terms`")
    if formula.strata or formula.cluster or (formula.offset and question.family == "gaussian"):
        raise Invalid(
            "E-FORMULA", "a mixed model takes no strata() or cluster(), a gaussian no offset()", "state `group`"
        )
    if question.family != "gaussian" and question.slopes and question.points != 1:
        message = "random slopes of other than gaussian outcomes are taken by Laplace's approximation alone, as in lme4"
        raise Invalid("E-FORMULA", message, "state `points: 1`, or leave `slopes` out")
    if question.family != "gaussian" and question.df:
        raise Invalid("E-FORMULA", f"`df` is not offered for {question.family} outcomes", "their tests are Wald's z")
    if not 1 <= question.points <= MOST_POINTS:
        raise Invalid("E-FORMULA", f"`points` are 1 to {MOST_POINTS}", "1 is Laplace's approximation, 9 is ample")
    if SITE_RESULTS in question.release and question.group != SITE:
        raise Invalid("E-GROUPS", "`release: [site_results]` tells effects of sites", "with `group: site`")
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
    family = FAMILIES[question.family, link_names(question.family)[0]]
    model = Model(family, str(formula.response), design, setting.dictionary, None, bool(formula.offset), None)
    slopes = tuple(design.names.index(name) for name in question.slopes)
    few_allowed = setting.open_rules or SITE_RESULTS in question.release
    return Plan(model, slopes, question.reml, few_allowed, question.group, question.df is not None)


def _needs(question: Mixed) -> Needs:
    formula = _formula(question)
    keys = () if question.group == SITE else (question.group,)
    return Needs(
        numbers=(str(formula.response), *offset_reads(formula.offset)),
        formula=formula,
        keys=keys,
        by_site=SITE_RESULTS in question.release,
    )


def _rungs(question: Mixed, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _prepare(question: Mixed, setting: Setting, inputs: Inputs) -> Rows:
    plan = _plan(question, setting)
    if inputs.design is None:
        raise Invalid("E-DESIGN", "a mixed model needs a design")
    key = np.zeros(inputs.rows, dtype=np.int32) if question.group == SITE else inputs.keys[question.group]
    y, name = inputs.numbers[plan.model.outcome], plan.model.outcome
    if question.family == "binomial" and not bool(np.all((y == 0.0) | (y == 1.0))):
        raise Invalid("E-OUTCOME", f"outcome {name!r} must be 0 or 1", "derive it with CASE WHEN")
    if question.family == "poisson" and not bool(np.all(y >= 0.0)):
        raise Invalid("E-OUTCOME", f"outcome {name!r} must not be negative")
    total = weighting.link_offset(plan.model.family.link, _formula(question).offset, inputs)
    made = mixed_groups.sorted_rows(inputs.design, y, key, plan.slopes, total)
    own = inputs.codes[SITE] if SITE_RESULTS in question.release else np.zeros(0, dtype=np.int32)
    return replace(made, site=int(own[0])) if own.size else made


def _plain(rows: Rows) -> glm_kernel.Rows:
    return glm_kernel.Rows(rows.columns, rows.y, None, rows.offset)


def _evidence(question: Mixed, setting: Setting, prepared: Rows) -> Evidence:
    plan = _plan(question, setting)
    found = glm_evidence(plan.model, _plain(prepared))
    sizes, sums = prepared.sizes, mixed_guard.unknowns(plan.model.size + 1, plan.random)
    leaving = plan.numbers if question.family == "gaussian" else mixed_glmm.numbers(plan)
    if SITE_RESULTS in question.release:  # this site's sums may come out: the rules of a fit hold for them, alone
        return replace(found, parameters=plan.model.size + plan.angles)
    own = (
        mixed_guard.of_sites(sizes, setting.sites, sums, leaving)
        if question.group == SITE
        else mixed_guard.of_groups(sizes, sums, leaving)
    )
    return replace(found, sides={**found.sides, **own}, parameters=plan.model.size + plan.angles)


def _flow(question: Mixed, setting: Setting) -> Flow:
    plan = _plan(question, setting)
    fit = mixed_flow.fit(plan) if question.family == "gaussian" else mixed_glmm.fit(plan, question.points)
    estimate = yield from fit
    if SITE_RESULTS not in question.release:
        return estimate
    return (yield from mixed_effects.told(plan, len(setting.levels[SITE]), estimate))


def _summarise(question: Mixed, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    plan, params = _plan(question, setting), asked.params
    values: dict[str, Any]
    if params["step"] == "start":
        values, weights = start_part(plan.model, _plain(prepared), params)
        return Answer(filled(asked.layout, values | {"groups": len(prepared.starts)}), weights)
    if params["step"] == "quadrature":
        return mixed_quadrature.summarise(question.family, prepared, question.points, asked)
    if params["step"] == "effects":
        return mixed_effects.summarise(question.family, prepared, asked)
    found = mixed_groups.sums(prepared, params)
    logs, grams = (mixed_groups.grid if params["step"] == "grid" else mixed_groups.newton)(found, params)
    weights = weights_of(np.ones(prepared.y.size), plan.model.size)
    values = {"logs": logs, "grams": grams, "powers": found.powers, "within": found.within}
    return Answer(filled(asked.layout, {f.name: values[f.name] for f in asked.layout.fields}), weights)


def _report(question: Mixed, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    found = estimate.values
    random, labels = found["random"], ("(Intercept)", *question.slopes)
    between = float(random[0, 0])
    fit: dict[str, Any] = {
        "family": question.family,
        "link": link_names(question.family)[0],
        "reml": question.reml and question.family == "gaussian",
        "sigma2": found["sigma2"],
        "variances": {name: float(random[k, k]) for k, name in enumerate(labels)},
        "covariances": {
            f"{labels[j]}:{labels[k]}": float(random[j, k]) for j, k in combinations(range(len(labels)), 2)
        },
        "icc": None if question.slopes or found["sigma2"] is None else between / (between + found["sigma2"]),
        "loglik": found["loglik"],
        "aic": 2.0 * (found["parameters"] - found["loglik"]),
        "singular": found["singular"],
        "groups": size(estimate.counts["groups"]),
        "points": found.get("points"),
        "converged": True,
    }
    body = model_body(question, setting, estimate, fit) | {"group": question.group, "error": "model"}
    warnings = []
    if SITE_RESULTS in question.release:
        fit["groups"] = len(setting.levels[SITE])
        body |= {"effects": mixed_effects.shown(labels, setting.levels[SITE], estimate)}
        warnings = [WARNING]
    if found["singular"]:
        warnings.append(SINGULAR)
    if fit["groups"] is not None and fit["groups"] < mixed_plan.FEWEST:
        warnings.append(FEW)
    body |= {"warnings": warnings} if warnings else {}
    return body if question.df is None else body | _with_df(question, setting, estimate)


def _with_df(question: Mixed, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    """What a body shows otherwise with t and F."""
    names, found = () if setting.design is None else setting.design.names, estimate.values
    told = found["estimates"], found["spread"]
    each = zip(names, np.eye(len(names)), strict=True)
    made: dict[str, Any] = {"terms": mixed_df.shown(each, *told, setting.conf_level), "test": "t", "df": question.df}
    if question.contrasts:
        rows = [(name, weighted(weights, names)) for name, weights in question.contrasts.items()]
        made["contrasts"] = mixed_df.shown(rows, *told, setting.conf_level)
    if question.tests:
        made["tests"] = mixed_df.tests(question.tests, names, *told)
    return made


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
