"""Invented data with the shape of the comparison: three sites of 100,000 rows and ten covariates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

SITES = ("north", "south", "west")
COVARIATES = 10
LAST_DAY = 2068  # distinct times of the one-baseline fit
SEED = 20261123

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pooled:
    """All rows in one place, as the rivals get them: (n, p) covariates, outcome, days, event, site number."""

    x: Array
    y: Array
    days: Array
    event: Array
    site: NDArray[np.int32]

    @property
    def names(self) -> tuple[str, ...]:
        """Covariate names."""
        return tuple(f"x{j}" for j in range(self.x.shape[1]))


def make(rows_per_site: int) -> Pooled:
    """Rows for all sites; the same on every call."""
    generator = np.random.default_rng(SEED)
    n = rows_per_site * len(SITES)
    x = generator.normal(size=(n, COVARIATES))
    beta = np.linspace(-0.4, 0.4, COVARIATES)
    site = np.repeat(np.arange(len(SITES), dtype=np.int32), rows_per_site)
    chance = 1 / (1 + np.exp(1.0 - x @ beta))
    y = (generator.random(n) < chance).astype(float)
    hazard = np.exp(x @ beta * 0.5 + 0.2 * site) / 1500
    died = generator.exponential(1 / hazard)
    left = generator.uniform(100, 1.5 * LAST_DAY, n)
    days = np.ceil(np.minimum(np.minimum(died, left), LAST_DAY))
    event = ((died <= left) & (died <= LAST_DAY)).astype(float)
    return Pooled(x=x, y=y, days=days, event=event, site=site)


def write(pooled: Pooled, folder: Path) -> dict[str, Path]:
    """One Parquet file per site."""
    files = {}
    for number, name in enumerate(SITES):
        mine = pooled.site == number
        columns: dict[str, pa.Array] = {c: pa.array(pooled.x[mine, j]) for j, c in enumerate(pooled.names)}
        columns["y"] = pa.array(pooled.y[mine].astype(np.int64))
        columns["days"] = pa.array(pooled.days[mine].astype(np.int64))
        columns["event"] = pa.array(pooled.event[mine].astype(np.int64))
        files[name] = folder / f"{name}.parquet"
        pq.write_table(pa.table(columns), files[name])
    return files
