"""Generalized linear models (kind `glm`): gaussian, binomial, poisson, gamma, inverse gaussian, quasi-families;
and `negative_binomial`, which has a theta of its own (`negative_binomial.py`).

Result keys: `terms`, `fit` (family, link, deviance, null_deviance, df_residual, df_null, loglik, aic, dispersion,
converged), `n`, `events` (binomial, poisson), `reference`, `conf_level`, `test` (`t` where the dispersion is
estimated and errors are the model's, else `z`), `error` (`model`, `HC0` to `HC3` or `cluster`), `clusters`,
`contrasts`, `tests`, `vcov`. Of `negative_binomial` `fit` has `theta` and `theta_error`, and no null deviance.

Definitions are those of R's `glm`: dispersion is Pearson's statistic over n - p; `loglik` and `aic` of families whose
dispersion is estimated use deviance / n and count it as a parameter; intervals are Wald. HC0 to HC3 are `sandwich`'s
(MacKinnon & White 1985): HC1 has the factor n / (n - p), HC2 and HC3 take each row's leverage in the pooled model, which its site works out. `cluster` is `vcovCL` without small-sample factor, clusters inside a site (`sandwich`). Weights say what they are: `frequency` (a row stands for w rows), `precision` (R's `weights`), `sampling`
(as precision, robust errors always). The term `site`, or `strata` with `site`, gives each site an intercept that no
result shows (`glm_sites.py`): R's `factor(site)`, whose terms count in `aic`, degrees of freedom and leverage. Gamma and inverse
Gaussian models with link identity have none.

`ridge` draws coefficients to 0 as `glmnet` with `alpha = 0` does (`glm_ridge.py`): collinear columns, and outcomes that columns tell
apart, then have an answer. `fit` has `ridge` and its effective degrees of freedom `df`, which `df_residual`, the dispersion
and `aic` count; errors are those about the estimate's own mean.

Every round sends score, information and deviance at coefficients that each party derives from the sums before;
scoring starts from R's starting values (from the common mean where a link is not defined everywhere) and ends when the
largest step is below 1e-10 standard errors.

References: McCullagh & Nelder (1989), Generalized Linear Models, 2nd ed.; MacKinnon & White (1985), J Econometrics 29:305.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from isthmus.evidence import SQUARED, Evidence, Weights, weights_of
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.formula import Formula, Surv, offset_reads, parse, some_column
from isthmus.model.record import record
from isthmus.statistics import (
    glm_cluster,
    glm_flow,
    glm_kernel,
    glm_null,
    glm_ridge,
    glm_sites,
    negative_binomial,
    sandwich,
    survival,
    weighting,
)
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.families import FAMILIES, POSITIVE_OUTCOME, Family, link_names
from isthmus.statistics.glm_evidence import glm_evidence
from isthmus.statistics.glm_kernel import Params, Rows
from isthmus.statistics.glm_model import Model, start_part
from isthmus.statistics.glm_moments import PLAIN
from isthmus.statistics.model_body import model_body
from isthmus.statistics.show import number, size
from isthmus.statistics.summaries import filled
from isthmus.statistics.weighting import Weighting

NEGATIVE = "negative_binomial"


@record
class Glm:
    """Arguments of `glm`.

    `formula`: `outcome ~ terms`; `offset`: a variable added to the linear predictor, or `log(...)` of one; `cluster`: a variable whose values
    group the rows of a site, or `site` with 10 sites or more; `strata`: `site`, for an intercept of each site, and
    categories whose levels have one each within it; `ridge`: a penalty (lambda) above 0; `contrasts`: name -> {term: weight}; `tests`: name -> terms tested
    jointly; `release: [vcov]` shows the covariance matrix.
    """

    formula: str
    family: Literal[
        "gaussian",
        "binomial",
        "poisson",
        "gamma",
        "inverse_gaussian",
        "quasibinomial",
        "quasipoisson",
        "negative_binomial",
    ]
    link: Literal["identity", "logit", "probit", "cloglog", "log", "inverse", "1/mu^2"] | None = None
    weights: Weighting | None = None
    offset: str | None = None
    robust: Literal["HC0", "HC1", "HC2", "HC3"] | None = None
    cluster: str | None = None
    strata: tuple[str, ...] = ()
    ridge: float | None = None
    contrasts: Mapping[str, Mapping[str, float]] | None = None
    tests: Mapping[str, tuple[str, ...]] | None = None
    release: tuple[Literal["vcov"], ...] = ()


def _formula(question: Glm) -> Formula:
    formula = some_column(parse(question.formula))
    if formula.response is None or formula.surv is not None:
        raise Invalid("E-FORMULA", "a glm has one outcome on the left", "write `outcome ~ terms`")
    strata = _strata(question, formula)
    if formula.site and strata != ("site",):
        raise Invalid(
            "E-FORMULA", "a glm has the term `site` or strata", "strata: [site, ...] for one of each within sites"
        )
    if strata and "site" not in strata:
        raise Invalid("E-FORMULA", "strata of a glm hold `site`", "add the variable as a term")
    if strata and not formula.intercept:
        raise Invalid("E-FORMULA", "strata are the intercepts of a glm", "leave `- 1` out")
    _cluster(question, formula)
    if question.ridge is not None:
        glm_ridge.check(question.ridge, formula, strata)
        if question.family == NEGATIVE:
            raise Invalid("E-PENALTY", "a negative binomial model takes no ridge penalty", "use family: quasipoisson")
    known = ("log",) if question.family == NEGATIVE else link_names(question.family)
    if question.link not in {None, *known}:
        raise Invalid("E-LINK", f"{question.family} has no link {question.link!r}", "links: " + ", ".join(known))
    return formula


def _strata(question: Glm, formula: Formula) -> tuple[str, ...]:
    """What has an intercept of its own that no result shows."""
    stated = (*question.strata, *formula.strata, *(("site",) if formula.site else ()))
    return tuple(dict.fromkeys(stated))


def _cluster(question: Glm, formula: Formula) -> str | None:
    """What errors are clustered by, stated in the formula or beside it."""
    found = weighting.cluster_of(question.cluster, formula)
    if found is not None and question.robust not in {None, "HC0"}:
        raise Invalid("E-CLUSTER", f"clustered errors are not {question.robust}", "leave `robust` out")
    return found


def _family(question: Glm) -> Family:
    if question.family == NEGATIVE:  # it begins as the Poisson model does
        return FAMILIES["poisson", "log"]
    return FAMILIES[question.family, question.link or link_names(question.family)[0]]


def _offsets(question: Glm, formula: Formula) -> tuple[str, ...]:
    return weighting.offsets(question.offset, formula)


def _model(question: Glm, setting: Setting) -> Model:
    formula = _formula(question)
    if setting.design is None or formula.response is None:
        raise Invalid("E-DESIGN", "a glm needs a design")
    kind = None if question.weights is None else question.weights.kind
    return Model(
        family=_family(question),
        outcome=formula.response,
        design=setting.design,
        dictionary=setting.dictionary,
        weighting=kind,
        offset=bool(_offsets(question, formula)),
        robust=question.robust or ("HC0" if kind == "sampling" else None),
        cluster=_cluster(question, formula),
        strata=_strata(question, formula),
        ridge=question.ridge,
    )


def _needs(question: Glm) -> Needs:
    formula = _formula(question)
    numbers = (str(formula.response), *offset_reads(_offsets(question, formula)), *weighting.read(question.weights))
    keys = weighting.keys(_cluster(question, formula))
    strata = _strata(question, formula)
    if strata:  # coded as if there were an intercept, which no column shows: as of a `Surv`
        name = str(formula.response)
        formula = replace(formula, response=None, surv=Surv(time=name, event=name), intercept=True, site=False)
    within = tuple(name for name in strata if name != "site")
    return Needs(numbers=tuple(dict.fromkeys(numbers)), categories=within, formula=formula, keys=keys)


def _rungs(question: Glm, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _prepare(question: Glm, setting: Setting, inputs: Inputs) -> Rows:
    formula = _formula(question)
    if inputs.design is None:
        raise Invalid("E-DESIGN", "a glm needs a design")
    y = inputs.numbers[str(formula.response)]
    check_outcome(question.family, str(formula.response), y)
    prior = weighting.prior_of(question.weights, inputs)
    total = weighting.link_offset(_family(question).link, _offsets(question, formula), inputs)
    strata = _strata(question, formula)
    stratum = survival.strata_codes(strata, setting.levels, inputs.codes, inputs.rows) if strata else None
    return Rows(inputs.design, y, prior, total, weighting.clusters_of(inputs), stratum)


def check_outcome(family: str, name: str, y: Any) -> None:
    """Whether values (rows,) can be an outcome of the family.

    Raises:
        Invalid: E-OUTCOME, naming the variable.
    """
    if family in {"binomial", "quasibinomial"} and not bool(np.all((y == 0.0) | (y == 1.0))):
        raise Invalid("E-OUTCOME", f"outcome {name!r} of a binomial model must be 0 or 1", "derive it with CASE WHEN")
    if family.endswith(("poisson", NEGATIVE)) and not bool(np.all(y >= 0.0)):
        raise Invalid("E-OUTCOME", f"outcome {name!r} of a model of counts must not be negative")
    if family in POSITIVE_OUTCOME and not bool(np.all(y > 0.0)):
        raise Invalid(
            "E-OUTCOME", f"outcome {name!r} of this family must be above 0", "leave zeros out, or add to them"
        )


def _evidence(question: Glm, setting: Setting, prepared: Rows) -> Evidence:
    model = _model(question, setting)
    return glm_sites.evidence(model, prepared) if model.strata else glm_evidence(model, prepared)


def _flow(question: Glm, setting: Setting) -> Flow:
    model = _model(question, setting)
    sandwich.check(model.cluster, setting.sites)
    if question.family == NEGATIVE:
        return negative_binomial.fit(model)
    if model.ridge is not None:
        return glm_ridge.fit(model)
    return glm_sites.fit(model) if model.strata else glm_flow.fit(model)


def _summarise(question: Glm, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    model = _model(question, setting)
    values: dict[str, Any] = {}
    step = asked.params["step"]
    if step == NEGATIVE:
        return negative_binomial.summarise(model, prepared, asked)
    if "log_theta" in asked.params:
        model = negative_binomial.at_round(model, asked.params)
    rows = glm_kernel.centred(prepared, asked.params)
    if step == "start":
        values, guard = _start_part(model, prepared, asked.params)
        return Answer(filled(asked.layout, values), guard)
    within = glm_sites.profiled(model, rows, asked.params) if model.strata else None
    told, params = (rows, dict(asked.params)) if within is None else (within.rows, within.params)
    if step == "meat":
        values, guard = _middle(model, prepared, told, params)
        return Answer(filled(asked.layout, values), guard)
    totals = glm_kernel.newton_sums(model.family, told, params)
    values |= {"gram": totals.gram, "score": totals.score, "deviance": totals.deviance}
    values |= {"correction": totals.correction, "pearson": totals.pearson}
    values |= glm_null.null_part(model, rows, asked.params)
    if within is not None and not model.family.canonical:
        values["correction"] = totals.correction + within.bend()
    weights = totals.weights()
    return Answer(filled(asked.layout, values), glm_sites.guard(weights, rows) if model.strata else weights)


def _start_part(model: Model, prepared: Rows, params: Params) -> tuple[dict[str, Any], Weights]:
    if model.strata:
        return glm_sites.start_part(model, prepared, params)
    return start_part(model, prepared, params, None if model.ridge is None else PLAIN)


def _middle(model: Model, rows: Rows, told: Rows, params: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """A site's part of the middle of the sandwich, from the rows that tell of it; its guard."""
    strata = glm_sites.intercepts_of(rows) if model.strata else 0
    if model.cluster is not None:
        values, guard = glm_cluster.meat(model, told, params, strata)
        return values | {"clusters": sandwich.present(rows.size, rows.cluster, rows.prior)}, guard
    params["frequency"] = 1 if model.weighting == "frequency" else 0
    totals = glm_kernel.meat_sums(model.family, told, params)
    weights = totals.weights()
    parameters = math.ceil((weights.parameters + strata) / SQUARED)
    if totals.whole.any():  # one person's: with any rule about effective rows nothing of it leaves
        weights = weights_of(np.ones(1), 0)
    return {"meat": totals.gram, "whole": totals.whole}, replace(weights, parameters=parameters)


def _fit_shown(question: Glm, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    """The fit with what counts alone decide, from the counts that the gate left: exact ones would come back from it."""
    fit: dict[str, Any] = dict(estimate.values["fit"])
    parts, n = estimate.values["null_parts"], float(estimate.counts["n"].values[0])
    constant = 1 if _model(question, setting).intercept else 0
    used = fit.get("df", estimate.parameters)
    fit |= {"df_residual": int(n) - used, "df_null": int(n) - constant}
    if parts is None or "events" not in estimate.counts:
        return fit
    events = float(estimate.counts["events"].values[0])
    if (n, events) == (parts["n"], parts["events"]):
        return fit
    family = _family(question)
    null = fit["null_deviance"] = glm_flow.null_shown(family, parts, estimate.counts)
    if estimate.parameters == constant == 1:  # the mean alone: the fit is the null model
        change = (null - parts["null"]) / 2.0
        fit["deviance"] = null
        if family.likelihood:
            fit |= {"loglik": fit["loglik"] - change, "aic": fit["aic"] + 2.0 * change}
    return fit


def _report(question: Glm, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    fit = _fit_shown(question, setting, estimate)
    df = float(fit["df_residual"]) if estimate.values["test"] == "t" else None
    shown = {k: number(v) if isinstance(v, float) else v for k, v in fit.items()}
    body = model_body(question, setting, estimate, shown, df) | {"error": estimate.values["error"]}
    if "clusters" in estimate.counts:
        body["clusters"] = size(estimate.counts["clusters"])
    return body


STATISTIC = Statistic(
    kind="glm",
    question=Glm,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
