"""What all parties know about one generalized linear model, and the layouts of its rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.evidence import Weights
from isthmus.model.codebook import Codebook
from isthmus.model.formula import Design
from isthmus.statistics import coordinates, implied
from isthmus.statistics.families import Family
from isthmus.statistics.glm_kernel import Rows, centred, outcome_sums, start_sums
from isthmus.summary import Field, FloatArray, Layout


@dataclass(frozen=True, slots=True)
class Model:
    """Public facts.

    `weighting`: kind of prior weights or None; `offset`: whether there is one; `cluster`: what errors are clustered by;
    `strata`: `site`, and what else has an intercept within a site (`glm_sites`); `ridge`: a penalty (`glm_ridge`).
    """

    family: Family
    outcome: str
    design: Design
    dictionary: Codebook
    weighting: str | None
    offset: bool
    robust: str | None
    cluster: str | None = None
    strata: tuple[str, ...] = ()
    ridge: float | None = None

    @property
    def size(self) -> int:
        """Number of columns."""
        return len(self.design.columns)

    @property
    def intercept(self) -> bool:
        """Whether there is one, shown or profiled out."""
        return self.design.intercept or bool(self.strata)

    @property
    def error(self) -> str:
        """The kind of its standard errors, as results say it."""
        return "cluster" if self.cluster is not None else self.robust or "model"

    @property
    def about(self) -> bool:
        """Whether the outcome may be measured about a constant: an intercept takes it up, shown or not."""
        return self.family.base == "gaussian" and self.intercept

    @property
    def null_needs_rounds(self) -> bool:
        """Whether the null deviance has no closed form in the outcome's sums."""
        return self.offset or not self.intercept


def start_layout(model: Model) -> Layout:
    """The first round: normal equations at the starting values, sums of the outcome, marks behind implied cells."""
    size = model.size
    scalars = ("weight", "response", "square", "saturated", "log_response", "constant", "log_weight")
    return Layout(
        fields=(
            Field(name="n", shape=(1,), kind="count"),
            Field(name="gram", shape=(size, size), kind="gram"),
            Field(name="right", shape=(size,), kind="score"),
            *(Field(name=name, shape=(1,), kind="sum") for name in scalars),
            Field(name="marks", shape=(3, len(implied.terms(model.design)) + 1), kind="moment"),
        )
    )


def newton_layout(model: Model, with_null: bool) -> Layout:
    """One scoring round. `with_null`: also the model with the intercept alone."""
    size = model.size
    more = [] if model.family.canonical else [Field(name="correction", shape=(size, size), kind="gram")]
    more += [Field(name="pearson", shape=(1,), kind="sum")] if model.family.pearson else []
    more += [Field(name="null", shape=(3,), kind="sum")] if with_null else []
    return Layout(
        fields=(
            Field(name="score", shape=(size,), kind="score"),
            Field(name="gram", shape=(size, size), kind="gram"),
            Field(name="deviance", shape=(1,), kind="sum"),
            *more,
        )
    )


def implied_columns(model: Model, rows: Rows) -> FloatArray:
    """(3, k + 1): the marks of the columns over rows with a weight; last the sums of v, v**2 and v, v the outcome."""
    used = slice(None) if rows.prior is None or bool(np.all(rows.prior > 0.0)) else rows.prior > 0.0
    low, width = outcome_range(model)
    v = (rows.y[used] - low) / width
    found = implied.marks(model.design, model.dictionary, rows.columns[:, used], v)
    return np.column_stack([found, np.array([v.sum(), v @ v, v.sum()])])


def start_part(
    model: Model, rows: Rows, params: Mapping[str, Any], family: Family | None = None
) -> tuple[dict[str, Any], Weights]:
    """A site's part of `start_layout`, and its weights; `family` where the first step is not of the model's own."""
    about = centred(rows, params)
    totals = start_sums(family or model.family, about, params)
    values = {"gram": totals.gram, "right": totals.score, "marks": implied_columns(model, rows)}
    return values | outcome_sums(model.family, about, float(params["response_scale"])), totals.weights()


def outcome_range(model: Model) -> tuple[float, float]:
    """(low, width) that takes the outcome to 0..1."""
    return (0.0, 1.0) if model.family.base == "binomial" else coordinates.unit_range(model.outcome, model.dictionary)
