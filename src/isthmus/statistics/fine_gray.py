"""Subdistribution hazards with competing causes (kind `fine_gray`), as R's `cmprsk::crr`.

`Surv(time, cause)`: `cause` is a variable of codes, named by `causes` ({1: relapse, 2: death}); code 0 is censored;
`cause` picks the one of interest. One baseline: exact on recorded times, else the model of the binned rows (`grid`).
`strata` give each stratum its own baseline and its own censoring curve (Zhou's regularly stratified form); with `site`
among them each site sums its own score and information: exact whatever the floor.
Errors are `crr`'s robust sandwich, with the estimated censoring curves. Where events share their time with censoring,
who has the event still counts as at risk of censoring, as in `crr`.

`Surv(entry, time, cause)`: rows are at risk after their entry, and who had another event stays with weights of censoring
and of entry (Geskus), as `survival::finegray` with `coxph`: there events come before the censoring of the same time. Errors are `coxph`'s robust ones over those rows, one cluster
a person: the weights are taken as known. Where everybody at risk has just entered there is no answer, and the error says so.

Result keys: `terms`, `fit` (loglik, loglik_null, score, wald, events), `n`, `events`, `cause`, `strata`, `reference`,
`conf_level`, `test` (`z`), `error` (`sandwich`; `robust` with late entries), `contrasts`, `tests`, `vcov`; `grid`, `bound` (null) on a grid.

Reference: Fine & Gray (1999), JASA 94:496; Zhou, Latouche, Rocha & Fine (2011), Biometrics 67:661; Geskus (2011), Biometrics
67:39.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from isthmus.evidence import Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.formula import Formula, Surv, no_site, parse
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

    `formula`: `Surv(time, cause) ~ terms` or `Surv(entry, time, cause) ~ terms` (with `strata(...)` if liked); `causes`: code -> name; `cause`: the name of
    interest; `strata`: categories, and `site`; `contrasts`: name -> {term: weight}; `tests`: name -> terms tested jointly; `release: [vcov]` shows the covariance matrix.
    """

    formula: str
    causes: Mapping[str, str]
    cause: str
    strata: tuple[str, ...] = ()
    grid: GridWish | None = None
    contrasts: Mapping[str, Mapping[str, float]] | None = None
    tests: Mapping[str, tuple[str, ...]] | None = None
    release: tuple[Literal["vcov"], ...] = ()


def _formula(question: FineGray) -> tuple[Formula, Surv]:
    formula = no_site(parse(question.formula), "write `strata: [site]`")
    if formula.surv is None:
        hint = "or `Surv(entry, time, cause)`"
        raise Invalid("E-FORMULA", "a fine_gray model has `Surv(time, cause)` on the left", hint)
    if len({formula.surv.entry, formula.surv.time, formula.surv.event}) < 3:
        raise Invalid("E-FORMULA", "entry, time and cause of `Surv` are different variables")
    if formula.offset or formula.cluster:
        raise Invalid("E-FORMULA", "a fine_gray model takes no offset() or cluster()")
    if not formula.terms:
        raise Invalid("E-FORMULA", "a fine_gray model needs a term", "write `Surv(time, cause) ~ terms`")
    if question.cause not in question.causes.values():
        known = ", ".join(repr(name) for name in question.causes.values())
        raise Invalid("E-CAUSE", f"{question.cause!r} is no name of `causes`", f"names: {known}")
    return formula, formula.surv


def _strata(question: FineGray) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*question.strata, *parse(question.formula).strata)))


def _by_site(question: FineGray) -> bool:
    return "site" in _strata(question)


def _needs(question: FineGray) -> Needs:
    formula, surv = _formula(question)
    named = tuple(name for name in _strata(question) if name != "site")
    entry = () if surv.entry is None else (surv.entry,)
    times = () if _by_site(question) else (surv.time, *entry)
    return Needs(numbers=(surv.time, *entry), categories=(surv.event, *named), formula=formula, times=times)


def _rungs(question: FineGray, dictionary: Codebook) -> tuple[Grid, ...]:
    if _by_site(question):
        return ()
    return survival.rungs(_formula(question)[1].time, question.grid, dictionary)


def _grid(setting: Setting) -> Grid:
    if setting.grid is None:
        raise Invalid("E-NO-GRID", "the question has no time grid yet")
    return setting.grid


def _model(question: FineGray, setting: Setting) -> Model:
    _, surv = _formula(question)
    if setting.design is None:
        raise Invalid("E-DESIGN", "a fine_gray model needs a design")
    by_site = _by_site(question)
    return Model(
        time=surv.time,
        event=f"{surv.event} = {question.cause}",
        design=setting.design,
        dictionary=setting.dictionary,
        ties="breslow",
        strata=survival.strata_count(_strata(question), setting.levels),
        steps=0 if by_site else len(_grid(setting).edges),
        exactness="exact" if by_site or _grid(setting).recorded else "grid",
        open_rules=setting.open_rules,
        robust=True,
        late=surv.entry is not None,
    )


def _prepare(question: FineGray, setting: Setting, inputs: Inputs) -> FineRows:
    _, surv = _formula(question)
    if inputs.design is None:
        raise Invalid("E-DESIGN", "a fine_gray model needs a design")
    time, levels = inputs.numbers[surv.time], setting.levels[surv.event]
    survival.check_times((surv.time, surv.event), time, np.zeros(inputs.rows))
    code = survival.group_code(levels, surv.event, inputs.codes[surv.event])
    named = cumulative_incidence.named_causes(question.causes, surv.event, setting)
    mine = next(code for code, name in question.causes.items() if name == question.cause)
    failed = np.array([level == str(mine) for level in levels])[code]
    competing = np.array([level in named for level in levels])[code] & ~failed
    centre = inputs.design.mean(axis=1) if inputs.rows else np.zeros(len(inputs.design))
    strata = _strata(question)
    entry = None if surv.entry is None else inputs.numbers[surv.entry]
    if entry is not None:
        survival.check_entries((str(surv.entry), surv.time), entry, time, setting.dictionary)
    told = Told(time, failed, survival.strata_codes(strata, setting.levels, inputs.codes, inputs.rows))
    rows = Rows(inputs.design - centre[:, None], centre, told, survival.strata_count(strata, setting.levels))
    begin = None
    if _by_site(question):
        every = survival.own_steps(time, entry, survival.tolerance((surv.time, surv.entry), setting.dictionary))
        step, steps = every[: inputs.rows], int(every.max(initial=0)) + 1
        begin = None if entry is None else every[inputs.rows :] + 1
    else:
        step, steps = survival.grid_steps(surv.time, time, _grid(setting)), len(_grid(setting).edges)
        begin = None if entry is None else survival.entry_steps(entry, step, _grid(setting))
    made = FineRows(rows, step, competing, steps, begin)
    if entry is not None and _by_site(question) and not fine_gray_site.own_steps(made).sound:
        raise fine_gray_flow.gap(surv.time)
    return made


def _evidence(question: FineGray, setting: Setting, prepared: FineRows) -> Evidence:
    return fine_gray_site.evidence(_model(question, setting), prepared, _by_site(question))


def _flow(question: FineGray, setting: Setting) -> Flow:
    model = _model(question, setting)
    return fine_gray_flow.fit_sites(model) if _by_site(question) else fine_gray_flow.fit(model)


def _summarise(question: FineGray, setting: Setting, prepared: FineRows, asked: Round) -> Answer:
    step = asked.params["step"]
    if step == "count":
        moments = cox_common.moments(prepared.rows, asked.params)
        values: dict[str, Any] = {**fine_gray_site.counts(prepared), "moments": moments}
        return Answer(filled(asked.layout, values | _marks(setting, prepared)))
    if step == "site":
        values, weights = fine_gray_site.site_sums(prepared, asked.params)
        values |= _marks(setting, prepared)
    elif step == "risk":
        values, weights = fine_gray_site.risk_sums(prepared, asked.params)
    elif step == "hazard":
        gram, weights = fine_gray_site.hazard_gram(prepared, asked.params)
        values = {"gram": gram}
    else:
        middle = fine_gray_site.site_meat if step == "site meat" else fine_gray_site.meat
        meat, weights = middle(prepared, asked.params)
        values = {"meat": meat}
    return Answer(filled(asked.layout, values), weights)


def _marks(setting: Setting, prepared: FineRows) -> dict[str, Any]:
    """Sums behind implied cells."""
    if setting.design is None:
        return {}
    rows = prepared.rows
    seen = (rows.event & (prepared.step < prepared.steps)).astype(np.float64)
    return {"marks": implied.marks(setting.design, setting.dictionary, rows.columns + rows.centre[:, None], seen)}


def _report(question: FineGray, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    fit = {**estimate.values["fit"], "events": size(estimate.counts["events"])}
    late = _formula(question)[1].entry is not None
    own = {"cause": question.cause, "strata": list(_strata(question)), "error": "robust" if late else "sandwich"}
    return model_body(question, setting, estimate, fit) | own


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
