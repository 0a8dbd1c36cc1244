"""A site's rows of a study: fetched once, filtered to the population, delivered as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sqlglot import exp

from isthmus.data.columns import CodeArray, Coded, beyond, decode, recode
from isthmus.data.design_matrix import matrix
from isthmus.data.dictionary import base_codebook, derived_expressions, population
from isthmus.data.expressions import Expression, column, parse_condition
from isthmus.data.figures import figures
from isthmus.data.indicators import Indicators, indicators, shown, side_codes, side_counts
from isthmus.data.query import Reading, count, read_columns
from isthmus.model.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from isthmus.data.source import Source
    from isthmus.model.codebook import Codebook
    from isthmus.model.formula import Design
    from isthmus.model.study import Study
    from isthmus.summary import FloatArray, IntArray

Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Frame:
    """Rows of the population, or a subset of them.

    Attributes:
        rows: how many.
        columns: name -> float64 with NaN, or codes.
        faults: name -> why it cannot be computed with (E-NOT-FINITE); which rows have a value is known all the same.
        filters: text of a condition -> (rows,) mask, false where the condition is unknown.
        attrition: rows of the source, then after each step of the population: (label, rows).
        indicators: what the study's expressions tell apart, for the disclosure rules; None where that was not asked
            for, and in a subset.
    """

    rows: int
    columns: Mapping[str, FloatArray | Coded]
    faults: Mapping[str, Invalid] = field(default_factory=dict)
    filters: Mapping[str, Mask] = field(default_factory=dict)
    attrition: tuple[tuple[str, int], ...] = ()
    indicators: Indicators | None = None

    def numbers(self, name: str) -> FloatArray:
        """(rows,) float64, NaN for missing; a boolean is 0 or 1.

        Raises:
            Invalid: E-TEXT-IN-NUMBER, when it is a category; E-NOT-FINITE.
        """
        found = self._values(name)
        if not isinstance(found, Coded):
            return found
        if found.levels != ("false", "true"):
            raise Invalid("E-TEXT-IN-NUMBER", f"{name!r} holds text where a number is needed", "derive 0 and 1 from it")
        return np.where(found.codes < 0, np.nan, found.codes.astype(np.float64))

    def codes(self, name: str, levels: Sequence[str]) -> CodeArray:
        """(rows,) int32 index into `levels`, -1 for missing; numbers are matched by value.

        Raises:
            Invalid: E-LEVEL, when a row holds a level that is not declared; E-NOT-FINITE.
        """
        return recode(self._values(name), name, levels)

    def keys(self, name: str) -> CodeArray:
        """(rows,) int32, equal where the values are: this site's own, whatever the type and however many there are."""
        found = self._values(name)
        values = found.codes if isinstance(found, Coded) else found
        return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int32)

    def missing(self, name: str) -> Mask:
        """(rows,) where the variable has no value."""
        found = self._column(name)
        return found.codes < 0 if isinstance(found, Coded) else np.isnan(found)

    def complete(self, names: Sequence[str]) -> Mask:
        """(rows,) where all of `names` have values."""
        mask = np.ones(self.rows, dtype=np.bool_)
        for name in names:
            mask &= ~self.missing(name)
        return mask

    def filter(self, condition: str) -> Mask:
        """(rows,) where a condition (the text given when fetching) is true.

        Raises:
            Invalid: E-VARIABLE, when it was not fetched.
        """
        if condition not in self.filters:
            raise Invalid("E-VARIABLE", f"no condition {condition!r} was fetched")
        return self.filters[condition]

    def subset(self, mask: Mask) -> Frame:
        """The rows where `mask` is true."""
        if mask.all():
            return self
        columns = {
            name: Coded(c.codes[mask], c.levels) if isinstance(c, Coded) else c[mask]
            for name, c in self.columns.items()
        }
        filters = {name: kept[mask] for name, kept in self.filters.items()}
        return replace(self, rows=int(mask.sum()), columns=columns, filters=filters, indicators=None)

    def matrix(self, design: Design) -> FloatArray:
        """(p, rows) float64, C order: one design column per row of the array; no value may be missing.

        Raises:
            Invalid: E-LEVEL, E-NOT-FINITE (log of 0, say; names the term), E-TEXT-IN-NUMBER.
        """
        return matrix(design, self.rows, self.numbers, self.codes)

    def _values(self, name: str) -> FloatArray | Coded:
        if name in self.faults:
            raise self.faults[name]
        return self._column(name)

    def _column(self, name: str) -> FloatArray | Coded:
        if name not in self.columns:
            raise Invalid("E-VARIABLE", f"{name!r} was not fetched")
        return self.columns[name]


def fetch_frame(  # noqa: PLR0913 - `told` is the one choice about how, the others are about what
    source: Source,
    study: Study,
    dictionary: Codebook,
    names: Sequence[str],
    country: str,
    conditions: Sequence[str] = (),
    *,
    told: bool = False,
) -> Frame:
    """Fetch `names` (codebook, derived, `country`) for the rows of the study's population.

    `conditions` come along as filters: texts of the analyses' own `where` and of their subgroups.
    `told` adds what the expressions tell apart (`Frame.indicators`), for the rules that count it.

    Raises:
        Invalid: E-COLUMN-MISSING, E-TEXT-IN-NUMBER, E-COLUMN-TYPE, E-RESERVED-NAME, E-LEVEL, and as `parse_condition`.
        Unavailable: E-SOURCE.
    """
    derived = derived_expressions(study, dictionary)
    base = base_codebook(study, dictionary)
    wanted = {n: derived[n] if n in derived else column(n, base) for n in dict.fromkeys(names)}
    filters = {text: parse_condition(text, base, derived) for text in conditions}
    steps = population(study, dictionary)
    every = [*wanted.values(), *filters.values(), *(step for _, step in steps)]
    reading = read_columns(dict.fromkeys(n for e in every for n in e.names), base, source.schema(), country)
    check_faults(source, reading)
    of = _told(derived, wanted, filters) if told else {}
    decided = {text: tree for found in of.values() for text, tree in found.items()}
    parts = {name: figures(e.tree) for name, e in wanted.items() if told and name in derived}
    combined = {text: tree for found in parts.values() for text, tree in found.items()}
    made = (*(e.tree for e in (*wanted.values(), *filters.values())), *decided.values(), *combined.values())
    trees = list(made) or [exp.Literal.number(1)]
    where = exp.and_(*(step.tree.copy() for _, step in steps)) if steps else None
    table = source.fetch(reading.query({f"x{i}": tree for i, tree in enumerate(trees)}, where))
    arrays = iter(table.columns)
    columns = {name: decode(next(arrays), name) for name in wanted}
    faults = {name: fault for name, found in columns.items() if (fault := beyond(found, name)) is not None}
    masks = {name: _is_true(decode(next(arrays), name)) for name in filters}
    seen = None
    if told:
        codes = {text: side_codes(next(arrays), tree) for text, tree in decided.items()}
        entry = _entry(source, reading, [step.tree for _, step in steps])
        values = {text: decode(next(arrays), "a part") for text in combined}
        numbers = {t: v for t, v in values.items() if not isinstance(v, Coded) and beyond(v, t) is None}
        faults |= {name: fault for name, of_it in parts.items() for t in of_it if (fault := beyond(values[t], name))}
        combining = {name: tuple(text for text in found if text in numbers) for name, found in parts.items()}
        outer = {name: tuple(t for t in shown(e.tree) if t in codes) for name, e in wanted.items() if name in of}
        told_of = {name: tuple(found) for name, found in of.items()}
        seen = Indicators(codes, told_of, entry, numbers, combining, outer)
    return Frame(table.num_rows, columns, faults, masks, _attrition(source, reading, steps, table.num_rows), seen)


def check_faults(source: Source, reading: Reading) -> None:
    """Refuse columns whose values do not fit their declaration, without telling the values or how many.

    Raises:
        Invalid: the fault's code.
    """
    if not reading.faults:
        return
    bad = source.fetch(reading.fault_query())
    for i, fault in enumerate(reading.faults):
        if bad.column(i)[0].as_py():
            raise Invalid(fault.code, fault.message, "mend the data, or declare codes that mean missing")


def _is_true(values: FloatArray | Coded) -> Mask:
    codes = values.codes if isinstance(values, Coded) else values
    mask: Mask = codes == 1
    return mask


def _told(
    derived: Mapping[str, Expression], wanted: Mapping[str, Expression], filters: Mapping[str, Expression]
) -> dict[str, dict[str, exp.Expr]]:
    """Per derived variable and condition, what it decides."""
    found = {
        name: indicators(e.tree) for name, e in wanted.items() if name in derived and not isinstance(e.tree, exp.Column)
    }
    return found | {f"where {e.text}": indicators(e.tree) for e in filters.values()}


def _entry(source: Source, reading: Reading, steps: Sequence[exp.Expr]) -> dict[str, IntArray]:
    """Rows of the source on each side of what the steps of the population decide."""
    decided = indicators(*steps)
    if not decided:
        return {}
    table = source.fetch(reading.query({f"x{i}": tree for i, tree in enumerate(decided.values())}))
    made = zip(decided.items(), table.columns, strict=True)
    return {text: side_counts(side_codes(column, tree)) for (text, tree), column in made}


def _attrition(
    source: Source, reading: Reading, steps: Sequence[tuple[str, Expression]], rows: int
) -> tuple[tuple[str, int], ...]:
    if not steps:
        return (("rows", rows),)
    counts: dict[str, exp.Expr] = {"n": count(exp.true())}
    passed: list[exp.Expr] = []
    for i, (_, step) in enumerate(steps):
        passed.append(step.tree)
        counts[f"n{i}"] = count(exp.and_(*(tree.copy() for tree in passed)))
    table = source.fetch(reading.query(counts))
    found = [int(table.column(i)[0].as_py()) for i in range(len(counts))]
    return tuple(zip(("rows", *(label for label, _ in steps)), found, strict=True))
