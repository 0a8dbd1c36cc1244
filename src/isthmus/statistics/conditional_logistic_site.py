"""A site's matched sets: conditional log-likelihood, score and information, by sets of one shape at a time.

The exact denominator is the elementary symmetric polynomial e_m of the risks r of a set with m cases. Row i is taken to be
chosen with probability c r_i / (1 + c r_i), c such that about m are expected: e_m is the probability that m are, times the product of
1 + c r_i, over c^m. Rows enter one by one, P_k <- (1 - p) P_k + p P_(k-1), and so do its derivatives: no number is above 1, however
many cases there are. Columns are centred within their set, and about the expected choice, which no likelihood sees.

Reference: Chen & Liu (1997), Stat Sinica 7:875 (conditional Bernoulli distribution).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from isthmus.evidence import Evidence, Weights, weights_of
from isthmus.statistics import implied, indicators, sandwich, unusual
from isthmus.statistics.cox_model import Model
from isthmus.summary import FloatArray, IntArray

Params = Mapping[str, Any]
Method = str
CELLS = 250_000  # numbers of the second derivatives that are worked on at once: they stay in cache
ROUNDING = 2.0**-40  # of the largest value: a column constant within each set leaves no more than this
WORK = 2_000_000_000  # rows x cases x columns^2 of all sets: some ten seconds for each round
HALVINGS = 40  # of the range of the linear predictor: by then a set is split as nearly as its risks allow


@dataclass(frozen=True, slots=True)
class Sets:
    """Rows (n,) sorted by set, controls first: `raw` columns (p, n), `x` about the mean of the set, whether a case.

    `start`, `size`, `cases`: (sets,) first row, rows and cases of each; `telling`: whether the likelihood depends on it;
    `cluster` (sets,) numbers from 0, or None.
    """

    raw: FloatArray
    x: FloatArray
    case: Any
    start: Any
    size: Any
    cases: Any
    telling: Any
    cluster: Any

    @property
    def of_row(self) -> Any:
        """(n,) set of each row."""
        return np.repeat(np.arange(len(self.size)), self.size)


def sets(design: FloatArray, case: Any, keys: tuple[Any, Any], method: Method) -> Sets | None:
    """From columns (p, n), cases (n,) and codes (n,) of the sets and clusters; None where a set lies in two clusters.

    A set without a case says nothing; one of cases alone neither in the exact form, whose approximations it enters.
    """
    code, cluster = keys
    order = np.lexsort((case, code))
    _, start, size = np.unique(code[order], return_index=True, return_counts=True)
    raw = np.ascontiguousarray(design[:, order])
    of_row = np.repeat(np.arange(len(size)), size)
    x = raw - (np.add.reduceat(raw, start, axis=1) / size)[:, of_row] if len(size) else raw.copy()
    x[np.abs(x) <= ROUNDING * np.abs(raw).max(axis=1, keepdims=True, initial=0.0)] = 0.0
    cases = np.add.reduceat(case[order].astype(np.intp), start) if len(size) else np.zeros(0, dtype=np.intp)
    own = None
    if cluster is not None:
        whole = np.unique(cluster, return_inverse=True)[1].reshape(-1)[order]
        own = whole[start]
        if not np.array_equal(own[of_row], whole):
            return None
    telling = (cases > 0) & (size > (cases if method == "exact" else 1))
    return Sets(raw, x, case[order], start, size, cases, telling, own)


def work(made: Sets) -> int:
    """Of a round of the exact form, in numbers worked on."""
    return int((made.size * made.cases)[made.telling].sum()) * len(made.x) ** 2


def counts(model: Model, made: Sets) -> dict[str, Any]:
    """Rows, cases, telling sets, sums behind implied cells of the rows in these, and sets that differ by a column."""
    rows = made.telling[made.of_row]
    raw, case = made.raw[:, rows], made.case[rows].astype(np.float64)
    terms = list(implied.terms(model.design))
    return {
        "n": made.case.size,
        "events": np.count_nonzero(made.case),
        "sets": np.count_nonzero(made.telling),
        "discordant": np.array([_differ(made, made.x[j]) for j in terms]).reshape(len(terms), 2).T,
        "marks": implied.marks(model.design, model.dictionary, raw, case),
    }


def _differ(made: Sets, x: FloatArray) -> IntArray:
    """(2,) telling sets whose cases have more, and less, of centred `x` (n,) than the set's mean."""
    own = np.bincount(made.of_row[made.case], weights=x[made.case], minlength=len(made.size))
    own[np.abs(own) <= 1e-9 * np.abs(x).max(initial=0.0)] = 0.0
    return np.array([np.count_nonzero((own > 0.0) & made.telling), np.count_nonzero((own < 0.0) & made.telling)])


def evidence(model: Model, made: Sets) -> Evidence:
    """Facts about the rows of sets that say something.

    Sets count as rows do in other models, in all and for each indicator; pairs that differ by one are cells. Those of cases
    alone, which enter the approximations, hide nobody: sets with a case and a control are counted apart.
    """
    telling = made.telling
    rows, number = telling[made.of_row], int(np.count_nonzero(telling))
    columns, x, case = made.raw[:, rows], made.x[:, rows], made.case[rows].astype(np.float64)
    found = indicators.design_evidence(model.design, columns, (model.event, case), indicators.leverage(x))
    both = telling & (made.cases < made.size)
    supports = {**found.supports, "sets that say something": np.array([number], dtype=np.int64)}
    supports["sets with a case and a control"] = np.array([np.count_nonzero(both)], dtype=np.int64)
    sides, cells = dict(found.sides), dict(found.cells)
    sides["sets that say nothing"] = np.array([len(telling) - number], dtype=np.int64)
    known = set()
    for name, mark in indicators.marked(model.design, columns):
        known.add(name)
        whole = np.zeros(made.case.size)
        whole[rows] = mark
        own = np.bincount(made.of_row, weights=whole, minlength=len(made.size)) / np.maximum(made.size, 1)
        varies = telling & (own > 0.0) & (own < 1.0)
        supports[f"sets that differ by {name}"] = np.array([np.count_nonzero(varies)], dtype=np.int64)
        cells[f"sets whose cases have more, or less, of {name}"] = _differ(made, whole - own[made.of_row])
    for column, values in zip(model.design.columns, x, strict=True):
        if column.name not in known:
            supports[f"spread of {column.name} within sets"] = np.array([unusual.spread(values)], dtype=np.int64)
    if made.cluster is not None:
        supports["clusters"] = np.array([np.unique(made.cluster[telling]).size], dtype=np.int64)
    fits = {"sets with a case and a control": (int(np.count_nonzero(both)), model.size)}
    own_rows = int(np.count_nonzero(rows))
    return replace(found, rows=own_rows, supports=supports, sides=sides, cells=cells, fits=fits)


@dataclass(frozen=True, slots=True)
class _Each:
    """Per set: log-likelihood (sets,), score (sets, p), information (sets, p, p)."""

    loglik: FloatArray
    score: FloatArray
    information: FloatArray


def sums(made: Sets, method: Method, params: Params) -> tuple[dict[str, Any], Weights]:
    """Log-likelihood, score and information; the weight of a set is its information over all columns."""
    size, scale = len(made.x), np.asarray(params["scale"])
    total: dict[str, Any] = {"loglik": 0.0, "score": np.zeros(size), "information": np.zeros((size, size))}
    heavy = [np.zeros(0)]
    for _, each in _by_shape(made, method, params):
        total["loglik"] += float(each.loglik.sum())
        total["score"] = total["score"] + each.score.sum(axis=0)
        total["information"] = total["information"] + each.information.sum(axis=0)
        heavy.append(np.maximum(np.einsum("sjj->s", each.information), 0.0))
    return total, weights_of(np.concatenate(heavy), len(scale))


def meat(made: Sets, method: Method, params: Params) -> tuple[dict[str, Any], Weights]:
    """Sum over clusters of u u', u the summed scores of a cluster's sets, and how many clusters there are."""
    score = np.zeros((len(made.size), len(made.x)))
    for at, each in _by_shape(made, method, params):
        score[at] = each.score
    told = made.telling
    found, code = np.unique(made.cluster[told], return_inverse=True)
    u = np.array([np.bincount(code.reshape(-1), weights=line, minlength=len(found)) for line in score[told].T])
    u = u.reshape(len(made.x), len(found))
    return {"meat": u @ u.T, "clusters": np.array([len(found)])}, sandwich.guard(u)


def _by_shape(made: Sets, method: Method, params: Params) -> Any:
    """(positions, `_Each`) of sets with as many rows and cases as each other, in pieces."""
    x = made.x / np.asarray(params["scale"])[:, None]
    x = params["rotation"] @ x if "rotation" in params else x
    coefficients = np.asarray(params["coefficients"])
    shapes = np.stack([made.size, made.cases], axis=1)[made.telling]
    for n, m in np.unique(shapes, axis=0).tolist():
        alike = np.flatnonzero(made.telling & (made.size == n) & (made.cases == m))
        step = max(1, CELLS // ((m + 1) * len(x) ** 2 + n * len(x)))
        for low in range(0, len(alike), step):
            at = alike[low : low + step]
            rows = made.start[at][:, None] + np.arange(n)[None, :]
            yield at, _METHODS[method](np.moveaxis(x[:, rows], 0, -1), coefficients, m)


def _exact(x: FloatArray, coefficients: FloatArray, cases: int) -> _Each:
    """Of columns (sets, n, p), the last `cases` rows of each set the cases."""
    count, n, size = x.shape
    eta = x @ coefficients
    eta = eta + _level(eta, cases)
    chosen, not_chosen = special.expit(eta), special.expit(-eta)
    x = x - np.einsum("sn,snp->sp", chosen, x)[:, None] / cases
    e, d, h = np.zeros((cases + 1, count)), np.zeros((cases + 1, count, size)), np.zeros((cases + 1, count, size, size))
    e[0] = 1.0
    for i in range(n):
        p, q, z = chosen[:, i], not_chosen[:, i], x[:, i]
        low, top = max(0, cases - n + i), min(i + 1, cases)  # fewer cannot become `cases` any more
        e0, d0, to = e[low:top], d[low:top], slice(low + 1, top + 1)
        both = (d0 + 0.5 * e0[..., None] * z)[..., None] * (p[:, None] * z)[:, None, :]
        both += np.swapaxes(both, -1, -2)  # an outer product and its transpose
        both += p[:, None, None] * h[low:top]
        d0 = p[:, None] * (d0 + e0[..., None] * z)
        e0 = p * e0
        for sums, more in ((h, both), (d, d0), (e, e0)):
            sums *= q.reshape(-1, *(1,) * (sums.ndim - 2))
            sums[to] += more
    whole, mean = e[cases], d[cases] / e[cases][:, None]
    information = h[cases] / whole[:, None, None] - mean[:, :, None] * mean[:, None, :]
    loglik = eta[:, n - cases :].sum(axis=1) - np.logaddexp(0.0, eta).sum(axis=1) - np.log(whole)
    return _Each(loglik, x[:, n - cases :].sum(axis=1) - mean, information)


def _level(eta: FloatArray, cases: int) -> FloatArray:
    """(sets, 1) what to add to the linear predictor (sets, n) so that `cases` rows, or nearly, are expected."""
    even = math.log(cases / (eta.shape[1] - cases))
    low, high = even - eta.max(axis=1, keepdims=True), even - eta.min(axis=1, keepdims=True)
    middle: FloatArray = (low + high) / 2
    for _ in range(HALVINGS):
        excess = special.expit(eta + middle).sum(axis=1, keepdims=True) - cases
        if float(np.abs(excess).max()) <= 0.5:
            break
        low, high = np.where(excess < 0.0, middle, low), np.where(excess < 0.0, high, middle)
        middle = (low + high) / 2
    return middle


def _tied(x: FloatArray, coefficients: FloatArray, cases: int, efron: bool) -> _Each:
    """Breslow's and Efron's approximations: m denominators of the whole set, less a share of its cases."""
    eta, n = x @ coefficients, x.shape[1]
    eta = eta - eta.max(axis=1, keepdims=True)
    risk = np.exp(eta)
    s0, s1 = risk.sum(axis=1), np.einsum("sn,snp->sp", risk, x)
    s2 = np.einsum("sn,snp,snq->spq", risk, x, x)
    r, z = risk[:, n - cases :], x[:, n - cases :]
    d0, d1, d2 = r.sum(axis=1), np.einsum("sn,snp->sp", r, z), np.einsum("sn,snp,snq->spq", r, z, z)
    loglik, score = eta[:, n - cases :].sum(axis=1), z.sum(axis=1)
    information = np.zeros_like(s2)
    for k in range(cases):
        share = k / cases if efron else 0.0
        m0 = s0 - share * d0
        mean = (s1 - share * d1) / m0[:, None]
        loglik = loglik - np.log(m0)
        score = score - mean
        information += (s2 - share * d2) / m0[:, None, None] - mean[:, :, None] * mean[:, None, :]
    return _Each(loglik, score, information)


_METHODS: Mapping[str, Any] = {
    "exact": _exact,
    "efron": lambda x, b, m: _tied(x, b, m, efron=True),
    "breslow": lambda x, b, m: _tied(x, b, m, efron=False),
}
