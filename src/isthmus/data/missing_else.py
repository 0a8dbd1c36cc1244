"""ELSE over a variable that the codebook says may be missing: refused unless the expression says what missing means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from isthmus.model.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isthmus.model.codebook import Codebook


def check_else(conditions: Sequence[exp.Expr], codebook: Codebook) -> None:
    """The conditions of a CASE with ELSE, in order.

    Raises:
        Invalid: E-MISSING-ELSE, naming the variable.
    """
    settled: set[str] = set()
    for condition in conditions:
        stated = _null_tests(condition, exp.And, wanted=False)
        for name in _read_bare(condition):
            variable = codebook.variables.get(name)
            if variable is not None and variable.missing and name not in settled | stated:
                raise Invalid(
                    "E-MISSING-ELSE",
                    f"ELSE follows a condition on {name!r}, which may be missing: missing is not 'no'",
                    f"begin with WHEN {name} IS NULL THEN NULL, or use COALESCE({name}, ...)",
                )
        settled |= _null_tests(condition, exp.Or, wanted=True)


def _null_tests(node: exp.Expr, joined: type[exp.Connector], *, wanted: bool) -> set[str]:
    """Variables tested by `x IS NULL` (wanted) or `x IS NOT NULL` in a chain of `joined`."""
    node = node.unnest()
    if isinstance(node, joined):
        both = (node.args["this"], node.args["expression"])
        return set().union(*(_null_tests(part, joined, wanted=wanted) for part in both))
    if isinstance(node, exp.Not) is wanted:
        return set()
    test = node if wanted else node.this.unnest()
    is_test = isinstance(test, exp.Is) and isinstance(test.args["expression"], exp.Null)
    tested = test.this.unnest() if is_test else None
    return {column_name(tested)} if isinstance(tested, exp.Column) else set()


def _read_bare(node: exp.Expr) -> list[str]:
    """Variables read outside IS NULL and COALESCE."""
    if isinstance(node, exp.Column):
        return [column_name(node)]
    if isinstance(node, exp.Is | exp.Coalesce):
        return []
    return [name for part in node.iter_expressions() for name in _read_bare(part)]


def column_name(node: exp.Column) -> str:
    """A column as written: `a.b` is one name with a dot, as in R's data frames, not a table and its column."""
    return ".".join(part.name for part in node.parts)
