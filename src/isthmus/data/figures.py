"""The numbers that an expression combines: parts of sums and products, arms of CASE, what it divides by.

`RARE * SBP + AGE` looks like any number, and its sum less that of AGE is the pressure of the one patient with RARE.
So a site looks at each part as if it were asked for by itself (`statistics.unusual`): few rows must not make it.

* `a + b`, `a - b`, `a * b`, `a / b` of two things that read variables: each of the two. With a constant, nothing: LN(x + 1)
  is a remedy for a long tail.
* A divisor with a sum or difference in it: its reciprocal, which may be large at one value alone.
* CASE with two values or more: each that reads a variable, over the rows of its arm.
"""

from __future__ import annotations

from sqlglot import exp

from isthmus.data.expression_rules import fail

_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div)


def figures(tree: exp.Expr) -> dict[str, exp.Expr]:
    """Text -> tree of every number that `tree` combines with another.

    Raises:
        Invalid: E-EXPRESSION, nested too deeply.
    """
    found: dict[str, exp.Expr] = {}
    try:
        for node in tree.walk():
            made = _arms(node) if isinstance(node, exp.Case) else _parts(node)
            found |= {part.sql(dialect="duckdb"): part for part in made}
    except RecursionError:
        fail("the expression is nested too deeply", "split it over `derive`")
    return found


def _parts(node: exp.Expr) -> list[exp.Expr]:
    if not isinstance(node, _ARITHMETIC):
        return []
    left, right = node.this.unnest(), node.expression.unnest()
    made = [left.copy(), right.copy()] if _reads(left) and _reads(right) else []
    if isinstance(node, exp.Div) and _reads(right) and right.find(exp.Add, exp.Sub):
        made.append(exp.Div(this=exp.Literal.number("1.0"), expression=exp.Paren(this=right.copy()), typed=False))
    return made


def _arms(node: exp.Case) -> list[exp.Expr]:
    """Each result over the rows of its own arm, NULL elsewhere."""
    arms, default = node.args["ifs"], node.args.get("default")
    results = [*(arm.args["true"] for arm in arms), default]
    if sum(not (result is None or isinstance(result, exp.Null)) for result in results) < 2:
        return []  # a value or nothing, as around LEAST(x, 182): it is the whole variable, and guarded as such
    made: list[exp.Expr] = []
    for i, arm in enumerate(arms):
        if _reads(arm.args["true"]):
            earlier = [exp.If(this=a.this.copy(), true=exp.Null()) for a in arms[:i]]
            made.append(exp.Case(ifs=[*earlier, arm.copy()]))
    if default is not None and _reads(default):
        earlier = [exp.If(this=a.this.copy(), true=exp.Null()) for a in arms]
        made.append(exp.Case(ifs=earlier, default=default.copy()))
    return made


def _reads(node: exp.Expr) -> bool:
    return node.find(exp.Column) is not None
