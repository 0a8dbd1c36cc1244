"""Subdistribution hazards with competing causes (kind `fine_gray`), as R's `cmprsk::crr`.

`Surv(time, cause)`: `cause` is a variable of codes, named by `causes` ({1: relapse, 2: death}); code 0 is censored;
`cause` picks the one of interest. One baseline: exact on recorded times, else the model of the binned rows (`grid`).
Errors are `crr`'s sandwich, with the estimated censoring curve.

Result keys: `terms`, `fit` (loglik, loglik_null, score, wald, events), `n`, `events`, `cause`, `reference`,
`conf_level`, `test` (`z`), `error` (`sandwich`), `contrasts`, `tests`, `vcov`; `grid`, `bound` (null) on a grid.

Reference: Fine & Gray (1999), JASA 94:496.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from isthmus.evidence import Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.formula import Formula, Surv, parse
from isthmus.model.record import record
from isthmus.statistics import cox_common, cumulative_incidence, fine_gray_flow, fine_gray_site, implied, survival
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.cox_model import Model
from isthmus.statistics.cox_rows import Rows, Told
from isthmus.statistics.fine_gray_site import FineRows
from isthmus.statistics.model_body import model_body
from isthmus.statistics.show import size
from isthmus.statistics.summaries import filled
from isthmus.statistics.survival import GridWish


@record
class FineGray:
    """Arguments of `fine_gray`.

    `formula`: `Surv(time, cause) ~ terms`; `causes`: code -> name; `cause`: the name of interest; `contrasts`: name ->
    {term: weight}; `tests`: name -> terms tested jointly; `release: [vcov]` shows the covariance matrix.
    """

    formula: str
    causes: Mapping[str, str]
    cause: str
    grid: GridWish | None = None
    contrasts: Mapping[str, Mapping[str, float]] | None = None
    tests: Mapping[str, tuple[str, ...]] | None = None
    release: tuple[Literal["vcov"], ...] = ()


def _formula(question: FineGray) -> tuple[Formula, Surv]:
    formula = parse(question.formula)
    if formula.surv is None or formula.surv.entry is not None:
        raise Invalid("E-FORMULA", "a fine_gray model has `Surv(time, cause)` on the left", "without an entry")
    if formula.offset or formula.cluster or formula.strata:
        raise Invalid("E-FORMULA", "a fine_gray model takes no offset(), cluster() or strata()")
    if not formula.terms:
        raise Invalid("E-FORMULA", "a fine_gray model needs a term", "write `Surv(time, cause) ~ terms`")
    if question.cause not in question.causes.values():
        known = ", ".join(repr(name) for name in question.causes.values())
        raise Invalid("E-CAUSE", f"{question.cause!r} is no name of `causes`", f"names: {known}")
    return formula, formula.surv


def _needs(question: FineGray) -> Needs:
    formula, surv = _formula(question)
    return Needs(numbers=(surv.time,), categories=(surv.event,), formula=formula, times=(surv.time,))


def _rungs(question: FineGray, dictionary: Codebook) -> tuple[Grid, ...]:
    return survival.rungs(_formula(question)[1].time, question.grid, dictionary)


def _grid(setting: Setting) -> Grid:
    if setting.grid is None:
        raise Invalid("E-NO-GRID", "the question has no time grid yet")
    return setting.grid


def _model(question: FineGray, setting: Setting) -> Model:
    _, surv = _formula(question)
    if setting.design is None:
        raise Invalid("E-DESIGN", "a fine_gray model needs a design")
    return Model(
        time=surv.time,
        event=f"{surv.event} = {question.cause}",
        design=setting.design,
        dictionary=setting.dictionary,
        ties="breslow",
        strata=1,
        steps=len(_grid(setting).edges),
        exactness="exact" if _grid(setting).recorded else "grid",
        open_rules=setting.open_rules,
        robust=True,
    )


def _prepare(question: FineGray, setting: Setting, inputs: Inputs) -> FineRows:
    _, surv = _formula(question)
    if inputs.design is None:
        raise Invalid("E-DESIGN", "a fine_gray model needs a design")
    time, levels = inputs.numbers[surv.time], setting.levels[surv.event]
    survival.check_times((surv.time, surv.event), time, np.zeros(inputs.rows))
    code = survival.group_code(levels, surv.event, inputs.codes[surv.event])
    named = cumulative_incidence.named_causes(question.causes, surv.event, levels)
    mine = next(code for code, name in question.causes.items() if name == question.cause)
    failed = np.array([level == str(mine) for level in levels])[code]
    competing = np.array([level in named for level in levels])[code] & ~failed
    centre = inputs.design.mean(axis=1) if inputs.rows else np.zeros(len(inputs.design))
    told = Told(time, failed, np.zeros(inputs.rows, dtype=np.intp))
    step = survival.grid_steps(surv.time, time, _grid(setting))
    return FineRows(Rows(inputs.design - centre[:, None], centre, told, 1), step, competing, len(_grid(setting).edges))


def _evidence(question: FineGray, setting: Setting, prepared: FineRows) -> Evidence:
    return fine_gray_site.evidence(_model(question, setting), prepared)


def _flow(question: FineGray, setting: Setting) -> Flow:
    return fine_gray_flow.fit(_model(question, setting))


def _summarise(question: FineGray, setting: Setting, prepared: FineRows, asked: Round) -> Answer:
    step, rows = asked.params["step"], prepared.rows
    if step == "count":
        values: dict[str, Any] = {**fine_gray_site.counts(prepared), "moments": cox_common.moments(rows, asked.params)}
        if setting.design is not None:
            raw = rows.columns + rows.centre[:, None]
            seen = (rows.event & (prepared.step < prepared.steps)).astype(np.float64)
            values["marks"] = implied.marks(setting.design, setting.dictionary, raw, seen)
        return Answer(filled(asked.layout, values))
    if step == "risk":
        values, weights = fine_gray_site.risk_sums(prepared, asked.params)
    elif step == "meat":
        meat, weights = fine_gray_site.meat(prepared, asked.params)
        values = {"meat": meat}
    else:
        gram, weights = fine_gray_site.hazard_gram(prepared, asked.params)
        values = {"gram": gram}
    return Answer(filled(asked.layout, values), weights)


def _report(question: FineGray, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    fit = {**estimate.values["fit"], "events": size(estimate.counts["events"])}
    return model_body(question, setting, estimate, fit) | {"cause": question.cause, "error": "sandwich"}


STATISTIC = Statistic(
    kind="fine_gray",
    question=FineGray,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
