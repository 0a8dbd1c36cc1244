"""A path of penalised models from pooled sums: standardisation, then Newton steps at all penalties in one round.

Two rounds (three where a column varies little beside its size) give means and standard deviations of the columns (population, n in the denominator) and, for a gaussian
outcome, everything. Else every further round brings score, information and deviance at the coefficients of each
penalty that is not done yet; between rounds each step is a penalised least squares problem (`penalised_path`).
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isthmus.model.errors import Invalid
from isthmus.statistics import glm_flow, glm_moments, linear, penalised_path
from isthmus.statistics.contract import Estimate, Flow, Round
from isthmus.statistics.families import null_deviance
from isthmus.statistics.glm_model import Model
from isthmus.statistics.glm_start import Start
from isthmus.statistics.penalised_path import MOST_ROUNDS, Path, Penalty, Point, minimise, moved, unsettled
from isthmus.summary import Field, FloatArray, Layout, Summary


@dataclass(frozen=True, slots=True)
class Sums:
    """After the first rounds: coordinates, counts and sums of the outcome; X'X and X'y over n, standardised.

    `size` (p,): standardised coefficients are `size` times those in the coordinates `start.place`; `still` (p,): constant columns.
    """

    start: Start
    n: float
    size: FloatArray
    gram: FloatArray
    right: FloatArray
    rounds: int
    still: Any


def path_layout(model: Model, points: int) -> Layout:
    """Score, information and deviance at each point."""
    return Layout(
        fields=(
            Field(name="score", shape=(points, model.size), kind="score"),
            Field(name="gram", shape=(points, model.size, model.size), kind="gram"),
            Field(name="deviance", shape=(points,), kind="sum"),
        )
    )


def run(path: Path[Model]) -> Flow:
    """The whole flow."""
    sums = yield from _begin(path.model)
    warnings = penalised_path.warnings(sums.still, path.model.design.names)
    gaussian = path.model.family.base == "gaussian"
    spread = math.sqrt(_variance(sums)) if gaussian else 1.0
    if not spread > 0.0:
        raise Invalid("E-OUTCOME", f"outcome {path.model.outcome!r} has one value only", "nothing can be fitted to it")
    chosen = path.chosen(_steepest(sums))
    made = [_penalty(path, lam / sums.start.unit, spread) for lam in chosen]
    if gaussian:
        first = np.zeros(path.model.size)
        points = [Point(p, minimise(sums.gram, sums.right, p, first), done=True) for p in made]
        points = [replace(p, deviance=_residual(sums, p.now)) for p in points]
        return _estimate(path, sums, chosen, points, sums.rounds, warnings)
    points, rounds = yield from _newton(path, sums, made)
    return _estimate(path, sums, chosen, points, rounds + sums.rounds, warnings)


def _begin(model: Model) -> Generator[Round, Summary, Sums]:
    """X'X, X'y and the outcome's sums: about what the codebook declares, then about the pooled means."""
    found = yield from glm_moments.moments(model)
    n = found.start.sums["n"]
    still = penalised_path.constant(found.variance, np.diag(found.gram) / n)
    still[0] = False
    size = np.sqrt(np.where(still, 1.0, found.variance))
    size[0] = 1.0
    right, gram = found.right / n / size, found.gram / n / np.outer(size, size)
    right, gram = penalised_path.without(still, right, gram)
    return Sums(found.start, n, size, gram, right, found.rounds, still)


def _variance(sums: Sums) -> float:
    """Of the outcome (population), in its unit."""
    values = sums.start.sums
    return max(values["square"] / sums.n - (values["response"] / sums.n) ** 2, 0.0)


def _residual(sums: Sums, b: FloatArray) -> float:
    """Sum of squared residuals of a gaussian outcome."""
    inner = linear.dot(b, linear.product(sums.gram, b)) - 2.0 * linear.dot(b, sums.right)
    return sums.start.sums["square"] + sums.n * inner


def _steepest(sums: Sums) -> float:
    """The largest slope where every coefficient but the intercept is 0, in the outcome's own unit."""
    mean = float(sums.right[0])
    slopes = np.abs(sums.right[1:] - sums.gram[0, 1:] * mean)
    return float(np.max(slopes, initial=0.0)) * sums.start.unit


def _penalty(path: Path[Model], lam: float, spread: float) -> Penalty:
    """As glmnet: of a gaussian outcome the ridge part is measured in its standard deviation."""
    lasso, ridge = (np.full(path.model.size, part) for part in (lam * path.alpha, lam * (1.0 - path.alpha) / spread))
    lasso[0] = ridge[0] = 0.0
    return Penalty(lasso, ridge)


def _newton(path: Path[Model], sums: Sums, made: list[Penalty]) -> Generator[Round, Summary, tuple[list[Point], int]]:
    """Steps at every penalty until none moves; the first round, from the mean alone, serves all."""
    model, first = path.model, np.zeros(path.model.size)
    mean = sums.start.sums["response"] / sums.n
    first[0] = float(f"{model.family.predictor(mean):.{penalised_path.SIGNIFICANT}e}")  # no last bit to differ in
    points = [Point(penalty, first) for penalty in made]
    for rounds in range(1, MOST_ROUNDS + 1):
        active = [i for i, point in enumerate(points) if not point.done]
        shown = active[:1] if rounds == 1 else active
        where = np.array([points[i].now / sums.size for i in shown])
        params: dict[str, Any] = {"step": "path", "round": rounds, "response_scale": 1.0, "coefficients": where}
        pooled = yield Round(path_layout(model, len(shown)), params | sums.start.place.params())
        for order, i in enumerate(active):
            at = 0 if rounds == 1 else order
            score = pooled["score"][at] / sums.n / sums.size
            gram = pooled["gram"][at] / sums.n / np.outer(sums.size, sums.size)
            found = penalised_path.without(sums.still, score, gram)
            points[i] = moved(points[i], found, float(pooled["deviance"][at]), sums.n)
        if all(point.done for point in points):
            return points, rounds
    raise unsettled(points, model.design.names, model.outcome)


def _estimate(
    path: Path[Model],
    sums: Sums,
    chosen: tuple[float, ...],
    points: list[Point],
    rounds: int,
    warnings: tuple[str, ...],
) -> Estimate:
    start, model = sums.start, path.model
    raw = [start.raw(point.now / sums.size) for point in points]
    unit = start.unit**2
    null = _null(model, sums) * unit
    values = {
        "lambdas": chosen,
        "coefficients": np.array(raw),
        "used": [int(np.count_nonzero(point.now[1:])) for point in points],
        "deviance": [point.deviance * unit for point in points],
        "null": null,
        "warnings": warnings,
        "null_parts": glm_flow.null_parts(model, start, null),
    }
    n = int(sums.n)
    counts = glm_flow.counts(model, start, n)
    return Estimate("penalised", "exact", n, rounds, counts=counts, values=values, parameters=model.size)


def _null(model: Model, sums: Sums) -> float:
    values = sums.start.sums
    if model.family.base == "gaussian":
        return sums.n * _variance(sums)
    return null_deviance(model.family, sums.n, values["response"], values["saturated"])
