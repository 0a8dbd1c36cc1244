"""Invented data for every method: the rows of `data` with more outcomes, as pooled rivals and sites get them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench import data
from bench.data import Array, Pooled
from isthmus.model.codebook import Codebook, Variable

GRADES = ("a", "b", "c", "d")
CAUSES = ("0", "1", "2")
ARMS = ("control", "active")
LEVELS = {"grade": GRADES, "cause": CAUSES, "arm": ARMS}
SET = 5  # people matched with each other
CLINICS = 100  # at each site, of one size: sums of single clinics stay closed


@dataclass(frozen=True, slots=True)
class Cohort:
    """All rows in one place: the ten covariates and survival times of `base`, and columns of float64 by name."""

    base: Pooled
    columns: Mapping[str, Array]


def make(rows_per_site: int) -> Cohort:
    """Rows for all sites; the same on every call."""
    base = data.make(rows_per_site)
    generator = np.random.default_rng(data.SEED + 1)
    n, eta = len(base.y), base.x @ np.linspace(-0.3, 0.3, data.COVARIATES)
    clinic = base.site * CLINICS + np.arange(n) % CLINICS
    latent = eta + generator.logistic(size=n)
    noise = generator.gamma(2.0, 0.5, n)
    effects = generator.normal(0, 0.5, CLINICS * len(data.SITES))
    grade = np.digitize(latent, [-1.0, 0.0, 1.2]).astype(float)
    columns = {
        "visits": generator.poisson(np.exp(-0.2 + eta)).astype(float),
        "bursts": generator.poisson(np.exp(0.3 + eta) * noise).astype(float),
        "cost": np.exp(1.0 + eta) * generator.gamma(2.0, 0.5, n),
        "score": eta + effects[clinic] + generator.normal(size=n),
        "grade": grade,
        "clinic": clinic.astype(float),
        "set": np.arange(n) // SET + 0.0,
        "treat": (generator.random(n) < 1 / (1 + np.exp(-eta))).astype(float),
        "arm": (generator.random(n) < 0.5).astype(float),
        "cause": base.event * (1 + (generator.random(n) < 0.3)),
        "marker": np.clip(0.5 + 0.12 * (base.y - 0.3 + generator.normal(size=n)), 0.0, 1.0),
        "stay": generator.wald(np.exp(1.0 + eta), 5.0),
    }
    return Cohort(base, columns)


def codebook() -> Codebook:
    """What sites declare of them."""
    days = tuple(float(day) for day in range(data.LAST_DAY + 1))
    whole = {
        "visits": 100.0,
        "bursts": 400.0,
        "clinic": 300.0,
        "set": 9_999_999.0,
        "treat": 1.0,
        "y": 1.0,
        "event": 1.0,
    }
    variables = {f"x{j}": Variable(type="number", range=(-10.0, 10.0)) for j in range(data.COVARIATES)}
    variables |= {name: Variable(type="integer", range=(0.0, top)) for name, top in whole.items()}
    variables |= {
        "days": Variable(type="integer", range=(0.0, days[-1]), grid=(days, days[::7], days[::28], days[::188])),
        "cost": Variable(type="number", range=(0.0, 2000.0)),
        "stay": Variable(type="number", range=(0.0, 2000.0)),
        "score": Variable(type="number", range=(-20.0, 20.0)),
        "grade": Variable(type="category", levels=GRADES),
        "cause": Variable(type="category", levels=CAUSES),
        "arm": Variable(type="category", levels=ARMS),
        "marker": Variable(type="number", range=(0.0, 1.0)),
    }
    return Codebook(name="bench", variables=variables)


def write(cohort: Cohort, folder: Path) -> dict[str, Path]:
    """One Parquet file per site."""
    files = {}
    book = codebook().variables
    named = {f"x{j}": cohort.base.x[:, j] for j in range(data.COVARIATES)}
    named |= {"y": cohort.base.y, "days": cohort.base.days, "event": cohort.base.event, **cohort.columns}
    for number, site in enumerate(data.SITES):
        mine = cohort.base.site == number
        columns = {name: _arrow(name, book[name].type, values[mine]) for name, values in named.items()}
        files[site] = folder / f"{site}.parquet"
        pq.write_table(pa.table(columns), files[site])
    return files


def _arrow(name: str, kind: str, values: Array) -> pa.Array:
    if name in LEVELS:
        return pa.array(np.array(LEVELS[name])[values.astype(int)])
    return pa.array(values.astype(np.int64) if kind == "integer" else values)
