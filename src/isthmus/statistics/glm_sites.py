"""An intercept for each site of a `glm`, profiled out where its rows are.

Given the slopes a site solves its own intercepts, one for each combination of strata, and sends what is left: score
and information of columns centred, with the working weights, within their stratum, and the deviance. Sums over sites
are score and information of the slopes in the model with a factor of the site, eliminated exactly:
X'WX - X'W1 (1'W1)**-1 1'WX (Amemiya 1985, Advanced Econometrics, section 9.6.3). No intercept leaves. A stratum whose
outcome is all 0, or all 1, has none: its part of score, information and deviance tends to 0, and is 0 here. With columns
centred so, a row's and a cluster's part of the slopes' sandwich, and a row's leverage (of its own stratum's mean, and of
its slopes), are those of the model with the factor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.evidence import Evidence, Weights
from isthmus.model.errors import Invalid
from isthmus.statistics import coordinates, glm_flow, glm_kernel, glm_model, indicators, sandwich, unusual, weighting
from isthmus.statistics.contract import Flow, Round
from isthmus.statistics.families import Work
from isthmus.statistics.glm_evidence import glm_evidence
from isthmus.statistics.glm_intercepts import SEVERAL, Groups, Told, intercepts
from isthmus.statistics.glm_kernel import Params, Rows
from isthmus.statistics.glm_model import Model
from isthmus.statistics.glm_start import Start, outcome_place, rescaled, response_params
from isthmus.summary import Field, FloatArray, IntArray, Layout

ROUNDING = 2.0**-40  # of the largest value: a column constant within each stratum leaves no more than this
TOLD = "rows of strata that say something"


def check(model: Model) -> None:
    """Whether intercepts of sites can be profiled out.

    Raises:
        Invalid: E-FORMULA, E-LINK.
    """
    family = model.family
    if (family.base, family.link) in SEVERAL:
        text = f"{family.name} with link {family.link!r} takes no term `site` and no strata"
        hint = "an intercept of it may have two values: use another link, or fit a mixed model"
        raise Invalid("E-LINK", text, hint)
    if not model.size or model.design.intercept:
        raise Invalid("E-FORMULA", "a glm with sites has terms besides", "write `outcome ~ terms + site`")


def _prior(rows: Rows) -> FloatArray:
    return weighting.filled(rows.prior, rows.size)


def _telling(model: Model, rows: Rows) -> Groups:
    """Strata whose intercept is finite."""
    prior, stratum = _prior(rows), _stratum(rows)
    told = np.bincount(stratum, weights=prior) > 0.0
    if model.family.base != "gaussian":
        told &= np.bincount(stratum, weights=prior * rows.y) > 0.0
    if model.family.base == "binomial":
        told &= np.bincount(stratum, weights=prior * (1.0 - rows.y)) > 0.0
    return _groups(rows, told)


def _every(rows: Rows) -> Groups:
    """All strata with rows that weigh something."""
    return _groups(rows, np.bincount(_stratum(rows), weights=_prior(rows)) > 0.0)


def _stratum(rows: Rows) -> NDArray[np.intp]:
    return np.zeros(rows.size, dtype=np.intp) if rows.stratum is None else rows.stratum


def _groups(rows: Rows, of: NDArray[np.bool_]) -> Groups:
    """Rows with a weight of some strata, numbered anew."""
    stratum = _stratum(rows)
    kept = (_prior(rows) > 0.0) & of[stratum]
    code = (np.cumsum(of) - 1)[stratum[kept]]
    return Groups(slice(None) if kept.all() else kept, code, int(np.count_nonzero(of)))


@dataclass(frozen=True, slots=True)
class Profiled:
    """Telling rows at the site's own intercepts, columns centred within strata, and the parameters that fit them.

    `groups`: of the telling rows; `work` (n,): their residuals and weights, without prior weights.
    """

    rows: Rows
    params: dict[str, Any]
    groups: Groups
    work: Work

    def means(self, weight: FloatArray) -> FloatArray:
        """(p, strata) means of the columns under other weights (n,), in the coordinates of the round."""
        found = (
            self.groups.means(self.rows.columns, weight * _prior(self.rows)) / np.asarray(self.params["scale"])[:, None]
        )
        turned: FloatArray = self.params["rotation"] @ found if "rotation" in self.params else found
        return turned

    def bend(self) -> FloatArray:
        """(p, p) what makes the correction that of the slopes alone: observed information knows other means."""
        observed = self.work.weight + self.work.spare
        means = self.means(observed)
        found: FloatArray = -(means * self.groups.sums(observed * _prior(self.rows))) @ means.T
        return found


def profiled(model: Model, rows: Rows, params: Params) -> Profiled:
    """The telling rows at the intercepts that the slopes of a round leave."""
    groups = _telling(model, rows)
    prior, y = _prior(rows)[groups.kept], rows.y[groups.kept]
    offset = np.zeros(y.size) if rows.offset is None else rows.offset[groups.kept]
    if model.family.base == "gaussian":
        y, offset = y - offset, np.zeros(y.size)
        y = y - groups.spread(groups.means(y, prior))  # of a mean that is large beside the spread no digit is lost
    columns = _within(groups, rows.columns[:, groups.kept], prior)
    slopes = np.asarray(params["coefficients"]) * float(params["response_scale"])
    slopes = (slopes @ params["rotation"] if "rotation" in params else slopes) / np.asarray(params["scale"])
    base = slopes @ columns + offset
    base = base + groups.spread(intercepts(model.family, groups, Told(base, y, prior)))
    work = Work(np.empty(y.size), np.empty(y.size), np.empty(y.size))
    model.family.evaluate(base.copy(), y, None, work)
    columns = _within(groups, columns, work.weight * prior)
    cluster = None if rows.cluster is None else rows.cluster[groups.kept]
    made = Rows(columns, y, None if rows.prior is None else prior, base - slopes @ columns, cluster)
    whole = groups.sums(work.weight * prior)
    share = groups.spread(np.divide(1.0, whole, out=np.zeros_like(whole), where=whole > 0.0))
    share = np.broadcast_to(share, y.shape)
    return Profiled(made, {**params, "centre": np.zeros(model.size), "share": share}, groups, work)


def _within(groups: Groups, columns: FloatArray, weight: FloatArray) -> FloatArray:
    """Columns (p, n) less their weighted means within strata; 0 where only rounding is left of a column."""
    found = columns - groups.spread(groups.means(columns, weight))
    found[_largest(found) <= ROUNDING * _largest(columns)] = 0.0
    return found


def _largest(columns: FloatArray) -> FloatArray:
    """(p,) absolute values."""
    found: FloatArray = np.maximum(columns.max(axis=1, initial=0.0), -columns.min(axis=1, initial=0.0))
    return found


def guard(weights: Weights, rows: Rows) -> Weights:
    """Of a round: intercepts are parameters too."""
    return replace(weights, parameters=weights.parameters + intercepts_of(rows))


def intercepts_of(rows: Rows) -> int:
    """How many of this site are profiled out."""
    return _every(rows).count


def start_layout(model: Model) -> Layout:
    """As of a glm, and the number of strata with rows."""
    made = glm_model.start_layout(model)
    return Layout(fields=(*made.fields, Field(name="strata", shape=(1,), kind="count")))


def start_part(model: Model, rows: Rows, params: Params) -> tuple[dict[str, Any], Weights]:
    """A site's part of `start_layout`, slopes 0."""
    about = glm_kernel.centred(rows, params)
    here = profiled(model, about, {**params, "coefficients": np.zeros(model.size)})
    totals = glm_kernel.newton_sums(model.family, here.rows, here.params)
    outcome = glm_kernel.outcome_sums(model.family, about, float(params["response_scale"]))
    values = {"gram": totals.gram, "right": totals.score, "marks": glm_model.implied_columns(model, rows)}
    return {**values, **outcome, "strata": np.array([_every(rows).count])}, guard(totals.weights(), rows)


def fit(model: Model) -> Flow:
    """The flow of a glm, started from slopes of 0."""
    check(model)
    return (yield from glm_flow.fit(model, begin))


def begin(model: Model) -> glm_flow.Pooled:
    """The first round or two: (`Start`, rounds)."""
    place = coordinates.declared(model.design, model.dictionary).uncentred()
    about, unit = outcome_place(model)
    fixed = np.array([column.indicator for column in model.design.columns])
    for attempt in (1, 2):
        params = {"step": "start", **response_params(about, unit), **place.params()}
        pooled = yield Round(start_layout(model), params)
        sums = {name: float(pooled[name][0]) for name in (*glm_flow.SCALARS, "strata")}
        glm_flow.check_pooled(model, sums)
        gram = pooled["gram"]
        if model.family.base != "gaussian" and not bool(np.any(np.diag(gram) > 0.0)):
            text = f"outcome {model.outcome!r} and the terms do not both vary within a site"
            raise Invalid("E-NO-EVENTS", text, "leave the strata out")
        target = coordinates.recentred(place, gram / sums["weight"], fixed)
        turned = coordinates.settled(place, gram, target, model.design.names, again=attempt == 2)
        if turned is None:
            place = target
            continue
        start = Start(turned, np.zeros(model.size), unit, sums, pooled["marks"], about)
        return rescaled(start, model), attempt
    raise Invalid("E-COLLINEAR", "no start")


def evidence(model: Model, rows: Rows) -> Evidence:
    """As of a glm, with what the columns are within strata, over the rows of strata that say something.

    A site that says nothing would leave the answer to the others: minimum_count holds for the rows that do.
    """
    found, every, told = glm_evidence(model, rows), _every(rows), _telling(model, rows)
    fitted = model.size + max(every.count, 1)
    size = int(told.code.size)
    supports = dict(found.supports)
    supports[TOLD] = np.array([size], dtype=np.int64)
    found = replace(found, parameters=fitted, supports=supports, fits={TOLD: (size, model.size + told.count)})
    if not size:
        return found
    if "clusters" in supports:  # of those that say something
        cluster = None if rows.cluster is None else rows.cluster[told.kept]
        supports["clusters"] = sandwich.present(size, cluster, None)
    prior = _prior(rows)[told.kept]
    within = _within(told, rows.columns[:, told.kept], prior)
    ones = np.array([told.code == k for k in range(told.count)], dtype=np.float64)
    own = indicators.leverage(np.vstack([ones, within]) * np.sqrt(prior))
    found = replace(found, leverage=max(found.leverage, own))
    return found if every.count == 1 else _combinations(model, rows, (every, told), (found, within))


def _combinations(
    model: Model, rows: Rows, groups: tuple[Groups, Groups], before: tuple[Evidence, FloatArray]
) -> Evidence:
    """Strata inside the site as groups, as those of a Cox model: sizes, with each indicator and with the outcome.

    Of one or two people a stratum says what sets these apart; a number says only what it is within strata.
    """
    (every, told), (found, within) = groups, before
    supports, sides, cells = dict(found.supports), dict(found.sides), dict(found.cells)
    y = rows.y[every.kept]
    sides["strata"] = every.sums(np.ones(y.size)).astype(np.int64)
    known = indicators.marked(model.design, rows.columns[:, every.kept])
    sides |= {f"strata x {name}": _crossed(every, mark) for name, mark in known}
    numbers = {c.name: v for c, v in zip(model.design.columns, within, strict=True)}
    for name, _ in known:
        numbers.pop(name)
    two = unusual.two_values(y)
    if two is None:
        numbers[model.outcome] = _within(told, rows.y[None, told.kept], np.ones(told.code.size))[0]
    if two is not None or model.family.base in {"binomial", "poisson"}:
        cells[f"strata x {model.outcome}"] = _crossed(every, (y > (0.0 if two is None else two[0])).astype(np.float64))
    prior = None if rows.prior is None else rows.prior[told.kept]
    for name, values in numbers.items():
        supports[f"spread of {name} within strata"] = np.array([unusual.spread(values, prior)], dtype=np.int64)
    return replace(found, supports=supports, sides=sides, cells=cells)


def _crossed(groups: Groups, mark: FloatArray) -> IntArray:
    """(2 count,) rows of each stratum with and without a mark (n,) of 0 and 1."""
    return np.concatenate([groups.sums(mark), groups.sums(1.0 - mark)]).astype(np.int64)
