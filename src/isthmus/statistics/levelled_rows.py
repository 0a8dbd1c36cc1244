"""Models of an outcome with levels at a site: counts by level, then score, information and deviance of one step,
and the middle of the sandwich where it is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import special

from isthmus.evidence import SQUARED, Weights, weights_of
from isthmus.statistics import implied, sandwich, weighting
from isthmus.statistics.chunks import pieces
from isthmus.statistics.contract import Answer, CodeArray, Round
from isthmus.statistics.levelled import Model, Rows
from isthmus.statistics.summaries import filled
from isthmus.summary import FloatArray

Guards = FloatArray  # (3, k): of each matrix that leaves, sum, sum of squares and largest of its rows' weights


def summarise(model: Model, rows: Rows, asked: Round) -> Answer:
    """This site's part of one round."""
    if asked.params["step"] == "start":
        return _start(model, rows, asked)
    if asked.params["step"] == "meat":
        return _meat(model, rows, asked)
    score, gram, deviance = np.zeros(model.size), np.zeros((model.size, model.size)), 0.0
    guards = _guards(model)
    for piece, z, logs, first, second in _evaluated(model, rows, asked.params):
        if rows.prior is not None:
            for filled_ in (logs, first, second):
                filled_ *= rows.prior[piece]
        if model.ordered:
            _add_ordered(z[1:], first, second, score, gram)
        else:
            _add_baseline(z, first, second, score, gram)
        deviance -= 2.0 * float(logs.sum())
        _weigh(guards, _matrices(model, second))
    values = {"score": score, "gram": gram, "deviance": deviance}
    return Answer(filled(asked.layout, values), _weights(guards, model.size))


def _evaluated(
    model: Model, rows: Rows, params: Any
) -> Iterator[tuple[slice, FloatArray, FloatArray, FloatArray, FloatArray]]:
    """Per piece: its columns in coordinates; log-likelihood (rows,), gradient and information of the predictors."""
    coefficients, cuts = np.asarray(params["coefficients"]), model.cuts
    for piece in pieces(rows.size):
        z, codes = _turned(rows.columns[:, piece], params), rows.codes[piece]
        if model.ordered:
            eta = coefficients[cuts:] @ z[1:]
            eta = eta if rows.offset is None else eta + rows.offset[piece]
            yield piece, z, *_ordered(coefficients[:cuts, None] - eta, codes)
        else:
            yield piece, z, *_baseline(coefficients.reshape(cuts, -1) @ z, codes)


def _meat(model: Model, rows: Rows, asked: Round) -> Answer:
    """The middle of the sandwich; its rows weigh in it as squares of what they add to the score."""
    guards = _guards(model)
    root = sandwich.roots(model.errors, rows.prior)

    def parts() -> Iterator[tuple[slice, FloatArray]]:
        for piece, z, _, first, _ in _evaluated(model, rows, asked.params):
            own = first if root is None else first * root[piece]
            _weigh(guards, _matrices(model, own[:, None] * own[None]))
            yield piece, _scores(model, z, first)

    values, guard = sandwich.middle(model.errors, model.size, parts(), rows)
    if model.errors.cluster is None:
        guard = _weights(guards, math.ceil(model.size / SQUARED))
    return Answer(filled(asked.layout, values), guard)


def _scores(model: Model, z: FloatArray, first: FloatArray) -> FloatArray:
    """(parameters, rows) of each row, from the gradient of its predictors."""
    if model.ordered:
        return np.concatenate([first, -z[1:] * first.sum(axis=0)])
    return (first[:, None] * z[None]).reshape(model.size, -1)


def _matrices(model: Model, second: FloatArray) -> FloatArray:
    """(k, rows) weights of the rows in each matrix that is a block of the information, from that of the predictors."""
    blocks = second.reshape(model.cuts**2, -1)
    if model.ordered:
        blocks = np.concatenate([blocks, second.sum(axis=1), second.sum(axis=(0, 1))[None]])
    return np.abs(blocks)


def _guards(model: Model) -> Guards:
    return np.zeros((3, model.cuts**2 + (model.cuts + 1 if model.ordered else 0)))


def _start(model: Model, rows: Rows, asked: Round) -> Answer:
    size = len(rows.columns)
    gram, marks = np.zeros((size, size)), np.zeros(asked.layout.fields[-1].shape)
    for piece in pieces(rows.size):
        z = _turned(rows.columns[:, piece], asked.params)
        gram += z @ z.T if rows.prior is None else (z * rows.prior[piece]) @ z.T
        for k in range(len(model.levels)):
            at = (rows.codes[piece] == k).astype(np.float64)
            marks[k] += implied.marks(model.design, model.dictionary, rows.columns[:, piece], at)
    prior = weighting.filled(rows.prior, rows.size)
    values = {"levels": np.bincount(rows.codes, minlength=len(model.levels)), "gram": gram, "marks": marks}
    values |= {"weight": np.bincount(rows.codes, prior, len(model.levels))}
    return Answer(filled(asked.layout, values), weights_of(prior, size))


def _turned(columns: FloatArray, params: Any) -> FloatArray:
    z: FloatArray = (columns - np.asarray(params["centre"])[:, None]) / np.asarray(params["scale"])[:, None]
    return np.asarray(params["rotation"]) @ z if "rotation" in params else z


def _baseline(predictors: FloatArray, codes: CodeArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Log-likelihood (rows,), gradient (cuts, rows) and information (cuts, cuts, rows) of baseline-category logits."""
    whole = np.vstack([np.zeros(predictors.shape[1]), predictors])
    logs = whole - special.logsumexp(whole, axis=0)
    chance = np.exp(logs)[1:]
    first = (codes == np.arange(1, len(whole))[:, None]) - chance
    second = -chance[:, None] * chance[None]
    at = np.arange(len(chance))
    second[at, at] = chance * (1.0 - chance)
    return logs[codes, np.arange(len(codes))], first, second


def _ordered(predictors: FloatArray, codes: CodeArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """As `_baseline`, of P(Y <= k) = logistic(predictor k); the predictors increase with k."""
    cuts, count = predictors.shape
    ends = np.full((1, count), np.inf)
    edges, at = np.vstack([-ends, predictors, ends]), np.arange(count)
    low, high = edges[codes, at], edges[codes + 1, at]
    flip = low > 0.0  # differences are taken in the tail where they keep their digits
    a, b = np.where(flip, -high, low), np.where(flip, -low, high)
    gap = np.maximum(-np.expm1(a - b), np.finfo(float).eps)  # cuts that rounding merged are as far apart as it can tell
    logs = special.log_expit(b) + special.log_expit(-a) + np.log(gap)
    lower = np.exp(special.log_expit(a) - special.log_expit(b)) / gap  # density at each end over the chance in between
    upper = np.exp(special.log_expit(-b) - special.log_expit(-a)) / gap
    slope = [np.where(flip, upper, lower), np.where(flip, lower, upper)]
    bend = [
        s * np.where(np.isinf(e), 0.0, special.expit(-e) - special.expit(e))
        for s, e in zip(slope, (low, high), strict=True)
    ]
    first, second = np.zeros((cuts, count)), np.zeros((cuts, cuts, count))
    below, above = codes > 0, codes < cuts
    k, i = codes[above], at[above]
    first[k, i] = slope[1][above]
    second[k, k, i] = (slope[1] ** 2 - bend[1])[above]
    k, i = codes[below] - 1, at[below]
    first[k, i] = -slope[0][below]
    second[k, k, i] = (slope[0] ** 2 + bend[0])[below]
    both = below & above
    k, i = codes[both], at[both]
    second[k, k - 1, i] = second[k - 1, k, i] = -(slope[0] * slope[1])[both]
    return logs, first, second


def _add_baseline(z: FloatArray, first: FloatArray, second: FloatArray, score: FloatArray, gram: FloatArray) -> None:
    width = len(z)
    score += (first @ z.T).reshape(-1)
    for j in range(len(first)):
        for k in range(j + 1):
            block = (z * second[j, k]) @ z.T
            rows, columns = slice(j * width, (j + 1) * width), slice(k * width, (k + 1) * width)
            gram[rows, columns] += block
            if j != k:
                gram[columns, rows] += block.T


def _add_ordered(z: FloatArray, first: FloatArray, second: FloatArray, score: FloatArray, gram: FloatArray) -> None:
    cuts = len(first)
    score[:cuts] += first.sum(axis=1)
    score[cuts:] -= z @ first.sum(axis=0)
    gram[:cuts, :cuts] += second.sum(axis=2)
    crossed = second.sum(axis=1) @ z.T
    gram[:cuts, cuts:] -= crossed
    gram[cuts:, :cuts] -= crossed.T
    gram[cuts:, cuts:] += (z * second.sum(axis=(0, 1))) @ z.T


def _weigh(guards: Guards, weights: FloatArray) -> None:
    if weights.shape[1]:
        guards[0] += weights.sum(axis=1)
        guards[1] += np.square(weights).sum(axis=1)
        guards[2] = np.maximum(guards[2], weights.max(axis=1))


def _weights(guards: Guards, parameters: int) -> Weights:
    """For the guard: as if all matrices had the total of the first, and the fewest rows behind any of them."""
    used = guards[:, guards[0] > 0.0]
    if not used.size:
        return Weights(0.0, 0.0, 0.0, parameters)
    total, largest = float(used[0, 0]), used[2] / used[0]
    squares = np.maximum(np.square(np.sqrt(used[1]) / used[0]), np.square(largest))  # squares of tiny weights are gone
    return Weights(total, float(squares.max()) * total**2, float(largest.max()) * total, parameters)
