"""Generalized mixed models at a site by Laplace's approximation, with any number of random columns (`glmer`, nAGQ = 1).

A group adds h at its mode u minus half of log det H, H = I + sum of w a a' with a = L'z and w a row's variance. The
first and second derivatives by (coefficients, theta) follow modes and curvatures: `moves` are total derivatives of the
linear predictor by each parameter, `own` those at a fixed u. Nothing is differenced.

Reference: Bates, Maechler, Bolker & Walker (2015), J Stat Softw 67(1); Skaug & Fournier (2006), Comput Stat Data Anal
51:699.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.statistics import mixed_modes
from isthmus.statistics.mixed_modes import Case, Row
from isthmus.summary import FloatArray


def value(found: Case) -> float:
    """Log-likelihood over this site's groups."""
    return _value(*mixed_modes.modes(found))


def _value(mode: FloatArray, curve: FloatArray, at: Row) -> float:
    return float(at.likely.sum() - 0.5 * (mode**2).sum() - 0.5 * np.linalg.slogdet(curve)[1].sum())


@dataclass(frozen=True, slots=True)
class _Moved:
    """By each of P parameters: `modes` (P, q, G) of the groups, `own` and `moves` (P, n) of the rows."""

    modes: FloatArray
    own: FloatArray
    moves: FloatArray


def summed(found: Case) -> tuple[dict[str, Any], FloatArray]:
    """Log-likelihood, score (P,) and second derivatives (P, P) over this site's groups, and the rows' weights."""
    mode, curve, at = mixed_modes.modes(found)
    turned = found.factor.T @ found.z
    inverse = np.asarray(np.linalg.inv(curve), dtype=np.float64)
    entries = list(zip(*np.tril_indices(len(turned)), strict=True))
    moved = _moved(found, (mode, inverse, at), turned, entries)
    across = np.einsum("nij,jn->in", inverse[found.group], turned)  # H^-1 a
    reach = (turned * across).sum(axis=0)
    lean = np.zeros_like(moved.own)  # the derivative of a, by H^-1 a: of theta's entries alone
    first = len(found.x)
    for j, (r, c) in enumerate(entries):
        lean[first + j] = found.z[r] * across[c]
    score = moved.own @ at.gap - 0.5 * (moved.moves @ (at.third * reach) + 2.0 * lean @ at.weight)
    bend = _bend(found, (turned, inverse, reach, lean), at, moved, entries)
    return {"loglik": _value(mode, curve, at), "score": score, "bend": (bend + bend.T) / 2.0}, at.weight


def _moved(found: Case, place: tuple[FloatArray, FloatArray, Row], turned: FloatArray, entries: list[Any]) -> _Moved:
    mode, inverse, at = place
    own = np.vstack([found.x, np.array([found.z[r] * mode[c][found.group] for r, c in entries])])
    slopes = -found.added(turned[None] * (at.weight * own)[:, None])  # (P, q, G)
    for j, (r, c) in enumerate(entries, start=len(found.x)):
        slopes[j, c] += found.added(found.z[r] * at.gap)
    modes = np.einsum("gij,pjg->pig", inverse, slopes)
    moves = own + (turned[None] * modes[:, :, found.group]).sum(axis=1)
    return _Moved(modes, own, moves)


def _bend(found: Case, made: tuple[FloatArray, ...], at: Row, moved: _Moved, entries: list[Any]) -> FloatArray:
    """Second derivatives: of h at the mode, and of half log det H, which the mode's own second derivatives enter."""
    turned, inverse, reach, lean = made
    first = len(found.x)
    pull = np.einsum("gij,jg->ig", inverse, found.added(turned * at.third * reach))  # (q, G)
    pulled = (turned * pull[:, found.group]).sum(axis=0)
    bend = -(at.weight * moved.own) @ moved.moves.T
    half = 0.5 * ((at.fourth * reach - at.third * pulled) * moved.moves) @ moved.moves.T
    sided = at.third * reach - at.weight * pulled
    for j, (r, c) in enumerate(entries, start=first):
        bend[j] += moved.modes[:, c] @ found.added(found.z[r] * at.gap)
        half[j] += moved.modes[:, c] @ found.added(sided * found.z[r])
        half[j] += moved.moves @ (2.0 * at.third * lean[j] - at.weight * found.z[r] * pull[c][found.group])
        for k, (s, d) in enumerate(entries, start=first):
            half[j, k] += inverse[:, c, d] @ found.added(at.weight * found.z[r] * found.z[s])
    turns = np.array([_turn(found, at, (turned, moved.moves[j]), j - first, entries) for j in range(len(moved.own))])
    turns = np.einsum("gij,pgjk->pgik", inverse, turns)
    whole: FloatArray = bend - (half + half.T) / 2.0 + 0.5 * np.einsum("pgij,rgji->pr", turns, turns)
    return whole


def _turn(found: Case, at: Row, rows: tuple[FloatArray, FloatArray], entry: int, entries: list[Any]) -> FloatArray:
    """(G, q, q) the total derivative of H by one parameter; `entry` is theta's, negative for a coefficient."""
    turned, moves = rows
    made = mixed_modes.curvature(found, turned, at.third * moves) - np.eye(len(turned))
    if entry >= 0:
        r, c = entries[entry]
        side = found.added(at.weight * found.z[r] * turned)  # (q, G)
        made[:, c, :] += side.T
        made[:, :, c] += side.T
    return made
