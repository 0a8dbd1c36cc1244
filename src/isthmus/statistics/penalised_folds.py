"""Cross-validation of a path of penalised models, as R's `cv.glmnet`: folds, what is left out, its mean and its error.

The fold of a row follows from the study's `seed` and from what the row holds, so that it is the same wherever the row lies;
equal rows share a fold. Each fold's model is fitted to the others at the penalties of the whole path, all folds in the same
rounds; then one round sums the deviance of the rows left out.
Reference: Friedman, Hastie & Tibshirani (2010), J Stat Softw 33(1); for Cox, Verweij & van Houwelingen (1993), Stat Med 12:2305.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from isthmus.evidence import Evidence, Weights, of_squares, weights_of, worst
from isthmus.statistics import cox_rows, cox_site, glm_kernel, linear
from isthmus.statistics.families import Family
from isthmus.statistics.show import number
from isthmus.summary import Field, FloatArray, Layout

FEWEST, MOST = 3, 20
LEAST = 1e-5  # of a probability, as glmnet's prob_min
MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)  # of splitmix64
WORD = 2**64


def folds_of(columns: FloatArray, others: Sequence[FloatArray], count: int, seed: int) -> Any:
    """(n,) fold from 0 of each row, from the bits of its columns (p, n) and of what else the model reads (n,)."""
    state = np.full(columns.shape[1], (seed * MIX[0] + MIX[1]) % WORD, dtype=np.uint64)
    for values in (*columns, *others):
        bits = (np.asarray(values, dtype=np.float64) + 0.0).view(np.uint64)  # -0 is 0
        state = _mixed(state ^ bits) + np.uint64(MIX[0])
    return (_mixed(state) % np.uint64(count)).astype(np.intp)


def _mixed(state: Any) -> Any:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(MIX[1])
    state = (state ^ (state >> np.uint64(27))) * np.uint64(MIX[2])
    return state ^ (state >> np.uint64(31))


def kept(rows: Any, keep: Any) -> Any:
    """Rows of either kind where `keep` (n,) is True."""
    if isinstance(rows, cox_rows.Rows):
        at = np.flatnonzero(keep)
        return cox_rows.Rows(np.ascontiguousarray(rows.columns[:, at]), rows.centre, rows.told.taken(at), rows.strata)
    return glm_kernel.Rows(np.ascontiguousarray(rows.columns[:, keep]), rows.y[keep], None, None)


def layout(folds: int, points: int) -> Layout:
    """What is left out: rows or events of each fold, and deviance (Cox: log-likelihood of all rows) at each penalty."""
    return Layout(
        fields=(
            Field(name="held", shape=(folds,), kind="count"),
            Field(name="lost", shape=(folds, points), kind="sum"),
        )
    )


def left_out(
    rows: glm_kernel.Rows, family: Family, fold: Any, coefficients: FloatArray
) -> tuple[dict[str, Any], Weights]:
    """A site's part: `coefficients` (folds, points, p) of the columns as they are."""
    held, lost, guards = [], [], []
    for k, path in enumerate(coefficients):
        at = np.flatnonzero(fold == k)
        y, eta = rows.y[at], path @ rows.columns[:, at]
        each = _deviances(family.base, y, eta)
        held.append(len(at))
        lost.append(each.sum(axis=1))
        guards += [of_squares(weights_of(line, 1)) for line in each] if len(at) else []
    return {"held": np.array(held), "lost": np.array(lost)}, worst(guards or [Weights(0.0, 0.0, 0.0, 1)])


def _deviances(base: str, y: FloatArray, eta: FloatArray) -> FloatArray:
    """(points, n) deviance of each row at linear predictors (points, n)."""
    if base == "gaussian":
        return np.square(y - eta)
    if base == "binomial":
        share = np.clip(1.0 / (1.0 + np.exp(-np.clip(eta, -700.0, 700.0))), LEAST, 1.0 - LEAST)
        found: FloatArray = -2.0 * (y * np.log(share) + (1.0 - y) * np.log(1.0 - share))
        return found
    saturated = np.where(y > 0.0, y * np.log(np.where(y > 0.0, y, 1.0)) - y, 0.0)
    return 2.0 * (saturated - (y * eta - np.exp(np.clip(eta, -700.0, 40.0))))


def all_at(rows: cox_rows.Rows, fold: Any, params: Mapping[str, Any]) -> tuple[dict[str, Any], Weights]:
    """A site's part of a Cox model with sites as strata: the log-likelihood of all its rows."""
    folds, points, _ = params["coefficients"].shape
    each = [
        cox_site.site_sums(rows, "breslow", {**params, "coefficients": b})
        for b in params["coefficients"].reshape(folds * points, -1)
    ]
    held = np.bincount(fold[rows.event], minlength=folds)
    return {"held": held, "lost": np.array([at.loglik for at in each])}, worst(at.weights for at in each)


def chosen(lambdas: Sequence[float], held: FloatArray, lost: FloatArray) -> dict[str, Any]:
    """`path` (lambda, mean, std_error), `lambda_min` and `lambda_1se`, from sums (folds, points) over what is `held` (folds,)."""
    used = np.flatnonzero(held > 0.0)
    weight, each = held[used] / float(linear.total(held[used])), lost[used] / held[used][:, None]
    mean = linear.total((each * weight[:, None]).T)
    spread = linear.total((np.square(each - mean) * weight[:, None]).T)
    error = np.sqrt(spread / max(len(used) - 1, 1))
    best = int(np.argmin(mean))  # penalties fall: the first is the largest
    within = int(np.flatnonzero(mean <= mean[best] + error[best])[0])
    return {
        "path": [
            {"lambda": lam, "mean": number(m), "std_error": number(s)}
            for lam, m, s in zip(lambdas, mean.tolist(), error.tolist(), strict=True)
        ],
        "lambda_min": lambdas[best],
        "lambda_1se": lambdas[within],
    }


def together(whole: Evidence, parts: Sequence[tuple[str, Evidence]]) -> Evidence:
    """Facts about the whole and about each part, whose sums follow from those told, all held to every rule."""
    merged: dict[str, dict[str, Any]] = {}
    for kind in ("supports", "pairs", "sides", "cells", "sums", "fits"):
        merged[kind] = dict(getattr(whole, kind))
        for name, part in parts:
            merged[kind] |= {f"{name}: {key}": value for key, value in getattr(part, kind).items()}
    groups = {**whole.groups, "folds": np.array([part.rows for _, part in parts], dtype=np.int64)}
    fits = {f"{name}: fit": (part.rows, part.parameters) for name, part in parts}
    leverage = max(whole.leverage, *(part.leverage for _, part in parts))
    return Evidence(
        rows=whole.rows,
        groups=groups,
        supports=merged["supports"],
        pairs=merged["pairs"],
        sides=merged["sides"],
        cells=merged["cells"],
        sums=merged["sums"],
        parameters=whole.parameters,
        fits={**merged["fits"], **fits},
        leverage=leverage,
    )
