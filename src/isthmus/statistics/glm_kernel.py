"""Generalized linear models at a site: one pass over the rows builds score, information and deviance.

Columns lie as (p, rows); pieces of `CHUNK` rows are centred into a reused buffer, scaled by the root of the working
weights and multiplied by their own transpose (numpy calls `syrk`), so the working set stays in cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from isthmus.evidence import Weights
from isthmus.statistics.chunks import CHUNK, pieces
from isthmus.statistics.families import FAMILIES, Family, Work
from isthmus.summary import FloatArray

Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's rows: `columns` (p, rows), outcome `y`, prior weights and offset where the question has them."""

    columns: FloatArray
    y: FloatArray
    prior: FloatArray | None
    offset: FloatArray | None

    @property
    def size(self) -> int:
        """Rows."""
        return int(self.y.size)


@dataclass(slots=True)
class Totals:
    """Sums being built; weights for the guard beside them."""

    score: FloatArray
    gram: FloatArray
    deviance: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    largest: float = 0.0

    @classmethod
    def zero(cls, size: int) -> Totals:
        """Nothing yet, for `size` columns."""
        return cls(np.zeros(size), np.zeros((size, size)))

    def weigh(self, weight: FloatArray) -> None:
        """Count the working weights of one piece."""
        self.total += float(weight.sum())
        self.squares += float(weight @ weight)
        self.largest = max(self.largest, float(weight.max()))

    def add(self, z: FloatArray, residual: FloatArray, weight: FloatArray) -> None:
        """Add z residual and z weight z'; overwrites z and weight."""
        self.score += z @ residual
        np.sqrt(weight, out=weight)
        np.multiply(z, weight, out=z)
        self.gram += z @ z.T

    def weights(self) -> Weights:
        """For the guard."""
        return Weights(self.total, self.squares, self.largest, len(self.score))


def start_sums(family: Family, rows: Rows, params: Params) -> Totals:
    """X'WX and X'Wz at R's starting values, z the working response; `score` holds X'Wz."""
    totals = Totals.zero(len(rows.columns))
    for piece, z in _turned(rows.columns, params):
        y, prior = rows.y[piece], 1.0 if rows.prior is None else rows.prior[piece]
        eta, mu, variance = family.start(y, prior)
        target = eta + (y - mu) / variance
        if rows.offset is not None:
            target = target - rows.offset[piece]
        weight = np.array(prior * variance)
        totals.weigh(weight)
        totals.add(z, weight * target / params["response_scale"], weight)
    return _rescaled(totals, params)


def newton_sums(family: Family, rows: Rows, params: Params) -> Totals:
    """Score X'w(y - mu), information X'WX and deviance at the coefficients of `params`."""
    totals = Totals.zero(len(rows.columns))
    unit = float(params["response_scale"])
    for piece, z, work, deviance in _evaluated(family, rows, params):
        totals.deviance += deviance / unit**2
        if rows.prior is not None:
            np.multiply(work.residual, rows.prior[piece], out=work.residual)
            np.multiply(work.weight, rows.prior[piece], out=work.weight)
        if unit != 1.0:
            np.divide(work.residual, unit, out=work.residual)
        totals.weigh(work.weight)
        totals.add(z, work.residual, work.weight)
    return _rescaled(totals, params)


def meat_sums(family: Family, rows: Rows, params: Params) -> Totals:
    """Sum of u u' with u = w (y - mu) x, the middle of the sandwich; frequency weights count a row w times."""
    totals = Totals.zero(len(rows.columns))
    unit = float(params["response_scale"])
    for piece, z, work, _ in _evaluated(family, rows, params):
        squares = np.square(work.residual / unit)
        if rows.prior is not None:
            squares *= rows.prior[piece] if params["frequency"] else np.square(rows.prior[piece])
        totals.weigh(squares)
        totals.add(z, squares, squares)
    return _rescaled(totals, params)


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
    poisson = family is FAMILIES["poisson"]
    return {
        "n": float(np.count_nonzero(positive)),
        "weight": float(np.sum(prior * np.ones(rows.size))),
        "response": float(np.sum(prior * rows.y)) / unit,
        "square": float(np.sum(prior * np.square(rows.y / unit))) if family is FAMILIES["gaussian"] else 0.0,
        "saturated": float(np.sum(prior * (special.xlogy(rows.y, rows.y) - rows.y))) if poisson else 0.0,
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
    return totals


def _work(rows: int) -> Work:
    size = min(CHUNK, rows)
    return Work(np.empty(size), np.empty(size), np.empty(size))
