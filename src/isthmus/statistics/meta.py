"""Meta-analysis over the levels of a category (kind `meta`): a fourfold table or a model in each level, then pooled.

Either `treatment` and `outcome` (two levels each; the second is the treated, and the event): the counts of a
level x treatment x outcome table leave, and all follows from them as the gate leaves them. Or `of`, a model question,
and `term`: the model is fitted in each level by itself, all levels in the same rounds, and the term's estimates are pooled.
`by: country` pools over countries; `by: site` over sites, where the agreement allows numbers of single sites. The effects of single levels are in the answer, so each level is a group of people at
every site: none of them, or enough, with the guards of the model inside it.

Result keys: `terms`: each level (`type` study, `weight` in per cent, `n`), then `pooled`; `fit`: `method`, `interval`,
`measure`, `studies`, `tau2`, `tau2_error`, `i2`, `h2`, `q`, `q_df`, `q_p_value`, `pi_low`, `pi_high`; `left_out` (level
-> why); `leave_one_out`; with `compare` also `subgroups`, `subgroups_fit` and `tests`. In R: `metafor` (3.8), as
`meta_pooling.py` and `meta_tables.py` say, after a model in each level (the two-stage analysis).

References: DerSimonian & Laird (1986), Control Clin Trials 7:177; Viechtbauer (2010), J Stat Softw 36(3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any

import numpy as np

from isthmus import strict
from isthmus.evidence import Counts, Evidence
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.statistics import cox, effect, gee, glm, lockstep, parametric_survival, tables, unsaid
from isthmus.statistics.contract import Answer, Estimate, Flow, Grid, Inputs, Needs, Round, Setting, Statistic
from isthmus.statistics.meta_pooling import Interval
from isthmus.statistics.meta_report import How, Studies, Ways, body, of_tables
from isthmus.statistics.meta_tables import Measure
from isthmus.statistics.part import with_part
from isthmus.statistics.show import count, size
from isthmus.summary import Field, IntArray, Layout, Summary

MODELS: Mapping[str, Statistic] = {
    own.kind: own
    for own in (glm.STATISTIC, cox.STATISTIC, effect.STATISTIC, gee.STATISTIC, parametric_survival.STATISTIC)
}
SITE = "site"
ALONE = "not compared"  # why a level that no subgroup names is left out
RISK_RATIOS = ("log ratio", "log odds ratio")  # of `effect` on a 0/1 outcome
RATIOS = {"logit": "OR", "log": "RR"}  # what exp(coefficient) is called, by link


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
class Inner:
    """The model that is fitted in each level: its kind and arguments."""

    statistic: Statistic
    question: Any


@dataclass(frozen=True, slots=True)
class Prepared:
    """One site's rows: (levels, 2, 2) counts of tables, or what the model prepares of each level; rows by level."""

    cells: IntArray
    models: tuple[Any, ...]
    rows: IntArray


def _inner(question: Meta) -> Inner | None:
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
    kind = next(iter(question.of), "")
    if len(question.of) != 1 or kind not in MODELS:
        raise Invalid("E-KIND", "`of` is one model question", "known: " + ", ".join(MODELS))
    if question.term is None or question.treatment is not None or question.outcome is not None:
        raise Invalid("E-META", "of a model one term is pooled", "state `term`, not `treatment` and `outcome`")
    if question.method in ("MH", "Peto"):
        raise Invalid("E-META", f"{question.method} pools tables", "use fixed, DL, REML or PM")
    return Inner(MODELS[kind], strict.parse(MODELS[kind].question, question.of[kind], f"of.{kind}"))


def _needs(question: Meta) -> Needs:
    inner = _inner(question)
    if inner is None:
        names = _crossed(question)
        if len(set(names)) < len(names):
            raise Invalid("E-VARIABLE", "levels, treatment and outcome are different variables")
        return _listed(Needs(), names)
    needs = inner.statistic.needs(inner.question)
    return _listed(needs, (question.by, *needs.categories))


def _listed(needs: Needs, names: Sequence[str]) -> Needs:
    """With those categories; `site` is none of the codebook's."""
    named = tuple(dict.fromkeys(name for name in names if name != SITE))
    return changed(needs, categories=named, by_site=SITE in names)


def _crossed(question: Meta) -> tuple[str, str, str]:
    return question.by, str(question.treatment), str(question.outcome)


def _rungs(question: Meta, dictionary: Codebook) -> tuple[Grid, ...]:
    inner = _inner(question)
    return () if inner is None else inner.statistic.rungs(inner.question, dictionary)


def _prepare(question: Meta, setting: Setting, inputs: Inputs) -> Prepared:
    inner, levels = _inner(question), len(setting.levels[question.by])
    code = inputs.codes[question.by]
    rows = np.bincount(code[code >= 0], minlength=levels).astype(np.int64)
    if inner is not None:
        parts = [_subset(inputs, code == level) for level in range(levels)]
        models = tuple(inner.statistic.prepare(inner.question, setting, part) for part in parts)
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
    inner, rows = _inner(question), int(prepared.rows.sum())
    if inner is None:
        return Evidence(rows=rows, cells={" x ".join(_crossed(question)): prepared.cells})
    found = Evidence(rows=rows, sides={question.by: prepared.rows})
    for at in np.flatnonzero(prepared.rows).tolist():
        own = inner.statistic.evidence(inner.question, setting, prepared.models[at])
        found = with_part(found, own, setting.levels[question.by][at])
    return found


def _flow(question: Meta, setting: Setting) -> Flow:
    inner, levels = _inner(question), setting.levels[question.by]
    if inner is None:
        layout = Layout(fields=(Field(name="cells", shape=(len(levels), 2, 2), kind="histogram"),))
        pooled = yield Round(layout, {"step": "cells"})
        cells = pooled["cells"].astype(np.int64)
        n = int(cells.sum())
        if not n:
            raise Invalid("E-NO-ROWS", "no row has all variables of this question", "look at `excluded`")
        counts = {"n": Counts("size", np.array([n])), "cells": Counts("cells", cells)}
        return Estimate("meta", "exact", n, rounds=1, counts=counts)
    found = yield from lockstep.together([inner.statistic.flow(inner.question, setting) for _ in levels])
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
    inner = _inner(question)
    if inner is None:
        return Answer(Summary(asked.layout, {"cells": prepared.cells}))
    answers = {}
    for at, own in enumerate(prepared.models):
        wanted = lockstep.asked_of(asked, at)
        if wanted is not None:
            answers[at] = inner.statistic.summarise(inner.question, setting, own, wanted)
    return lockstep.joined(asked, answers, np.flatnonzero(prepared.rows).tolist())


@dataclass(frozen=True, slots=True)
class Told:
    """What is pooled: studies with the number of rows of each, levels left out and why, and what exp(estimate) is."""

    studies: Studies
    sizes: Mapping[str, int | float | None]
    without: Mapping[str, str]
    measure: str | None


def _report(question: Meta, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    """The body; an error names what is pooled over."""
    try:
        return _body(question, setting, estimate)
    except Invalid as error:
        outcome = "" if question.outcome is None else f" of {question.outcome!r}"
        told = f"meta-analysis{outcome} over {question.by!r}: {error.message}"
        raise Invalid(error.code, told, error.hint) from error


def _body(question: Meta, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    inner = _inner(question)
    if inner is None:
        told = _table_studies(question, setting, estimate)
    else:
        told = _model_studies(inner, question, setting, estimate)
    if len(told.studies.labels) < 2:
        left = ", ".join(f"{level} ({why})" for level, why in told.without.items())
        raise Invalid(
            "E-META", "fewer than two levels can be pooled", f"left out: {left}; merge levels with few people"
        )
    made = body(told.studies, _how(question, setting, told.measure))
    for row in made["terms"]:
        row["n"] = told.sizes.get(row["term"]) if row["type"] == "study" else None
    return {
        "kind": estimate.kind,
        "exactness": estimate.exactness,
        "n": size(estimate.counts["n"]),
        "rounds": estimate.rounds,
        **made,
        "left_out": dict(told.without),
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
    return Told(studies, {levels[at]: count(float(cells[at].sum())) for at in kept}, without, question.measure)


def _model_studies(inner: Inner, question: Meta, setting: Setting, estimate: Estimate) -> Told:
    """Of the levels whose model has an estimate of the term."""
    levels, group = setting.levels[question.by], _groups(question, setting)
    without = {levels[at]: str(code) for at, code in estimate.values["without"].items()}
    without |= {level: ALONE for level in levels if level not in group}
    kept: dict[str, tuple[float, float]] = {}
    sizes: dict[str, int | float | None] = {}
    measure: str | None = None
    for at, found in estimate.values["models"].items():
        own = {name: estimate.counts[f"{at} {name}"] for name in found.counts}
        shown = inner.statistic.report(inner.question, setting, changed(found, counts=own))
        measure = _measure(shown, str(question.term))
        undefined = _undefined(shown, str(question.term))
        row = None if undefined else _term(shown["terms"], str(question.term))
        if row is None or row["estimate"] is None or not row["std_error"]:
            without[levels[at]] = "E-TERM"
        if row is not None and levels[at] not in without:
            kept[levels[at]] = (row["estimate"], row["std_error"] ** 2)
            sizes[levels[at]] = shown["n"]
    y, v = np.array([*kept.values()], dtype=np.float64).reshape(-1, 2).T
    groups = None if question.compare is None else tuple(group[level] for level in kept)
    return Told(Studies(tuple(kept), y, v, None, groups), sizes, without, measure)


def _measure(shown: Mapping[str, Any], term: str) -> str | None:
    """What exp(estimate) of the term is called, if it is a ratio."""
    known = {"log hazard ratio": "HR", "log odds ratio": "OR", "log ratio": "RR"}  # of `effect`
    return "HR" if shown["kind"] == "cox" else known.get(term, RATIOS.get(str(shown["fit"].get("link"))))


def _undefined(shown: Mapping[str, Any], term: str) -> bool:
    """Whether it is a ratio of risks that this level has not: in an arm there nobody, or everybody, has the outcome."""
    rows = shown["terms"]
    lost = term in RISK_RATIOS and all(row["term"] != term for row in rows)
    return shown["kind"] == "effect" and lost and unsaid.shares(rows)


def _term(rows: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    found = next((row for row in rows if row["term"] == name), None)
    if found is None:
        names = ", ".join(str(row["term"]) for row in rows)
        raise Invalid("E-TERM", f"{name!r} is not a term of the model", f"terms: {names}")
    return found


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
