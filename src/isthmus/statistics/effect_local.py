"""A propensity model of one site: fitted beside the rows, so that nothing of it leaves but what its weights add up to.

Its block of the estimating equations lies inside the site too: what a row's score moves is known there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from isthmus.model.errors import Invalid
from isthmus.statistics import linear
from isthmus.statistics.newton import ABSURD, newton_step, running
from isthmus.summary import FloatArray

STEPS = 50
NEAR = 1e-10  # standard errors
CONSTANT = 1e-12  # of the largest value: what rounding leaves of the spread of a column that does not vary
HINT = "use propensity: common, fewer terms, or merged rare levels"


@dataclass(frozen=True, slots=True)
class Local:
    """Linear predictor (n,), columns (p, n) as the fit has them, constant ones 0, inverse information (p, p)."""

    predictor: FloatArray
    columns: FloatArray
    inverse: FloatArray


def fitted(columns: FloatArray, treated: FloatArray, name: str, names: Sequence[str]) -> Local:
    """By maximum likelihood; an empty site has nothing to fit. `columns` (p, n), the intercept first; 0/1 `treated`.

    A column that is constant at the site (a level that nobody has there) tells nothing about anyone's treatment and is left
    out of its model, as `glm` does; in the inverse information its row and column are 0.

    Raises:
        Invalid: E-ONE-GROUP, one arm only; E-COLLINEAR; E-SEPARATED.
    """
    size, n = columns.shape
    if not n:
        return Local(np.zeros(0), columns, np.eye(size))
    if treated.min() == treated.max():
        raise Invalid("E-ONE-GROUP", f"{name!r} has one value only at a site", "use propensity: common")
    whole = _standardised(columns)
    kept = np.flatnonzero(whole.any(axis=1))
    z = whole[kept]
    now, move, last = np.zeros(len(kept)), np.zeros(len(kept)), False
    known = [names[at] for at in kept.tolist()]
    for _ in range(STEPS):
        e = special.expit(now @ z)
        try:
            step = newton_step((z * (e * (1.0 - e))) @ z.T, z @ (treated - e))
        except linear.Dependent as error:
            told = _dependent(name, linear.collinear(error, known))
            raise (told if not now.any() else _separated(name, move, now, known)) from error
        if last:
            inverse = np.zeros((size, size))
            inverse[np.ix_(kept, kept)] = step.inverse
            return Local(now @ z, whole, inverse)
        move, now = step.move, now + step.move
        last = bool(np.all(np.abs(step.move) < NEAR * np.sqrt(np.diag(step.inverse))))
        if bool(np.any(np.abs(now[1:]) > ABSURD)):
            break
    raise _separated(name, move, now, known)


def _standardised(columns: FloatArray) -> FloatArray:
    z: FloatArray = columns - columns.mean(axis=1)[:, None]
    spread = z.std(axis=1)
    varies = spread > CONSTANT * np.abs(columns).max(axis=1)
    z = np.where(varies[:, None], z / np.where(varies, spread, 1.0)[:, None], 0.0)
    z[0] = 1.0
    return z


def _separated(name: str, move: FloatArray, now: FloatArray, names: Sequence[str]) -> Invalid:
    listed = ", ".join(repr(column) for column in running(move, now, names)) or "the columns"
    text = f"{name!r} is told apart by {listed} at a site: its propensity model there has no end"
    return Invalid("E-SEPARATED", text, HINT)


def _dependent(name: str, error: Invalid) -> Invalid:
    return Invalid(error.code, f"the site's own propensity model of {name!r}: {error.message} there", HINT)
