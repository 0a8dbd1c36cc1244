"""Tables to the inputs of a statistic, and its flow over in-memory parts: no gate, no masks, no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.data.splines import ns
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.formula import Arithmetic, DesignColumn, design
from isthmus.statistics.contract import Inputs, Setting, Statistic
from isthmus.testing import Trace, run_flow, split

Table = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Made:
    """A question's setting and the pooled rows."""

    setting: Setting
    inputs: Inputs


def codebook(table: Table, recorded: bool = True, ranges: bool = True) -> Codebook:
    """What a rehearsal infers: types, levels in code-point order, ranges, distinct values."""
    return Codebook(name="test", variables={k: _variable(v, recorded, ranges) for k, v in table.items()}, inferred=True)


def make(
    statistic: Statistic,
    question: Any,
    table: Table,
    dictionary: Codebook | None = None,
    conf_level: float = 0.95,
    rung: int = 0,
) -> Made:
    """The setting every party would have, and the inputs of all rows."""
    book = codebook(table) if dictionary is None else dictionary
    needs = statistic.needs(question)
    rungs = statistic.rungs(question, book)
    levels = {name: _levels(name, book, table) for name in needs.categories}
    made = None if needs.formula is None else design(needs.formula, book, {}, {})
    setting = Setting(
        sites=1,
        dictionary=book,
        levels=levels,
        conf_level=conf_level,
        design=made,
        grid=rungs[rung] if rungs else None,
        open_rules=True,
    )
    rows = len(next(iter(table.values())))
    inputs = Inputs(
        rows=rows,
        numbers={name: np.asarray(table[name], dtype=np.float64) for name in needs.numbers},
        codes={name: _codes(table[name], levels[name]) for name in needs.categories},
        design=None if made is None else _matrix(made.columns, table, rows),
        keys={name: np.unique(table[name], return_inverse=True)[1].astype(np.int32) for name in needs.keys},
    )
    return Made(setting, inputs)


def over(statistic: Statistic, question: Any, made: Made, sites: np.ndarray) -> Trace:
    """The flow over the rows dealt to `sites` (rows,) numbers from 0."""
    return run_flow(statistic, question, made.setting, split(made.inputs, sites, int(sites.max()) + 1))


def _variable(values: np.ndarray, recorded: bool, ranges: bool) -> Variable:
    if values.dtype.kind in "OU":
        return Variable(type="category", levels=tuple(sorted({str(v) for v in values if v is not None})))
    distinct = np.unique(values[np.isfinite(values)])
    whole = bool(np.all(distinct == np.rint(distinct)))
    return Variable(
        type="integer" if whole else "number",
        range=(float(distinct[0]), float(distinct[-1])) if ranges and len(distinct) else None,
        levels=tuple(_text(v) for v in distinct) if len(distinct) <= 50 else None,
        recorded=tuple(distinct.tolist()) if recorded else None,
    )


def _text(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _levels(name: str, book: Codebook, table: Table) -> tuple[str, ...]:
    return tuple(book.variables[name].levels or ())


def _codes(values: np.ndarray, levels: tuple[str, ...]) -> np.ndarray:
    at = {level: i for i, level in enumerate(levels)}
    return np.array([at.get(v if isinstance(v, str) else _text(v), -1) for v in values.tolist()], dtype=np.int32)


def _matrix(columns: tuple[DesignColumn, ...], table: Table, rows: int) -> np.ndarray:
    made = np.ones((len(columns), rows))
    for row, column in zip(made, columns, strict=True):
        for factor, level, basis in column.parts:
            values = table[factor.name]
            if level is not None:
                row *= [(v if isinstance(v, str) else _text(v)) == level for v in values.tolist()]
            elif factor.arithmetic is not None:
                row *= _number(factor.arithmetic, table)
            elif factor.function == "ns":
                row *= ns(values, factor.knots, factor.boundary)[basis - 1]
            else:
                applied = {None: lambda x: x, "log": np.log, "sqrt": np.sqrt, "exp": np.exp}[factor.function]
                row *= applied(values)
    return made


def _number(node: Any, table: Table) -> Any:
    if isinstance(node, Arithmetic):
        left, right = _number(node.left, table), _number(node.right, table)
        actions = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "^": np.power}
        return actions[node.operator](left, right)
    return np.asarray(table[node], dtype=np.float64) if isinstance(node, str) else node
