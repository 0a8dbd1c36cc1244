"""Cox proportional hazards (kind `cox`), as R's `coxph`: Efron's ties unless stated.

`strata` holds `site`: each site (and combination of other strata in it) has its own baseline; only log-likelihood,
score and information are summed: exact. Without `site`: one baseline per combination of strata over all sites, on the
recorded times (exact) or the agreed grid (`grid`: the model of the binned rows).

The term `site` is that stratum too, with a warning: `coxph`'s `strata(site)`, not its `factor(site)`, whose one baseline
takes hazards of the sites as proportional and would tell the risk sets of each.

`Surv(entry, time, event)`: rows are at risk after their entry, up to their time. `weights` are case weights as
`coxph`'s: `frequency` (whole numbers: a row stands for w rows, and `n` and `events` count these), `precision` (its own errors) or `sampling` (robust
errors always). A row without weight is left out. `offset` adds to the linear predictor, as `coxph`'s `offset()`, in concordance too. On a grid a row enters at the start of the bin of its entry.

Result keys: `terms`, `fit` (loglik, loglik_null, score, wald, events, concordance and concordance_error: null unless asked for, ties), `n`, `events`,
`reference`, `conf_level`, `test` (`z`), `error` (`model`, `robust`: Lin and Wei's sandwich, as
`coxph(robust = TRUE)`, or `cluster`: summed within clusters first), `clusters`, `strata`, `contrasts`, `tests`, `zph`
(as `cox.zph`: term, statistic, df, p_value), `zph_exactness` (with `km` or `rank`, which need the times of all rows: with
sites as strata `grid` unless times are as recorded, though the estimates are exact), `baseline` (strata, time, hazard where all columns are 0, as
`basehaz(centered = FALSE)` at event times), `vcov`; `grid`, `bound`
(null: not available) where `exactness` is `grid`.

Concordance is of pairs within sites, as `coxph`'s with `strata(site)`; with one baseline `within_sites` asks for it by name: of the
fitted linear predictor at times as recorded, as `concordance(y ~ lp + strata(site), reverse = TRUE)`. Over sites it is not offered: a table of
times by linear predictors with enough people in each cell says next to nothing. `roc` of an outcome at a horizon goes over sites.

References: Cox (1972), J R Stat Soc B 34:187; Efron (1977), JASA 72:557; Lin & Wei (1989), JASA 84:1074; Grambsch & Therneau
(1994), Biometrika 81:515.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from isthmus.evidence import Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.formula import Formula, Surv, offset_reads, parse
from isthmus.model.record import record
from isthmus.statistics import (
    cox_blocks,
    cox_common,
    cox_concordance,
    cox_flow,
    cox_rows,
    cox_site,
    cox_zph,
    implied,
    sandwich,
    survival,
    weighting,
)
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.cox_evidence import cox_evidence
from isthmus.statistics.cox_model import Model
from isthmus.statistics.cox_rows import Rows, Told
from isthmus.statistics.model_body import model_body
from isthmus.statistics.show import number, size
from isthmus.statistics.summaries import filled
from isthmus.statistics.survival import GridWish
from isthmus.statistics.weighting import Weighting

WITHIN_SITES = "the concordance is of pairs of people of the same site (and of the same strata)"
SITE_TERM = "`site` is a stratum here: each site has its own baseline, as strata(site) of R's coxph, not factor(site)"


@record
class Cox:
    """Arguments of `cox`.

    `formula`: `Surv(time, event) ~ terms` or `Surv(entry, time, event) ~ terms` (with `strata(...)` if liked);
    `weights`: {variable, kind}; `offset`: a variable added to the linear predictor, as `offset(...)` in the formula; `cluster`: a variable whose values group the rows of a site, or `site` with 10 sites or
    more; `contrasts`: name -> {term: weight};
    `tests`: name -> terms tested jointly; `robust: true` gives Lin and Wei's errors; `zph`: the test of
    proportional hazards over time, its logarithm, the survival curve or the rank; `concordance: true` with sites as strata, `within_sites` with one baseline; `release: [vcov]`
    shows the covariance matrix, `[baseline]` the cumulative hazard (one baseline only).
    """

    formula: str
    ties: Literal["efron", "breslow"] = "efron"
    strata: tuple[str, ...] = ()
    grid: GridWish | None = None
    weights: Weighting | None = None
    robust: bool = False
    cluster: str | None = None
    offset: str | None = None
    contrasts: Mapping[str, Mapping[str, float]] | None = None
    tests: Mapping[str, tuple[str, ...]] | None = None
    zph: Literal["identity", "log", "km", "rank"] | None = None
    concordance: Literal["within_sites"] | bool = False
    release: tuple[Literal["vcov", "baseline"], ...] = ()


def _formula(question: Cox) -> tuple[Formula, Surv]:
    formula = replace(parse(question.formula), site=False)
    if formula.surv is None:
        raise Invalid("E-FORMULA", "a cox model has `Surv(time, event)` on the left", "or `Surv(entry, time, event)`")
    if len({formula.surv.entry, formula.surv.time, formula.surv.event}) < 3:
        raise Invalid("E-FORMULA", "entry, time and event of `Surv` are different variables")
    by_site = _by_site(question)
    if by_site and "baseline" in question.release:
        hint = "ask for one baseline on a grid"
        raise Invalid("E-NOT-OFFERED", "with sites as strata a baseline hazard is a site's own result", hint)
    if weighting.offsets(question.offset, formula) and "baseline" in question.release:
        raise Invalid("E-NOT-OFFERED", "a baseline hazard is told of models without an offset", "leave one of them out")
    if question.concordance is True and not by_site:
        hint = "ask for concordance: within_sites, of pairs of the same site; or for roc of an outcome at a horizon"
        raise Invalid("E-NOT-OFFERED", "concordance over sites needs ranks over sites", hint)
    if not formula.terms:
        raise Invalid("E-FORMULA", "a cox model needs a term", "write `Surv(time, event) ~ terms`")
    return formula, formula.surv


def _strata(question: Cox) -> tuple[str, ...]:
    """What has a baseline of its own; the term `site` is one (see the warning it comes with)."""
    formula = parse(question.formula)
    return tuple(dict.fromkeys((*question.strata, *formula.strata, *(("site",) if formula.site else ()))))


def _cluster(question: Cox) -> str | None:
    return weighting.cluster_of(question.cluster, parse(question.formula))


def _offsets(question: Cox) -> tuple[str, ...]:
    return weighting.offsets(question.offset, parse(question.formula))


def _by_site(question: Cox) -> bool:
    return "site" in _strata(question)


def _gridded(question: Cox) -> bool:
    """Whether it counts rows per step of a common grid."""
    return not _by_site(question) or question.zph in cox_zph.CURVES


def _needs(question: Cox) -> Needs:
    formula, surv = _formula(question)
    named = tuple(name for name in _strata(question) if name != "site")
    entry = () if surv.entry is None else (surv.entry,)
    times = (surv.time, *entry) if _gridded(question) else ()
    more = (*weighting.read(question.weights), *offset_reads(weighting.offsets(question.offset, formula)))
    numbers = tuple(dict.fromkeys((surv.time, surv.event, *entry, *more)))
    keys = weighting.keys(_cluster(question))
    return Needs(numbers=numbers, categories=named, formula=formula, times=times, keys=keys)


def _rungs(question: Cox, dictionary: Codebook) -> tuple[Grid, ...]:
    if not _gridded(question):
        return ()
    return survival.rungs(_formula(question)[1].time, question.grid, dictionary)


def cox_model(question: Cox, setting: Setting) -> Model:
    """Public facts of the model that a question asks for."""
    _, surv = _formula(question)
    if setting.design is None:
        raise Invalid("E-DESIGN", "a cox model needs a design")
    by_site, grid = _by_site(question), setting.grid
    if _gridded(question) and grid is None:
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
        weighting=None if question.weights is None else question.weights.kind,
        late=surv.entry is not None,
        cluster=_cluster(question),
        zph=question.zph,
        concordance=bool(question.concordance),
        edges=() if grid is None else grid.edges,
        baseline="baseline" in question.release,
        offset=bool(_offsets(question)),
    )


def _prepare(question: Cox, setting: Setting, inputs: Inputs) -> Rows:
    _, surv = _formula(question)
    if inputs.design is None:
        raise Invalid("E-DESIGN", "a cox model needs a design")
    time, event = inputs.numbers[surv.time], inputs.numbers[surv.event]
    survival.check_times((surv.time, surv.event), time, event)
    entry = None if surv.entry is None else inputs.numbers[surv.entry]
    if surv.entry is not None:
        survival.check_entries((surv.entry, surv.time), inputs.numbers[surv.entry], time, setting.dictionary)
    weight = weighting.prior_of(question.weights, inputs)
    strata = _strata(question)
    stratum = survival.strata_codes(strata, setting.levels, inputs.codes, inputs.rows)
    count = survival.strata_count(strata, setting.levels)
    offset = weighting.offset_of(_offsets(question), inputs, setting.dictionary)
    near = survival.tolerance((surv.time, surv.entry), setting.dictionary)
    told = Told(time, event > 0.0, stratum, entry, weight, _clusters(question, inputs), offset, near)
    rows = cox_rows.sorted_rows(inputs.design, told, count)
    if _by_site(question):
        cox_blocks.own_blocks(rows)
    return rows


def _clusters(question: Cox, inputs: Inputs) -> Any:
    if _cluster(question) == sandwich.SITE:
        return np.zeros(inputs.rows, dtype=np.int32)
    return weighting.clusters_of(inputs)


def _grid(setting: Setting) -> Grid:
    if setting.grid is None:
        raise Invalid("E-NO-GRID", "the question has no time grid yet")
    return setting.grid


def _evidence(question: Cox, setting: Setting, prepared: Rows) -> Evidence:
    if not _by_site(question):
        return cox_evidence(cox_model(question, setting), prepared, _grid(setting))
    found = cox_evidence(cox_model(question, setting), prepared, None)
    if not _gridded(question):
        return found
    counted = cox_zph.curve_part(prepared, _formula(question)[1].time, _grid(setting))
    return replace(found, cells={**found.cells, **{f"{name} per step": cells for name, cells in counted.items()}})


def _flow(question: Cox, setting: Setting) -> Flow:
    model = cox_model(question, setting)
    sandwich.check(model.cluster, setting.sites)
    return cox_flow.fit_sites(model) if _by_site(question) else cox_flow.fit_common(model)


def cox_marks(setting: Setting, rows: Rows, asked: Round) -> dict[str, Any]:
    """Sums behind implied cells, in the first round."""
    if setting.design is None or all(f.name != "marks" for f in asked.layout.fields):
        return {}
    told = (setting.design, setting.dictionary, rows.columns, rows.event, rows.centre)
    return {"marks": implied.marks(*told)}


def _summarise(question: Cox, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    step = str(asked.params["step"])
    if step.startswith("site"):
        values, weights = _site_answer(question, setting, prepared, asked)
    else:
        values, weights = common_answer(question, setting, prepared, asked)
    return Answer(filled(asked.layout, values), weights)


def _copies(question: Cox, rows: Rows) -> Any:
    """How many rows each stands for in robust errors, where that is what weights say."""
    return rows.weight if question.weights is not None and question.weights.kind == "frequency" else None


def _middle(question: Cox, rows: Rows, meat: Any, weights: Any) -> tuple[dict[str, Any], Any]:
    """A site that is one cluster is guarded as the sum of its rows is, in the rounds before."""
    if rows.told.cluster is None:
        return {"meat": meat}, weights
    alone = _cluster(question) == sandwich.SITE
    return {"meat": meat, "clusters": cox_rows.clusters(rows)}, None if alone else weights


def _site_answer(question: Cox, setting: Setting, rows: Rows, asked: Round) -> tuple[dict[str, Any], Any]:
    if asked.params["step"] == "site meat":
        meat, weights = cox_site.site_meat(rows, question.ties, asked.params, _copies(question, rows))
        return _middle(question, rows, meat, weights)
    time = _formula(question)[1].time
    if asked.params["step"] == "site curve":
        return cox_zph.curve_part(rows, time, _grid(setting)), None
    if asked.params["step"] == "site zph":
        return cox_zph.site_part(rows, time, question.ties, asked.params, setting.grid)
    if asked.params["step"] == "site pairs":
        return {"pairs": cox_concordance.pairs(rows, asked.params)}, None
    if asked.params["step"] == "site squares":
        squares, weights = cox_concordance.squares(rows, asked.params, _copies(question, rows))
        return {"squares": squares}, weights
    totals = cox_site.site_sums(rows, question.ties, asked.params)
    values: dict[str, Any] = {"loglik": totals.loglik, "score": totals.score, "information": totals.information}
    values |= {"n": rows.size, "events": np.count_nonzero(rows.event)}
    values |= (
        {} if rows.weight is None else {"event_weight": rows.weight[rows.event].sum(), "copies": rows.weight.sum()}
    )
    return values | cox_marks(setting, rows, asked), totals.weights


def common_answer(question: Cox, setting: Setting, rows: Rows, asked: Round) -> tuple[dict[str, Any], Any]:
    """A site's part of a round with one baseline, and its weights."""
    step, grid = asked.params["step"], _grid(setting)
    cell = cox_common.cells(rows, _formula(question)[1].time, grid)
    if step == "count":
        total = next(f.size for f in asked.layout.fields if f.name == "rows")
        events, leaving = cox_common.counts(rows, cell, total)
        values = {"events": events, "rows": leaving, "moments": cox_common.moments(rows, asked.params)}
        values |= {"event_weight": cox_common.event_weights(rows, cell, total)}
        values |= {} if rows.weight is None else {"copies": rows.weight.sum()}
        values |= {} if rows.told.entry is None else {"entries": cox_common.arrivals(rows, grid, total)}
        return values | cox_marks(setting, rows, asked), None
    if step == "risk":
        return cox_common.risk_sums(rows, cell, asked.params)
    if step == "common meat":
        meat, weights = cox_common.common_meat(rows, cell, asked.params, _copies(question, rows))
        return _middle(question, rows, meat, weights)
    if step == "common zph":
        return cox_zph.common_part(rows, cell, asked.params)
    gram, weights = cox_common.hazard_gram(rows, cell, asked.params)
    return {"gram": gram}, weights


def _baseline(question: Cox, setting: Setting, estimate: Estimate) -> list[dict[str, Any]]:
    """Steps whose events are shown; a step whose events are suppressed merges with the next."""
    shown = np.isfinite(np.asarray(estimate.counts["baseline"].values, dtype=np.float64)).tolist()
    names = [name for name in _strata(question) if name != "site"]
    curves: dict[int, dict[str, Any]] = {}
    for (stratum, time, hazard), there in zip(estimate.values["baseline"], shown, strict=True):
        levels = survival.strata_levels(names, setting.levels, stratum)
        curve = curves.setdefault(stratum, {"strata": levels, "time": [], "hazard": []})
        if there:
            curve["time"].append(time)
            curve["hazard"].append(number(hazard))
    return list(curves.values())


def _error(model: Model) -> str:
    if model.cluster is not None:
        return "cluster"
    return "robust" if model.sandwich else "model"


def _report(question: Cox, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    found = estimate.values
    own = {"events": size(estimate.counts["events"]), "ties": question.ties}
    own |= {name: found.get(name) for name in ("concordance", "concordance_error")}
    body = model_body(question, setting, estimate, {**found["fit"], **own})
    body |= {"strata": list(_strata(question)), "error": _error(cox_model(question, setting))}
    warnings = [SITE_TERM] if parse(question.formula).site else []
    warnings += [WITHIN_SITES] if question.concordance and not _by_site(question) else []
    if warnings:
        body["warnings"] = warnings
    if "clusters" in estimate.counts:
        body["clusters"] = size(estimate.counts["clusters"])
    if "zph" in found:
        body["zph"] = found["zph"]
    if setting.grid is not None and question.zph in cox_zph.CURVES:
        body |= {"zph_exactness": "exact" if setting.grid.recorded else "grid"}
        body |= {} if setting.grid.recorded else {"grid": {"edges": list(setting.grid.edges)}}
    if "baseline" in found:
        body["baseline"] = _baseline(question, setting, estimate)
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
