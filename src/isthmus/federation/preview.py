"""What a study would read and what would leave each site, before any row is touched.

Layouts of later rounds follow from pooled sums, so each question is played through over invented rows: drawn from the
codebook's ranges and levels alone, at as many sites as asked. Nobody's data is opened. Where a study imputes, every
covariate that can be is given missing values, and two data sets are played through one cycle: the rounds of a cycle come
as often as there are cycles, and each carries as many fits as data sets are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.data.dictionary import base_codebook, derived_expressions, dictionary
from isthmus.data.dictionary import population as population_steps
from isthmus.data.expressions import parse_condition
from isthmus.data.source import open_source
from isthmus.disclosure.gate import could_apply, refusal
from isthmus.disclosure.rules import Effective
from isthmus.federation.places import Place
from isthmus.federation.plan import Plan, make_plan, subtotals
from isthmus.federation.question import Question
from isthmus.federation.rehearsal import Stage, site_work
from isthmus.federation.work import SiteWork
from isthmus.model.canonical import plain
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.design import BOOLEAN_LEVELS
from isthmus.model.errors import IsthmusError, Refused
from isthmus.model.formula import parse
from isthmus.model.privacy import Privacy
from isthmus.model.rules import OPEN, Rules, applies
from isthmus.model.study import Impute, Study, study_digest
from isthmus.statistics.contract import Round
from isthmus.statistics.imputation_question import Imputed, formula_of
from isthmus.summary import WHOLE, Layout, Summary, add, closed

INVENTED = 400  # rows at each invented site
SEED = 20_26  # the same preview each time
SHARED = 4  # rows of a matched set; as many sets in a cluster
WIDTH = 60.0  # of a number without a declared range
MOST_ROUNDS = 60
HOLES = 0.2  # share of values that are missing, of a covariate that is imputed
FIRST_FIT = "0."  # leads the fields of the first of several fits in one round


@dataclass(frozen=True, slots=True)
class Party:
    """Who would answer: the rules in force and whose each is; site -> country; a budget where answers are noisy.

    `releases`: what the agreement allows beyond the estimates. `entities`: site -> legal entity; one of its own where not stated.
    `barred`: analyses that it does not allow, and why.
    """

    effective: Effective
    countries: Mapping[str, str]
    privacy: Privacy | None = None
    entities: Mapping[str, str] = field(default_factory=dict)
    releases: tuple[str, ...] = ()
    barred: Mapping[str, Refused] = field(default_factory=dict)


def preview(study: Study, codebook: Codebook, party: Party) -> dict[str, Any]:
    """The preview as plain data.

    Raises:
        Invalid: the study does not fit the codebook.
        Refused: no analysis of it may be asked.
    """
    known = dictionary(study, codebook, tuple(dict.fromkeys(party.countries.values())))
    rules, whose = party.effective.rules, party.effective.whose
    places = {site: Place(party.entities.get(site, site), country) for site, country in party.countries.items()}
    facts = (party.privacy, places, party.releases, party.barred)
    plan = make_plan("preview", study, known, rules, whose, len(places), *facts)
    played = _played(study, codebook, plan, party)
    return {
        "schema": "isthmus/preview/1",
        "study": study_digest(study),
        "title": study.title,
        "dataset": study.dataset,
        "sites": len(party.countries),
        "population": list(_base(study, known, [expression.names for _, expression in population_steps(study, known)])),
        "analyses": {q.name: _question(q, plan, known, played.get(q.name, [])) for q in plan.questions[1:]},
        "rules": _rules(rules, whose),
        **({"refused": {name: why.to_dict() for name, why in plan.refused.items()}} if plan.refused else {}),
        **subtotals(plan),
    }


def _rules(rules: Rules, whose: Mapping[str, str]) -> list[dict[str, Any]]:
    names = [name for name in Rules.__dataclass_fields__ if getattr(rules, name) is not None]
    return [
        {"rule": n, "value": plain(getattr(rules, n)), "whose": whose.get(n), "restricts": applies(rules, n)}
        for n in names
    ]


def _question(question: Question, plan: Plan, known: Codebook, rounds: list[Played]) -> dict[str, Any]:
    kind = question.statistic.kind
    study = plan.study
    derived, base = derived_expressions(study, known), base_codebook(study, known)
    filters = [parse_condition(text, base, derived).names for text in question.where]
    return {
        "kind": kind,
        "reads": list(_base(study, known, [frozenset(question.reads), *filters])),
        "rows": list(plan.variables if study.missing == "study" else question.reads),
        "grids": [len(grid.edges) for grid in question.rungs if grid is not None],
        "leaves": [_round(number, one, study.impute) for number, one in enumerate(rounds, start=1)],
        "may be refused by": [rule for rule in could_apply(kind) if applies(plan.rules, rule)],
        "if it is refused": refusal(kind).hint,
        **({"each site": list(plan.places)} if question.needs.each_site else {}),
    }


def _base(study: Study, known: Codebook, names: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """Columns of the dataset behind some names: a derived variable stands for what it reads."""
    derived = derived_expressions(study, known)
    asked = [name for group in names for name in sorted(group)]
    found = [n for name in asked for n in (sorted(derived[name].names) if name in derived else [name])]
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Played:
    """One round over invented rows; `phase` of an imputation."""

    layout: Layout
    phase: str | None


def _round(number: int, played: Played, impute: Impute | None) -> dict[str, Any]:
    fits = impute.m if impute is not None and played.phase in {"chains", "analysis"} else 1
    fields = [f for f in played.layout.fields if fits == 1 or f.name.startswith(FIRST_FIT) or not f.name[0].isdigit()]
    sent = [{"name": f.name, "kind": f.kind, "shape": list(f.shape)} for f in fields]
    times = [fits if f.name.startswith(FIRST_FIT) else 1 for f in fields]
    size = sum(prod(f.shape) * (8 if f.kind in WHOLE else 16) * k for f, k in zip(fields, times, strict=True))
    made: dict[str, Any] = {"round": number, "fields": sent, "masked_bytes": size}
    if impute is None:
        return made
    return made | {"phase": played.phase, "fits": fits, "repeated": impute.cycles if played.phase == "chains" else 1}


# -- invented rows ----------------------------------------------------------------------------------------------------


def _played(study: Study, codebook: Codebook, plan: Plan, party: Party) -> dict[str, list[Played]]:
    """Question -> the rounds it took over invented rows."""
    draw = np.random.default_rng(SEED)
    holed, known = _holed(plan), plan.dictionary
    tables = {name: _invented(codebook, draw, holed, plan) for name in party.countries}
    opened = replace(OPEN, minimum_sites=party.effective.rules.minimum_sites)
    sources = {name: open_source(table) for name, table in tables.items()}
    short = study if study.impute is None else replace(study, impute=replace(study.impute, m=2, cycles=1))
    staged = Stage(short, sources, party.countries, opened, known, party.privacy)
    played = staged.plan("preview")
    sites = [site_work(staged, played, name, lambda _question, _why: None) for name in sources]
    return {question.name: list(_rounds(question, sites)) for question in played.questions[1:]}


def _holed(plan: Plan) -> frozenset[str]:
    """Columns of the dataset behind the covariates that a study's models can impute."""
    asked = [q.arguments for q in plan.questions[1:] if isinstance(q.arguments, Imputed)]
    study, known = plan.study, plan.dictionary
    kept = [frozenset(expression.names) for _, expression in population_steps(study, known)]
    lacking: list[frozenset[str]] = []
    for one in asked:
        formula = formula_of(one)
        inside = {n for term in formula.terms for factor in term if factor.function for n in factor.reads}
        whole = frozenset({*one.whole, *inside, *([formula.response] if formula.response else [])})
        kept.append(whole)
        lacking.append(frozenset(one.variables) - whole)
    return frozenset(_base(study, known, lacking)) - frozenset(_base(study, known, kept))


def _rounds(question: Question, sites: list[SiteWork]) -> Iterator[Played]:
    """Rounds until the flow ends, or says that the invented rows are not for it."""
    try:
        flow = question.statistic.flow(question.arguments, question.setting(0))
        asked: Round = next(flow)
        for _ in range(MOST_ROUNDS):
            phase = asked.params.get("phase")
            yield Played(closed(asked.layout), phase if isinstance(phase, str) else None)
            asked = flow.send(_pooled(question, sites, asked))
    except (StopIteration, IsthmusError):
        return


def _pooled(question: Question, sites: list[SiteWork], asked: Round) -> Summary:
    return reduce(add, (site.summarised(question, 0, asked).summary for site in sites))


def _invented(codebook: Codebook, draw: np.random.Generator, holed: frozenset[str], plan: Plan) -> pa.Table:
    columns = {name: _column(variable, draw) for name, variable in codebook.variables.items()}
    made = {}
    for name, values in _arranged(columns, codebook, plan).items():
        column = pa.array(values)
        gone = pa.array(draw.random(INVENTED) < HOLES) if name in holed else None
        made[name] = column if gone is None else pc.if_else(gone, pa.scalar(None, column.type), column)
    return pa.table(made)


def _arranged(columns: dict[str, Any], codebook: Codebook, plan: Plan) -> dict[str, Any]:
    """As the questions need their rows: identifiers that several rows share (clusters hold whole sets), entry before time."""
    found = dict(columns)
    for question in plan.questions[1:]:
        needs = question.needs
        for at, name in enumerate(n for n in needs.keys if n in columns):
            found[name] = _shared(codebook.variables[name], SHARED ** (at + 1))
        stated = getattr(question.arguments, "formula", None)
        whole = parse(stated) if isinstance(stated, str) and "~" in stated else needs.formula
        surv = None if whole is None else whole.surv
        if surv is not None and surv.entry in columns and surv.time in columns:
            early, late = (np.asarray(columns[name]).astype(np.float64) for name in (surv.entry, surv.time))
            found[str(surv.entry)], found[surv.time] = np.minimum(early, late), np.maximum(early, late) + 1.0
    return found


def _shared(variable: Variable, rows: int) -> Any:
    """Identifiers that so many rows share."""
    which = np.arange(INVENTED) // rows
    if variable.levels:
        return np.array(variable.levels, dtype=object)[which % len(variable.levels)]
    if variable.type in {"number", "integer"}:
        return which + (variable.range or (0.0, 0.0))[0]
    return np.array([f"{one}" for one in which], dtype=object) if variable.type == "category" else which % 2 == 0


def _column(variable: Variable, draw: np.random.Generator) -> Any:
    if variable.type == "boolean":
        return draw.random(INVENTED) < 1.0 / len(BOOLEAN_LEVELS)
    if variable.levels:
        return np.array(variable.levels, dtype=object)[draw.integers(0, len(variable.levels), INVENTED)]
    if variable.type == "date":
        return np.datetime64("2020-01-01") + draw.integers(0, 1000, INVENTED).astype("timedelta64[D]")
    low, high = variable.range or (0.0, WIDTH)
    if variable.type == "integer":
        return draw.integers(int(low), int(high) + 1, INVENTED)
    return np.round(draw.uniform(low, high, INVENTED), 3)
