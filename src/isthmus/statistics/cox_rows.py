"""One site's rows of a survival model: sorted once, columns about their own means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isthmus.statistics.cox_sums import Columns
from isthmus.summary import FloatArray, IntArray

Params = Mapping[str, Any]
FEW = 15  # rows


@dataclass(frozen=True, slots=True)
class Told:
    """What a row says beside its columns, all (n,): `entry`, `weight`, `cluster` and `offset` where the question has them.

    `near`: how far apart tied times may lie, as all sites agree (`survival.tolerance`).
    """

    time: FloatArray
    event: Any
    stratum: Any
    entry: FloatArray | None = None
    weight: FloatArray | None = None
    cluster: Any = None
    offset: FloatArray | None = None
    near: float | None = None

    def taken(self, at: Any) -> Told:
        """The rows `at`."""
        more = (None if v is None else v[at] for v in (self.entry, self.weight, self.cluster, self.offset))
        entry, weight, cluster, offset = more
        return Told(self.time[at], self.event[at], self.stratum[at], entry, weight, cluster, offset, self.near)


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's rows sorted by (stratum, time): columns (p, n) about the site's own `centre` (p,).

    `silent`: rows without weight, which are left out. `kept` holds what was derived from the rows on first use: it
    lives and goes with them.
    """

    columns: FloatArray
    centre: FloatArray
    told: Told
    strata: int
    silent: int = 0
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Rows."""
        return int(self.told.time.size)

    @property
    def time(self) -> FloatArray:
        """When each row left."""
        return self.told.time

    @property
    def event(self) -> Any:
        """Whether with an event."""
        return self.told.event

    @property
    def stratum(self) -> Any:
        """Of each row, from 0."""
        return self.told.stratum

    @property
    def weight(self) -> FloatArray | None:
        """Case weights."""
        return self.told.weight


def sorted_rows(design: FloatArray, told: Told, strata: int) -> Rows:
    """Sort by (stratum, time), events first; centre each column at a usual value (the partial likelihood does not see it)."""
    order = np.lexsort((~told.event, told.time, told.stratum))
    silent = 0
    if told.weight is not None:
        heavy = told.weight[order] > 0.0
        silent = int(np.count_nonzero(~heavy))
        order = order[heavy]
    columns = np.empty((len(design), order.size))
    centre = np.zeros(len(design))
    for j, (line, given) in enumerate(zip(columns, design, strict=True)):
        np.take(given, order, out=line)
        centre[j] = _usual(line) if order.size else 0.0
        line -= centre[j]
    return Rows(columns, centre, told.taken(order), strata, silent)


def _usual(line: FloatArray) -> float:
    """The median of a few rows: a mean would take up one absurd value, and the other rows' digits would be lost in it."""
    return float(np.median(line[:: 1 + line.size // FEW]))


def columns(rows: Rows, params: Params, shift: FloatArray | None = None) -> tuple[Columns, FloatArray]:
    """Columns in the round's coordinates up to `scale` (p,), by which sums are divided (exactly: powers of two); moved by `shift` (p,)."""
    scale = np.asarray(params["scale"])
    if "rotation" not in params:
        return Columns(rows.columns, shift, offset=rows.told.offset), scale
    return Columns(rows.columns, shift, params["rotation"] / scale, rows.told.offset), np.ones_like(scale)


def clusters(rows: Rows) -> IntArray:
    """(1,) clusters with a row that has a weight."""
    return np.array([0 if rows.told.cluster is None else np.unique(rows.told.cluster).size], dtype=np.int64)
