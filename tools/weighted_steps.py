"""How many ordinary studies a floor on weighted steps answers (ADR 0036). `python tools/weighted_steps.py` prints the table.

Three sites; treatment, event and weights depend on two covariates. The vote takes the finest of a ladder of equal steps over a
year that every site may show; the round then holds the effective rows of the weights in each cell to the floor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from isthmus.statistics import effect_site, effect_survival_site, indicators
from isthmus.statistics.contract import Grid
from isthmus.statistics.effect_local import fitted
from isthmus.statistics.effect_site import Estimand, Rows
from isthmus.summary import FloatArray

LADDER = (52, 26, 18, 12, 10, 8, 6, 5, 4, 3, 2, 1)
YEAR = 365.0
STUDIES = 100
ALLOWED = 1.25  # what the first version counted of effective rows
CASES: tuple[tuple[int, float, Estimand], ...] = (
    (400, 0.3, "ATE"),
    (400, 0.6, "ATE"),
    (400, 0.6, "ATT"),
    (400, 0.6, "ATO"),
    (1000, 0.3, "ATE"),
    (1000, 0.6, "ATE"),
    (1000, 0.6, "ATT"),
)


@dataclass(frozen=True, slots=True)
class Way:
    """What the vote counts of the people in a cell, and what the round counts of their effective rows."""

    name: str
    vote: Callable[[FloatArray], Any]
    round: float


WAYS = (
    Way("allowance", np.asarray, ALLOWED),
    Way("neither", np.asarray, 1.0),
    Way("room", effect_survival_site.weighted_down, 1.0),
)


def site(draw: np.random.Generator, people: int, dependence: float) -> Rows:
    """One site's invented people."""
    age, severity = draw.normal(60, 12, people), draw.normal(0, 1, people)
    treated = (draw.random(people) < special.expit(dependence * ((age - 60) / 12 + severity))).astype(np.float64)
    event = draw.exponential(1 / (0.004 * np.exp(0.03 * (age - 60) + 0.3 * severity - 0.3 * treated)))
    censored = np.minimum(draw.uniform(30, 2 * YEAR, people), YEAR)
    time = np.ceil(np.minimum(event, censored))
    columns = np.vstack([np.ones(people), age, severity])
    return Rows(columns, treated, (event <= censored).astype(np.float64), time=time)


def study(seed: int, people: int, dependence: float, estimand: Estimand) -> list[tuple[Rows, FloatArray]]:
    """Rows and weights of three sites under one propensity model."""
    draw = np.random.default_rng(seed)
    sites = [site(draw, people, dependence) for _ in range(3)]
    columns, treated = np.hstack([s.columns for s in sites]), np.concatenate([s.treated for s in sites])
    model = fitted(columns, treated, "treated", ("(Intercept)", "age", "severity"))
    found = []
    for s, lp, z in zip(sites, np.split(model.predictor, 3), np.split(model.columns, 3, axis=1), strict=True):
        at = effect_site.scored(replace(s, local=replace(model, predictor=lp, columns=z)), estimand, {})
        found.append((s, (at.weights * effect_site.arms(s)).sum(axis=0)))
    return found


def answered(sites: list[tuple[Rows, FloatArray]], floor: int, way: Way) -> int | None:
    """Steps of the finest grid that the vote takes; None where the round refuses it, or there is none."""
    for steps in LADDER:
        grid = Grid(tuple(np.ceil(np.linspace(0.0, YEAR, steps + 1)[1:]).tolist()), recorded=False)
        counted = [sums(rows, w, grid) for rows, w in sites]
        if all(holds(way.vote(c[0]), floor) for c in counted):
            kept = (np.array([c[0], c[1], c[2] / way.round]) for c in counted)
            return steps if all(holds(indicators.effective_rows(c), floor) for c in kept) else None
    return None


def sums(rows: Rows, w: FloatArray, grid: Grid) -> FloatArray:
    """(3, cells) people, weights and squares by arm, event and step."""
    place = effect_survival_site.code(rows, "days", grid)
    return np.array([np.bincount(place, weights=v) for v in (np.ones_like(w), w, w * w)])


def holds(cells: FloatArray, floor: int) -> bool:
    """Each cell is empty or reaches the floor."""
    return bool(np.all((cells == 0) | (cells >= floor)))


def main() -> None:
    """Share answered and median steps, by people at a site, dependence, estimand and floor."""
    made = {case: [study(seed, *case) for seed in range(STUDIES)] for case in CASES}
    for floor in (10, 11):
        for (people, dependence, estimand), studies in made.items():
            told = []
            for way in WAYS:
                steps = [k for k in (answered(one, floor, way) for one in studies) if k is not None]
                median = np.median(steps) if steps else 0.0
                told.append(f"{way.name}: {100 * len(steps) // STUDIES} %, {median:g} steps")
            print(f"floor {floor}, {people} people, {dependence}, {estimand}: " + "; ".join(told), flush=True)


if __name__ == "__main__":
    main()
