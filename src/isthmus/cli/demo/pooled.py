"""The same analyses on all rows in one table: textbook code that shares nothing with `isthmus.statistics`.

It exists to be compared with. It loops over event times and inverts with `numpy.linalg`, as a textbook would.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

STEPS = 40  # Newton from zero needs about six


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients and their standard errors."""

    estimate: Array
    std_error: Array


@dataclass(frozen=True, slots=True)
class Curve:
    """One Kaplan-Meier curve on a grid: value at the end of each interval (edges[k], edges[k + 1]]."""

    at_risk: Array
    events: Array
    survival: Array


def logistic(x: Array, y: Array) -> Fit:
    """Logistic regression by iteratively reweighted least squares. `x` (n, p) with a column of ones, `y` 0 or 1.

    Reference: McCullagh & Nelder (1989), section 4.4.
    """
    beta = np.zeros(x.shape[1])
    information = np.eye(x.shape[1])
    for _ in range(STEPS):
        mean = 1.0 / (1.0 + np.exp(-(x @ beta)))
        weight = mean * (1.0 - mean)
        information = x.T @ (weight[:, None] * x)
        step = np.linalg.solve(information, x.T @ (y - mean))
        beta = beta + step
        if np.abs(step).max() < 1e-13:
            break
    return Fit(beta, np.sqrt(np.diag(np.linalg.inv(information))))


def cox(x: Array, time: Array, event: Array, strata: Array) -> Fit:
    """Cox regression with Efron's ties, a baseline for each stratum, by Newton's method.

    Reference: Efron (1977), JASA 72:557; Therneau & Grambsch (2000), section 3.3.
    """
    centred = x - x.mean(axis=0)
    beta = np.zeros(x.shape[1])
    information = np.eye(x.shape[1])
    for _ in range(STEPS):
        score = np.zeros(x.shape[1])
        information = np.zeros((x.shape[1], x.shape[1]))
        for stratum in np.unique(strata):
            rows = strata == stratum
            part = _cox_stratum(beta, centred[rows], time[rows], event[rows])
            score, information = score + part[0], information + part[1]
        step = np.linalg.solve(information, score)
        beta = beta + step
        if np.abs(step).max() < 1e-13:
            break
    return Fit(beta, np.sqrt(np.diag(np.linalg.inv(information))))


def _cox_stratum(beta: Array, x: Array, time: Array, event: Array) -> tuple[Array, Array]:
    risk = np.exp(x @ beta)
    score, information = np.zeros(x.shape[1]), np.zeros((x.shape[1], x.shape[1]))
    for t in np.unique(time[event == 1]):
        alive, dead = time >= t, (time == t) & (event == 1)
        tied = int(dead.sum())
        score = score + x[dead].sum(axis=0)
        for k in range(tied):
            # The k-th of the tied deaths: on average a share k / tied of them has already left the risk set.
            weight = risk * (alive - dead * (k / tied))
            total = weight.sum()
            mean = weight @ x / total
            score = score - mean
            information = information + (x.T * weight) @ x / total - np.outer(mean, mean)
    return score, information


def kaplan_meier(time: Array, event: Array, edges: Array) -> Curve:
    """Kaplan-Meier with every event at the end of its interval and censoring after the interval's events.

    Reference: Kaplan & Meier (1958), JASA 53:457.
    """
    at_risk, events = grid_counts(time, event, edges)
    share = np.divide(events, at_risk, out=np.zeros_like(events), where=at_risk > 0)
    return Curve(at_risk, events, np.asarray(np.cumprod(1.0 - share), dtype=np.float64))


def grid_counts(time: Array, event: Array, edges: Array) -> tuple[Array, Array]:
    """At risk when each interval begins, and events in it."""
    pairs = list(itertools.pairwise(edges))
    at_risk = np.array([float((time > low).sum()) for low, _ in pairs])
    events = np.array([float(((time > low) & (time <= high) & (event == 1)).sum()) for low, high in pairs])
    return at_risk, events


def log_rank(time: Array, event: Array, group: Array, edges: Array) -> float:
    """Chi-square of the log-rank test on the grid, groups coded 0..g-1.

    Reference: Mantel (1966), Cancer Chemother Rep 50:163.
    """
    counts = [grid_counts(time[group == g], event[group == g], edges) for g in np.unique(group)]
    at_risk, events = np.array([c[0] for c in counts]), np.array([c[1] for c in counts])
    n, d = at_risk.sum(axis=0), events.sum(axis=0)
    used = n > 1
    share, n, d = at_risk[:, used] / n[used], n[used], d[used]
    difference = (events[:, used] - share * d).sum(axis=1)
    scale = d * (n - d) / (n - 1)
    variance = np.diag((share * scale).sum(axis=1)) - (share * scale) @ share.T
    kept = difference[1:]
    return float(kept @ np.linalg.solve(variance[1:, 1:], kept))
