"""Linear and logistic models with noise: a noisy Gram matrix, then noisy Newton steps on clipped rows.

Columns and a gaussian outcome are cut to the ranges of the codebook and scaled to [-1, 1]. Round 1 sums their products.
Its Cholesky factor whitens the columns, so that a row's length is about the root of their number; rows longer than
that plus 2 are shortened, which bounds what one row moves. Each later round sums scores and information of the shortened
rows; their number is known in advance, and the last has most of the budget, for only its noise is left in the estimate.
Standard errors are those of the model plus the noise of the last score.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from scipy import special

from isthmus.evidence import Counts
from isthmus.model.errors import Invalid
from isthmus.model.formula import DesignColumn, parse
from isthmus.model.privacy import Noise
from isthmus.statistics import glm, linear
from isthmus.statistics.contract import Answer, Estimate, Flow, Round, Setting
from isthmus.statistics.glm import Glm
from isthmus.statistics.glm_kernel import Rows
from isthmus.statistics.inference import contrast_rows, term_rows, wald_tests
from isthmus.statistics.noisy.grid import Bounded, noise, quantised, sigmas, unquantised, variance, whole
from isthmus.statistics.noisy.table_one import ranges
from isthmus.statistics.show import number, size
from isthmus.summary import Field, FloatArray, IntArray, Layout, Summary

# Parts of rho: the Gram matrix, then each Newton round. Newton squares its error, so early rounds may be rough.
PARTS = {
    "gaussian": (Fraction(2, 5), Fraction(3, 5)),
    "binomial": (Fraction(3, 20), *[Fraction(1, 20)] * 5, Fraction(3, 5)),
}
SCORE = Fraction(5, 6)  # of a Newton round's rho; the information needs little
REACH = 3.0  # residuals of a gaussian model are cut at so many standard deviations
MOST = 0.5  # standard errors that the noise may add
LEAST = 1.0 / 64.0  # of the outcome's half range: residual deviations are not taken to be smaller


@dataclass(frozen=True, slots=True)
class Scaled:
    """Public places of the columns and the outcome: value = middle + half * z."""

    family: str
    middle: FloatArray
    half: FloatArray
    outcome: tuple[float, float]


def _scaled(question: Glm, setting: Setting) -> Scaled:
    """Raises Invalid E-PRIVACY for what has no noisy variant."""
    link = {"gaussian": "identity", "binomial": "logit"}.get(question.family)
    plain = question.weights is None and question.offset is None and question.robust is None and not question.release
    plain = plain and question.ridge is None
    formula = parse(question.formula)
    if link is None or question.link not in {None, link} or not plain or formula.offset:
        hint = "gaussian with identity or binomial with logit, without weights, offset, robust, ridge and release"
        raise Invalid("E-PRIVACY", "this model has no variant that answers with noise", hint)
    if setting.design is None or not setting.design.intercept or formula.response is None:
        raise Invalid("E-PRIVACY", "a model with noise has an intercept", "leave `- 1` out")
    bounds = [_bounds(column, setting) for column in setting.design.columns]
    places = np.array([((low + high) / 2.0, (high - low) / 2.0) for low, high in bounds[1:]]).reshape(-1, 2)
    outcome = (0.0, 1.0) if question.family == "binomial" else ranges((formula.response,), setting)[0]
    middle, half = np.append(0.0, places[:, 0]), np.append(1.0, places[:, 1])
    return Scaled(question.family, middle, half, outcome)


def _bounds(column: DesignColumn, setting: Setting) -> tuple[float, float]:
    """Least and largest value of a column, from public facts."""
    low, high = 1.0, 1.0
    for factor, level, _ in column.parts:
        if level is None and factor.function is not None:
            raise Invalid("E-PRIVACY", "a model with noise takes plain numbers", "derive the variable, with its range")
        a, b = (0.0, 1.0)
        if level is None:
            middle, half = ranges((factor.name,), setting)[0]
            a, b = middle - half, middle + half
        ends = (low * a, low * b, high * a, high * b)
        low, high = min(ends), max(ends)
    return low, high


def _flow(question: Glm, setting: Setting) -> Flow:
    place = _scaled(question, setting)
    p, parts = len(place.half), PARTS[place.family]
    gram, first = yield from _gram(setting, p, parts[0])
    n, events = gram[0, 0], gram[0, p]
    if n < p + 1.0:
        raise Invalid("E-NO-ROWS", "too few rows for this model", "ask about more people")
    lower, gamma, spread = _start(place, gram, first, setting)
    clip, cut = float(np.sqrt(p)) + 2.0, min(REACH * spread, 2.0) if place.family == "gaussian" else 1.0
    most = 0.25 if place.family == "binomial" else 1.0  # largest working weight of a row
    last, info = first, gram[:p, :p]
    for part in parts[1:]:
        params = {"step": "newton", "lower": lower, "gamma": gamma, "clip": clip, "cut": cut, "most": most}
        score, info, last = yield from _newton(setting, p, part, params)
        factor = _factor(info)
        gamma = gamma + linear.solve(factor, score)
    added = variance(setting, last.fields["score"]) * (clip * cut) ** 2
    bread = linear.inverse(_factor(info))
    dispersion = spread**2 if place.family == "gaussian" else 1.0
    middle = _covariance(dispersion * bread, added * linear.product(bread, bread))
    back = _back(place, lower)
    values = {
        "estimates": linear.product(back, gamma) + _shift(place, p),
        "vcov": linear.congruence(back, middle),
        "test": "t" if place.family == "gaussian" else "z",
        "error": "model",
        "dispersion": dispersion * place.outcome[1] ** 2,
        "sigma": sigmas(setting, first, last),
    }
    counts = {"n": Counts("size", whole(np.array([n])))}
    if place.family == "binomial":
        counts["events"] = Counts("size", whole(np.array([events])))
    size_ = int(counts["n"].values[0])
    return Estimate("glm", "approximate", size_, len(parts), counts=counts, values=values, parameters=p)


def _gram(setting: Setting, p: int, part: Fraction) -> Generator[Round, Summary, tuple[FloatArray, Noise]]:
    values = (p + 1) * (p + 2) // 2
    added = noise(setting, {"gram": Bounded(Fraction(values), part, values)})
    layout = Layout(fields=(Field(name="gram", shape=(values,), kind="count"),))
    pooled = yield Round(layout, {"step": "gram"}, added)
    return _square(unquantised(pooled["gram"], added.fields["gram"]), p + 1), added


def _newton(
    setting: Setting, p: int, part: Fraction, params: dict[str, Any]
) -> Generator[Round, Summary, tuple[FloatArray, FloatArray, Noise]]:
    values = p * (p + 1) // 2
    bounds = {"score": Bounded(Fraction(1), part * SCORE, p), "info": Bounded(Fraction(1), part * (1 - SCORE), values)}
    added = noise(setting, bounds)
    layout = Layout(
        fields=(Field(name="score", shape=(p,), kind="count"), Field(name="info", shape=(values,), kind="count"))
    )
    pooled = yield Round(layout, params, added)
    score = unquantised(pooled["score"], added.fields["score"]) * (params["clip"] * params["cut"])
    info = unquantised(pooled["info"], added.fields["info"]) * (params["clip"] ** 2 * params["most"])
    return score, _square(info, p), added


def _start(place: Scaled, gram: FloatArray, first: Noise, setting: Setting) -> tuple[FloatArray, FloatArray, float]:
    """The whitening factor, coefficients of the whitened columns to begin with, and the residual deviation."""
    p, n = len(place.half), gram[0, 0]
    ridge = variance(setting, first.fields["gram"]) ** 0.5 / n
    lower = _factor(gram[:p, :p] / n + ridge * np.eye(p))
    if place.family == "binomial":
        return lower, np.zeros(p), 1.0
    gamma = linear.forward(lower, gram[:p, p] / n)
    left = (gram[p, p] - n * linear.dot(gamma, gamma)) / (n - p)
    return lower, gamma, float(np.sqrt(max(left, LEAST**2)))


def _factor(matrix: FloatArray) -> FloatArray:
    try:
        return linear.cholesky(matrix)
    except linear.Dependent as error:
        raise _drowned() from error


def _covariance(model: FloatArray, added: FloatArray) -> FloatArray:
    """What the rows leave open plus what the noise adds.

    Raises:
        Invalid: E-PRIVACY, when the noise adds more than half a standard error: what was left out of it (the noise of
            earlier rounds) is then no longer small, and intervals would be too narrow.
    """
    if bool(np.any(np.diag(added) > MOST**2 * np.diag(model))):
        raise _drowned()
    return model + added


def _drowned() -> Invalid:
    hint = "state a larger rho, fewer terms, or ask about more people"
    return Invalid("E-PRIVACY", "the noise is larger than what the model rests on", hint)


def _back(place: Scaled, lower: FloatArray) -> FloatArray:
    """From coefficients of whitened columns to those of the columns as written."""
    inverse = linear.forward(lower, np.eye(len(lower))).T / place.half[:, None]
    inverse[0] = inverse[0] - linear.total((inverse[1:] * place.middle[1:, None]).T)
    made: FloatArray = inverse * place.outcome[1]
    return made


def _shift(place: Scaled, p: int) -> FloatArray:
    made = np.zeros(p)
    made[0] = place.outcome[0]
    return made


def _square(packed: FloatArray, p: int) -> FloatArray:
    made = np.zeros((p, p))
    made[np.triu_indices(p)] = packed
    return made + np.triu(made, 1).T


def _summarise(question: Glm, setting: Setting, prepared: Rows, asked: Round) -> Answer:
    place, added = _scaled(question, setting), asked.noise
    if added is None:
        raise Invalid("E-PRIVACY", "a round of a model with noise has noise")
    z = np.clip((prepared.columns - place.middle[:, None]) / place.half[:, None], -1.0, 1.0)
    y = np.clip((prepared.y - place.outcome[0]) / place.outcome[1], -1.0, 1.0)
    if asked.params["step"] == "gram":
        return Answer(
            Summary(asked.layout, {"gram": _products(np.vstack([z, y[None, :]]), np.ones(y.size), added, "gram")})
        )
    lower, gamma = np.asarray(asked.params["lower"]), np.asarray(asked.params["gamma"])
    clip, cut = float(asked.params["clip"]), float(asked.params["cut"])
    u = linear.forward(lower, z)
    eta = gamma @ u
    mean = special.expit(eta) if place.family == "binomial" else eta
    weight = 4.0 * mean * (1.0 - mean) if place.family == "binomial" else np.ones(y.size)
    short = u * np.minimum(1.0, clip / np.maximum(np.sqrt((u * u).sum(axis=0)), 1e-300)) / clip
    residual = np.clip(y - mean, -cut, cut) / cut
    score = quantised(short * residual, added.fields["score"]).sum(axis=1)
    return Answer(Summary(asked.layout, {"score": score, "info": _products(short, weight, added, "info")}))


def _products(z: FloatArray, weight: FloatArray, added: Noise, name: str) -> IntArray:
    """Sums of each row's products, upper triangle, every product on the grid."""
    pairs = zip(*np.triu_indices(len(z)), strict=True)
    return np.array([quantised(z[i] * z[j] * weight, added.fields[name]).sum() for i, j in pairs], dtype=np.int64)


def _report(question: Glm, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    found, names = estimate.values, setting.design.names if setting.design is not None else ()
    n = size(estimate.counts["n"])
    df = float(n or 0) - estimate.parameters if found["test"] == "t" else None
    errors, model = np.sqrt(np.diag(found["vcov"])), (found["estimates"], found["vcov"])
    body: dict[str, Any] = {
        "kind": estimate.kind,
        "exactness": estimate.exactness,
        "n": n,
        "rounds": estimate.rounds,
        "terms": term_rows(names, found["estimates"], errors, setting.conf_level, df),
        "fit": {"family": question.family, "dispersion": number(found["dispersion"]), "df_residual": df},
        "reference": dict(setting.design.reference) if setting.design is not None else {},
        "test": found["test"],
        "error": found["error"],
    }
    if "events" in estimate.counts:
        body["events"] = size(estimate.counts["events"])
    if question.contrasts:
        body["contrasts"] = contrast_rows(question.contrasts, names, model, setting.conf_level, df)
    if question.tests:
        body["tests"] = wald_tests(question.tests, names, model, df)
    return body


STATISTIC = replace(glm.STATISTIC, flow=_flow, summarise=_summarise, report=_report)
