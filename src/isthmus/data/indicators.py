"""What an expression tells apart: every comparison, IN, IS NULL, CASE arm and hinge in it, so that rows can be counted.

`CASE WHEN AGE > 97 THEN CHOL ELSE 0 END` gives a variable of one person, which no rule on sums can see. So a site
counts the rows on each side of everything an expression decides (`Evidence.sides`).

* A condition has two sides, true and false. A row where it is unknown is on neither: plain missingness of codebook
  variables is not the asker's choice. `x IS NULL`, OR between such, and the opposite (`x IS NOT NULL AND y IS NOT
  NULL`) are therefore no indicators as a filter or where they make NULL; `age > 60 AND x IS NULL` is one. Where they
  choose a value (`CASE WHEN x IS NULL THEN chol ELSE 0 END`, COALESCE) the asker made a variable of the few, and it is.
* AND and OR: the whole condition and each part. A boolean column is a condition where it stands for one.
* CASE: each arm is "this and no earlier", ELSE is "none". The arm of an unknown condition (missing is not "no") is one.
* LEAST, GREATEST and ABS bend where two values cross: the rows strictly above and strictly below. `x / y` and NULLIF
  ask whether y is 0; LN and SQRT whether they are defined.
* FLOOR, ROUND and CAST to INTEGER are steps: each value where there are at most `FEW`, else the commonest and the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sqlglot import exp

from isthmus.data.columns import MISSING, CodeArray, Coded, decode
from isthmus.data.expression_rules import fail

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from isthmus.summary import FloatArray, IntArray

FEW = 12
Sides: TypeAlias = NDArray[np.int32]
_COMPARED = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In, exp.Between, exp.Is)
_STRICT = (  # NULL exactly where something they read is
    *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In, exp.Between, exp.Not, exp.Paren, exp.Cast),
    *(exp.Neg, exp.Add, exp.Sub, exp.Mul, exp.Abs, exp.Floor, exp.Round, exp.Least, exp.Greatest),
)
_LEAF = (exp.Column, exp.Literal, exp.Boolean, exp.DataType)


@dataclass(frozen=True, slots=True)
class Indicators:
    """What the expressions of a study tell apart in its rows.

    Attributes:
        codes: text -> (rows,) which side each row is on, -1 for none.
        of: derived variable, or `where ` and the text of a condition -> the indicators inside it.
        entry: text -> rows of the source on each side of what the population's condition decides.
        numbers: text -> (rows,) value of a part that is combined with others; NaN where it has none.
        parts: derived variable -> texts in `numbers`.
        shown: derived variable -> of its indicators those that its own value shows: the arm that is taken, not a
            condition within the condition.
    """

    codes: Mapping[str, Sides]
    of: Mapping[str, tuple[str, ...]]
    entry: Mapping[str, IntArray]
    numbers: Mapping[str, FloatArray]
    parts: Mapping[str, tuple[str, ...]]
    shown: Mapping[str, tuple[str, ...]]


def indicators(*conditions: exp.Expr) -> dict[str, exp.Expr]:
    """Text -> tree of everything an expression decides; of several conditions also which is the first that fails.

    A tree's value is a condition, or the number of a side from 0, or of a step (FLOOR, ROUND).

    Raises:
        Invalid: E-EXPRESSION, nested too deeply.
    """
    found: dict[str, exp.Expr] = {}
    try:
        for tree in conditions:
            _visit(tree, found, condition=True, filters=True)
        if len(conditions) > 1:
            arms = [
                exp.If(this=_not(t), true=exp.Literal.number(1) if i else exp.Null()) for i, t in enumerate(conditions)
            ]
            _visit_case(exp.Case(ifs=arms, default=exp.Literal.number(0)), found)
    except RecursionError:
        fail("the expression is nested too deeply", "split it over `derive`")
    return found


def shown(tree: exp.Expr) -> tuple[str, ...]:
    """Texts of the indicators whose side the expression's own value shows."""
    found: dict[str, exp.Expr] = {}
    _outermost(tree, found)
    return tuple(found)


def is_hinge(text: str) -> bool:
    """Whether an indicator says where LEAST, GREATEST or ABS bends: rows at the bend itself are on neither side."""
    return "THEN TRUE WHEN" in text and text.endswith("ELSE NULL END")


def side_codes(column: Any, tree: exp.Expr) -> Sides:
    """(rows,) which side of an indicator each row is on, from a fetched column; -1 for none."""
    values = decode(column, "an indicator")
    if isinstance(values, Coded):
        return values.codes
    known = ~np.isnan(values)
    codes = np.full(values.size, MISSING, dtype=np.int32)
    if not isinstance(tree, exp.Floor | exp.Round):
        codes[known] = values[known]
        return codes
    _, place, sizes = np.unique(values[known], return_inverse=True, return_counts=True)
    codes[known] = place if sizes.size <= FEW else place != int(np.argmax(sizes))
    return codes


def side_counts(codes: CodeArray) -> IntArray:
    """Rows on each side."""
    return np.bincount(codes[codes >= 0], minlength=1).astype(np.int64)


def _visit(node: exp.Expr, found: dict[str, exp.Expr], *, condition: bool = False, filters: bool = False) -> None:
    """`filters`: what is missing is left out, not given a value of the asker's."""
    node = node.unnest()
    if node.find(exp.Column) is None:
        return
    if _is_missingness(node):
        if not filters:
            _add(found, node)
        return
    if isinstance(node, exp.Case):
        _visit_case(node, found)
        return
    for tree in _decided(node, condition=condition):
        _add(found, tree)
    joined = isinstance(node, exp.Connector | exp.Not)
    for part in list(node.iter_expressions()):
        _visit(part, found, condition=joined, filters=filters and joined)


def _decided(node: exp.Expr, *, condition: bool) -> list[exp.Expr]:
    """What a node that is no CASE decides by itself."""
    if isinstance(node, exp.Coalesce):
        parts = (node.this, *node.expressions[:-1])
        return [exp.Is(this=_parens(part), expression=exp.Null()) for part in parts if part.find(exp.Column)]
    if condition and isinstance(node, exp.Column):
        return [node]
    return _RULES[type(node)](node) if type(node) in _RULES else []


def _visit_case(node: exp.Case, found: dict[str, exp.Expr]) -> None:
    """Its conditions and results, and which arm is taken as a number; arms of plain missingness are none."""
    arms = node.args["ifs"]
    for arm in arms:
        _visit(arm.this, found, condition=True, filters=isinstance(arm.args["true"], exp.Null))
        _visit(arm.args["true"], found)
    default = node.args.get("default")
    if default is not None:
        _visit(default, found)
    which = _which_arm(node)
    if which is not None:
        _add(found, which)


def _which_arm(node: exp.Case) -> exp.Expr | None:
    """Which arm is taken, as a number; None of a single condition, which is counted as such."""
    arms = node.args["ifs"]
    plain = _plain_arms(arms)
    if plain == len(arms) or len(arms) == 1:
        return None
    ifs = [
        exp.If(this=arm.this.copy(), true=exp.Null() if i < plain else exp.Literal.number(i - plain))
        for i, arm in enumerate(arms)
    ]
    none = _not(exp.or_(*(arm.this.copy() for arm in arms)))
    ifs.append(exp.If(this=none, true=exp.Literal.number(len(arms) - plain)))
    return exp.Case(ifs=ifs, default=exp.Null())


def _outermost(node: exp.Expr, found: dict[str, exp.Expr]) -> None:
    node = node.unnest()
    if node.find(exp.Column) is None:
        return
    if isinstance(node, exp.Case):
        arms, default = node.args["ifs"], node.args.get("default")
        _add(found, _which_arm(node) or arms[0].this.unnest())
        for part in (*(arm.args["true"] for arm in arms), *([default] if default is not None else [])):
            _outermost(part, found)
        return
    for tree in _decided(node, condition=False):
        _add(found, tree)
    if not isinstance(node, (exp.Connector, exp.Not, *_COMPARED)):
        for part in list(node.iter_expressions()):
            _outermost(part, found)


def _plain_arms(arms: Sequence[exp.Expr]) -> int:
    """How many arms at the beginning only say that a row with a missing value has no value."""
    for plain, arm in enumerate(arms):
        if not (_says_missing(arm.this) and isinstance(arm.args["true"], exp.Null)):
            return plain
    return len(arms)


def _add(found: dict[str, exp.Expr], tree: exp.Expr) -> None:
    found.setdefault(tree.sql(dialect="duckdb"), tree)


def _itself(node: exp.Expr) -> list[exp.Expr]:
    return [node]


def _zero(node: exp.Expr) -> list[exp.Expr]:
    return [exp.EQ(this=_parens(node.this), expression=node.expression.copy())]


def _sign(node: exp.Expr) -> list[exp.Expr]:
    return [_hinge(node.this, exp.Literal.number(0))]


def _crossings(node: exp.Expr) -> list[exp.Expr]:
    pairs = combinations((node.this, *node.expressions), 2)
    return [_hinge(left, right) for left, right in pairs if left.find(exp.Column) or right.find(exp.Column)]


def _hinge(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    """Strictly above: true; strictly below: false; equal: neither, for the bend changes nothing there."""
    above, below = (kind(this=_parens(left), expression=_parens(right)) for kind in (exp.GT, exp.LT))
    arms = [(above, exp.Boolean(this=True)), (below, exp.Boolean(this=False))]
    return exp.Case(ifs=[exp.If(this=test, true=side) for test, side in arms], default=exp.Null())


_RULES: Mapping[type[exp.Expr], Callable[[exp.Expr], list[exp.Expr]]] = {
    **dict.fromkeys((*_COMPARED, exp.And, exp.Or, exp.Floor, exp.Round), _itself),
    exp.Nullif: _zero,
    exp.Abs: _sign,
    exp.Least: _crossings,
    exp.Greatest: _crossings,
}


def _is_missingness(node: exp.Expr) -> bool:
    return _says_missing(node) or _says_present(node)


def _says_missing(node: exp.Expr) -> bool:
    """Whether a condition says that one of some codebook variables is missing, and nothing else."""
    node = node.unnest()
    if isinstance(node, exp.Or):
        return _says_missing(node.this) and _says_missing(node.expression)
    if isinstance(node, exp.Not):
        return _says_present(node.this)
    return isinstance(node, exp.Is) and _is_strict(node.this)


def _says_present(node: exp.Expr) -> bool:
    node = node.unnest()
    if isinstance(node, exp.And):
        return _says_present(node.this) and _says_present(node.expression)
    return isinstance(node, exp.Not) and _says_missing(node.this)


def _is_strict(node: exp.Expr) -> bool:
    """Whether a tree is NULL exactly where one of some codebook variables is missing."""
    if isinstance(node, exp.Case):
        arms, default = node.args["ifs"], node.args.get("default")
        plain = _plain_arms(arms)
        rest = [arm.args["true"] for arm in arms[plain:]]
        if not rest:
            return default is not None and _is_strict(default)
        return all(
            v is not None and not isinstance(v, exp.Null) and v.find(exp.Column) is None for v in (*rest, default)
        )
    return isinstance(node, _LEAF) or (
        isinstance(node, _STRICT) and all(_is_strict(part) for part in node.iter_expressions())
    )


def _not(tree: exp.Expr) -> exp.Expr:
    return exp.Not(this=_parens(tree))


def _parens(tree: exp.Expr) -> exp.Expr:
    return tree.copy() if isinstance(tree, exp.Column | exp.Paren | exp.Literal) else exp.Paren(this=tree.copy())
