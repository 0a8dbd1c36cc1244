"""One question to a source, engine-neutral: declared variables from raw columns, expressions over them, a filter.

The inner layer gives each variable its declared type: codes that mean missing and NaN become NULL, numbers are double
precision, categories are text (`1`, not `1.0`). What cannot be read so is counted by `faults`, never returned.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from sqlglot import exp

from isthmus.model.errors import Invalid
from isthmus.model.terms import number

if TYPE_CHECKING:
    from isthmus.model.codebook import Codebook, Variable

ColumnKind = Literal["integer", "number", "text", "boolean", "date", "other"]
Schema: TypeAlias = Mapping[str, ColumnKind]
RESERVED = ("site", "country")
_TRUE, _FALSE = ("true", "TRUE", "True"), ("false", "FALSE", "False")


@dataclass(frozen=True, slots=True)
class Query:
    """`columns` (result name -> tree over variables), one row per row where `where` is true.

    Attributes:
        variables: variable name -> tree over raw columns.
    """

    variables: Mapping[str, exp.Expr]
    columns: Mapping[str, exp.Expr]
    where: exp.Expr | None = None

    def sql(self, dialect: str, relation: exp.Table) -> str:
        """One SELECT; result columns are in the order of `columns`, called v0, v1, ...

        Engines fold the case of names, so `DIED` and a derived `died` are only told apart by position.
        """
        place = {name: f"c{i}" for i, name in enumerate(self.variables)}
        raw = [tree.copy().as_(place[name]) for name, tree in self.variables.items()] or [
            exp.Literal.number(1).as_("c")
        ]
        inner = exp.select(*raw).from_(relation).subquery("t")
        select = exp.select(*(_placed(tree, place).as_(f"v{i}") for i, tree in enumerate(self.columns.values())))
        select = select.from_(inner)
        if self.where is not None:
            select = select.where(_placed(self.where, place))
        return select.sql(dialect=dialect)


@dataclass(frozen=True, slots=True)
class Fault:
    """A way in which a column fails its declaration: `bad` is true in such rows."""

    name: str
    code: str
    message: str
    bad: exp.Expr


@dataclass(frozen=True, slots=True)
class Reading:
    """How a dataset's variables are read from raw columns."""

    variables: Mapping[str, exp.Expr]
    faults: Sequence[Fault] = field(default_factory=tuple)

    def query(self, columns: Mapping[str, exp.Expr], where: exp.Expr | None = None) -> Query:
        """Rows of `columns`."""
        return Query(self.variables, columns, where)

    def fault_query(self) -> Query:
        """One row: the number of bad rows per fault."""
        raw = {f"f{i}": fault.bad for i, fault in enumerate(self.faults)}
        return Query(raw, {name: count(exp.column(name, quoted=True)) for name in raw})


def read_columns(names: Iterable[str], codebook: Codebook, schema: Schema, country: str) -> Reading:
    """How to read `names` (of the codebook, or `country`).

    Raises:
        Invalid: E-COLUMN-MISSING, E-RESERVED-NAME, E-TEXT-IN-NUMBER, E-COLUMN-TYPE.
    """
    check_names(schema)
    trees: dict[str, exp.Expr] = {}
    faults: list[Fault] = []
    for name in names:
        if name == "country":
            trees[name] = exp.Literal.string(country)
            continue
        if name not in schema:
            near = difflib.get_close_matches(name, list(schema), n=1)
            hint = f"the nearest column is {near[0]!r}" if near else "map the site's columns to the codebook's names"
            raise Invalid("E-COLUMN-MISSING", f"the data have no column {name!r}", hint)
        trees[name], found = _read(name, codebook.variables[name], schema[name])
        faults += found
    return Reading(trees, tuple(faults))


def check_names(schema: Schema) -> None:
    """Columns may not take the names that mean something else in every study.

    Raises:
        Invalid: E-RESERVED-NAME.
    """
    for name in RESERVED:
        if name in schema:
            raise Invalid("E-RESERVED-NAME", f"a column may not be called {name!r}", "map it to another name")


def count(condition: exp.Expr) -> exp.Expr:
    """Rows where `condition` is true, as an aggregate (0 for no rows)."""
    one, zero = exp.Literal.number(1), exp.Literal.number(0)
    case = exp.Case(ifs=[exp.If(this=condition.copy(), true=one)], default=zero)
    return exp.Coalesce(this=exp.Sum(this=case), expressions=[exp.Literal.number(0)])


def _placed(tree: exp.Expr, place: Mapping[str, str]) -> exp.Expr:
    def rename(node: exp.Expr) -> exp.Expr:
        return exp.column(place[node.name]) if isinstance(node, exp.Column) else node

    return tree.copy().transform(rename)


def _read(name: str, variable: Variable, kind: ColumnKind) -> tuple[exp.Expr, list[Fault]]:
    raw = _without_missing(exp.column(name, quoted=True), variable, kind)
    if kind == "other":
        raise _wrong_type(name, variable)
    if variable.type in {"number", "integer"}:
        return _read_number(name, raw, kind, variable)
    if variable.type == "category":
        return _read_category(name, raw, kind, variable), []
    if variable.type == "boolean":
        return _read_boolean(name, raw, kind, variable)
    return _read_date(name, raw, kind, variable)


def _without_missing(raw: exp.Expr, variable: Variable, kind: ColumnKind) -> exp.Expr:
    codes: list[exp.Expr] = []
    for code in variable.missing or ():
        if kind == "text":
            codes.append(exp.Literal.string(code if isinstance(code, str) else number(float(code))))
        elif kind in {"integer", "number"} and _is_number(code):
            codes.append(exp.cast(exp.Literal.number(number(float(code))), exp.DType.DOUBLE))
    return _unless(exp.In(this=raw.copy(), expressions=codes), raw) if codes else raw


def _read_number(name: str, raw: exp.Expr, kind: ColumnKind, variable: Variable) -> tuple[exp.Expr, list[Fault]]:
    if kind == "date":
        raise _wrong_type(name, variable)
    if kind in {"integer", "boolean"}:
        return exp.cast(raw, exp.DType.DOUBLE), []
    value = (
        exp.TryCast(this=raw, to=exp.DataType.build("double")) if kind == "text" else exp.cast(raw, exp.DType.DOUBLE)
    )
    tree = _unless(exp.IsNan(this=value.copy()), value)
    if kind == "number":
        return tree, []
    message = f"column {name!r} holds text, and the codebook says {variable.type}"
    return tree, [Fault(name, "E-TEXT-IN-NUMBER", message, _lost(raw, value))]


def _read_category(name: str, raw: exp.Expr, kind: ColumnKind, variable: Variable) -> exp.Expr:
    if kind == "text":
        return exp.cast(raw, exp.DType.VARCHAR)  # also from an engine's enumerations
    if kind == "boolean":
        return _case([(raw, exp.Literal.string("true")), (exp.Not(this=raw.copy()), exp.Literal.string("false"))])
    if kind == "integer":
        return exp.cast(raw, exp.DType.VARCHAR)
    if kind == "date":
        raise _wrong_type(name, variable)
    whole = exp.cast(exp.cast(raw.copy(), exp.DType.BIGINT), exp.DType.VARCHAR)
    is_whole = exp.EQ(this=raw.copy(), expression=exp.Floor(this=raw.copy()))
    small = exp.LT(this=exp.Abs(this=raw.copy()), expression=exp.Literal.number(10**15))
    text = exp.cast(raw.copy(), exp.DType.VARCHAR)
    nothing = (exp.IsNan(this=raw.copy()), exp.Null())
    return exp.Case(ifs=[_arm(nothing), _arm((exp.and_(small, is_whole), whole))], default=text)


def _read_boolean(name: str, raw: exp.Expr, kind: ColumnKind, variable: Variable) -> tuple[exp.Expr, list[Fault]]:
    if kind == "boolean":
        return raw, []
    if kind == "date":
        raise _wrong_type(name, variable)
    yes: list[exp.Expr]
    no: list[exp.Expr]
    if kind == "text":
        yes, no = [exp.Literal.string(w) for w in _TRUE], [exp.Literal.string(w) for w in _FALSE]
    else:
        yes, no = [exp.Literal.number(1)], [exp.Literal.number(0)]
    true, false = exp.In(this=raw, expressions=yes), exp.In(this=raw.copy(), expressions=no)
    tree = _case([(true, exp.Boolean(this=True)), (false, exp.Boolean(this=False))])
    message = f"column {name!r} holds values that are neither true nor false"
    return tree, [Fault(name, "E-LEVEL", message, _lost(raw, tree))]


def _read_date(name: str, raw: exp.Expr, kind: ColumnKind, variable: Variable) -> tuple[exp.Expr, list[Fault]]:
    if kind == "date":
        return exp.cast(raw, exp.DType.DATE), []
    if kind != "text":
        raise _wrong_type(name, variable)
    value = exp.TryCast(this=raw, to=exp.DataType.build("date"))
    message = f"column {name!r} holds text that is not a date like 2024-01-31"
    return value, [Fault(name, "E-COLUMN-TYPE", message, _lost(raw, value))]


def _wrong_type(name: str, variable: Variable) -> Invalid:
    return Invalid(
        "E-COLUMN-TYPE", f"column {name!r} cannot be read as {variable.type}", "mend the codebook or the data"
    )


def _is_number(code: str | float) -> bool:
    try:
        float(code)
    except ValueError:
        return False
    return True


def _unless(condition: exp.Expr, value: exp.Expr) -> exp.Expr:
    return exp.Case(ifs=[exp.If(this=condition, true=exp.Null())], default=value)


def _lost(raw: exp.Expr, value: exp.Expr) -> exp.Expr:
    there = exp.Not(this=exp.Paren(this=exp.Is(this=raw.copy(), expression=exp.Null())))
    return exp.and_(there, exp.Is(this=value.copy(), expression=exp.Null()))


def _case(arms: Sequence[tuple[exp.Expr, exp.Expr]]) -> exp.Expr:
    return exp.Case(ifs=[_arm(arm) for arm in arms], default=exp.Null())


def _arm(arm: tuple[exp.Expr, exp.Expr]) -> exp.If:
    return exp.If(this=arm[0], true=arm[1])
