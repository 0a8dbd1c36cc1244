"""Generalized linear models at a site: one pass over the rows builds score, information and deviance.

Columns lie as (p, rows); pieces of `CHUNK` rows are centred into a reused buffer, scaled by the root of the working
weights and multiplied by their own transpose (numpy calls `syrk`), so the working set stays in cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.evidence import Weights, of_squares, worst
from isthmus.statistics import coordinates
from isthmus.statistics.chunks import CHUNK, Guard, pieces
from isthmus.statistics.families import POSITIVE_OUTCOME, Family, Work, saturated_sum
from isthmus.summary import FloatArray

Params = Mapping[str, Any]
LEFT = 2.0**-26  # of 1 - h: below this half of its digits are lost, and `sandwich` warns
BESIDE = 2.0**-20  # share of the largest part of a direction that is rounding


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's rows: `columns` (p, rows), outcome `y`; prior weights, offset, clusters, strata where the question has them."""

    columns: FloatArray
    y: FloatArray
    prior: FloatArray | None
    offset: FloatArray | None
    cluster: NDArray[np.int32] | None = None
    stratum: NDArray[np.intp] | None = None

    @property
    def size(self) -> int:
        """Rows."""
        return int(self.y.size)


@dataclass(slots=True)
class Totals:
    """Sums being built; weights of `gram`, of `correction` and of `pearson` for the guard beside them.

    `whole` (p + 1,): rows of leverage 1 that each column sets apart; last those that are a stratum of their own.
    """

    score: FloatArray
    gram: FloatArray
    correction: FloatArray
    deviance: float = 0.0
    pearson: float = 0.0
    guard: Guard = field(default_factory=Guard)
    other: Guard = field(default_factory=Guard)
    third: Guard = field(default_factory=Guard)
    whole: FloatArray = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def zero(cls, size: int) -> Totals:
        """Nothing yet, for `size` columns."""
        return cls(np.zeros(size), np.zeros((size, size)), np.zeros((size, size)))

    def add(self, z: FloatArray, residual: FloatArray, weight: FloatArray) -> None:
        """Add z residual and z weight z'; overwrites z and weight."""
        self.score += z @ residual
        np.sqrt(weight, out=weight)
        np.multiply(z, weight, out=z)
        self.gram += z @ z.T

    def weights(self) -> Weights:
        """For the guard: of the two matrices and Pearson's statistic, what fewest rows stand behind.

        Pearson's terms are squares with heavy tails, and one number leaves: no effective rows per parameter.
        """
        size = len(self.score)
        each = [self.guard.weights(size)]
        if self.other.total > 0.0:
            each.append(self.other.weights(size))
        if self.third.total > 0.0:
            each.append(of_squares(self.third.weights(0)))
        return each[0] if len(each) == 1 else worst(each)


def centred(rows: Rows, params: Params) -> Rows:
    """The rows with the outcome of a gaussian model about the constant of the round, if there is one."""
    y, offset = coordinates.response(rows.y, rows.offset, params)
    return replace(rows, y=y, offset=offset)


def start_sums(family: Family, rows: Rows, params: Params) -> Totals:
    """X'WX and X'Wz at R's starting values, z the working response; `score` holds X'Wz."""
    totals = Totals.zero(len(rows.columns))
    for piece, z in _turned(rows.columns, params):
        y, prior = rows.y[piece], 1.0 if rows.prior is None else rows.prior[piece]
        eta, move, weight = family.start(y, prior)
        target = eta + move
        if rows.offset is not None:
            target = target - rows.offset[piece]
        weight = np.array(prior * weight)
        totals.guard.weigh(weight)
        totals.add(z, weight * target / params["response_scale"], weight)
    return _rescaled(totals, params)


def newton_sums(family: Family, rows: Rows, params: Params) -> Totals:
    """Score X'w(y - mu), information X'WX and deviance at the coefficients of `params`."""
    totals = Totals.zero(len(rows.columns))
    unit = float(params["response_scale"])
    for piece, z, work, deviance in _evaluated(family, rows, params):
        totals.deviance += deviance / unit**2
        prior = None if rows.prior is None else rows.prior[piece]
        if family.pearson:
            terms = _pearson(work, prior)
            totals.pearson += float(terms.sum())
            totals.third.weigh(terms)
        if prior is not None:
            for filled in (
                (work.residual, work.weight) if family.canonical else (work.residual, work.weight, work.spare)
            ):
                np.multiply(filled, prior, out=filled)
        if unit != 1.0:
            np.divide(work.residual, unit, out=work.residual)
        totals.guard.weigh(work.weight)
        if not family.canonical:
            totals.correction += (z * work.spare) @ z.T
            totals.other.weigh(np.abs(work.spare))
        totals.add(z, work.residual, work.weight)
    return _rescaled(totals, params)


def _pearson(work: Work, prior: FloatArray | None) -> FloatArray:
    """(rows,) w (y - mu)**2 / V, from residual s and weight mu'**2 / V."""
    used = work.weight > 0.0
    squares: FloatArray = np.divide(np.square(work.residual), work.weight, out=np.zeros_like(work.weight), where=used)
    return squares if prior is None else squares * prior


def meat_sums(family: Family, rows: Rows, params: Params) -> Totals:
    """Sum of u u' with u = w s x, the middle of the sandwich; frequency weights count a row w times.

    `power` 1 (HC2) or 2 (HC3) divides a row's part by (1 - h)**power, h its leverage from the pooled `inverse`. Of a
    row with leverage 1, whose residual is 0 whatever its outcome, that is 0 over 0: it adds nothing and is told in `whole`.
    """
    totals = Totals.zero(len(rows.columns))
    totals.whole = np.zeros(len(rows.columns) + 1)
    unit = float(params["response_scale"])
    for piece, z, work, _ in _evaluated(family, rows, params):
        squares = np.square(work.residual / unit)
        if "inverse" in params:
            left = 1.0 - _leverage(z, work.weight, rows.prior, piece, params)
            lone = left < LEFT
            totals.whole += _apart(z[:, lone], params)
            squares = np.where(lone, 0.0, squares) / np.where(lone, 1.0, left) ** params["power"]
        if rows.prior is not None:
            squares *= rows.prior[piece] if params["frequency"] else np.square(rows.prior[piece])
        totals.guard.weigh(squares)
        totals.add(z, squares, squares)
    return _rescaled(totals, params)


def cluster_scores(family: Family, rows: Rows, params: Params) -> FloatArray:
    """(p, clusters) sums of u = w s x over the rows of each cluster, in the order of their codes from 0."""
    cluster = np.zeros(rows.size, dtype=np.int32) if rows.cluster is None else rows.cluster
    found = np.zeros((len(rows.columns), int(cluster.max(initial=-1)) + 1))
    unit = float(params["response_scale"])
    for piece, z, work, _ in _evaluated(family, rows, params):
        score = work.residual / unit
        if rows.prior is not None:
            score *= rows.prior[piece]
        for line, values in zip(found, z, strict=True):
            np.add.at(line, cluster[piece], values * score)
    return found if "rotation" in params else found / np.asarray(params["scale"])[:, None]


def _leverage(z: FloatArray, weight: FloatArray, prior: FloatArray | None, piece: slice, params: Params) -> FloatArray:
    """(rows,) diagonal of W X (X'WX)**-1 X'; a frequency weight's rows each have the leverage of one.

    `share` (rows,): what a row has of an intercept of its own stratum, where columns are centred within them.
    """
    scaled = z if "rotation" in params else z / np.asarray(params["scale"])[:, None]
    each = np.einsum("ij,ij->j", scaled, np.asarray(params["inverse"]) @ scaled)
    found: FloatArray = weight * (each + params["share"][piece] if "share" in params else each)
    return found if prior is None or params["frequency"] else found * prior[piece]


def _apart(z: FloatArray, params: Params) -> FloatArray:
    """(p + 1,) how many of the rows (p, k) each column sets apart: their direction in the columns is 0 on all others."""
    scaled = z if "rotation" in params else z / np.asarray(params["scale"])[:, None]
    found = np.asarray(params["inverse"]) @ scaled
    found = np.abs(params["rotation"].T @ found if "rotation" in params else found)
    largest = found.max(axis=0, initial=0.0)
    parts = ((found > BESIDE * largest) & (largest > BESIDE)).sum(axis=1)
    return np.append(parts, np.count_nonzero(largest <= BESIDE)).astype(np.float64)


def null_sums(family: Family, rows: Rows, intercept: float) -> tuple[float, float, float]:
    """(score, information, deviance) of the model with only `intercept` and the offset."""
    score = information = deviance = 0.0
    work = _work(rows.size)
    for piece in pieces(rows.size):
        part = work.head(piece.stop - piece.start)
        eta = np.full(part.spare.size, intercept)
        if rows.offset is not None:
            eta += rows.offset[piece]
        prior = None if rows.prior is None else rows.prior[piece]
        deviance += family.evaluate(eta, rows.y[piece], prior, part)
        score += float(part.residual.sum() if prior is None else part.residual @ prior)
        information += float(part.weight.sum() if prior is None else part.weight @ prior)
    return score, information, deviance


def outcome_sums(family: Family, rows: Rows, unit: float) -> dict[str, float]:
    """Sums about the outcome alone: total weight, w y, and what the log-likelihood needs."""
    prior: FloatArray | float = 1.0 if rows.prior is None else rows.prior
    positive = np.ones(rows.size, dtype=bool) if rows.prior is None else rows.prior > 0.0
    positives = family.base in POSITIVE_OUTCOME
    return {
        "n": float(np.count_nonzero(positive)),
        "weight": float(np.sum(prior * np.ones(rows.size))),
        "response": float(np.sum(prior * rows.y)) / unit,
        "square": float(np.sum(prior * np.square(rows.y / unit))) if family.base == "gaussian" else 0.0,
        "saturated": saturated_sum(family, rows.y, prior),
        "log_response": float(np.sum(prior * np.log(rows.y))) if positives else 0.0,
        "constant": family.constant(rows.y, prior),
        "log_weight": 0.0 if rows.prior is None else float(np.sum(np.log(rows.prior[positive]))),
    }


def _evaluated(family: Family, rows: Rows, params: Params) -> Iterator[tuple[slice, FloatArray, Work, float]]:
    """Per piece: its columns in coordinates (reused), residuals and V(mu) (reused), deviance."""
    coefficients = params["coefficients"] * params["response_scale"]
    plain = coefficients if "rotation" in params else coefficients / params["scale"]
    work, etas = _work(rows.size), np.empty(min(CHUNK, rows.size))
    for piece, z in _turned(rows.columns, params):
        part = work.head(piece.stop - piece.start)
        eta = np.matmul(plain, z, out=etas[: part.spare.size])
        if rows.offset is not None:
            np.add(eta, rows.offset[piece], out=eta)
        prior = None if rows.prior is None else rows.prior[piece]
        yield piece, z, part, family.evaluate(eta, rows.y[piece], prior, part)


def _turned(columns: FloatArray, params: Params) -> Iterator[tuple[slice, FloatArray]]:
    """Pieces of the columns, centred (scaled only if rotated: else the sums are scaled, exactly); the buffer is reused."""
    size, count = columns.shape
    centre = np.asarray(params["centre"])[:, None]
    rotation = params["rotation"] / params["scale"] if "rotation" in params else None
    buffer = np.empty((size, min(CHUNK, count)))
    second = np.empty_like(buffer) if rotation is not None else buffer
    for piece in pieces(count):
        length = piece.stop - piece.start
        z = np.subtract(columns[:, piece], centre, out=buffer[:, :length])
        yield piece, z if rotation is None else np.matmul(rotation, z, out=second[:, :length])


def _rescaled(totals: Totals, params: Params) -> Totals:
    if "rotation" not in params:
        scale = np.asarray(params["scale"])
        totals.score /= scale
        totals.gram /= np.outer(scale, scale)
        totals.correction /= np.outer(scale, scale)
    return totals


def _work(rows: int) -> Work:
    size = min(CHUNK, rows)
    return Work(np.empty(size), np.empty(size), np.empty(size))
