"""The columns of a design, computed from arrays: one pass, no copies of the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from isthmus.data.splines import bs, ns
from isthmus.model.errors import Invalid
from isthmus.model.terms import Arithmetic

if TYPE_CHECKING:
    from isthmus.data.columns import CodeArray
    from isthmus.model.formula import Design, DesignColumn
    from isthmus.model.terms import Factor, Operand
    from isthmus.summary import FloatArray

_PLAIN: Mapping[str, Callable[[FloatArray], FloatArray]] = {"log": np.log, "exp": np.exp, "sqrt": np.sqrt}
_OPERATORS: Mapping[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "^": np.power,
}

Numbers = Callable[[str], "FloatArray"]
Codes = Callable[[str, Sequence[str]], "CodeArray"]


def matrix(design: Design, rows: int, numbers: Numbers, codes: Codes) -> FloatArray:
    """(p, rows) float64, C order.

    Args:
        design: columns to compute.
        rows: number of rows; may be 0.
        numbers: name -> (rows,) float64.
        codes: name, levels -> (rows,) int32.

    Raises:
        Invalid: E-NOT-FINITE, naming the term; and what `numbers` and `codes` raise.
    """
    parts = _Parts(_levels(design), numbers, codes)
    out = np.empty((len(design.columns), rows))
    for row, column in zip(out, design.columns, strict=True):
        _fill(row, column, parts)
        if not column.indicator and not np.isfinite(row).all():
            raise _not_finite(column.name)
    return out


def _not_finite(name: str) -> Invalid:
    message = f"the term {name!r} is missing or not finite in some rows"
    return Invalid("E-NOT-FINITE", message, "exclude such rows with `where`, or change the term")


@dataclass(slots=True)
class _Parts:
    """Values of factors, each computed once."""

    levels: Mapping[Factor, tuple[str, ...]]
    numbers: Numbers
    codes: Codes
    coded: dict[Factor, CodeArray] = field(default_factory=dict)
    values: dict[Factor, FloatArray] = field(default_factory=dict)

    def indicator(self, factor: Factor, level: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        if factor not in self.coded:
            codes = self.codes(factor.name, self.levels[factor])
            if (codes < 0).any():  # all-zero indicators would pass a missing value off as the reference
                raise _not_finite(factor.label)
            self.coded[factor] = codes
        found: np.ndarray[tuple[int], np.dtype[np.bool_]] = self.coded[factor] == self.levels[factor].index(level)
        return found

    def number(self, factor: Factor, basis: int) -> FloatArray:
        if factor not in self.values:
            self.values[factor] = _evaluate(factor, self.numbers)
        found = self.values[factor]
        return found[basis - 1] if basis else found


def _levels(design: Design) -> dict[Factor, tuple[str, ...]]:
    """Every declared level of each category: the reference and those that have a column."""
    reference = dict(design.reference)
    found: dict[Factor, dict[str, None]] = {}
    for column in design.columns:
        for factor, level, _ in column.parts:
            if level is not None:
                first = {reference[factor.name]: None} if factor.name in reference else {}
                found.setdefault(factor, first)[level] = None
    return {factor: tuple(levels) for factor, levels in found.items()}


def _fill(row: FloatArray, column: DesignColumn, parts: _Parts) -> None:
    if not column.parts:
        row[:] = 1.0
    for i, (factor, level, basis) in enumerate(column.parts):
        value = parts.number(factor, basis) if level is None else parts.indicator(factor, level)
        if i == 0:
            row[:] = value
        else:
            row *= value


def _evaluate(factor: Factor, numbers: Numbers) -> FloatArray:
    with np.errstate(all="ignore"):  # what is not finite is refused by name
        if factor.arithmetic is not None:
            return np.asarray(_operate(factor.arithmetic, numbers), dtype=np.float64)
        x = numbers(factor.name)
        if factor.function is None:
            return x
        if factor.function in _PLAIN:
            return _PLAIN[factor.function](x)
        if factor.boundary is None:
            raise Invalid("E-FORMULA", f"{factor.label!r} has no boundary knots")
        if factor.function == "bs":
            return bs(x, factor.knots, factor.boundary, int(factor.arguments[0]))
        return ns(x, factor.knots, factor.boundary)


def _operate(node: Operand, numbers: Numbers) -> FloatArray:
    if isinstance(node, Arithmetic):
        return _OPERATORS[node.operator](_operate(node.left, numbers), _operate(node.right, numbers))
    return numbers(node) if isinstance(node, str) else np.float64(node)  # type: ignore[return-value]
