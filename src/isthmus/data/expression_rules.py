"""The allow-list: each permitted node type has one function that checks it and writes its pinned meaning."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NoReturn, TypeAlias

from sqlglot import exp

from isthmus.data.missing_else import check_else, column_name
from isthmus.model.codebook import Codebook, Kind
from isthmus.model.design import BOOLEAN_LEVELS, declared
from isthmus.model.errors import Invalid
from isthmus.model.terms import number

MAX_SIZE = 20_000  # nodes after derived variables are put in place
NUMERIC = frozenset({"number", "integer"})
ALLOWED = (
    "allowed: variables, literals, = <> < <= > >=, AND OR NOT, IN, BETWEEN, IS NULL, CASE, + - * /, "
    "LEAST GREATEST ABS ROUND FLOOR LN SQRT COALESCE, CAST to INTEGER or DOUBLE"
)
_DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\Z", re.ASCII)
_COMPOUND = (exp.Binary, exp.Not, exp.Neg, exp.In, exp.Between)

Derived: TypeAlias = tuple[Kind, exp.Expr, tuple[str, ...] | None, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Value:
    """A checked sub-expression: its type, pinned tree, whether it may be NULL, and its literal if it is one."""

    kind: Kind | Literal["null"]
    tree: exp.Expr
    size: int
    nullable: bool
    levels: tuple[str, ...] | None = None
    literal: str | float | None = None


def fail(message: str, hint: str = ALLOWED) -> NoReturn:
    """Refuse an expression: E-EXPRESSION."""
    raise Invalid("E-EXPRESSION", message, hint)


@dataclass(slots=True)
class Reader:
    """Walks a parsed expression. `names` collects the variables read, in order."""

    codebook: Codebook
    derived: Mapping[str, Derived]
    names: dict[str, None] = field(default_factory=dict)

    def read(self, node: exp.Expr) -> Value:
        """Check one node and what is below it."""
        rule = RULES.get(type(node))
        if rule is None:
            fail(f"{_title(node)} is not part of an expression")
        value = rule(self, node)
        if value.size > MAX_SIZE:
            fail("the expression is too large", "use fewer nested CASE, LEAST and derived variables")
        return value

    def variable(self, name: str) -> Value:
        """A variable of the codebook or an earlier derived one."""
        if name in self.derived:
            kind, tree, levels, names = self.derived[name]
            self.names.update(dict.fromkeys(names))
            return Value(kind, tree.copy(), sum(1 for _ in tree.walk()), True, levels)
        if name == self.codebook.person:
            raise Invalid("E-VARIABLE", f"{name!r} identifies persons and is never read", "use another variable")
        variable = declared(name, self.codebook)
        self.names[name] = None
        levels = BOOLEAN_LEVELS if variable.type == "boolean" else variable.levels
        return Value(variable.type, exp.column(name, quoted=True), 1, True, levels)

    def numbers(self, node: exp.Expr) -> Value:
        """A node that must be a number."""
        value = self.read(node)
        if value.kind not in NUMERIC:
            fail(f"a number is needed where a {_kind_name(value)} stands")
        return value

    def condition(self, node: exp.Expr) -> Value:
        """A node that must be true or false."""
        value = self.read(node)
        if value.kind != "boolean":
            fail(f"a condition is needed where a {_kind_name(value)} stands", "compare it: died = 1")
        return value

    def alike(self, left: Value, right: Value) -> tuple[Value, Value]:
        """Two values made comparable: a literal takes the type of the other side."""
        if left.literal is not None and right.literal is None:
            second, first = self.alike(right, left)
            return first, second
        right = self._as_kind_of(left, right)
        both = {left.kind, right.kind}
        if "null" in both:
            fail("comparing with NULL is never true", "write IS NULL or IS NOT NULL")
        if not (both <= NUMERIC or len(both) == 1):
            fail(f"a {_kind_name(left)} and a {_kind_name(right)} cannot be compared")
        if both == {"category"} and right.literal is None:
            fail("text is compared with literals only")
        return left, right

    def _as_kind_of(self, model: Value, value: Value) -> Value:
        if model.kind == "date" and isinstance(value.literal, str):
            if not _DATE.match(value.literal):
                fail("a date is written '2024-01-31'")
            return Value("date", exp.cast(value.tree, exp.DType.DATE), 2, False, None, value.literal)
        if model.kind != "category" or value.literal is None:
            return value
        text = value.literal if isinstance(value.literal, str) else number(value.literal)
        if model.levels is not None and text not in model.levels and not self.codebook.inferred:
            hint = "declared levels: " + ", ".join(model.levels[:20])
            raise Invalid("E-LEVEL", f"{text!r} is not a level of the variable it is compared with", hint)
        return Value("category", exp.Literal.string(text), 1, False, (text,), text)


Rule: TypeAlias = Callable[[Reader, exp.Expr], Value]


def parens(value: Value) -> exp.Expr:
    """Its tree, in parentheses where an operator would bind otherwise."""
    return exp.Paren(this=value.tree) if isinstance(value.tree, _COMPOUND) else value.tree


def _kind_name(value: Value) -> str:
    return {"category": "text", "boolean": "condition", "null": "NULL"}.get(value.kind, value.kind)


def _title(node: exp.Expr) -> str:
    name = node.name if isinstance(node, exp.Anonymous) else type(node).__name__
    return repr(name.upper()[:40])


def _only(node: exp.Expr, *keys: str) -> None:
    extra = [key for key, value in node.args.items() if value not in (None, False, []) and key not in keys]
    if extra:
        fail(f"{_title(node)} takes no {extra[0].replace('_', ' ')} here")


def _column(reader: Reader, node: exp.Expr) -> Value:
    return reader.variable(column_name(node) if isinstance(node, exp.Column) else "")


def _literal(_: Reader, node: exp.Expr) -> Value:
    if node.is_string:
        return Value("category", exp.Literal.string(node.name), 1, False, (node.name,), node.name)
    value = float(node.name)
    if abs(value) > 1e15:
        fail("numbers lie between -1e15 and 1e15")
    kind: Kind = "integer" if node.name.isdigit() else "number"
    return _number(value, kind)


def _number(value: float, kind: Kind) -> Value:
    tree = exp.cast(exp.Literal.number(number(value)), exp.DType.DOUBLE)
    return Value(kind, tree, 2, False, (number(value),) if kind == "integer" else None, value)


def _boolean(_: Reader, node: exp.Expr) -> Value:
    return Value("boolean", exp.Boolean(this=bool(node.this)), 1, False, BOOLEAN_LEVELS)


def _null(_: Reader, _node: exp.Expr) -> Value:
    return Value("null", exp.Null(), 1, True)


def _paren(reader: Reader, node: exp.Expr) -> Value:
    _only(node, "this")
    return reader.read(node.this)


def _neg(reader: Reader, node: exp.Expr) -> Value:
    value = reader.numbers(node.this)
    if isinstance(value.literal, float):
        return _number(-value.literal, "integer" if value.kind == "integer" else "number")
    return Value(value.kind, exp.Neg(this=parens(value)), value.size + 2, value.nullable)


def _not(reader: Reader, node: exp.Expr) -> Value:
    value = reader.condition(node.this)
    return Value("boolean", exp.Not(this=parens(value)), value.size + 2, value.nullable, BOOLEAN_LEVELS)


def _connected(reader: Reader, node: exp.Expr) -> Value:
    left, right = reader.condition(node.this), reader.condition(node.args["expression"])
    tree = type(node)(this=parens(left), expression=parens(right))
    return Value("boolean", tree, left.size + right.size + 3, left.nullable or right.nullable, BOOLEAN_LEVELS)


def _compared(reader: Reader, node: exp.Expr) -> Value:
    left, right = reader.alike(reader.read(node.this), reader.read(node.args["expression"]))
    if not isinstance(node, exp.EQ | exp.NEQ) and left.kind in {"category", "boolean"}:
        fail("text and conditions are compared with = and <> only")
    tree = type(node)(this=parens(left), expression=parens(right))
    return Value("boolean", tree, left.size + right.size + 3, left.nullable or right.nullable, BOOLEAN_LEVELS)


def _in(reader: Reader, node: exp.Expr) -> Value:
    _only(node, "this", "expressions")
    left = reader.read(node.this)
    items = [reader.alike(left, reader.read(item))[1] for item in node.args.get("expressions") or []]
    if not items or any(item.literal is None for item in items):
        fail("IN takes a list of literals")
    tree = exp.In(this=parens(left), expressions=[item.tree for item in items])
    return Value("boolean", tree, left.size + 3 * len(items) + 2, left.nullable, BOOLEAN_LEVELS)


def _is(reader: Reader, node: exp.Expr) -> Value:
    if not isinstance(node.args["expression"], exp.Null):
        fail("IS is for NULL only", "write x IS NULL, x IS NOT NULL, or x = TRUE")
    value = reader.read(node.this)
    return Value("boolean", exp.Is(this=parens(value), expression=exp.Null()), value.size + 3, False, BOOLEAN_LEVELS)


def _between(reader: Reader, node: exp.Expr) -> Value:
    _only(node, "this", "low", "high")
    value = reader.read(node.this)
    low, high = (reader.alike(value, reader.read(node.args[key]))[1] for key in ("low", "high"))
    if value.kind in {"category", "boolean"}:
        fail("BETWEEN takes numbers or dates")
    tree = exp.Between(this=parens(value), low=parens(low), high=parens(high))
    nullable = value.nullable or low.nullable or high.nullable
    return Value("boolean", tree, value.size + low.size + high.size + 4, nullable, BOOLEAN_LEVELS)


def _arithmetic(reader: Reader, node: exp.Expr) -> Value:
    left, right = reader.numbers(node.this), reader.numbers(node.args["expression"])
    whole = left.kind == right.kind == "integer"
    tree = type(node)(this=parens(left), expression=parens(right))
    size, nullable = left.size + right.size + 3, left.nullable or right.nullable
    return Value("integer" if whole else "number", tree, size, nullable)


def _divided(reader: Reader, node: exp.Expr) -> Value:
    left, right = reader.numbers(node.this), reader.numbers(node.args["expression"])
    divisor = exp.Nullif(this=parens(right), expression=exp.Literal.number(0))
    tree = exp.Div(this=parens(left), expression=divisor, typed=False, safe=False)
    return Value("number", tree, left.size + right.size + 5, True)


def _extreme(reader: Reader, node: exp.Expr) -> Value:
    _only(node, "this", "expressions", "ignore_nulls")
    values = [reader.numbers(item) for item in (node.this, *node.expressions)]
    if len(values) < 2:
        fail(f"{_title(node)} takes two values or more")
    tree: exp.Expr = type(node)(this=values[0].tree, expressions=[v.tree for v in values[1:]], ignore_nulls=True)
    unknown = [exp.Is(this=parens(v).copy(), expression=exp.Null()) for v in values if v.nullable]
    if unknown:
        tree = _case([(exp.or_(*unknown), exp.Null())], tree)
    kind: Kind = "integer" if all(v.kind == "integer" for v in values) else "number"
    return Value(kind, tree, 2 * sum(v.size for v in values) + 5 * len(values), bool(unknown))


def _whole(reader: Reader, node: exp.Expr) -> Value:
    _only(node, "this")
    value = reader.numbers(node.this)
    kind = "integer" if isinstance(node, exp.Floor) else value.kind
    return Value(kind, type(node)(this=value.tree), value.size + 1, value.nullable)


def _round(reader: Reader, node: exp.Expr) -> Value:
    _only(node, "this", "decimals")
    value = reader.numbers(node.this)
    decimals = node.args.get("decimals")
    if decimals is None:
        return Value("integer", exp.Round(this=value.tree), value.size + 1, value.nullable)
    if not (isinstance(decimals, exp.Literal) and decimals.name.isdigit() and int(decimals.name) <= 10):
        fail("ROUND takes 0 to 10 decimals")
    tree = exp.Round(this=value.tree, decimals=exp.Literal.number(int(decimals.name)))
    return Value("number", tree, value.size + 2, value.nullable)


def _partial(reader: Reader, node: exp.Expr) -> Value:
    """LN and SQRT: NULL outside their domain, where engines raise or give NaN."""
    _only(node, "this")
    value = reader.numbers(node.this)
    inside = exp.GT if isinstance(node, exp.Ln) else exp.GTE
    test = inside(this=parens(value).copy(), expression=exp.Literal.number(0))
    tree = _case([(test, type(node)(this=value.tree))], exp.Null())
    return Value("number", tree, 2 * value.size + 6, True)


def _coalesce(reader: Reader, node: exp.Expr) -> Value:
    _only(node, "this", "expressions", "is_nvl", "is_null")
    values = [reader.read(item) for item in (node.this, *node.expressions)]
    kind, levels = _common([v for v in values if v.kind != "null"])
    tree = exp.Coalesce(this=values[0].tree, expressions=[v.tree for v in values[1:]])
    return Value(kind, tree, sum(v.size for v in values) + 1, values[-1].nullable, levels)


def _cast(reader: Reader, node: exp.Expr) -> Value:
    _only(node, "this", "to")
    whole = node.args["to"].this in {exp.DType.INT, exp.DType.BIGINT}
    if not whole and node.args["to"].this not in {exp.DType.DOUBLE, exp.DType.FLOAT}:
        fail("CAST goes to INTEGER or DOUBLE")
    kind: Kind = "integer" if whole else "number"
    value = reader.read(node.this)
    if value.kind == "boolean":
        one, zero = _number(1.0, "integer").tree, _number(0.0, "integer").tree
        arms = [(value.tree.copy(), one), (exp.Not(this=parens(value)), zero)]
        return Value(kind, _case(arms, exp.Null()), 2 * value.size + 8, value.nullable, ("0", "1"))
    if value.kind not in NUMERIC:
        fail("CAST reads numbers and conditions")
    tree = exp.Round(this=value.tree) if whole and value.kind != "integer" else value.tree
    return Value(kind, tree, value.size + 1, value.nullable)


def _case_rule(reader: Reader, node: exp.Expr) -> Value:
    subject, default = node.this, node.args.get("default")
    tests = [
        arm.this if subject is None else exp.EQ(this=subject.copy(), expression=arm.this) for arm in node.args["ifs"]
    ]
    if default is not None and not isinstance(default, exp.Null):
        check_else(tests, reader.codebook)
    conditions = [reader.condition(test) for test in tests]
    results = [reader.read(arm.args["true"]) for arm in node.args["ifs"]]
    otherwise = _null(reader, node) if default is None else reader.read(default)
    kind, levels = _common([v for v in (*results, otherwise) if v.kind != "null"])
    arms: list[tuple[exp.Expr, exp.Expr]] = []
    for condition, result in zip(conditions, results, strict=True):
        if condition.nullable:  # missing is not "no": an unknown condition makes the whole CASE unknown
            unknown = exp.Is(this=parens(condition).copy(), expression=exp.Null())
            arms.append((unknown, exp.Null()))
        arms.append((condition.tree, result.tree))
    size = sum(2 * c.size + r.size + 6 for c, r in zip(conditions, results, strict=True)) + otherwise.size
    nullable = any(v.nullable for v in (*conditions, *results, otherwise))
    return Value(kind, _case(arms, otherwise.tree), size, nullable, levels)


def _case(arms: list[tuple[exp.Expr, exp.Expr]], otherwise: exp.Expr) -> exp.Expr:
    return exp.Case(ifs=[exp.If(this=test, true=result) for test, result in arms], default=otherwise)


def _common(values: list[Value]) -> tuple[Kind, tuple[str, ...] | None]:
    """The one type of several results, and the levels they can take where all are known."""
    kinds: set[Kind] = {v.kind for v in values if v.kind != "null"}
    if not kinds:
        fail("every result is NULL")
    if kinds <= NUMERIC:
        kind: Kind = "integer" if kinds == {"integer"} else "number"
    elif len(kinds) == 1:
        kind = next(iter(kinds))
    else:
        fail("the results have different types: " + ", ".join(sorted(kinds)))
    found = [v.levels for v in values]
    if any(levels is None for levels in found) or kind == "number":
        return kind, None
    levels = tuple(dict.fromkeys(level for some in found for level in some or ()))
    return kind, tuple(sorted(levels, key=float)) if kind == "integer" else levels


RULES: Mapping[type[exp.Expr], Rule] = {
    exp.Column: _column,
    exp.Literal: _literal,
    exp.Boolean: _boolean,
    exp.Null: _null,
    exp.Paren: _paren,
    exp.Neg: _neg,
    exp.Not: _not,
    exp.And: _connected,
    exp.Or: _connected,
    **dict.fromkeys((exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE), _compared),
    exp.In: _in,
    exp.Is: _is,
    exp.Between: _between,
    **dict.fromkeys((exp.Add, exp.Sub, exp.Mul), _arithmetic),
    exp.Div: _divided,
    exp.Least: _extreme,
    exp.Greatest: _extreme,
    exp.Abs: _whole,
    exp.Floor: _whole,
    exp.Round: _round,
    exp.Ln: _partial,
    exp.Sqrt: _partial,
    exp.Coalesce: _coalesce,
    exp.Cast: _cast,
    exp.Case: _case_rule,
}
