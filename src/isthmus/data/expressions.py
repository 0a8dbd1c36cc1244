"""Filters and derived variables: a closed set of SQL scalar expressions, typed against the codebook.

    "AGE >= 18 AND SEX IN ('F', 'M')"       "CASE WHEN TD <= 182 THEN 1 ELSE 0 END"       "LEAST(TD, 182)"

Allowed: variables, numbers, 'text', TRUE FALSE NULL; `= <> < <= > >=`, AND OR NOT, IN, BETWEEN, IS NULL, CASE;
`+ - * /`; LEAST GREATEST ABS ROUND FLOOR LN SQRT COALESCE; CAST to INTEGER or DOUBLE. Text is only compared with
literals (`=`, `<>`, IN) or returned by CASE and COALESCE. Nothing else is read: no subquery, no other function, no
person identifier, row number, clock or randomness.

What engines disagree about is pinned here, and tested on every engine:

* Numbers are double precision; `/` is never integer division; dividing by zero, LN of x <= 0 and SQRT of x < 0 give NULL.
* ROUND and CAST to INTEGER round halves away from zero. CAST of a condition gives 1 or 0.
* AND, OR, NOT and comparisons follow three-valued logic; a filter keeps rows where it is true.
* **Missing is not "no".** A CASE that meets a condition whose value is unknown is NULL: it does not fall through to
  the next arm or to ELSE. LEAST and GREATEST are NULL when any argument is. `DIED = 1 AND TD <= 182` is known to be
  false when DIED = 0, whatever TD is, so such rows keep their ELSE.
* Where the codebook declares that a variable may be missing (`missing` codes), ELSE after a condition on it is an error
  (E-MISSING-ELSE) unless the expression says what missing means: an earlier arm `WHEN x IS NULL`, `x IS NOT NULL AND`
  in the condition, or COALESCE(x, ...).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from isthmus.data.expression_rules import Reader, fail
from isthmus.model.codebook import Codebook, Kind, Variable
from isthmus.model.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_TEXT = 4_000  # characters
_TOKEN = re.compile(
    r"""\s+|'(?:[^'\\]|'')*'|"[^"\\]+"|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![A-Za-z_])"""
    r"""|[A-Za-z_][A-Za-z0-9_.]*|<>|!=|<=|>=|[-=<>+*/(),]""",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression.

    Attributes:
        kind: type of its value.
        names: codebook variables it reads, in order of appearance.
        levels: values it can take, where that is known without looking at rows: text in the order written, whole
            numbers of CASE arms in numeric order.
        tree: engine-neutral, with the meaning above spelled out.
    """

    text: str
    kind: Kind
    names: tuple[str, ...]
    levels: tuple[str, ...] | None
    tree: exp.Expr = field(compare=False)

    def sql(self, dialect: str = "duckdb") -> str:
        """As SQL of one engine, over columns named as the codebook's variables."""
        return self.tree.sql(dialect=dialect)

    @property
    def variable(self) -> Variable:
        """As a declared variable."""
        return Variable(type=self.kind, levels=None if self.kind == "boolean" else self.levels)


def parse_expression(text: str, codebook: Codebook, derived: Mapping[str, Expression] | None = None) -> Expression:
    """Check `text` against the grammar and the codebook; `derived` are expressions it may name.

    Raises:
        Invalid: E-EXPRESSION (outside the grammar, or types that do not fit), E-VARIABLE, E-LEVEL (a literal that is
            not a declared level), E-MISSING-ELSE.
    """
    root = _syntax(text)
    trees = {name: (e.kind, e.tree, e.levels, e.names) for name, e in (derived or {}).items()}
    reader = Reader(codebook, trees)
    try:
        value = reader.read(root)
        kind = value.kind
        if kind == "null":
            fail("an expression that is always NULL says nothing")
        return Expression(text, kind, tuple(reader.names), value.levels, value.tree)
    except RecursionError as error:
        raise Invalid("E-EXPRESSION", "the expression is nested too deeply", "split it over `derive`") from error


def parse_condition(text: str, codebook: Codebook, derived: Mapping[str, Expression] | None = None) -> Expression:
    """An expression that is true or false, for `where` and subgroups.

    Raises:
        Invalid: as `parse_expression`; E-EXPRESSION when it is not a condition.
    """
    expression = parse_expression(text, codebook, derived)
    if expression.kind != "boolean":
        fail(f"a condition is needed, and this is a {expression.kind}", "compare it: died = 1")
    return expression


def column(name: str, codebook: Codebook) -> Expression:
    """A codebook variable as an expression.

    Raises:
        Invalid: E-VARIABLE.
    """
    reader = Reader(codebook, {})
    value = reader.variable(name)
    if value.kind == "null":  # a column has a type
        fail("a column is needed")
    return Expression(name, value.kind, (name,), value.levels, value.tree)


def _syntax(text: str) -> exp.Expr:
    if len(text) > MAX_TEXT:
        fail(f"an expression has at most {MAX_TEXT} characters")
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or text.startswith(("--", "/*"), at):
            fail(f"{text[at]!r} at character {at + 1} has no place in an expression")
        at = match.end()
    if not text.strip():
        fail("an empty expression")
    try:
        return sqlglot.parse_one(text, read="duckdb")
    except SqlglotError as error:
        raise Invalid("E-EXPRESSION", "not an SQL expression", "check quotes, parentheses and operators") from error
    except RecursionError as error:
        raise Invalid("E-EXPRESSION", "the expression is nested too deeply", "split it over `derive`") from error
