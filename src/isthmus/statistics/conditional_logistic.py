"""Conditional logistic regression of matched sets (kind `conditional_logistic`), as R's `clogit`.

The likelihood is given how many cases a set has: `method: exact` (the default) over all ways of choosing them, `efron`
or `breslow` its approximations (one case a set: all the same). Sets lie inside a site: a value of `sets` at two sites is two sets. A
self-controlled case series is a set of intervals for each person. Sets without a case, and in the exact form without a
control, say nothing (a set of cases alone enters the approximations, as in R).

Result keys: `terms` (log odds ratios), `fit` (loglik, loglik_null, score, wald, events, method, sets: those that
say something), `n`, `events`, `reference`, `conf_level`, `test` (`z`), `error` (`model`, or `cluster`: the sandwich over
clusters of whole sets, without small-sample factor), `clusters`, `contrasts`, `tests`, `vcov`.

Reference: Breslow & Day (1980), IARC 32, chapter 7; Gail, Lubin & Rubinstein (1981), Biometrika 68:703.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from isthmus.evidence import Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.formula import Formula, Surv, no_site, parse
from isthmus.model.record import record
from isthmus.statistics import conditional_logistic_flow, conditional_logistic_site
from isthmus.statistics.conditional_logistic_site import Sets
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.cox_model import Model
from isthmus.statistics.model_body import model_body
from isthmus.statistics.show import size
from isthmus.statistics.summaries import filled


@record
class ConditionalLogistic:
    """Arguments of `conditional_logistic`.

    `formula`: `case ~ terms`; `sets`: a variable whose values are the matched sets; `method`; `cluster`: a variable
    whose values group whole sets of a site (`cluster` may be `sets`); `contrasts`: name -> {term: weight}; `tests`:
    name -> terms tested jointly; `release: [vcov]` shows the covariance matrix.
    """

    formula: str
    sets: str
    method: Literal["exact", "efron", "breslow"] = "exact"
    cluster: str | None = None
    contrasts: Mapping[str, Mapping[str, float]] | None = None
    tests: Mapping[str, tuple[str, ...]] | None = None
    release: tuple[Literal["vcov"], ...] = ()


def _formula(question: ConditionalLogistic) -> Formula:
    formula = no_site(parse(question.formula), "leave it out: each set lies in one site")
    if formula.response is None or formula.surv is not None or not formula.terms:
        raise Invalid("E-FORMULA", "conditional_logistic has an outcome and terms", "write `case ~ terms`")
    if not formula.intercept or formula.strata or formula.cluster or formula.offset:
        text = "conditional_logistic takes no strata(), cluster(), offset() or `- 1` in its formula"
        raise Invalid("E-FORMULA", text, "state `sets` and `cluster` beside it")
    if "site" in {question.sets, question.cluster}:
        raise Invalid("E-CLUSTER", "sets and clusters lie inside a site", "name the variable that numbers them")
    return formula


def _design_formula(question: ConditionalLogistic) -> Formula:
    """Coded as if there were an intercept, which no column shows: as of a `Surv`."""
    formula = _formula(question)
    name = str(formula.response)
    return replace(formula, response=None, surv=Surv(time=name, event=name))


def _needs(question: ConditionalLogistic) -> Needs:
    formula = _formula(question)
    keys = tuple(dict.fromkeys(k for k in (question.sets, question.cluster) if k is not None))
    return Needs(numbers=(str(formula.response),), formula=_design_formula(question), keys=keys)


def _rungs(question: ConditionalLogistic, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _model(question: ConditionalLogistic, setting: Setting) -> Model:
    if setting.design is None:
        raise Invalid("E-DESIGN", "conditional_logistic needs a design")
    return Model(
        time=question.sets,
        event=str(_formula(question).response),
        design=setting.design,
        dictionary=setting.dictionary,
        ties="efron" if question.method == "efron" else "breslow",
        strata=1,
        steps=0,
        exactness="exact",
        open_rules=setting.open_rules,
        cluster=question.cluster,
    )


def _prepare(question: ConditionalLogistic, setting: Setting, inputs: Inputs) -> Sets:
    if inputs.design is None:
        raise Invalid("E-DESIGN", "conditional_logistic needs a design")
    name = str(_formula(question).response)
    case = inputs.numbers[name]
    if not bool(np.all((case == 0.0) | (case == 1.0))):
        raise Invalid("E-OUTCOME", f"outcome {name!r} must be 0 or 1", "derive it with CASE WHEN")
    cluster = None if question.cluster is None else inputs.keys[question.cluster]
    made = conditional_logistic_site.sets(
        inputs.design, case > 0.0, (inputs.keys[question.sets], cluster), question.method
    )
    if made is None:
        text = f"a set of {question.sets!r} lies in two clusters of {question.cluster!r}"
        raise Invalid("E-CLUSTER", text, "clusters hold whole sets")
    if question.method == "exact" and conditional_logistic_site.work(made) > conditional_logistic_site.WORK:
        text = f"sets of {question.sets!r} with so many rows and cases take the exact form too long"
        raise Invalid("E-SETS", text, "take `glm` with the set as a term: in sets this large it is nearly the same")
    return made


def _evidence(question: ConditionalLogistic, setting: Setting, prepared: Sets) -> Evidence:
    return conditional_logistic_site.evidence(_model(question, setting), prepared)


def _flow(question: ConditionalLogistic, setting: Setting) -> Flow:
    return conditional_logistic_flow.fit(_model(question, setting), question.sets)


def _summarise(question: ConditionalLogistic, setting: Setting, prepared: Sets, asked: Round) -> Answer:
    model = _model(question, setting)
    if asked.params["step"] == "meat":
        values, weights = conditional_logistic_site.meat(prepared, question.method, asked.params)
    else:
        values, weights = conditional_logistic_site.sums(prepared, question.method, asked.params)
        if any(f.name == "n" for f in asked.layout.fields):
            values |= conditional_logistic_site.counts(model, prepared)
    return Answer(filled(asked.layout, values), weights)


def _report(question: ConditionalLogistic, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    fit = {**estimate.values["fit"], "events": size(estimate.counts["events"]), "method": question.method}
    body = model_body(question, setting, estimate, {**fit, "sets": size(estimate.counts["sets"])})
    body["error"] = "model" if question.cluster is None else "cluster"
    if "clusters" in estimate.counts:
        body["clusters"] = size(estimate.counts["clusters"])
    return body


STATISTIC = Statistic(
    kind="conditional_logistic",
    question=ConditionalLogistic,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
