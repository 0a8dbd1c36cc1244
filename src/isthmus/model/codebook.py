"""The declared variables of a dataset; levels and grids come from here, never from rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from isthmus.model.record import record

Kind = Literal["number", "integer", "category", "boolean", "date"]


@record
class Variable:
    """One declared variable.

    `levels` in reference-first order (text; also for an integer used as a category); `range` is the plausible
    [low, high]; `grid` is the public ladder of edge lists, finest first, for times and markers; `missing` are the
    codes that mean missing; `recorded` are the distinct values, known in a rehearsal only.
    """

    type: Kind
    label: str | None = None
    unit: str | None = None
    levels: tuple[str, ...] | None = None
    range: tuple[float, float] | None = None
    grid: tuple[tuple[float, ...], ...] | None = None
    missing: tuple[str | int | float, ...] | None = None
    recorded: tuple[float, ...] | None = None


@record
class Codebook:
    """A dataset's variables and the person identifier (never readable by a study)."""

    name: str
    variables: Mapping[str, Variable]
    person: str | None = None
    inferred: bool = False
