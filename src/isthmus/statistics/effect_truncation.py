"""Weights truncated at percentiles: below the first they become it, above the second likewise (`truncate` of `effect`).

The pooled percentiles are found by ballots (`cutting`) on public cuts of the log odds against a row's own arm, in which
the weight rises: 1 + exp(u) for ATE, among all people; exp(u) for ATT, among the control, for the treated weigh 1. One
more ballot asks which of the cuts nearest to each percentile take weight from nobody or from enough people, in effective
people, at every site and in each arm. So the answer is exact at cuts that are printed, beside the ends between which the
percentiles lie (type 7).
References: Cole & Hernan (2008), Am J Epidemiol 168:656; Lee, Lessler & Stuart (2011), PLoS ONE 6:e18174.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from isthmus.evidence import Counts
from isthmus.model.codebook import Variable
from isthmus.model.errors import Refused
from isthmus.statistics import cutting, effect_site, quantiles
from isthmus.statistics.contract import Answer, Estimate, Round
from isthmus.statistics.cutting import Counted, Cut
from isthmus.statistics.effect_site import Estimand, Rows
from isthmus.statistics.quantiles import Spot
from isthmus.statistics.show import number
from isthmus.summary import Field, FloatArray, IntArray, Layout, Summary

Probs: TypeAlias = tuple[float, float]
ODDS = Variable(type="number", range=(-8.0, 8.0))  # beyond lie weights of 3,000
STAGES = 4  # ballots on ever finer cuts
BESIDE = 4  # cells that are cut as well
OFFERED = 32  # cuts nearest to a percentile: a third of those beyond are effective people, as often as not


@dataclass(frozen=True, slots=True)
class Truncated:
    """Counts by group on the grid of log odds; of each percentile asked for, by `least` and `most`, its place among the edges."""

    at: Counted
    places: Mapping[str, int]
    estimand: str

    @property
    def cuts(self) -> dict[str, float]:
        """The weights that others become."""
        return {end: weight(self.at.grid.edges[k], self.estimand) for end, k in self.places.items()}


def weight(odds: float, estimand: str) -> float:
    """Of a row with these log odds against its own arm."""
    return math.exp(odds) + (1.0 if estimand == "ATE" else 0.0)


def asked(probs: Probs) -> dict[str, float]:
    """The percentiles at which something is cut."""
    return {end: p for end, p in zip(effect_site.CUTS, probs, strict=True) if 0.0 < p < 1.0}


def found(probs: Probs, estimand: str, start: Counted) -> Generator[Round, Summary, Truncated]:
    """The cuts. `start`: both arms, control first, on no cut at all.

    Raises:
        Refused: E-DISCLOSURE, no cut near a percentile has enough people on either side.
    """
    what, wanted = _what(estimand), asked(probs)
    begin = replace(start, counts=start.counts[: len(what.groups)])

    at = yield from cutting.refined(what, begin, lambda counts: _cells(counts, wanted.values()), STAGES)
    near = {end: _nearest(at.counts.sum(axis=0), p) for end, p in wanted.items()}
    offered = np.unique(np.concatenate(list(near.values())))
    if not offered.size:
        raise _uncut()
    edges = np.array(at.grid.edges)[offered]
    votes = yield Round(Layout(fields=(Field(name="cuts", shape=(edges.size,), kind="vote"),)), {"offered": edges})
    passed = set(offered[votes.values["cuts"] == 0].tolist())
    places: dict[str, int] = {}
    for end, line in near.items():
        left = [k for k in line.tolist() if k in passed and k > places.get("least", -1)]
        if not left:
            raise _uncut()
        places[end] = left[0]
    return Truncated(replace(at, rounds=at.rounds + 1), places, estimand)


def _what(estimand: str) -> Cut:
    return Cut("weights", ODDS, ("control",) if estimand == "ATT" else ("control", "treated"))


def _cells(counts: IntArray, probs: Iterable[float]) -> list[int]:
    """That hold a percentile, and some beside them towards the middle, where a cut needs fewer people to be even."""
    found: set[int] = set()
    for p in probs:
        spot = quantiles.spot(counts.sum(axis=0), p)
        if spot is not None:
            low, high = (0, BESIDE) if p < 0.5 else (BESIDE, 0)
            found |= set(range(max(spot.first - low, 0), min(spot.second + high + 1, counts.shape[1])))
    return sorted(found)


def _nearest(counts: IntArray, prob: float) -> Any:
    """Edges with people on either side whose shares of people below are the nearest, the nearest first; of equals those nearer to the percentile."""
    running = np.add.accumulate(counts)
    inside = np.flatnonzero((running[:-1] > 0) & (running[:-1] < running[-1]))
    spot = quantiles.spot(counts, prob)
    middle = 0.0 if spot is None else (spot.first + spot.second) / 2.0
    away = np.abs(inside + 0.5 - middle)
    return inside[np.lexsort((away, np.abs(running[inside] - prob * running[-1])))][:OFFERED]


def _uncut() -> Refused:
    return cutting.uncut("the weights", "people", "percentiles nearer to the middle, or a fixed `cap`")


def noted(made: Estimate, cut: Truncated) -> Estimate:
    """The estimate with what is shown of the cuts."""
    counts = {**made.counts, "weights": Counts("cells", cut.at.counts)}
    values = {**made.values, "truncated": cut}
    return replace(made, exactness="grid", rounds=made.rounds + cut.at.rounds, counts=counts, values=values)


# -- what people see --------------------------------------------------------------------------------------------------


def body(estimate: Estimate, probs: Probs) -> dict[str, Any]:
    """`grid` and `bound` of means; survival and the augmented ones have no bound."""
    return {"grid": {"edges": list(estimate.values["truncated"].cuts.values())}, "bound": _bound(estimate, probs)}


def shown(estimate: Estimate, probs: Probs) -> list[dict[str, Any]]:
    """Of each percentile: the weight that is cut `at`, the ends between which the percentile lies, the share of people `below`."""
    cut: Truncated = estimate.values["truncated"]
    running = np.add.accumulate(np.nan_to_num(_counts(estimate)).sum(axis=0))
    lines = []
    for end, prob in asked(probs).items():
        low, high = _ends(estimate, prob)[1]
        told = {"prob": prob, "at": cut.cuts[end], "from": number(low), "to": number(high)}
        lines.append({**told, "below": number(running[cut.places[end]] / running[-1])})
    return lines


def _counts(estimate: Estimate) -> FloatArray:
    """By arm and cell, as people see them."""
    return np.asarray(estimate.counts["weights"].values, dtype=np.float64)


def _ends(estimate: Estimate, prob: float) -> tuple[Spot, tuple[float, float]]:
    """The cells in which a percentile lies, and the least and largest weight that it can be."""
    cut: Truncated = estimate.values["truncated"]
    spot = quantiles.spot(cut.at.counts.sum(axis=0), prob) or Spot(0, len(cut.at.grid.edges), 0.0)
    spot = quantiles.widened(spot, _counts(estimate).sum(axis=0))
    edges = np.array([-math.inf, *cut.at.grid.edges, math.inf])
    low, high = (float(edges[k]) for k in (spot.first, spot.second + 1))
    return spot, (weight(low, cut.estimand), weight(high, cut.estimand) if math.isfinite(high) else math.inf)


def _bound(estimate: Estimate, probs: Probs) -> float | None:
    """What no mean, nor their difference, differs by more from that of weights cut at the percentiles; None if nothing says.

    With weights w here and w' there, m' - m = sum((w' - w) (y - m)) / sum(w'): of k people beyond a cut each weight differs
    by d at most, and the sum of their |y - m| is k times the farther end of a 0/1 outcome, else at most the root of k
    times the sum of all (y - m)**2. In two digits, rounded up: no more is told of the sums.
    """
    cut, found = estimate.values["truncated"], estimate.values
    means, moved, pulled = found["means"], np.zeros(2), np.zeros(2)
    for end, prob in asked(probs).items():
        spot, (low, high) = _ends(estimate, prob)
        here, place = cut.cuts[end], cut.places[end]
        apart = max(high - here, here - low)
        if not math.isfinite(apart):
            return None
        people = _beyond(_counts(estimate), end, (place, spot))
        moved += apart * people
        far = people * np.maximum(means, 1.0 - means) if found["binary"] else np.sqrt(people * found["spread"])
        pulled += apart * far
    left = found["weights"] - moved
    if not bool(np.all(left > 0.0)):
        return None
    return _rounded_up(float((pulled / left).sum()))


def _beyond(counts: FloatArray, end: str, at: tuple[int, Spot]) -> FloatArray:
    """(2,) treated and control whose weights may differ: those beyond the cut, or the percentile."""
    place, spot = at
    part = counts[:, min(place + 1, spot.first) :] if end == "most" else counts[:, : max(place, spot.second) + 1]
    people = part.sum(axis=1)[::-1]
    return people if people.size > 1 else np.append(0.0, people)


def _rounded_up(value: float) -> float:
    """To two digits."""
    if not value > 0.0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit) * unit:.2g}")


# -- at a site --------------------------------------------------------------------------------------------------------


def summarised(rows: Rows, estimand: Estimand, told: Round) -> Answer:
    """A site's part of the rounds that find the cuts."""
    params = told.params
    if "offered" in params:
        cuts = [weight(odds, estimand) for odds in np.asarray(params["offered"]).tolist()]
        uncut = effect_site.arms_uncut(rows, estimand, params)
        words = [[int(side.min()) for side in effect_site.beside_cut(uncut, cut).values()] for cut in cuts]
        blank = np.zeros(len(words), dtype=np.uint64)
        return Answer(Summary(told.layout, {"cuts": blank}), choices=(np.array(words, dtype=np.int64),))
    what = _what(estimand)
    at = effect_site.log_odds(rows, params)
    treated = rows.treated > 0.0
    kept = np.ones_like(treated) if len(what.groups) > 1 else ~treated
    odds, arm = np.where(treated, -at, at)[kept], treated[kept].astype(np.intp)
    return cutting.summarised(what, cutting.grouped(odds, arm, len(what.groups)), False, told)
