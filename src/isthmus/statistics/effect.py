"""How `effect` is asked and answered: one flow of the propensity model, then of the outcome (`effect_question` says what is computed)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from isthmus.evidence import Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.statistics import (
    coordinates,
    effect_flow,
    effect_hazard,
    effect_local,
    effect_report,
    effect_site,
    effect_strata,
    effect_survival_site,
    effect_truncation,
    glm_kernel,
    glm_null,
    lockstep,
    survival,
)
from isthmus.statistics.contract import Answer, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.effect_flow import Plan
from isthmus.statistics.effect_question import Effect, adjustment, outcome_name
from isthmus.statistics.effect_site import Rows
from isthmus.statistics.effect_survival import Wish
from isthmus.statistics.families import FAMILIES
from isthmus.statistics.glm_evidence import glm_evidence
from isthmus.statistics.glm_model import Model, start_part
from isthmus.statistics.summaries import filled
from isthmus.summary import FloatArray


def _needs(question: Effect) -> Needs:
    if question.treatment in {outcome_name(question), question.time}:
        message = f"{question.treatment!r} is both treatment and outcome"
        raise Invalid("E-OUTCOME", message, "treatment and outcome are different variables")
    return needs_of(question)


def needs_of(question: Effect) -> Needs:
    """Of an effect whose outcome may be the treatment, as of a propensity model alone."""
    formula, times = adjustment(question), () if question.time is None else (question.time,)
    names = (question.treatment, outcome_name(question), *question.negative_controls, *times)
    return Needs(numbers=tuple(dict.fromkeys(names)), formula=formula, times=() if question.strata else times)


def _rungs(question: Effect, dictionary: Codebook) -> tuple[Grid, ...]:
    if question.time is None or question.strata:
        return ()
    return survival.rungs(question.time, question.grid, dictionary)


def _grid(setting: Setting) -> Grid:
    if setting.grid is None:
        raise Invalid("E-NO-GRID", "the question has no time grid yet")
    return setting.grid


def _model(question: Effect, setting: Setting, outcome: str, family: str, weighting: str | None) -> Model:
    if setting.design is None:
        raise Invalid("E-DESIGN", "an effect needs the columns of its adjustment")
    kinds = {"binomial": "logit", "gaussian": "identity"}
    return Model(FAMILIES[family, kinds[family]], outcome, setting.design, setting.dictionary, weighting, False, None)


def plan_of(question: Effect, setting: Setting) -> Plan:
    """What every party knows of the question."""
    adjustment(question)
    propensity = _model(question, setting, question.treatment, "binomial", None)
    outcome = None
    if question.method in {"aipw", "gcomputation"}:
        outcome = _model(question, setting, outcome_name(question), question.family or "gaussian", "frequency")
    name, stacked = outcome_name(question), question.errors == "stacked"
    unit = effect_flow.outcome_unit(name, propensity) if question.time is None else 1.0
    plan = Plan(
        propensity, outcome, name, question.method, question.estimand, stacked, unit, question.negative_controls
    )
    plan = replace(plan, local=question.propensity == "site", bounds=_range(question, setting))
    plan = replace(plan, cap=question.cap, truncate=question.truncate)
    if question.time is None or question.strata:
        return replace(plan, within=bool(question.strata))
    grid = _grid(setting)
    return replace(plan, wish=Wish(grid.edges, question.at, question.tau), recorded=grid.recorded)


def _prepare(question: Effect, setting: Setting, inputs: Inputs) -> Rows:
    if inputs.design is None:
        raise Invalid("E-DESIGN", "an effect needs the columns of its adjustment")
    treated, outcome = inputs.numbers[question.treatment], inputs.numbers[outcome_name(question)]
    controls = question.negative_controls
    _check_binary("treatment", question.treatment, treated)
    if question.family == "binomial" or controls:
        _check_binary("outcome", outcome_name(question), outcome)
    for name in controls:
        _check_binary("negative control", name, inputs.numbers[name])
    rows = Rows(inputs.design, treated, outcome, tuple(inputs.numbers[name] for name in controls))
    if question.time is not None:
        rows = replace(rows, time=inputs.numbers[question.time])
        survival.check_times((question.time, outcome_name(question)), rows.time, outcome)
    if question.propensity == "site" and setting.design is not None:
        local = effect_local.fitted(inputs.design, treated, question.treatment, setting.design.names)
        rows = replace(rows, local=local)
    return rows


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
    """Of the propensity model, and of the outcome in each arm: alone, and over the adjustment where it is modelled.

    Survival: of having the event, and having it by each time that is asked for; each arm's steps are cells.
    """
    found = model_evidence(question, setting, prepared)
    outcomes = {outcome_name(question): prepared}
    outcomes |= {name: _of(prepared, which) for which, name in enumerate(question.negative_controls, start=1)}
    for time in (*question.at, *(() if question.tau is None else (question.tau,))):
        early = prepared.outcome * (prepared.time <= time)
        outcomes[f"{question.event} by {time:g}"] = replace(prepared, outcome=early)
    for which, (name, rows) in enumerate(outcomes.items()):
        modelled = _model(question, setting, name, "gaussian", "frequency")
        for arm in effect_site.ARMS:
            here = glm_evidence(modelled, _glm_rows(rows, arm))
            found = _joined(found, here, arm if which == 0 else f"{arm}{name} ")
    if question.time is None:
        return found
    if question.strata:
        steps = effect_hazard.cells(prepared)
    else:
        steps = effect_survival_site.cells(prepared, question.time, _grid(setting))
    return replace(found, cells={**found.cells, **steps})


def model_evidence(question: Effect, setting: Setting, prepared: Rows) -> Evidence:
    """Of the propensity model alone."""
    return glm_evidence(plan_of(question, setting).propensity, _glm_rows(prepared, "ps "))


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
    plan = plan_of(question, setting)
    if question.method == "stratified":
        return effect_strata.run(plan, question.propensity_strata)
    return effect_flow.run(plan) if question.time is None else _named(question, effect_flow.run(plan))


def _named(question: Effect, flow: Flow) -> Flow:
    """An error about arms and events names their variables."""
    try:
        return (yield from flow)
    except Invalid as error:
        told = any(repr(name) in error.message for name in (question.event, question.treatment))
        message = error.message if told else f"{question.event!r} by {question.treatment!r}: {error.message}"
        raise Invalid(error.code, message, error.hint) from error


def _summarise(question: Effect, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    if lockstep.PARTS in asked.params:
        return lockstep.answered(asked, lambda _, own: _summarise(question, setting, prepared, own))
    plan, params = plan_of(question, setting), asked.params
    if "truncate" in params:
        return effect_truncation.summarised(prepared, question.estimand, asked)
    if "fit" in params:
        return _summarise_fit(plan, prepared, asked)
    if question.method == "stratified":
        return effect_strata.summarised(prepared, _range(question, setting), asked)
    if question.strata and params["step"] != "weigh":
        return effect_hazard.summarised(prepared, question.estimand, asked)
    if question.time is not None and params["step"] != "weigh":
        told = (question.time, _grid(setting))
        return effect_survival_site.summarised(prepared, told, question.estimand, asked)
    return _summarise_means(question, setting, prepared, asked)


def _summarise_means(question: Effect, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    params = asked.params
    which = int(params.get("of", 0))
    prepared = _of(prepared, which)
    if params["step"] == "weigh":
        values, guard = effect_site.weighed(prepared, question.estimand, params)
        low, width = _range(question, setting) if which == 0 else (0.0, 1.0)
        v = coordinates.in_units(prepared.outcome, low, width)
        values["binary"] = np.array([v.sum(), v @ v, v @ prepared.treated])
    elif params["step"] == "predict":
        values, guard = effect_site.predicted_sums(prepared, question.estimand, question.method, params)
    else:
        values, guard = effect_site.influence(prepared, question.estimand, question.method, params)
    about = (effect_site.cut_off(prepared, question.estimand, params),) if params["step"] == "weigh" else ()
    return Answer(filled(asked.layout, values), guard, evidence=about)


def _range(question: Effect, setting: Setting) -> tuple[float, float]:
    known = question.family == "binomial" or question.time is not None
    return (0.0, 1.0) if known else coordinates.unit_range(outcome_name(question), setting.dictionary)


def _summarise_fit(plan: Plan, prepared: Rows, asked: Round) -> Answer:
    fit = str(asked.params["fit"])
    model = plan.propensity if fit == "ps " or plan.outcome is None else plan.outcome
    rows = _glm_rows(prepared, fit)
    if asked.params["step"] == "start":
        values, guard = start_part(model, rows, asked.params)
        return Answer(filled(asked.layout, values), guard)
    rows = glm_kernel.centred(rows, asked.params)
    totals = glm_kernel.newton_sums(model.family, rows, asked.params)
    values = {"gram": totals.gram, "score": totals.score, "deviance": totals.deviance}
    values |= glm_null.null_part(model, rows, asked.params)
    return Answer(filled(asked.layout, values), totals.weights())


STATISTIC = Statistic(
    kind="effect",
    question=Effect,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=effect_report.report,
)
