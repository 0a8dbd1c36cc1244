"""Cox proportional hazards (kind `cox`), as R's `coxph`: Efron's ties unless stated.

`strata` holds `site`: each site (and combination of other strata in it) has its own baseline; only log-likelihood,
score and information are summed: exact. Without `site`: one baseline per combination of strata over all sites, on the
recorded times (exact) or the agreed grid (`grid`: the model of the binned rows).

Result keys: `terms`, `fit` (loglik, loglik_null, score, wald, events, concordance: null here, ties), `n`, `events`,
`reference`, `conf_level`, `test` (`z`), `error` (`model` or `robust`: Lin and Wei's sandwich, as
`coxph(robust = TRUE)`), `strata`, `contrasts`, `tests`, `vcov`; `grid`, `bound`
(null: not available) where `exactness` is `grid`.
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
from isthmus.statistics import cox_common, cox_flow, cox_rows, implied, survival
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.cox_evidence import cox_evidence
from isthmus.statistics.cox_flow import Model
from isthmus.statistics.cox_rows import Rows
from isthmus.statistics.inference import contrast_rows, term_rows, wald_tests
from isthmus.statistics.show import size
from isthmus.statistics.summaries import filled
from isthmus.statistics.survival import GridWish


@record
class Cox:
    """Arguments of `cox`.

    `formula`: `Surv(time, event) ~ terms` (with `strata(...)` if liked); `contrasts`: name -> {term: weight};
    `tests`: name -> terms tested jointly; `robust: true` gives Lin and Wei's errors; `release: [vcov]` shows the
    covariance matrix.
    """

    formula: str
    ties: Literal["efron", "breslow"] = "efron"
    strata: tuple[str, ...] = ()
    grid: GridWish | None = None
    robust: bool = False
    contrasts: Mapping[str, Mapping[str, float]] | None = None
    tests: Mapping[str, tuple[str, ...]] | None = None
    release: tuple[Literal["vcov"], ...] = ()


def _formula(question: Cox) -> tuple[Formula, Surv]:
    formula = parse(question.formula)
    if formula.surv is None or formula.surv.entry is not None:
        raise Invalid("E-FORMULA", "a cox model has `Surv(time, event)` on the left", "left truncation is not offered")
    if formula.offset or formula.cluster:
        raise Invalid("E-FORMULA", "a cox model takes no offset() or cluster() here")
    if not formula.terms:
        raise Invalid("E-FORMULA", "a cox model needs a term", "write `Surv(time, event) ~ terms`")
    return formula, formula.surv


def _strata(question: Cox) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*question.strata, *parse(question.formula).strata)))


def _by_site(question: Cox) -> bool:
    return "site" in _strata(question)


def _needs(question: Cox) -> Needs:
    formula, surv = _formula(question)
    named = tuple(name for name in _strata(question) if name != "site")
    times = () if _by_site(question) else (surv.time,)
    return Needs(numbers=(surv.time, surv.event), categories=named, formula=formula, times=times)


def _rungs(question: Cox, dictionary: Codebook) -> tuple[Grid, ...]:
    if _by_site(question):
        return ()
    return survival.rungs(_formula(question)[1].time, question.grid, dictionary)


def _model(question: Cox, setting: Setting) -> Model:
    _, surv = _formula(question)
    if setting.design is None:
        raise Invalid("E-DESIGN", "a cox model needs a design")
    by_site, grid = _by_site(question), setting.grid
    if not by_site and grid is None:
        raise Invalid("E-NO-GRID", "the question has no time grid yet")
    exact = by_site or (grid is not None and grid.recorded)
    return Model(
        time=surv.time,
        event=surv.event,
        design=setting.design,
        dictionary=setting.dictionary,
        ties=question.ties,
        strata=survival.strata_count(_strata(question), setting.levels),
        steps=0 if by_site or grid is None else len(grid.edges) + 1,
        exactness="exact" if exact else "grid",
        open_rules=setting.open_rules,
        robust=question.robust,
    )


def _prepare(question: Cox, setting: Setting, inputs: Inputs) -> Rows:
    _, surv = _formula(question)
    if inputs.design is None:
        raise Invalid("E-DESIGN", "a cox model needs a design")
    time, event = inputs.numbers[surv.time], inputs.numbers[surv.event]
    survival.check_times((surv.time, surv.event), time, event)
    strata = _strata(question)
    stratum = survival.strata_codes(strata, setting.levels, inputs.codes, inputs.rows)
    count = survival.strata_count(strata, setting.levels)
    rows = cox_rows.sorted_rows(inputs.design, time, event, stratum, count)
    if _by_site(question):
        cox_rows.own_blocks(rows)
    return rows


def _cells(question: Cox, setting: Setting, rows: Rows) -> Any:
    if setting.grid is None:
        raise Invalid("E-NO-GRID", "the question has no time grid yet")
    return cox_common.cells(rows, _formula(question)[1].time, setting.grid)


def _evidence(question: Cox, setting: Setting, prepared: Rows) -> Evidence:
    model = _model(question, setting)
    cell = None if _by_site(question) else _cells(question, setting, prepared)
    return cox_evidence(model, prepared, cell)


def _flow(question: Cox, setting: Setting) -> Flow:
    model = _model(question, setting)
    return cox_flow.fit_sites(model) if _by_site(question) else cox_flow.fit_common(model)


def _marks(setting: Setting, rows: Rows, asked: Round) -> dict[str, Any]:
    """Sums behind implied cells, in the first round."""
    if setting.design is None or all(f.name != "marks" for f in asked.layout.fields):
        return {}
    raw = rows.columns + rows.centre[:, None]
    return {"marks": implied.marks(setting.design, setting.dictionary, raw, rows.event.astype(np.float64))}


def _summarise(question: Cox, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    values: dict[str, Any]
    step, weights = asked.params["step"], None
    if step == "site":
        totals = cox_rows.site_sums(prepared, question.ties, asked.params)
        values = {"loglik": totals.loglik, "score": totals.score, "information": totals.information}
        values |= {"n": prepared.size, "events": np.count_nonzero(prepared.event)}
        values |= _marks(setting, prepared, asked)
        weights = totals.weights
    elif step == "site meat":
        meat, weights = cox_rows.site_meat(prepared, question.ties, asked.params)
        values = {"meat": meat}
    else:
        cell = _cells(question, setting, prepared)
        if step == "count":
            total = next(f.size for f in asked.layout.fields if f.name == "rows")
            events, rows = cox_common.counts(prepared, cell, total)
            values = {"events": events, "rows": rows, "moments": cox_common.moments(prepared, asked.params)}
            values |= _marks(setting, prepared, asked)
        elif step == "risk":
            values, weights = cox_common.risk_sums(prepared, cell, asked.params)
        elif step == "common meat":
            meat, weights = cox_common.common_meat(prepared, cell, asked.params)
            values = {"meat": meat}
        else:
            gram, weights = cox_common.hazard_gram(prepared, cell, asked.params)
            values = {"gram": gram}
    return Answer(filled(asked.layout, values), weights)


def _report(question: Cox, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    found, names = estimate.values, setting.design.names if setting.design is not None else ()
    model, events = (found["estimates"], found["vcov"]), size(estimate.counts["events"])
    errors = np.sqrt(np.diag(found["vcov"]))
    body: dict[str, Any] = {
        "kind": estimate.kind,
        "exactness": estimate.exactness,
        "n": size(estimate.counts["n"]),
        "events": events,
        "rounds": estimate.rounds,
        "terms": term_rows(names, found["estimates"], errors, setting.conf_level, None),
        "fit": {**found["fit"], "events": events, "concordance": None, "ties": question.ties},
        "reference": dict(setting.design.reference) if setting.design is not None else {},
        "strata": list(_strata(question)),
        "conf_level": setting.conf_level,
        "test": "z",
        "error": "robust" if question.robust else "model",
        "vcov": found["vcov"].tolist() if "vcov" in question.release else None,
    }
    if question.contrasts:
        body["contrasts"] = contrast_rows(question.contrasts, names, model, setting.conf_level, None)
    if question.tests:
        body["tests"] = wald_tests(question.tests, names, model, None)
    if estimate.exactness == "grid" and setting.grid is not None:
        body |= {"grid": {"edges": list(setting.grid.edges)}, "bound": None}
    return body


STATISTIC = Statistic(
    kind="cox",
    question=Cox,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
