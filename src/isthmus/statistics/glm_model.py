"""What all parties know about one generalized linear model, and the layouts of its rounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isthmus.model.codebook import Codebook
from isthmus.model.formula import Design, DesignColumn
from isthmus.statistics.families import Family
from isthmus.statistics.glm_kernel import Rows
from isthmus.summary import Field, FloatArray, Layout


@dataclass(frozen=True, slots=True)
class Model:
    """Public facts. `weighting`: kind of prior weights or None; `offset`: whether there is one."""

    family: Family
    outcome: str
    design: Design
    dictionary: Codebook
    weighting: str | None
    offset: bool
    robust: bool

    @property
    def size(self) -> int:
        """Number of columns."""
        return len(self.design.columns)

    @property
    def null_needs_rounds(self) -> bool:
        """Whether the null deviance has no closed form in the outcome's sums."""
        return self.offset or not self.design.intercept


def start_layout(model: Model) -> Layout:
    """The first round: normal equations at the starting values, sums of the outcome, marks behind implied cells."""
    size = model.size
    scalars = ("weight", "response", "square", "saturated", "constant", "log_weight")
    return Layout(
        fields=(
            Field(name="n", shape=(1,), kind="count"),
            Field(name="gram", shape=(size, size), kind="gram"),
            Field(name="right", shape=(size,), kind="score"),
            *(Field(name=name, shape=(1,), kind="sum") for name in scalars),
            Field(name="marks", shape=(3, len(implied_terms(model))), kind="moment"),
        )
    )


def newton_layout(model: Model, with_null: bool) -> Layout:
    """One scoring round. `with_null`: also the model with the intercept alone."""
    size = model.size
    null = (Field(name="null", shape=(3,), kind="sum"),) if with_null else ()
    return Layout(
        fields=(
            Field(name="score", shape=(size,), kind="score"),
            Field(name="gram", shape=(size, size), kind="gram"),
            Field(name="deviance", shape=(1,), kind="sum"),
            *null,
        )
    )


def meat_layout(model: Model) -> Layout:
    """The middle of the sandwich."""
    return Layout(fields=(Field(name="meat", shape=(model.size, model.size), kind="gram"),))


def implied_terms(model: Model) -> tuple[int, ...]:
    """Columns of a binomial model that may be indicators: declared ones, and plain numbers."""
    if model.family.name != "binomial":
        return ()
    return tuple(j for j, column in enumerate(model.design.columns) if _may_mark(column))


def implied_columns(model: Model, rows: Rows) -> FloatArray:
    """(3, k): sums of u, u**2 and u y over rows, u the column moved to 0..1 by its declared range.

    Over all sites, sum u equals sum u**2 exactly when every u is 0 or 1: then they are counts.
    """
    found = np.zeros((3, len(implied_terms(model))))
    for at, j in enumerate(implied_terms(model)):
        low, width = mark_range(model, j)
        u = (rows.columns[j] - low) / width
        found[:, at] = (u.sum(), u @ u, u @ rows.y)
    return found


def mark_range(model: Model, j: int) -> tuple[float, float]:
    """(low, width) that takes column j to 0..1."""
    column = model.design.columns[j]
    declared = None if column.indicator else model.dictionary.variables[column.parts[0][0].name].range
    if declared is None or not declared[1] > declared[0]:
        return 0.0, 1.0
    return float(declared[0]), float(declared[1] - declared[0])


def _may_mark(column: DesignColumn) -> bool:
    if not column.parts:
        return False
    factor, _, basis = column.parts[0]
    return column.indicator or (len(column.parts) == 1 and factor.function is None and not basis)
