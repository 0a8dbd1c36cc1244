"""Meta-analysis over the levels of a category (kind `meta`): a fourfold table or a model in each level, then pooled.

Either `treatment` and `outcome` (two levels each; the second is the treated, and the event): the counts of a
level x treatment x outcome table leave, and all follows from them as the gate leaves them. Or `of`, a model question,
and `term`: the model is fitted in each level by itself, all levels in the same rounds, and the term's estimates are
pooled with their standard errors. `by: country` pools over countries; `by: site` over sites, where the agreement allows
numbers of single sites. The effects of single levels are in the answer, so each level is a group of people at every
site: none of them, or enough, with the guards of the model inside it.

`of` takes every kind that has an effect with a standard error: `glm` (negative binomial too), `gee`, `mixed`,
`multinomial` (terms `level: column`), `ordinal`, `conditional_logistic`, `cox`, `fine_gray`, `parametric_survival`; `effect`;
`rate` (`rate ratio[B]`) and `rmst` (`arm[B]`), with a `by` of their own; `calibration` (`slope`, `calibration in the large`);
`roc` (`auc`, and `difference` where two markers are compared). Groups and matched sets are those within a level; neither they
nor clusters may be sites. Areas are pooled as they are, with DeLong's errors, not as logits: `rma(auc, sei = se)`; their z and p are against 0.

Not taken are `count`, `crosstab`, `table_one`, `histogram`, `quantiles` (no effect with an error: state tables, or a
`glm`); `kaplan_meier`, `cumulative_incidence`, `log_rank` (curves and tests: pool `cox`, `fine_gray`, `rmst`);
`correlation`, `spearman`, `kruskal_wallis` (no error on a scale to be pooled); `penalised` (no standard errors);
`propensity` (no effect: pool `effect`); `accuracy` (sensitivity and specificity are pooled jointly: pool `roc`);
`decision_curve` (net benefit has no standard error); `validate_model` (several parts: pool `roc` and `calibration`).

Result keys: `terms`: each level (`type` study, `weight` in per cent, `n`; `bound` where its model has one), then `pooled`; `fit`: `method`,
`interval`, `measure`, `studies`, `tau2`, `tau2_error`, `i2`, `h2`, `q`, `q_df`, `q_p_value`, `pi_low`, `pi_high`; `left_out` (level
-> why); `leave_one_out`; `warnings` of levels; with `compare` (UK v US) also `subgroups`, `subgroups_fit` and `tests`. In R: `metafor` (3.8), as
`meta_pooling.py` and `meta_tables.py` say, after a model in each level (the two-stage analysis).

References: DerSimonian & Laird (1986), Control Clin Trials 7:177; Viechtbauer (2010), J Stat Softw 36(3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any

import numpy as np

from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.statistics import lockstep, meta_models, tables
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.meta_models import SITE, Inner
from isthmus.statistics.meta_pooling import Interval
from isthmus.statistics.meta_report import How, Studies, Ways, body, of_tables
from isthmus.statistics.meta_tables import Measure
from isthmus.statistics.part import with_part
from isthmus.statistics.show import count, head
from isthmus.summary import Field, IntArray, Layout, Summary

ALONE = "not compared"  # why a level that no subgroup names is left out


@record
class Meta:
    """Arguments of `meta`: `by`, then `treatment` and `outcome` with a `measure`, or `of` and `term`.

    `compare`: name -> levels, for subgroups of levels; those in none are left out.
    """

    by: str
    treatment: str | None = None
    outcome: str | None = None
    measure: Measure = "OR"
    of: Mapping[str, Mapping[str, Any]] | None = None
    term: str | None = None
    method: Ways = "REML"
    interval: Interval = "z"
    compare: Mapping[str, tuple[str, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """One site's rows: (levels, 2, 2) counts of tables, or what the model prepares of each level; rows by level."""

    cells: IntArray
    models: tuple[Any, ...]
    rows: IntArray


def inner(question: Meta) -> Inner | None:
    """The model of `of`, or None for tables.

    Raises:
        Invalid: E-META, neither a table nor a model; E-KIND.
    """
    if question.of is None:
        if question.treatment is None or question.outcome is None or question.term is not None:
            raise Invalid(
                "E-META", "a meta-analysis is of tables or of a model", "`treatment`, `outcome`; or `of`, `term`"
            )
        return None
    found = meta_models.read(question.of)
    if question.term is None or question.treatment is not None or question.outcome is not None:
        raise Invalid("E-META", "of a model one term is pooled", "state `term`, not `treatment` and `outcome`")
    if question.method in ("MH", "Peto"):
        raise Invalid("E-META", f"{question.method} pools tables", "use fixed, DL, REML or PM")
    return found


def _needs(question: Meta) -> Needs:
    model = inner(question)
    if model is None:
        names = _crossed(question)
        if len(set(names)) < len(names):
            raise Invalid("E-VARIABLE", "levels, treatment and outcome are different variables")
        return _listed(Needs(), names)
    needs = model.needs
    return _listed(needs, (question.by, *needs.categories))


def _listed(needs: Needs, names: Sequence[str]) -> Needs:
    """With those categories; `site` is none of the codebook's."""
    named = tuple(dict.fromkeys(name for name in names if name != SITE))
    return changed(needs, categories=named, by_site=SITE in names)


def _crossed(question: Meta) -> tuple[str, str, str]:
    return question.by, str(question.treatment), str(question.outcome)


def _rungs(question: Meta, dictionary: Codebook) -> tuple[Grid, ...]:
    model = inner(question)
    return () if model is None else model.statistic.rungs(model.question, dictionary)


def _prepare(question: Meta, setting: Setting, inputs: Inputs) -> Prepared:
    model, levels = inner(question), len(setting.levels[question.by])
    code = inputs.codes[question.by]
    rows = np.bincount(code[code >= 0], minlength=levels).astype(np.int64)
    if model is not None:
        parts = [_subset(inputs, code == level) for level in range(levels)]
        models = tuple(model.statistic.prepare(model.question, setting, part) for part in parts)
        return Prepared(np.zeros((0, 2, 2), dtype=np.int64), models, rows)
    names = _crossed(question)
    for name in (str(question.treatment), str(question.outcome)):
        if len(setting.levels[name]) != 2:
            raise Invalid("E-META", f"{name!r} needs two levels", "derive it with CASE WHEN")
    counted = tables.cross(names, setting.levels, inputs.codes, inputs.rows)
    return Prepared(np.ascontiguousarray(counted[:, ::-1, ::-1]), (), rows)


def _subset(inputs: Inputs, keep: Any) -> Inputs:
    return Inputs(
        rows=int(np.count_nonzero(keep)),
        numbers={name: values[keep] for name, values in inputs.numbers.items()},
        codes={name: codes[keep] for name, codes in inputs.codes.items()},
        design=None if inputs.design is None else np.ascontiguousarray(inputs.design[:, keep]),
        keys={name: keys[keep] for name, keys in inputs.keys.items()},
    )


def _evidence(question: Meta, setting: Setting, prepared: Prepared) -> Evidence:
    """Of tables the cells, as of `count`. Of models: a level has no rows here, or all that its model asks for."""
    model, rows = inner(question), int(prepared.rows.sum())
    if model is None:
        return Evidence(rows=rows, cells={" x ".join(_crossed(question)): prepared.cells})
    found = Evidence(rows=rows, sides={question.by: prepared.rows})
    for at in np.flatnonzero(prepared.rows).tolist():
        own = model.statistic.evidence(model.question, setting, prepared.models[at])
        found = with_part(found, own, setting.levels[question.by][at])
    return found


def _flow(question: Meta, setting: Setting) -> Flow:
    model, levels = inner(question), setting.levels[question.by]
    if model is None:
        layout = Layout(fields=(Field(name="cells", shape=(len(levels), 2, 2), kind="histogram"),))
        pooled = yield Round(layout, {"step": "cells"})
        cells = pooled["cells"].astype(np.int64)
        n = int(cells.sum())
        if not n:
            raise Invalid("E-NO-ROWS", "no row has all variables of this question", "look at `excluded`")
        counts = {"n": Counts("size", np.array([n])), "cells": Counts("cells", cells)}
        return Estimate("meta", "exact", n, rounds=1, counts=counts)
    found = yield from lockstep.together([model.statistic.flow(model.question, setting) for _ in levels])
    made = {at: one for at, one in enumerate(found) if isinstance(one, Estimate)}
    if not made:
        raise next(one for one in found if isinstance(one, Invalid))
    n = sum(one.n for one in made.values())
    codes = {at: one.code for at, one in enumerate(found) if isinstance(one, Invalid)}
    return Estimate(
        "meta",
        "exact" if all(one.exactness == "exact" for one in made.values()) else "grid",
        n,
        rounds=max(one.rounds for one in made.values()),
        counts={f"{at} {name}": c for at, one in made.items() for name, c in one.counts.items()}
        | {"n": Counts("size", np.array([n]))},
        values={"models": made, "without": codes},
        parameters=sum(one.parameters for one in made.values()),
    )


def _summarise(question: Meta, setting: Setting, prepared: Prepared, asked: Round) -> Answer:
    model = inner(question)
    if model is None:
        return Answer(Summary(asked.layout, {"cells": prepared.cells}))
    answers = {}
    for at, own in enumerate(prepared.models):
        wanted = lockstep.asked_of(asked, at)
        if wanted is not None:
            answers[at] = model.statistic.summarise(model.question, setting, own, wanted)
    return lockstep.joined(asked, answers, np.flatnonzero(prepared.rows).tolist())


@dataclass(frozen=True, slots=True)
class Told:
    """What is pooled: studies, what else is told of each, levels left out and why, what exp(estimate) is, and warnings."""

    studies: Studies
    more: Mapping[str, Mapping[str, Any]]
    without: Mapping[str, str]
    measure: str | None
    warnings: tuple[str, ...] = ()


def _report(question: Meta, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    """The body; an error names what is pooled over."""
    try:
        return _body(question, setting, estimate)
    except Invalid as error:
        outcome = "" if question.outcome is None else f" of {question.outcome!r}"
        told = f"meta-analysis{outcome} over {question.by!r}: {error.message}"
        raise Invalid(error.code, told, error.hint) from error


def _body(question: Meta, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    model = inner(question)
    if model is None:
        told = _table_studies(question, setting, estimate)
    else:
        told = _model_studies(model, question, setting, estimate)
    if len(told.studies.labels) < 2:
        left = ", ".join(f"{level} ({why})" for level, why in told.without.items())
        hint = f"left out: {left}; merge levels with few people" if left else "there is one level alone"
        raise Invalid("E-META", "fewer than two levels can be pooled", hint)
    made = body(told.studies, _how(question, setting, told.measure))
    for row in made["terms"]:
        row |= told.more[row["term"]] if row["type"] == "study" else {"n": None}
    return {
        **head(estimate),
        **made,
        "left_out": dict(told.without),
        **({"warnings": list(told.warnings)} if told.warnings else {}),
    }


def _how(question: Meta, setting: Setting, measure: str | None) -> How:
    return How(method=question.method, interval=question.interval, measure=measure, conf_level=setting.conf_level)


def _table_studies(question: Meta, setting: Setting, estimate: Estimate) -> Told:
    """Of the levels whose cells are all shown, with people in both arms."""
    cells = np.asarray(estimate.counts["cells"].values, dtype=np.float64)
    levels, group = setting.levels[question.by], _groups(question, setting)
    without: dict[str, str] = {}
    for level, own in zip(levels, cells, strict=True):
        if level not in group:
            without[level] = ALONE
        elif not bool(np.all(np.isfinite(own))):
            without[level] = "E-DISCLOSURE"
        elif not bool(np.all(own.sum(axis=1) > 0.0)):
            without[level] = "E-NO-ROWS"
    kept = [at for at, level in enumerate(levels) if level not in without]
    names = [levels[at] for at in kept]
    groups = None if question.compare is None else [group[name] for name in names]
    studies = of_tables(names, cells[kept], _how(question, setting, question.measure), groups)
    sizes = {levels[at]: {"n": count(float(cells[at].sum()))} for at in kept}
    return Told(studies, sizes, without, question.measure)


def _model_studies(model: Inner, question: Meta, setting: Setting, estimate: Estimate) -> Told:
    """Of the levels whose model has an estimate of the term."""
    levels, group = setting.levels[question.by], _groups(question, setting)
    without = {levels[at]: str(code) for at, code in estimate.values["without"].items()}
    without |= {level: ALONE for level in levels if level not in group}
    kept: dict[str, tuple[float, float]] = {}
    more: dict[str, dict[str, Any]] = {}
    warned: dict[str, list[str]] = {}
    measure: str | None = None
    for at, found in estimate.values["models"].items():
        own = {name: estimate.counts[f"{at} {name}"] for name in found.counts}
        shown = model.statistic.report(model.question, setting, changed(found, counts=own))
        measure = meta_models.measure(shown, str(question.term))
        for text in shown.get("warnings", ()):
            warned.setdefault(text, []).append(levels[at])
        effect = meta_models.effect_of(shown, str(question.term))
        if effect is None:
            without[levels[at]] = "E-TERM"
        elif levels[at] not in without:
            kept[levels[at]] = effect
            more[levels[at]] = {key: shown[key] for key in ("n", "bound") if key in shown}
    y, errors = np.array([*kept.values()], dtype=np.float64).reshape(-1, 2).T
    groups = None if question.compare is None else tuple(group[level] for level in kept)
    warnings = tuple(f"{', '.join(where)}: {text}" for text, where in warned.items())
    return Told(Studies(tuple(kept), y, errors**2, None, groups), more, without, measure, warnings)


def _groups(question: Meta, setting: Setting) -> dict[str, str]:
    """Level -> its subgroup; with nothing to compare, every level.

    Raises:
        Invalid: E-LEVEL, E-META, a level in two subgroups.
    """
    levels = setting.levels[question.by]
    if question.compare is None:
        return dict.fromkeys(levels, "")
    found: dict[str, str] = {}
    for name, members in question.compare.items():
        for level in members:
            if level not in levels:
                hint = "declared levels: " + ", ".join(levels[:20])
                raise Invalid("E-LEVEL", f"{level!r} is not a level of {question.by!r}", hint)
            if level in found:
                raise Invalid("E-META", f"{level!r} is in two subgroups", "name each level once")
            found[level] = name
    return found


STATISTIC = Statistic(
    kind="meta",
    question=Meta,
    needs=_needs,
    rungs=_rungs,
    prepare=_prepare,
    evidence=_evidence,
    flow=_flow,
    summarise=_summarise,
    report=_report,
)
