"""Generalized estimating equations: sums by cluster at a site, and the scoring steps between rounds.

With A the variances of the means and e = A^-1/2 (y - mu), the working covariance of cluster i is
phi A^1/2 R(alpha) A^1/2. For exchangeable R its inverse is (I - c_i 1 1') / (1 - alpha), c_i = alpha / (1 + (n_i - 1) alpha),
so that a cluster adds D'D - c_i (D'1)(D'1)' with D = A^1/2 X. alpha and phi are geepack's moments: phi the mean of e^2,
alpha the mean of e_j e_k / phi over all pairs of a cluster.
Reference: Liang & Zeger (1986), Biometrika 73:13; Hojsgaard, Halekoh & Yan (2006), J Stat Softw 15(2).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from isthmus.evidence import Counts, Weights, of_squares, weights_of, worst
from isthmus.model.errors import Invalid
from isthmus.statistics import coordinates, glm_flow, linear, sandwich
from isthmus.statistics.contract import Answer, Estimate, Flow, Round
from isthmus.statistics.families import LARGEST_ETA
from isthmus.statistics.glm_model import Model
from isthmus.statistics.glm_start import Start
from isthmus.statistics.newton import STEP, largest_step, newton_step
from isthmus.statistics.summaries import filled
from isthmus.summary import Field, FloatArray, Layout, Summary

MOST = 20  # rounds of scoring; each mixes the clusters' sums anew
SETTLED = 1e-11  # change of alpha in the last round
FOLLOWED = 1e-9  # standard errors: an end of the coefficients alone, where no correlation settles
EXACT = 1e-24  # mean square of the residuals of a gaussian outcome, over its variance: below this they are rounding
ALIKE = 1.0 - 1e-9  # alpha from here on: rows of a cluster repeat each other
LEAP = 2.0  # a secant may take alpha so many times as far as the moments ask for, or as the step before
TELLING = 0.2  # cosine or so between a step and what it changed: below this an update of the secant is wild


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's rows: `columns` (p, n), outcome, offset, and the cluster of each row, numbered from 0."""

    columns: FloatArray
    y: FloatArray
    offset: FloatArray | None
    cluster: NDArray[np.intp]
    clusters: int

    @property
    def sizes(self) -> NDArray[np.intp]:
        """(clusters,) rows of each."""
        return np.bincount(self.cluster, minlength=self.clusters)


def numbers(model: Model) -> int:
    """Most numbers that leave about the clusters."""
    return MOST * (model.size * (model.size + 1) // 2 + model.size + 1)


def layout(model: Model) -> Layout:
    """One scoring round: score, sensitivity, and e^2 and pairs with their numbers."""
    size = model.size
    return Layout(
        fields=(
            Field(name="score", shape=(size,), kind="score"),
            Field(name="gram", shape=(size, size), kind="gram"),
            Field(name="moments", shape=(2,), kind="sum"),
            Field(name="counts", shape=(3,), kind="count"),
        )
    )


def meat_layout(model: Model) -> Layout:
    """The last round: variability of the clusters' scores."""
    return Layout(fields=(Field(name="meat", shape=(model.size, model.size), kind="gram"),))


# -- at a site ------------------------------------------------------------------------------------------------------


def summarise(model: Model, rows: Rows, asked: Round) -> Answer:
    """This site's part of a round of scoring, or of the last."""
    params, size = asked.params, model.size
    z = coordinates.turn(rows.columns, params)
    eta = np.asarray(params["coefficients"]) @ z
    y, offset = coordinates.response(rows.y, rows.offset, params)
    if offset is not None:
        eta = eta + offset / float(params["response_scale"])
    mu, variance = _mean(model.family.base, eta)
    root = np.sqrt(variance)
    e = (y / float(params["response_scale"]) - mu) / root
    z *= root
    alpha, sizes = float(params["alpha"]), rows.sizes
    share = alpha / (1.0 + (sizes - 1.0) * alpha)
    sums = np.array([np.bincount(rows.cluster, line, rows.clusters) for line in (*z, e)])
    columns, whole = sums[:-1], sums[-1]
    if params["step"] == "meat":
        own = np.array([np.bincount(rows.cluster, line * e, rows.clusters) for line in z])
        scores = (own - columns * (share * whole)) / (1.0 - alpha)
        return Answer(filled(asked.layout, {"meat": scores @ scores.T}), sandwich.guard(scores))
    squares = e * e
    pairs = (whole**2 - np.bincount(rows.cluster, squares, rows.clusters)) / 2.0
    values = {
        "score": (z @ e - columns @ (share * whole)) / (1.0 - alpha),
        "gram": (z @ z.T - (columns * share) @ columns.T) / (1.0 - alpha),
        "moments": np.array([squares.sum(), pairs.sum()]),
        "counts": np.array([rows.y.size, rows.clusters, (sizes * (sizes - 1) // 2).sum()]),
    }
    return Answer(filled(asked.layout, values), _guard(variance, squares, pairs, size))


def _guard(variance: FloatArray, squares: FloatArray, pairs: FloatArray, size: int) -> Weights:
    """Of the matrix, and of the two moments, which have the tails of squares; a moment that is 0 tells of nobody."""
    about = [of_squares(weights_of(np.abs(terms), 0)) for terms in (squares, pairs) if terms.any()]
    return worst([weights_of(variance, size), *about])


def _mean(base: str, eta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Means and their variances under the canonical link."""
    if base == "binomial":
        mu: FloatArray = special.expit(eta)
        return mu, np.maximum(mu * special.expit(-eta), np.finfo(float).tiny)
    if base == "poisson":
        mu = np.exp(np.minimum(eta, LARGEST_ETA))
        return mu, np.maximum(mu, np.finfo(float).tiny)
    return eta, np.ones_like(eta)


# -- between rounds ---------------------------------------------------------------------------------------------------


def fit(model: Model, cluster: str, exchangeable: bool) -> Flow:
    """The whole flow: near the model without correlation first, as geepack starts there; then with it.

    Moments may have more than one alpha that they agree with; which one is found depends on where the search begins.
    """
    start, rounds = yield from glm_flow.begin(model)
    near, rounds = yield from glm_flow.approach(model, start, rounds)
    now, before, last = np.append(near, 0.0), np.append(near, 0.0), None
    secant, most = np.eye(len(now)), 0.0
    for _ in range(MOST):
        pooled = yield Round(layout(model), _params(start, "scoring", now))
        rounds += 1
        n, clusters, pairs = np.rint(pooled["counts"]).tolist()
        phi = float(pooled["moments"][0]) / n
        _check(model, cluster, phi, clusters, pairs if exchangeable else 1.0)
        after = float(pooled["moments"][1]) / phi / pairs if exchangeable else 0.0
        most = max(most, after)
        try:
            step = newton_step(pooled["gram"], pooled["score"])
        except linear.Dependent as error:
            raise (yield from _no_end(model, cluster, most, replace(start, coefficients=near))) from error
        miss, moved = np.append(step.move, after - now[-1]), now - before
        secant = secant if last is None else _updated(secant, moved, last - miss)
        before, last, now = now, miss, now + _step(secant, miss, moved)
        now[-1] = min(now[-1], ALIKE)
        if largest_step(step, start.place, phi) < STEP and abs(miss[-1]) < SETTLED:
            found = yield Round(meat_layout(model), _params(start, "meat", now))
            sandwich = (now[:-1], step.inverse, found["meat"])
            return _estimate(model, start, sandwich, (float(now[-1]), phi, int(clusters)), rounds + 1)
    raise (yield from _no_end(model, cluster, most, replace(start, coefficients=near)))


def _step(secant: FloatArray, miss: FloatArray, moved: FloatArray) -> FloatArray:
    """The secant's step, or the plain one where alpha would leap: another solution of the moments may lie there."""
    step = linear.product(secant, miss)
    leaps = abs(step[-1]) > LEAP * max(abs(miss[-1]), abs(moved[-1]))
    return miss if leaps else step


def _updated(secant: FloatArray, moved: FloatArray, change: FloatArray) -> FloatArray:
    """Broyden's update, so that `secant` takes `change` to `moved`.

    Scoring steps and moments in turn converge linearly, by a factor of 5 or so a round; with it twice as fast.
    """
    taken = linear.product(secant, change)
    left = linear.product(secant.T, moved)
    weight = linear.dot(left, change)
    if not abs(weight) > TELLING * linear.dot(moved, moved):
        return secant
    return secant + (moved - taken)[:, None] * left[None] / weight


def _params(start: Start, step: str, at: FloatArray) -> dict[str, Any]:
    stated: dict[str, Any] = {"step": step, "coefficients": at[:-1], "alpha": float(at[-1])}
    return {**stated, **start.response(), **start.place.params()}


def _check(model: Model, cluster: str, phi: float, clusters: float, pairs: float) -> None:
    """Whether there is something to estimate alpha and errors from.

    Raises:
        Invalid: E-OUTCOME, E-CLUSTER.
    """
    outcome, name = repr(model.outcome), repr(cluster)
    if not phi > (EXACT if model.family.base == "gaussian" else 0.0):
        text = f"outcome {outcome} is fitted without any residual"
        raise Invalid("E-OUTCOME", text, "nothing is left to estimate errors from")
    if clusters < 2:
        raise Invalid("E-CLUSTER", f"{name} has one value only", "cluster by a variable with many")
    if not pairs > 0.0:
        raise Invalid("E-CLUSTER", f"every row is a cluster of its own in {name}", "use glm with robust: HC0")


def _no_end(model: Model, cluster: str, most: float, start: Start) -> Generator[Round, Summary, Invalid]:
    """The error for an alpha that does not settle, `most` the largest that moments asked for.

    The coefficients alone are followed to their end first, from where the search began: those of a few rows that
    separate the outcomes look near to it for long.

    Raises:
        Invalid: E-SEPARATED.
    """
    yield from glm_flow.score(model, start, 0, FOLLOWED)
    about, hint = f"outcome {model.outcome!r} inside {cluster!r}", "use correlation: independence, or fewer terms"
    if most < ALIKE:
        return Invalid(
            "E-CONVERGENCE", f"no convergence in {MOST} rounds: the correlation of {about} still moves", hint
        )
    text = f"no correlation below 1 fits {about}: rows of a cluster repeat each other, or clusters differ too much"
    return Invalid("E-CLUSTER", text, hint)


def _estimate(
    model: Model,
    start: Start,
    found: tuple[FloatArray, FloatArray, FloatArray],
    moments: tuple[float, float, int],
    rounds: int,
) -> Estimate:
    now, inverse, meat = found
    alpha, phi, clusters = moments
    n, unit = int(start.sums["n"]), start.unit
    values = {
        "estimates": start.raw(now),
        "vcov": start.place.covariance(linear.congruence(inverse, meat)) * unit**2,
        "alpha": alpha,
        "scale": phi * unit**2,
    }
    counts = glm_flow.counts(model, start, n) | {"clusters": Counts("size", np.array([clusters]))}
    return Estimate("gee", "exact", n, rounds, counts, values, model.size)
