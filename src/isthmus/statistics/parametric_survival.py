"""Parametric survival (kind `parametric_survival`): accelerated failure times as R's `survreg` (exponential, Weibull,
log-normal), or hazards that are constant between agreed cuts.

Coefficients of accelerated failure times are of the logarithm of the time: a positive one means longer. Those of
`piecewise_exponential` are log hazard ratios, as of Cox: a positive one means shorter; it is Poisson regression of the
rows split at the cuts with offset log(time), whose log-likelihood is larger by the sum of log(time) over the events.

`Surv(entry, time, event)`: rows are at risk after their entry (left truncation: each row's likelihood is given that it
lived until then).

`weights` are case weights as `survreg`'s: `frequency` (whole numbers: a row stands for w rows), `precision` (its own
errors) or `sampling` (robust errors always); a row without weight is left out, and `n` and `events` count rows. `robust`
is the sandwich of the rows' scores, `cluster` of their sums within clusters inside a site, without small-sample factor, as
`survreg`'s (which leaves weights out of the scores; here they are in, as `coxph` has them); of `piecewise_exponential` a
row has one score, however many intervals it lives through.

Result keys: `terms` (last `Log(scale)`, except for `exponential`, whose scale is 1; or `Log(hazard)(0, 30]` of each
interval where all columns are 0), `fit` (distribution, scale, loglik, loglik_null: of the model without terms, df,
events), `n`, `events`, `reference`, `conf_level`, `test` (`z`), `error` (`model`, `robust` or `cluster`), `clusters`,
`contrasts`, `tests`, `vcov`.

Reference: Kalbfleisch & Prentice (2002), The Statistical Analysis of Failure Time Data, 2nd ed., ch. 2 and 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from isthmus.evidence import Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.formula import Design, Formula, Surv, no_site, offset_reads, parse
from isthmus.model.record import record
from isthmus.statistics import (
    cox_model,
    cox_rows,
    indicators,
    lockstep,
    parametric_survival_flow,
    piecewise_exponential,
    sandwich,
    survival,
    unusual,
    weighting,
)
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.model_body import model_body
from isthmus.statistics.parametric_survival_flow import Distribution, Model, Rows
from isthmus.statistics.sandwich import Errors
from isthmus.statistics.show import size
from isthmus.statistics.summaries import filled
from isthmus.statistics.weighting import Weighting
from isthmus.summary import FloatArray

SILENT = 50.0  # an offset this far above the smallest leaves nothing of a row


@record
class ParametricSurvival:
    """Arguments of `parametric_survival`.

    `formula`: `Surv(time, event) ~ terms` or `Surv(entry, time, event) ~ terms`; `cuts`: where the hazard of
    `piecewise_exponential` changes, increasing (a time at a cut ends the interval before it); `weights`: {variable,
    kind}; `offset`: a variable added to the linear predictor, not of `piecewise_exponential`; `robust: true`; `cluster`: a variable whose values group the rows of a site, or `site` with 10 sites or more;
    `contrasts`: name -> {term: weight}; `tests`: name -> terms tested jointly; `release: [vcov]` shows the covariance matrix.
    """

    formula: str
    distribution: Distribution | Literal["piecewise_exponential"]
    cuts: tuple[float, ...] = ()
    weights: Weighting | None = None
    robust: bool = False
    cluster: str | None = None
    offset: str | None = None
    contrasts: Mapping[str, Mapping[str, float]] | None = None
    tests: Mapping[str, tuple[str, ...]] | None = None
    release: tuple[Literal["vcov"], ...] = ()


def _pieces(question: ParametricSurvival) -> bool:
    return question.distribution == "piecewise_exponential"


def _formula(question: ParametricSurvival) -> tuple[Formula, Surv]:
    formula = no_site(parse(question.formula), "take `country` as a term, or fit a cox model with `strata: [site]`")
    if formula.surv is None:
        hint = "or `Surv(entry, time, event)`"
        raise Invalid("E-FORMULA", "a parametric_survival model has `Surv(time, event)` on the left", hint)
    if len({formula.surv.entry, formula.surv.time, formula.surv.event}) < 3:
        raise Invalid("E-FORMULA", "entry, time and event of `Surv` are different variables")
    if not formula.intercept or formula.strata:
        text = "a parametric_survival model has an intercept and no strata()"
        raise Invalid("E-FORMULA", text, "leave `- 1` out; take the stratum as a term")
    if not _pieces(question):
        if question.cuts:
            hint = "state distribution: piecewise_exponential, or leave cuts out"
            raise Invalid("E-GRID", f"{question.distribution} has no cuts", hint)
        return replace(formula, surv=None), formula.surv  # for a design with an intercept, which a Surv() has not
    if weighting.offsets(question.offset, formula):
        raise Invalid("E-FORMULA", "piecewise_exponential takes no offset", "split the rows: a poisson glm has one")
    piecewise_exponential.checked(question.cuts)
    if not formula.terms:
        raise Invalid("E-FORMULA", "a piecewise_exponential model needs a term", "`rate` gives rates alone")
    return formula, formula.surv


def _needs(question: ParametricSurvival) -> Needs:
    formula, surv = _formula(question)
    entry = () if surv.entry is None else (surv.entry,)
    more = (*weighting.read(question.weights), *offset_reads(weighting.offsets(question.offset, formula)))
    numbers = tuple(dict.fromkeys((*entry, surv.time, surv.event, *more)))
    return Needs(numbers=numbers, formula=formula, keys=weighting.keys(_errors(question).cluster))


def _errors(question: ParametricSurvival) -> Errors:
    return weighting.errors_of(question, parse(question.formula))


def _rungs(question: ParametricSurvival, dictionary: Codebook) -> tuple[Grid, ...]:
    return ()


def _design(setting: Setting) -> Design:
    if setting.design is None:
        raise Invalid("E-DESIGN", "a parametric_survival model needs a design")
    return setting.design


def _model(question: ParametricSurvival, setting: Setting, design: Design) -> Model:
    surv = _formula(question)[1]
    distribution = "exponential" if question.distribution == "piecewise_exponential" else question.distribution
    late, errors = surv.entry is not None, _errors(question)
    return Model(distribution, surv.time, surv.event, design, setting.dictionary, late, errors)


def _pieces_model(question: ParametricSurvival, setting: Setting) -> cox_model.Model:
    surv, errors = _formula(question)[1], _errors(question)
    return cox_model.Model(
        time=surv.time,
        event=surv.event,
        design=_design(setting),
        dictionary=setting.dictionary,
        ties="breslow",
        strata=1,
        steps=len(question.cuts) + 1,
        exactness="exact",
        open_rules=setting.open_rules,
        robust=errors.robust,
        weighting=None if question.weights is None else question.weights.kind,
        late=surv.entry is not None,
        cluster=errors.cluster,
    )


def _models(question: ParametricSurvival, setting: Setting) -> tuple[Model, ...]:
    """The model, and that of the intercept alone."""
    design = _design(setting)
    model = _model(question, setting, design)
    if len(design.columns) == 1:
        return (model,)
    lone = replace(design, columns=design.columns[:1], reference=())
    return model, replace(model, design=lone, errors=model.errors.own)


def _prepare(question: ParametricSurvival, setting: Setting, inputs: Inputs) -> Rows | cox_rows.Rows:
    formula, surv = _formula(question)
    if inputs.design is None:
        raise Invalid("E-DESIGN", "a parametric_survival model needs a design")
    time, event = inputs.numbers[surv.time], inputs.numbers[surv.event]
    survival.check_times((surv.time, surv.event), time, event)
    if not bool(np.all(time > 0.0)):
        raise Invalid("E-TIME", f"time {surv.time!r} must be above 0", "a time of 0 has no logarithm")
    entry = None if surv.entry is None else inputs.numbers[surv.entry]
    if entry is not None:
        survival.check_entries((str(surv.entry), surv.time), entry, time, setting.dictionary)
    prior, cluster = weighting.prior_of(question.weights, inputs), weighting.clusters_of(inputs)
    if _pieces(question):
        told = cox_rows.Told(time, event > 0.0, np.zeros(inputs.rows, dtype=np.intp), entry, prior, cluster)
        return cox_rows.sorted_rows(inputs.design, told, 1)
    design, at = inputs.design, weighting.heavy(prior)
    offset = weighting.offset_of(weighting.offsets(question.offset, formula), inputs)
    if at is not None:
        design, time, event = design[:, at], time[at], event[at]
        entry, prior, cluster, offset = (weighting.taken(v, at) for v in (entry, prior, cluster, offset))
    late = np.flatnonzero(entry > 0.0) if entry is not None else np.zeros(0, dtype=np.intp)
    log_entry, logs = np.log(entry[late]) if entry is not None else np.zeros(0), np.log(time)
    if offset is not None:
        logs, log_entry = logs - offset, log_entry - offset[late]
    return Rows(design, logs, event, late, log_entry, prior, cluster, inputs.rows - time.size, offset)


def _evidence(question: ParametricSurvival, setting: Setting, prepared: Any) -> Evidence:
    """As of a linear model of the logarithm of the time: its spread, who makes up its sums, its unusual values."""
    if isinstance(prepared, cox_rows.Rows):
        return piecewise_exponential.evidence(_pieces_model(question, setting), prepared, question.cuts)
    model, (_, surv), y = _models(question, setting)[0], _formula(question), prepared.log_time
    columns, outcome, weights = prepared.columns, (surv.event, prepared.event), _weights(prepared)
    own = weighting.leverage(columns, weights)
    found = indicators.design_evidence(model.design, columns, outcome, own, weights, (surv.time, y))
    found = weighting.with_weights(replace(found, parameters=model.free), prepared.prior, prepared.silent)
    found = weighting.with_clusters(found, model.errors, prepared.size, prepared.cluster)
    if not y.size:
        return found
    supports = {**found.supports, f"spread of {surv.time}": np.array([unusual.spread(y, weights)], dtype=np.int64)}
    sides = {**found.sides, f"unusual {surv.time}": np.array([unusual.away(y)], dtype=np.int64)}
    if model.late:
        on_time = y.size - prepared.late.size
        sides |= {f"late by {surv.entry}": np.array([prepared.late.size, on_time], dtype=np.int64)}
        sides |= {f"unusual {surv.entry}": np.array([unusual.away(prepared.log_entry)], dtype=np.int64)}
        for name, mark in indicators.marked(model.design, prepared.columns):
            sides[f"late by {surv.entry} x {name}"] = _late(prepared, mark)
    if prepared.offset is not None:
        sides["unusual offset"] = unusual.unusual(prepared.offset)
    made = np.abs(y - unusual.middle(y)) * (1.0 if weights is None else weights)
    return replace(found, supports=supports, sides=sides, sums={**found.sums, surv.time: made})


def _weights(rows: Rows) -> FloatArray | None:
    """How much each row can weigh: its weight, times what its offset leaves of it beside the smallest; largest 1."""
    found = weighting.relative(rows.prior)
    if rows.offset is None or not rows.size:
        return found
    left = np.exp(np.maximum(float(rows.offset.min()) - rows.offset, -SILENT))
    return left if found is None else left * found


def _late(rows: Rows, mark: Any) -> Any:
    """(2,) late rows with a mark, and without it."""
    marked = int(np.count_nonzero(mark[rows.late] > 0.5))
    return np.array([marked, rows.late.size - marked], dtype=np.int64)


def _flow(question: ParametricSurvival, setting: Setting) -> Flow:
    sandwich.check(_errors(question).cluster, setting.sites)
    if _pieces(question):
        whole: Estimate = yield from piecewise_exponential.fit(_pieces_model(question, setting), question.cuts)
        return whole
    flows = [parametric_survival_flow.fit(model) for model in _models(question, setting)]
    fitted = yield from lockstep.every(flows)
    values = {**fitted[0].values, "loglik_null": fitted[-1].values["loglik"]}
    return replace(fitted[0], rounds=max(one.rounds for one in fitted), values=values)


STEPS = {
    "start": parametric_survival_flow.start_sums,
    "newton": parametric_survival_flow.newton_sums,
    "meat": parametric_survival_flow.meat_sums,
}


def _summarise(question: ParametricSurvival, setting: Setting, prepared: Any, asked: Round) -> Answer:
    if isinstance(prepared, cox_rows.Rows):
        return _pieces_answer(question, setting, prepared, asked)
    models = _models(question, setting)

    def answer(at: int, own: Round) -> Answer:
        rows = replace(prepared, columns=prepared.columns[: models[at].size])
        values, weights = STEPS[str(own.params["step"])](models[at], rows, own.params)
        return Answer(filled(own.layout, values), weights)

    return lockstep.answered(asked, answer)


def _pieces_answer(question: ParametricSurvival, setting: Setting, rows: cox_rows.Rows, asked: Round) -> Answer:
    model = _pieces_model(question, setting)
    if asked.params["step"] == "meat":
        values, guard = piecewise_exponential.meat_part(model, rows, question.cuts, asked.params)
        return Answer(filled(asked.layout, values), guard)
    if asked.params["step"] == "count":
        return Answer(filled(asked.layout, piecewise_exponential.count_part(model, rows, question.cuts, asked.params)))
    values, weights = piecewise_exponential.risk_part(model, rows, question.cuts, asked.params)
    return Answer(filled(asked.layout, values), weights)


def _report(question: ParametricSurvival, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    found, events = estimate.values, size(estimate.counts["events"])
    fit = {"distribution": question.distribution, **{k: found[k] for k in ("scale", "loglik", "loglik_null")}}
    body = model_body(question, setting, estimate, {**fit, "df": estimate.parameters, "events": events})
    body["error"] = _errors(question).name("robust")
    return body | ({"clusters": size(estimate.counts["clusters"])} if "clusters" in estimate.counts else {})


STATISTIC = Statistic(
    kind="parametric_survival",
    question=ParametricSurvival,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
