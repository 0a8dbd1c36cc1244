"""Newton's method for accelerated failure times over pooled sums, and what a site sends.

With z = (log t - x'b) / s, l = d (log f(z) - log s - log t) + (1 - d) log S(z), g = dl/dz and h = -dg/dz: the score is
-sum g x / s for b and -sum (g z + d) for log s; the information is sum h u u' with u = (x / s, z), less sum g u in the
row and column of log s. Log s is fixed at 0 for `exponential`. A row with an entry above 0 adds - log S at its entry: the same
with z there, and no d.
Reference: Kalbfleisch & Prentice (2002), section 3.2; R's `survreg`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import special

from isthmus.evidence import Counts, Weights, of_squares, weights_of, worst
from isthmus.model.codebook import Codebook
from isthmus.model.errors import Invalid
from isthmus.model.formula import Design
from isthmus.statistics import coordinates, implied, linear, sandwich, weighting
from isthmus.statistics.contract import Estimate, Flow, Round
from isthmus.statistics.coordinates import Coordinates
from isthmus.statistics.newton import MAX_ROUNDS, STEP, diverged, must_halve
from isthmus.statistics.sandwich import PLAIN, Errors
from isthmus.summary import Field, FloatArray, Layout

Distribution = Literal["exponential", "weibull", "lognormal"]
Params = Mapping[str, Any]
PERFECT = 1e-13  # of the sum of squares: a residual that is rounding
LARGEST = 40.0  # exp of it is still inside the masked sums


@dataclass(frozen=True, slots=True)
class Model:
    """Public facts of one model."""

    distribution: Distribution
    time: str
    event: str
    design: Design
    dictionary: Codebook
    late: bool = False
    errors: Errors = PLAIN

    @property
    def size(self) -> int:
        """Number of columns."""
        return len(self.design.columns)

    @property
    def free(self) -> int:
        """Parameters: the scale too, unless it is 1."""
        return self.size + (0 if self.distribution == "exponential" else 1)


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's rows: `columns` (p, n), the logarithm of the time less the `offset`, and whether it ended in the event.

    `late`: positions of the rows with an entry above 0, `log_entry` the same of it; `prior`, `cluster`: weights
    above 0 and clusters (n,) where the question has them; `silent` more rows have no weight.
    """

    columns: FloatArray
    log_time: FloatArray
    event: FloatArray
    late: Any
    log_entry: FloatArray
    prior: FloatArray | None = None
    cluster: Any = None
    silent: int = 0
    offset: FloatArray | None = None

    @property
    def size(self) -> int:
        """Rows."""
        return int(self.log_time.size)

    @property
    def logs(self) -> FloatArray:
        """(n,) logarithms of the times themselves."""
        return self.log_time if self.offset is None else self.log_time + self.offset


@dataclass(frozen=True, slots=True)
class _At:
    """The likelihood at (coefficients, log scale); `corrected` information may be indefinite far from the top."""

    theta: FloatArray
    loglik: float
    score: FloatArray
    gram: FloatArray
    corrected: FloatArray


def start_layout(model: Model) -> Layout:
    """Least squares of the logarithm of the time, counts, sums behind implied cells."""
    size = model.size
    weighed = () if model.errors.weighting is None else (Field(name="weight", shape=(1,), kind="sum"),)
    return Layout(
        fields=(
            Field(name="n", shape=(1,), kind="count"),
            Field(name="events", shape=(1,), kind="count"),
            *weighed,
            Field(name="gram", shape=(size, size), kind="gram"),
            Field(name="right", shape=(size,), kind="score"),
            Field(name="square", shape=(1,), kind="sum"),
            Field(name="marks", shape=(3, len(implied.terms(model.design))), kind="moment"),
        )
    )


def newton_layout(model: Model) -> Layout:
    """One evaluation."""
    return Layout(
        fields=(
            Field(name="loglik", shape=(1,), kind="sum"),
            Field(name="score", shape=(model.free,), kind="score"),
            Field(name="gram", shape=(model.free, model.free), kind="gram"),
            Field(name="correction", shape=(model.free,), kind="score"),
            *((Field(name="late", shape=(model.free, model.free), kind="gram"),) if model.late else ()),
        )
    )


def start_sums(model: Model, rows: Rows, params: Params) -> tuple[dict[str, Any], Weights]:
    """A site's part of the first round."""
    x, y = _columns(rows, params), rows.log_time
    prior = weighting.filled(rows.prior, y.size)
    heavy = x if rows.prior is None else x * prior
    values = {"n": y.size, "events": int(rows.event.sum()), "gram": heavy @ x.T, "right": heavy @ y}
    values |= {"weight": prior.sum(), "square": y @ y if rows.prior is None else prior @ (y * y)}
    values["marks"] = implied.marks(model.design, model.dictionary, rows.columns, rows.event)
    return values, weights_of(prior, model.size)


def newton_sums(model: Model, rows: Rows, params: Params) -> tuple[dict[str, Any], Weights]:
    """A site's part of one evaluation."""
    x, event, scale = _columns(rows, params), rows.event, float(np.exp(float(params["log_scale"])))
    z = _standard(rows.log_time, x, params, scale)
    loglik, g, h = _parts(model.distribution, z, event)
    if rows.prior is not None:
        loglik, g, h, event = (v * rows.prior for v in (loglik, g, h, event))
    u = _directions(model, x, z, scale)
    score = -(u @ g)
    if model.free > model.size:
        score[-1] -= event.sum()
    values: dict[str, Any] = {
        "loglik": float(loglik.sum()) - float(event @ (rows.logs + float(params["log_scale"]))),
        "score": score,
        "gram": (u * h) @ u.T,
        "correction": u @ g if model.free > model.size else np.zeros(len(u)),
    }
    squares = h * z * z
    if model.late:
        early = x[:, rows.late]
        z = _standard(rows.log_entry, early, params, scale)
        loglik, g, less = _parts(model.distribution, z, np.zeros(z.size))
        if rows.prior is not None:
            loglik, g, less = (v * rows.prior[rows.late] for v in (loglik, g, less))
        u = _directions(model, early, z, scale)
        values["loglik"] -= float(loglik.sum())
        values["score"] += u @ g
        values["correction"] -= u @ g if model.free > model.size else 0.0
        values["late"] = (u * less) @ u.T
        h[rows.late] -= less
        squares[rows.late] -= less * z * z
    guards = [_guard(np.abs(h), model)]
    guards += [of_squares(_guard(np.abs(squares), model))] if model.free > model.size else []
    return values, worst(guards)


def meat_sums(model: Model, rows: Rows, params: Params) -> tuple[dict[str, Any], Weights | None]:
    """A site's part of the middle of the sandwich."""
    scores, residual = _scores(model, rows, params)
    values, guard = sandwich.middle(model.errors, model.free, [(slice(None), scores)], rows)
    if model.errors.cluster is not None:
        return values, guard
    root = sandwich.roots(model.errors, rows.prior)
    lines = np.array([residual, scores[-1]] if model.free > model.size else [residual])
    return values, sandwich.guard(lines if root is None else lines * root, model.free)


def _scores(model: Model, rows: Rows, params: Params) -> tuple[FloatArray, FloatArray]:
    """(free, n) scores of the rows, weights left out, and (n,) what they are of times the columns over the scale."""
    x, scale = _columns(rows, params), float(np.exp(float(params["log_scale"])))
    z = _standard(rows.log_time, x, params, scale)
    residual = -_parts(model.distribution, z, rows.event)[1]
    scores: FloatArray = _directions(model, x, z, scale) * residual
    if model.free > model.size:
        scores[-1] -= rows.event
    if model.late:
        early = x[:, rows.late]
        z = _standard(rows.log_entry, early, params, scale)
        g = _parts(model.distribution, z, np.zeros(z.size))[1]
        scores[:, rows.late] += _directions(model, early, z, scale) * g
        residual[rows.late] += g
    return scores, residual


def _standard(log_time: FloatArray, x: FloatArray, params: Params, scale: float) -> FloatArray:
    z: FloatArray = np.clip((log_time - params["coefficients"] @ x) / scale, -LARGEST * LARGEST, LARGEST)
    return z


def _directions(model: Model, x: FloatArray, z: FloatArray, scale: float) -> FloatArray:
    """u (free, n): what each coefficient moves of z, up to its sign."""
    return np.vstack([x / scale, z[None, :]]) if model.free > model.size else x / scale


def _guard(weight: FloatArray, model: Model) -> Weights:
    """Of weights in units of the largest: shares are the same, and squares do not vanish."""
    top = float(weight.max(initial=0.0))
    return weights_of(weight / top if top > 0.0 else weight, model.free)


def _columns(rows: Rows, params: Params) -> FloatArray:
    x: FloatArray = (rows.columns - np.asarray(params["centre"])[:, None]) / np.asarray(params["scale"])[:, None]
    return params["rotation"] @ x if "rotation" in params else x


def _parts(distribution: Distribution, z: FloatArray, event: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Log f or S of each row, its derivative g, and h."""
    if distribution != "lognormal":
        risk = np.exp(z)
        return event * z - risk, event - risk, risk
    tail = special.log_ndtr(-z)
    mills = np.exp(-0.5 * z * z - 0.5 * np.log(2.0 * np.pi) - tail)
    died = event > 0.0
    loglik = np.where(died, -0.5 * z * z - 0.5 * np.log(2.0 * np.pi), tail)
    return loglik, np.where(died, -z, -mills), np.where(died, 1.0, np.maximum(mills * (mills - z), 0.0))


def fit(model: Model) -> Flow:
    """Start at least squares, then Newton's steps until the largest is below 1e-10 standard errors."""
    place = coordinates.declared(model.design, model.dictionary)
    place = place if model.design.intercept else place.uncentred()
    fixed = np.array([column.indicator for column in model.design.columns])
    pooled = yield Round(start_layout(model), {"step": "start", **place.params()})
    n, events, marks = int(pooled["n"][0]), int(pooled["events"][0]), pooled["marks"]
    _check(model, n, events)
    weight = float(n) if model.errors.weighting is None else float(pooled["weight"][0])
    weighting.check_mean(weight, n)
    target = coordinates.recentred(place, pooled["gram"], fixed)
    rounds = 1
    if not _sound(pooled["gram"]):  # squares of a tiny column are gone: once more in its own scale
        place = target
        pooled = yield Round(start_layout(model), {"step": "start", **place.params()})
        target, rounds = coordinates.recentred(place, pooled["gram"], fixed), 2
    try:
        lower = linear.cholesky(pooled["gram"])
    except linear.Dependent as error:
        raise linear.collinear(error, model.design.names) from error
    first = linear.solve(lower, pooled["right"])
    target = coordinates.rotated(target, coordinates.turned(pooled["gram"], place, target))
    rest = float(pooled["square"][0]) - linear.dot(first, pooled["right"])
    if model.free > model.size and rest <= PERFECT * float(pooled["square"][0]):
        hint = "exponential has no scale to fit"
        raise Invalid("E-OUTCOME", f"time {model.time!r} follows from the terms: the scale would be 0", hint)
    log_scale = 0.5 * np.log(max(rest / weight, 1e-4)) if model.free > model.size else 0.0
    now = np.append(place.moved(first, target), log_scale)[: model.free]
    at = yield from _evaluate(model, target, now)
    rounds += 1
    while rounds <= MAX_ROUNDS:
        move, inverse = _step(model, target, at)
        if float(np.max(np.abs(move) / np.sqrt(np.diag(inverse)))) < STEP:
            found = (at.theta + move, at.loglik, inverse)
            return (yield from _robust(model, target, found, (n, events, rounds), marks))
        last, now = at, at.theta + _bounded(model, move)
        at = yield from _evaluate(model, target, now)
        rounds += 1
        while must_halve(-2.0 * at.loglik, -2.0 * last.loglik) and rounds <= MAX_ROUNDS:
            now = (now + last.theta) / 2.0
            at = yield from _evaluate(model, target, now)
            rounds += 1
    move = _step(model, target, at)[0][: model.size]
    fastest = float(np.max(np.abs(move)))  # normal tails creep: whichever still moves beside the fastest runs away
    move = move / (fastest if fastest > 0.0 else 1.0)
    raise diverged(target, move, at.theta[: model.size], model.design.names, f"event {model.event!r}")


def _robust(
    model: Model,
    place: Coordinates,
    found: tuple[FloatArray, float, FloatArray],
    sizes: tuple[int, int, int],
    marks: FloatArray,
) -> Flow:
    """The estimate with the errors asked for: one more round where these are not the model's."""
    if not model.errors.sandwich:
        return _estimate(model, place, found, sizes, marks)
    theta, loglik, inverse = found
    layout = sandwich.layout(model.free, model.errors.cluster)
    pooled = yield Round(layout, _params(model, place, theta, "meat"))
    inner = linear.congruence(inverse, pooled["meat"])
    made = _estimate(model, place, (theta, loglik, inner), (*sizes[:2], sizes[2] + 1), marks)
    return replace(made, counts={**made.counts, **sandwich.counts(model.errors.cluster, pooled)})


def _sound(gram: FloatArray) -> bool:
    try:
        linear.cholesky(gram)
    except linear.Dependent:
        return False
    return True


def _evaluate(model: Model, place: Coordinates, theta: FloatArray) -> Any:
    pooled = yield Round(newton_layout(model), _params(model, place, theta, "newton"))
    corrected = pooled["gram"] - pooled["late"] if model.late else pooled["gram"].copy()
    if model.free > model.size:
        corrected[-1, :-1] -= pooled["correction"][:-1]
        corrected[:-1, -1] -= pooled["correction"][:-1]
        corrected[-1, -1] -= pooled["correction"][-1]
    return _At(theta, float(pooled["loglik"][0]), pooled["score"], pooled["gram"], corrected)


def _params(model: Model, place: Coordinates, theta: FloatArray, step: str) -> dict[str, Any]:
    log_scale = float(theta[-1]) if model.free > model.size else 0.0
    return {"step": step, "coefficients": theta[: model.size], "log_scale": log_scale, **place.params()}


def _step(model: Model, place: Coordinates, at: _At) -> tuple[FloatArray, FloatArray]:
    """Newton's step, or where the information is indefinite that of its positive part; and the inverse."""
    for matrix in (at.corrected, at.gram):
        try:
            lower = linear.cholesky(matrix)
        except linear.Dependent:
            continue
        return linear.solve(lower, at.score), linear.inverse(lower)
    raise diverged(place, at.theta[: model.size], at.theta[: model.size], model.design.names, f"event {model.event!r}")


def _bounded(model: Model, move: FloatArray) -> FloatArray:
    """The step, shortened to a factor of e in the scale: with heavy censoring the first one would let a few rows speak for all."""
    far = abs(float(move[-1])) if model.free > model.size else 0.0
    return move / far if far > 1.0 else move


def _check(model: Model, n: int, events: int) -> None:
    if n == 0:
        raise weighting.no_rows(model.errors.weighting)
    if events == 0:
        raise Invalid("E-NO-EVENTS", f"{model.event!r} is 0 in every row", "nothing can be fitted to it")


def _estimate(
    model: Model,
    place: Coordinates,
    found: tuple[FloatArray, float, FloatArray],
    sizes: tuple[int, int, int],
    marks: FloatArray,
) -> Estimate:
    theta, loglik, inverse = found
    n, events, rounds = sizes
    turn = np.eye(model.free)
    turn[: model.size, : model.size] = place.matrix()
    counts = {
        "n": Counts("size", np.array([n])),
        "events": Counts("cells", np.array([events])),
        "non_events": Counts("implied", np.array([n - events])),
        **implied.implied_cells(model.design, marks, (n, events)),
    }
    values = {
        "names": (*model.design.names, *(() if model.free == model.size else ("Log(scale)",))),
        "estimates": linear.product(turn, theta),
        "vcov": linear.congruence(turn, inverse),
        "scale": float(np.exp(theta[-1])) if model.free > model.size else 1.0,
        "loglik": loglik,
    }
    return Estimate(
        kind="parametric_survival",
        exactness="exact",
        n=n,
        rounds=rounds,
        counts=counts,
        values=values,
        parameters=model.free,
    )
