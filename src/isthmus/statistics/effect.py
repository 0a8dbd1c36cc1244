"""Average effect of a treatment (kind `effect`): inverse-probability weighting, augmented weighting, g-computation.

One propensity model for all sites is fitted on pooled sums; then weighted (or predicted) means and their errors. Result
keys: `terms` (`mean[1]`, `mean[0]`, `difference`, and `log ratio`, `log odds ratio` for a 0/1 outcome), `fit`
(`method`, `estimand`, `ess` of treated and control, `balance`: per term standardised mean difference before and after
weighting, `e_value` of a 0/1 outcome's ratio; `strata`, `calibration` where asked), `propensity` ({term: coefficient}), `n`, `test` (`z`), `error`
(`stacked`: the models' estimation counts; `known`: weights taken as known).

Definitions: Hajek (normalised) means; `ATE`, `ATT`, `ATO` (overlap) weights; errors without small-sample factor. In R:
`survey` or `PSweight`, and `geex` for the stacked errors. E-value: VanderWeele & Ding (2017), Ann Intern Med 167:268.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from isthmus.evidence import Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.formula import Formula, parse
from isthmus.model.record import record
from isthmus.statistics import (
    coordinates,
    effect_controls,
    effect_flow,
    effect_site,
    effect_strata,
    glm_flow,
    glm_kernel,
)
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.effect_flow import Plan
from isthmus.statistics.effect_site import Rows
from isthmus.statistics.families import FAMILIES
from isthmus.statistics.glm_evidence import glm_evidence
from isthmus.statistics.glm_model import Model, start_part
from isthmus.statistics.inference import term_rows
from isthmus.statistics.show import number, size
from isthmus.statistics.summaries import filled
from isthmus.summary import FloatArray


@record
class Effect:
    """Arguments of `effect`.

    `treatment`: a 0/1 variable; `outcome`: a number, or 0/1; `adjust`: the right-hand side of the models,
    `AGE + SEX`; `family`: of the outcome models of `aipw` and `gcomputation`; `errors`: `stacked` or `known`;
    `propensity_strata`: number of strata of the propensity score, of `stratified`, whose errors take them as known;
    `negative_controls`: 0/1 outcomes that the treatment cannot change, three or more, with `iptw`.
    """

    treatment: str
    outcome: str
    adjust: str
    method: Literal["iptw", "aipw", "gcomputation", "stratified"]
    estimand: Literal["ATE", "ATT", "ATO"] = "ATE"
    family: Literal["gaussian", "binomial"] | None = None
    errors: Literal["stacked", "known"] = "stacked"
    propensity_strata: int = 5
    negative_controls: tuple[str, ...] = ()


def _formula(question: Effect) -> Formula:
    formula = parse(f"{question.treatment} ~ {question.adjust}")
    if formula.strata or formula.cluster or formula.offset or not formula.intercept or not formula.terms:
        raise Invalid("E-FORMULA", "`adjust` is terms alone", "write `AGE + SEX`")
    _check(question)
    return formula


def _check(question: Effect) -> None:
    """Method, estimand and outcome models fit together."""
    possible = {"iptw": ("ATE", "ATT", "ATO"), "stratified": ("ATE", "ATT")}.get(question.method, ("ATE",))
    if question.estimand not in possible:
        listed = " and ".join(possible)
        raise Invalid("E-ESTIMAND", f"{question.method} estimates the {listed}", "use method: iptw for ATT and ATO")
    if question.method in {"aipw", "gcomputation"} and question.family is None:
        raise Invalid("E-MISSING-KEY", f"{question.method} needs the outcome models' `family`", "gaussian or binomial")
    controls = question.negative_controls
    if controls and (question.method != "iptw" or len(set(controls)) < effect_controls.FEWEST):
        hint = f"method: iptw, and {effect_controls.FEWEST} different controls or more"
        raise Invalid("E-OUTCOME", "negative controls calibrate a weighted estimate", hint)
    if {question.outcome, question.treatment} & set(controls):
        raise Invalid("E-OUTCOME", "a negative control is neither the treatment nor the outcome", "leave it out")


def _needs(question: Effect) -> Needs:
    names = (question.treatment, question.outcome, *question.negative_controls)
    return Needs(numbers=tuple(dict.fromkeys(names)), formula=_formula(question))


def _rungs(question: Effect, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _model(question: Effect, setting: Setting, outcome: str, family: str, weighting: str | None) -> Model:
    if setting.design is None:
        raise Invalid("E-DESIGN", "an effect needs the columns of its adjustment")
    kinds = {"binomial": "logit", "gaussian": "identity"}
    return Model(FAMILIES[family, kinds[family]], outcome, setting.design, setting.dictionary, weighting, False, None)


def _plan(question: Effect, setting: Setting) -> Plan:
    _formula(question)
    propensity = _model(question, setting, question.treatment, "binomial", None)
    outcome = None
    if question.method in {"aipw", "gcomputation"}:
        outcome = _model(question, setting, question.outcome, question.family or "gaussian", "frequency")
    unit = effect_flow.outcome_unit(question.outcome, propensity)
    stacked = question.errors == "stacked"
    named = (question.outcome, question.method, question.estimand)
    return Plan(propensity, outcome, *named, stacked, unit, question.negative_controls)


def _prepare(question: Effect, setting: Setting, inputs: Inputs) -> Rows:
    if inputs.design is None:
        raise Invalid("E-DESIGN", "an effect needs the columns of its adjustment")
    treated, outcome = inputs.numbers[question.treatment], inputs.numbers[question.outcome]
    controls = question.negative_controls
    _check_binary("treatment", question.treatment, treated)
    if question.family == "binomial" or controls:
        _check_binary("outcome", question.outcome, outcome)
    for name in controls:
        _check_binary("negative control", name, inputs.numbers[name])
    return Rows(inputs.design, treated, outcome, tuple(inputs.numbers[name] for name in controls))


def _check_binary(what: str, name: str, values: FloatArray) -> None:
    if not bool(np.all((values == 0.0) | (values == 1.0))):
        raise Invalid("E-OUTCOME", f"{what} {name!r} must be 0 or 1", "derive it with CASE WHEN")


def _of(rows: Rows, which: int) -> Rows:
    """The rows with a negative control (from 1 on) as their outcome; 0 is the outcome itself."""
    return rows if which == 0 else replace(rows, outcome=rows.controls[which - 1])


def _glm_rows(rows: Rows, fit: str) -> glm_kernel.Rows:
    """Rows of one of the models: the propensity's, or the outcome's in one arm."""
    if fit == "ps ":
        return glm_kernel.Rows(rows.columns, rows.treated, None, None)
    inside = rows.treated if fit == "treated " else 1.0 - rows.treated
    return glm_kernel.Rows(rows.columns, rows.outcome, inside, None)


def _evidence(question: Effect, setting: Setting, prepared: Rows) -> Evidence:
    """Of the propensity model, and of the outcome in each arm: alone, and over the adjustment where it is modelled."""
    plan = _plan(question, setting)
    found = glm_evidence(plan.propensity, _glm_rows(prepared, "ps "))
    for which, name in enumerate((question.outcome, *question.negative_controls)):
        modelled = _model(question, setting, name, "gaussian", "frequency")
        for arm in effect_flow.ARMS:
            here = glm_evidence(modelled, _glm_rows(_of(prepared, which), arm))
            found = _joined(found, here, arm if which == 0 else f"{arm}{name} ")
    return found


def _joined(found: Evidence, here: Evidence, label: str) -> Evidence:
    """Both, the names of the latter with a label."""
    return replace(
        found,
        supports={**found.supports, **{f"{label}{k}": v for k, v in here.supports.items()}},
        pairs={**found.pairs, **{f"{label}{k}": v for k, v in here.pairs.items()}},
        sides={**found.sides, **{f"{label}{k}": v for k, v in here.sides.items()}},
        cells={**found.cells, **{f"{label}{k}": v for k, v in here.cells.items()}},
        sums={**found.sums, **{f"{label}{k}": v for k, v in here.sums.items() if k != "weights"}},
        leverage=max(found.leverage, here.leverage),
    )


def _flow(question: Effect, setting: Setting) -> Flow:
    plan = _plan(question, setting)
    return (
        effect_strata.run(plan, question.propensity_strata)
        if question.method == "stratified"
        else effect_flow.run(plan)
    )


def _summarise(question: Effect, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    plan, params = _plan(question, setting), asked.params
    if "fit" in params:
        return _summarise_fit(plan, prepared, asked)
    if question.method == "stratified":
        return effect_strata.summarised(prepared, _range(question, setting), asked)
    which = int(params.get("of", 0))
    prepared = _of(prepared, which)
    if params["step"] == "weigh":
        values, guard = effect_site.weighed(prepared, question.estimand, params)
        low, width = _range(question, setting) if which == 0 else (0.0, 1.0)
        v = (prepared.outcome - low) / width
        values["binary"] = np.array([v.sum(), v @ v, v @ prepared.treated])
    elif params["step"] == "predict":
        values, guard = effect_site.predicted_sums(prepared, question.method, params)
    else:
        values, guard = effect_site.influence(prepared, question.estimand, question.method, params)
    return Answer(filled(asked.layout, values), guard)


def _range(question: Effect, setting: Setting) -> tuple[float, float]:
    return (0.0, 1.0) if question.family == "binomial" else coordinates.unit_range(question.outcome, setting.dictionary)


def _summarise_fit(plan: Plan, prepared: Rows, asked: Round) -> Answer:
    fit = str(asked.params["fit"])
    model = plan.propensity if fit == "ps " or plan.outcome is None else plan.outcome
    rows = _glm_rows(prepared, fit)
    if asked.params["step"] == "start":
        values, guard = start_part(model, rows, asked.params)
        return Answer(filled(asked.layout, values), guard)
    totals = glm_kernel.newton_sums(model.family, rows, asked.params)
    values = {"gram": totals.gram, "score": totals.score, "deviance": totals.deviance}
    values |= glm_flow.null_part(model, rows, asked.params)
    return Answer(filled(asked.layout, values), totals.weights())


def _terms(estimate: Estimate, conf_level: float) -> list[dict[str, Any]]:
    means, covariance = estimate.values["means"], estimate.values["covariance"]
    names, found = ["mean[1]", "mean[0]", "difference"], [means[0], means[1], means[0] - means[1]]
    gradients = [np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([1.0, -1.0])]
    if estimate.values["binary"] and 0.0 < means[0] < 1.0 and 0.0 < means[1] < 1.0:
        odds = means / (1.0 - means)
        names += ["log ratio", "log odds ratio"]
        found += [math.log(means[0] / means[1]), math.log(odds[0] / odds[1])]
        gradients += [np.array([1.0, -1.0]) / means, np.array([1.0, -1.0]) / (means * (1.0 - means))]
    errors = [math.sqrt(max(float(g @ covariance @ g), 0.0)) for g in gradients]
    return term_rows(names, np.array(found), np.array(errors), conf_level, None)


def _log_ratio(name: str, means: FloatArray, covariance: FloatArray) -> tuple[str, float, float]:
    """Of a 0/1 outcome: its name, log risk ratio and error.

    Raises:
        Invalid: E-NO-EVENTS, an arm without any.
    """
    if not bool(np.all(means > 0.0)):
        raise Invalid("E-NO-EVENTS", f"an arm has no case of {name!r}", "leave it out")
    gradient = np.array([1.0, -1.0]) / means
    return name, math.log(means[0] / means[1]), math.sqrt(max(float(gradient @ covariance @ gradient), 0.0))


def _calibration(question: Effect, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    found = estimate.values
    own = _log_ratio(question.outcome, found["means"], found["covariance"])
    controls = [_log_ratio(n, *pair) for n, pair in zip(question.negative_controls, found["controls"], strict=True)]
    return effect_controls.calibrated(own[1:], controls, setting.conf_level)


def e_value(ratio: float) -> float:
    """How strongly an unmeasured cause must go with both treatment and outcome to explain a risk ratio away."""
    above = ratio if ratio >= 1.0 else 1.0 / ratio
    return above + math.sqrt(above * (above - 1.0))


def _report(question: Effect, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    found, names = estimate.values, setting.design.names if setting.design is not None else ()
    before, after = found["balance"]
    shown = zip(names, before.tolist(), after.tolist(), strict=True)
    means = found["means"]
    sound = found["binary"] and bool(np.all(means > 0.0))
    strata = effect_strata.shown(estimate) if question.method == "stratified" else {}
    body = {
        "kind": estimate.kind,
        "exactness": estimate.exactness,
        "n": size(estimate.counts["n"]),
        "rounds": estimate.rounds,
        "terms": _terms(estimate, setting.conf_level),
        "fit": {
            "method": question.method,
            "estimand": question.estimand,
            "ess": {"treated": number(found["ess"][0]), "control": number(found["ess"][1])},
            "balance": [{"term": n, "before": b, "after": a} for n, b, a in shown if n != "(Intercept)"],
            "e_value": number(e_value(float(means[0] / means[1]))) if sound else None,
            **({"strata": strata["strata"]} if strata else {}),
            **({"calibration": _calibration(question, setting, estimate)} if question.negative_controls else {}),
        },
        "propensity": dict(zip(names, found["propensity"].tolist(), strict=True)),
        "reference": dict(setting.design.reference) if setting.design is not None else {},
        "conf_level": setting.conf_level,
        "test": "z",
        "error": "known" if strata else question.errors,
    }
    return body | ({"grid": {"edges": strata["edges"]}} if strata else {})


STATISTIC = Statistic(
    kind="effect",
    question=Effect,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
