"""Negative binomial regression with log link and its theta (`glm` with `family: negative_binomial`), as R's `MASS::glm.nb`.

V(mu) = mu + mu^2 / theta. Coefficients and log theta move together by Newton's method on the joint log-likelihood, whose
derivatives are additive. Standard errors are MASS': the expected information of the coefficients given theta (the joint
observed Hessian, as in statsmodels, differs a little); theta's own is that of its observed information.

Robust and clustered errors are `sandwich`'s of a `glm.nb`: theta is taken as known. Weights are those of every glm: `glm.nb`'s
`weights` are of kind precision. An intercept of each site is profiled out, jointly with theta, as `glm_sites` does.

It begins as the Poisson model does, from theta = 1. Where the counts vary no more than Poisson counts theta has no
finite value, and the error says so.
Reference: Venables & Ripley (2002), Modern Applied Statistics with S, section 7.4; Lawless (1987), Can J Stat 15:209.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy import special

from isthmus.evidence import Weights, of_squares, weights_of, worst
from isthmus.model.errors import Invalid
from isthmus.statistics import coordinates, glm_flow, glm_sites, linear
from isthmus.statistics.chunks import pieces
from isthmus.statistics.contract import Answer, Estimate, Flow, Round
from isthmus.statistics.families import FAMILIES, LARGEST_ETA, Family, Work
from isthmus.statistics.glm_kernel import Params, Rows
from isthmus.statistics.glm_model import Model
from isthmus.statistics.glm_sites import Profiled
from isthmus.statistics.glm_start import Start
from isthmus.statistics.newton import MAX_ROUNDS, STEP, diverged, must_halve, running
from isthmus.statistics.summaries import filled
from isthmus.summary import Field, FloatArray, Layout, Summary

STEPS = 2 * MAX_ROUNDS  # a step may be halved often while theta is far off
FARTHEST = 2.0  # largest change of log theta in one step
ENDS = (-12.0, 14.0)  # of log theta: below, nearly all counts are 0; above, variance and mean agree to a millionth
SERIES = 100.0  # from here on what the series leaves out is below 1e-16 of it
Pooled = Generator[Round, Summary, Any]


def layout(model: Model) -> Layout:
    """One step: derivatives by coefficients and log theta, -2 log-likelihood, deviance.

    `theta`: first and second derivative, and what intercepts of sites add to the second.
    """
    size = model.size
    return Layout(
        fields=(
            Field(name="score", shape=(size,), kind="score"),
            Field(name="gram", shape=(size, size), kind="gram"),
            Field(name="observed", shape=(size, size), kind="gram"),
            Field(name="cross", shape=(size,), kind="score"),
            Field(name="theta", shape=(3,), kind="sum"),
            Field(name="minus2", shape=(1,), kind="sum"),
            Field(name="deviance", shape=(1,), kind="sum"),
        )
    )


# -- at a site ------------------------------------------------------------------------------------------------------


def at(theta: float) -> Family:
    """The family of the coefficients at a theta."""
    return replace(
        FAMILIES["poisson", "log"], name="negative_binomial", canonical=False, evaluate=partial(_evaluate, theta)
    )


def _evaluate(theta: float, eta: FloatArray, y: FloatArray, prior: FloatArray | None, work: Work) -> float:
    row = _by_mean(y, np.exp(np.minimum(eta, LARGEST_ETA)), theta)
    work.residual[:], work.weight[:] = row["score"], row["expected"]
    work.spare[:] = row["observed"] - row["expected"]
    return float(row["deviance"].sum() if prior is None else row["deviance"] @ prior)


def at_round(model: Model, params: Params) -> Model:
    """The model with the family of a round's theta."""
    return replace(model, family=at(math.exp(float(params["log_theta"]))))


def summarise(model: Model, rows: Rows, asked: Round) -> Answer:
    """This site's part of one step."""
    size = model.size
    values: dict[str, Any] = {f.name: np.zeros(f.shape) for f in asked.layout.fields}
    theta = math.exp(float(asked.params["log_theta"]))
    within = glm_sites.profiled(at_round(model, asked.params), rows, asked.params) if model.strata else None
    told, params = (rows, asked.params) if within is None else (within.rows, within.params)
    kept: dict[str, list[FloatArray]] = {name: [] for name in ("expected", "observed", "first", "second", "cross")}
    for piece in pieces(told.size):
        z = coordinates.turn(told.columns[:, piece], params)
        eta = np.asarray(params["coefficients"]) @ z
        y = told.y[piece]
        if told.offset is not None:
            eta = eta + told.offset[piece]
        row = _row(y, np.exp(np.minimum(eta, LARGEST_ETA)), theta)
        if told.prior is not None:
            row = {name: line * told.prior[piece] for name, line in row.items()}
        values["score"] += z @ row["score"]
        values["gram"] += (z * row["expected"]) @ z.T
        values["observed"] += (z * row["observed"]) @ z.T
        values["cross"] += z @ row["cross"]
        values["theta"] += np.array([row["first"].sum(), row["second"].sum(), 0.0])
        values["minus2"] -= 2.0 * row["loglik"].sum()
        values["deviance"] += row["deviance"].sum()
        for name, lines in kept.items():
            lines.append(row[name])
    whole = {name: np.concatenate(lines) if lines else np.zeros(0) for name, lines in kept.items()}
    guard = _guard(whole, size)
    if within is None:
        return Answer(filled(asked.layout, values), guard)
    return Answer(filled(asked.layout, _eliminated(values, within, whole)), glm_sites.guard(guard, rows))


def _eliminated(values: dict[str, Any], within: Profiled, rows: Mapping[str, FloatArray]) -> dict[str, Any]:
    """Sums of the slopes and log theta with the intercepts of this site taken out of the joint observed information."""
    total, cross = within.groups.sums(rows["observed"]), within.groups.sums(rows["cross"])
    means = within.groups.means(coordinates.turn(within.rows.columns, within.params), rows["observed"])
    values["observed"] -= (means * total) @ means.T
    values["cross"] -= means @ cross
    values["theta"][2] = float(np.sum(np.divide(cross**2, total, out=np.zeros_like(total), where=total > 0.0)))
    return values


def _guard(rows: Mapping[str, FloatArray], size: int) -> Weights:
    """Of both matrices, and of the three sums about theta, whose terms have heavy tails as squares do."""
    about = [of_squares(weights_of(np.abs(rows[name]), 0)) for name in ("first", "second", "cross")]
    return worst([*(weights_of(np.abs(rows[name]), size) for name in ("expected", "observed")), *about])


def _by_mean(y: FloatArray, mu: FloatArray, theta: float) -> dict[str, FloatArray]:
    """Of each row: derivatives by eta, and by log theta as well, and unit deviance."""
    whole = theta + mu
    excess = (y - mu) / whole  # (y + theta) / (mu + theta) - 1
    score, expected = theta * excess, mu * theta / whole
    return {
        "score": score,
        "expected": expected,
        "observed": expected * (1.0 + excess),
        "cross": expected * excess,
        "deviance": 2.0 * (special.xlogy(y, y / mu) - (y + theta) * np.log1p(excess)),
    }


def _row(y: FloatArray, mu: FloatArray, theta: float) -> dict[str, FloatArray]:
    """The same, derivatives by log theta alone, and log-likelihood."""
    whole = theta + mu
    excess = (y - mu) / whole
    grow = _beyond_log(y + theta) - _beyond_log(np.array(theta)) + np.log1p(excess) - excess
    bend = special.polygamma(1, y + theta) - special.polygamma(1, theta) + 1.0 / theta - 2.0 / whole
    bend += (1.0 + excess) / whole
    first = theta * grow
    chance = special.gammaln(y + theta) - special.gammaln(theta) - special.gammaln(y + 1.0)
    chance += special.xlogy(y, mu / whole) - theta * np.log1p(mu / theta)
    return {**_by_mean(y, mu, theta), "first": first, "second": first + theta**2 * bend, "loglik": chance}


def _beyond_log(x: FloatArray) -> FloatArray:
    """psi(x) - log(x): of large x by its asymptotic series, for both are far larger than what they differ by."""
    square = 1.0 / np.square(x)
    series = -0.5 / x - square * (1.0 / 12.0 - square * (1.0 / 120.0 - square / 252.0))
    found: FloatArray = np.where(x < SERIES, special.digamma(x) - np.log(x), series)
    return found


# -- between rounds ---------------------------------------------------------------------------------------------------


def fit(model: Model) -> Flow:
    """The whole flow."""
    if model.strata:
        glm_sites.check(model)
    start, rounds = yield from (glm_sites.begin if model.strata else glm_flow.begin)(model)
    now = np.append(start.coefficients, 0.0)
    before, last = now, math.inf
    for _ in range(STEPS):
        asked: dict[str, Any] = {"step": "negative_binomial", "coefficients": now[:-1], "log_theta": float(now[-1])}
        pooled = yield Round(layout(model), {**asked, **start.response(), **start.place.params()})
        rounds += 1
        minus2 = float(pooled["minus2"][0])
        if must_halve(minus2, last):
            now = (now + before) / 2.0
            continue
        move, inverse, errors = _step(model, start, pooled, now - before)
        before, last, now = now, minus2, now + move
        if not ENDS[0] < now[-1] < ENDS[1]:
            raise _no_theta(model, now)
        raw = np.append(start.place.raw(move[:-1]), move[-1])
        if bool(np.all(np.abs(raw) < STEP * errors)):
            if running(raw[:-1] * start.place.scale, start.place.raw(now[:-1]) * start.place.scale, model.design.names):
                raise _no_end(model, start, move, now)  # small only beside errors without end
            break
    else:
        raise _no_end(model, start, now - before, now)
    found = _estimate(model, start, (now, inverse, errors), pooled, rounds)
    if model.error == "model":
        return found
    log_theta = {"log_theta": float(now[-1])}
    meat, clusters = yield from glm_flow.middle(model, start, now[:-1], inverse, log_theta)
    vcov = start.place.covariance(linear.congruence(inverse, meat))
    values = {**found.values, "vcov": vcov}
    return replace(found, rounds=rounds + 1, values=values, counts={**found.counts, **clusters})


def _step(model: Model, start: Start, pooled: Summary, last: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The joint step (p + 1,), the inverse expected information (p, p) given theta, raw standard errors (p + 1,)."""
    size = model.size
    try:
        lower = linear.cholesky(pooled["gram"])
    except linear.Dependent as error:  # columns were independent at the start: weights have vanished since
        raise _no_end(model, start, last, last) from error
    inverse, score = linear.inverse(lower), pooled["score"]
    first, second, taken = pooled["theta"].tolist()
    joint = np.zeros((size + 1, size + 1))
    joint[:size, :size], joint[:size, size], joint[size, :size] = pooled["observed"], -pooled["cross"], -pooled["cross"]
    bend = second + taken
    joint[size, size] = -bend
    try:
        move = linear.solve(linear.cholesky(joint), np.append(score, first))
    except linear.Dependent:  # far from the end the observed information need not be positive
        move = np.append(linear.solve(lower, score), math.copysign(1.0, first) if bend >= 0.0 else -first / bend)
    move[size] = min(max(float(move[size]), -FARTHEST), FARTHEST)
    spread = 1.0 / math.sqrt(-second) if second < 0.0 else math.inf
    errors = np.append(np.sqrt(np.diag(start.place.covariance(inverse))), spread)
    return move, inverse, errors if math.isfinite(spread) else np.zeros(size + 1)


def _no_end(model: Model, start: Start, move: FloatArray, now: FloatArray) -> Invalid:
    return diverged(start.place, move[:-1], now[:-1], model.design.names, f"outcome {model.outcome!r}")


def _no_theta(model: Model, now: FloatArray) -> Invalid:
    name = repr(model.outcome)
    if now[-1] > 0.0:
        message = f"outcome {name} varies no more than a Poisson count: theta has no finite value"
        return Invalid("E-OUTCOME", message, "use family: poisson")
    return Invalid("E-OUTCOME", f"outcome {name} is 0 in nearly every row: theta has no value", "use family: binomial")


def _estimate(
    model: Model, start: Start, found: tuple[FloatArray, FloatArray, FloatArray], pooled: Summary, rounds: int
) -> Estimate:
    now, inverse, errors = found
    n, theta = int(glm_flow.rows_of(model, start)), math.exp(float(now[-1]))
    parameters = glm_flow.parameters_of(model, start)
    loglik = -float(pooled["minus2"][0]) / 2.0
    values = {
        "estimates": start.place.raw(now[:-1]),
        "vcov": start.place.covariance(inverse),
        "df_residual": float(n - parameters),
        "test": "z",
        "error": model.error,
        "fit": {
            "family": "negative_binomial",
            "link": "log",
            "theta": theta,
            "theta_error": theta * float(errors[-1]),
            "deviance": float(pooled["deviance"][0]),
            "loglik": loglik,
            "aic": 2.0 * (parameters + 1 - loglik),
            "dispersion": 1.0,
            "converged": True,
        },
        "null_parts": None,
    }
    return Estimate("glm", "exact", n, rounds, glm_flow.counts(model, start, n), values, parameters)
