"""The dictionary of a rehearsal without a codebook: read from everybody's rows, which only a rehearsal may do.

Levels of text (code-point order), of numbers used as categories (numeric order), ranges, and the distinct values of
times are taken per site, from the rows of the population, and united.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
from sqlglot import exp

from isthmus.data.columns import LARGEST, Coded, decode
from isthmus.data.dictionary import base_codebook, check_name, country_variable, derived_expressions, population
from isthmus.data.expressions import Expression, column, parse_condition
from isthmus.data.frame import check_faults
from isthmus.data.query import RESERVED, ColumnKind, check_names, count, read_columns
from isthmus.model.codebook import Codebook, Kind, Variable
from isthmus.model.errors import Invalid
from isthmus.model.record import record
from isthmus.model.terms import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from isthmus.data.source import Source
    from isthmus.model.formula import Formula
    from isthmus.model.study import Study
    from isthmus.summary import FloatArray

MAX_LEVELS = 2_000  # a category with more is a name or a free text
_TYPES: Mapping[ColumnKind, Kind] = {
    "integer": "integer",
    "number": "number",
    "text": "category",
    "boolean": "boolean",
    "date": "date",
}


@record
class Reads:
    """What the analyses read: every name; which are used as categories; which as times; their own filters; identifiers."""

    names: tuple[str, ...]
    categories: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


def formula_reads(formula: Formula) -> tuple[str, ...]:
    """Variables that a formula uses as categories whatever their type: `C(x)` and strata."""
    inside = [f.name for term in formula.terms for f in term if f.function == "C"]
    return tuple(dict.fromkeys(n for n in (*inside, *formula.strata) if n != "site"))


def infer(study: Study, sources: Mapping[str, Source], reads: Reads, countries: Mapping[str, str]) -> Codebook:
    """The dictionary of a rehearsal, derived variables and `country` included.

    Args:
        study: its population and derived variables are applied.
        sources: site -> rows.
        reads: variables and filters of the analyses; what `where`, `derive` and `subgroups` read is added here.
        countries: site -> country.

    Raises:
        Invalid: E-COLUMN-MISSING, E-COLUMN-TYPE and E-TEXT-IN-NUMBER (types that differ between sites), E-LEVEL (a literal that no row
            has), E-LEVELS (too many), E-RESERVED-NAME, and as `parse_expression`.
    """
    kinds = _kinds(sources)
    types = {name: Variable(type=_one_type(found)) for name, found in kinds.items()}
    typed = Codebook(name=study.dataset, variables=types | _country(countries), inferred=True)
    for name in study.derive or {}:
        check_name(name)
        if name in typed.variables:
            raise Invalid("E-CODEBOOK", f"derived variable {name!r} is already a column", "choose another name")
    derived = derived_expressions(study, typed)
    chosen = {n: derived[n] if n in derived else column(n, typed) for n in reads.names if n not in RESERVED}
    conditions = (*(step for _, step in population(study, typed)), *_conditions(study, reads, typed, derived))
    used = [n for e in (*chosen.values(), *derived.values(), *conditions) for n in e.names if n not in RESERVED]
    needed = {n: column(n, typed) for n in dict.fromkeys(used)}
    _check_agreement({name: kinds[name] for name in needed})
    kept = _Kept(needed | chosen, population(study, typed))
    facts = _united([_site_facts(site, source, typed, kept) for site, source in sources.items()])
    variables = {n: _variable(n, e, facts[n], reads) for n, e in (needed | derived).items() if n in facts}
    unread = {n: e.variable for n, e in derived.items() if n not in facts}
    whole = replace(typed, variables=variables | unread | _country(countries))
    _check_literals(study, reads, whole, facts)
    return whole


@dataclass(frozen=True, slots=True)
class _Kept:
    expressions: Mapping[str, Expression]
    steps: Sequence[tuple[str, Expression]]


@dataclass(frozen=True, slots=True)
class _Fact:
    """Distinct values of one variable: in the population, and (text) in every row."""

    numbers: FloatArray | None
    texts: frozenset[str]
    everywhere: frozenset[str]


def _country(countries: Mapping[str, str]) -> dict[str, Variable]:
    return {"country": country_variable(countries.values())}


def _conditions(study: Study, reads: Reads, typed: Codebook, derived: Mapping[str, Expression]) -> list[Expression]:
    """The study's subgroups and the analyses' own filters."""
    base = base_codebook(study, typed)
    texts = (*(study.subgroups or {}).values(), *reads.conditions)
    return [parse_condition(text, base, derived) for text in texts]


def _kinds(sources: Mapping[str, Source]) -> dict[str, dict[str, ColumnKind]]:
    """Column -> site -> what it holds there; where sites differ, sites with nothing but NULL have no say."""
    found: dict[str, dict[str, ColumnKind]] = {}
    for site, source in sources.items():
        check_names(source.schema())
        for name, kind in source.schema().items():
            found.setdefault(name, {})[site] = kind
    for name, kinds in found.items():
        if len(set(kinds.values())) > 1 and not set(kinds.values()) <= {"integer", "number"}:
            telling = {site: kind for site, kind in kinds.items() if _has_values(name, sources[site])}
            found[name] = telling or kinds
    return found


def _one_type(kinds: Mapping[str, ColumnKind]) -> Kind:
    """One type of a column; sites that disagree are refused only when the column is read."""
    order: tuple[ColumnKind, ...] = ("number", "integer", "boolean", "date", "text")
    return next((_TYPES[kind] for kind in order if kind in kinds.values()), "category")


def _check_agreement(kinds: Mapping[str, Mapping[str, ColumnKind]]) -> None:
    for name, found in kinds.items():
        different = set(found.values())
        if len(different) == 1 or different == {"integer", "number"}:
            continue
        if different <= {"integer", "number", "text"}:
            where = ", ".join(site for site, kind in found.items() if kind == "text")
            message = f"column {name!r} holds text, and numbers at other sites"
            raise Invalid("E-TEXT-IN-NUMBER", message, "mend the data, or state a codebook", f"site {where}")
        message = f"the sites hold different types in column {name!r}: " + ", ".join(sorted(different))
        raise Invalid("E-COLUMN-TYPE", message, "mend the data, or state a codebook")


def _has_values(name: str, source: Source) -> bool:
    there = exp.Not(this=exp.Paren(this=exp.Is(this=exp.column(name, quoted=True), expression=exp.Null())))
    reading = read_columns((), Codebook(name="", variables={}), source.schema(), "")
    query = replace(reading, variables={"there": there}).query({"n": count(exp.column("there", quoted=True))})
    return bool(source.fetch(query).column(0)[0].as_py())


def _site_facts(site: str, source: Source, typed: Codebook, kept: _Kept) -> dict[str, _Fact]:
    names = dict.fromkeys(n for e in kept.expressions.values() for n in e.names)
    names |= dict.fromkeys(n for _, e in kept.steps for n in e.names)
    try:
        reading = read_columns(names, typed, source.schema(), "")
        check_faults(source, reading)
    except Invalid as error:
        raise Invalid(error.code, error.message, error.hint, f"site {site}") from error
    keys = {f"x{i}": e for i, e in enumerate(kept.expressions.values())}
    steps = {f"s{i}": e.tree for i, (_, e) in enumerate(kept.steps)}
    if not keys and not steps:
        return {}
    table = source.fetch(reading.query({key: e.tree for key, e in keys.items()} | steps))
    inside = np.ones(table.num_rows, dtype=bool)
    for key in steps:
        inside &= cast("Coded", decode(table.column(key), key)).codes == 1
    return {
        name: _fact(decode(table.column(key), name), inside)
        for name, key in zip(kept.expressions, keys, strict=True)
        if kept.expressions[name].kind != "date"
    }


def _fact(values: FloatArray | Coded, inside: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> _Fact:
    if isinstance(values, Coded):
        present = np.unique(values.codes[inside])
        texts = frozenset(values.levels[i] for i in present if i >= 0)
        return _Fact(None, texts, frozenset(values.levels))
    chosen = values[inside & (np.abs(values) <= LARGEST)]  # NaN is not; what is beyond ends the analyses that read it
    return _Fact(np.unique(chosen), frozenset(), frozenset())


def _united(facts: list[dict[str, _Fact]]) -> dict[str, _Fact]:
    united = dict(facts[0]) if facts else {}
    for some in facts[1:]:
        for name, fact in some.items():
            first = united[name]
            both = None if first.numbers is None or fact.numbers is None else np.union1d(first.numbers, fact.numbers)
            united[name] = _Fact(both, first.texts | fact.texts, first.everywhere | fact.everywhere)
    return united


def _variable(name: str, expression: Expression, fact: _Fact, reads: Reads) -> Variable:
    if expression.kind == "boolean":
        return Variable(type="boolean")
    if fact.numbers is None and expression.levels is None and name in reads.keys and name not in reads.categories:
        return Variable(type="category")
    if fact.numbers is None:
        stated = expression.levels or tuple(sorted(fact.texts))
        _check_count(name, len(stated), reads)
        return Variable(type="category", levels=stated)
    levels = expression.levels
    if levels is None and name in reads.categories:
        _check_count(name, len(fact.numbers), reads)
        levels = tuple(number(float(v)) for v in fact.numbers)
    spread = (float(fact.numbers[0]), float(fact.numbers[-1])) if len(fact.numbers) else None
    recorded = tuple(float(v) for v in fact.numbers) if name in reads.times else None
    return Variable(type=expression.kind, levels=levels, range=spread, recorded=recorded)


def _check_count(name: str, levels: int, reads: Reads) -> None:
    if levels > MAX_LEVELS and name in {*reads.names, *reads.categories}:
        raise Invalid("E-LEVELS", f"{name!r} has more than {MAX_LEVELS} levels", "is it a name or a free text?")


def _check_literals(study: Study, reads: Reads, whole: Codebook, facts: Mapping[str, _Fact]) -> None:
    """A literal that no row of any site has is a slip of the pen."""
    seen = {
        name: replace(v, levels=tuple(sorted(facts[name].everywhere))) if _is_raw_text(name, v, facts) else v
        for name, v in whole.variables.items()
    }
    checked = replace(whole, variables=seen, inferred=False)
    derived = derived_expressions(study, checked)
    population(study, checked)
    _conditions(study, reads, checked, derived)


def _is_raw_text(name: str, variable: Variable, facts: Mapping[str, _Fact]) -> bool:
    return variable.type == "category" and name in facts and facts[name].numbers is None
