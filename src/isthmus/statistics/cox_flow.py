"""Newton's method for the partial likelihood over pooled sums: sites as strata, or one baseline for all."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from isthmus.evidence import Counts
from isthmus.model.errors import Invalid, Refused
from isthmus.statistics import coordinates, cox_model, cox_zph, implied, inference, linear, sandwich, weighting
from isthmus.statistics.contract import Estimate, Flow, Round
from isthmus.statistics.coordinates import Coordinates
from isthmus.statistics.cox_model import Model
from isthmus.statistics.cox_pooled import EventBlocks, RiskSets, cumulated, event_blocks
from isthmus.statistics.newton import MAX_ROUNDS, STEP, Step, diverged, largest_step, must_halve, newton_step
from isthmus.summary import FloatArray, IntArray, Summary


@dataclass(frozen=True, slots=True)
class At:
    """The likelihood at `coefficients` in the coordinates `place`."""

    place: Coordinates
    coefficients: FloatArray
    loglik: float
    score: FloatArray
    information: FloatArray
    deaths: float


@dataclass(frozen=True, slots=True)
class Found:
    """The last evaluation, its step taken, and the inverse of its information; the evaluation at 0; how many there were."""

    last: At
    inverse: FloatArray
    null: At
    evaluations: int


ALONE = 2.0**-40  # an event beside one other person adds log 2 to a log-likelihood
SILENT = 2.0**-50  # an event's information below it is rounding
FAINT = 2.0**-30  # squares an event below this keep fewer than 34 of the 64 fractional bits of a masked sum
Evaluate = Generator[Round, Summary, Any]


def fit_sites(model: Model) -> Flow:
    """Each site its own strata: summed log-likelihood, score and information."""
    place = coordinates.declared(model.design, model.dictionary).uncentred()
    counts: dict[str, int] = {}
    marks: list[FloatArray] = []
    died: list[float] = []
    copies: list[int] = []

    def evaluate(here: Coordinates, coefficients: FloatArray) -> Evaluate:
        params = {"step": "site", "coefficients": coefficients, **here.params()}
        pooled = yield Round(cox_model.site_layout(model, not counts), params)
        if not counts:
            counts.update(n=int(pooled["n"][0]), events=int(pooled["events"][0]))
            marks.append(pooled["marks"])
            check(model, counts["n"], counts["events"])
            died.append(float(pooled["events" if model.weighting is None else "event_weight"][0]))
            weighting.check_mean(died[0], counts["events"])
            copies.extend(_copies(model, pooled))
        return At(here, coefficients, float(pooled["loglik"][0]), pooled["score"], pooled["information"], died[0])

    found = yield from newton(model, place, evaluate)
    middle = yield from _meat(model, found, {"step": "site meat"})
    made = estimate(model, found, (counts["n"], counts["events"]), marks[0], found.evaluations, middle)
    made = _copied(made, copies, died[0])
    whole: Estimate = yield from _beside(model, found, made)
    return whole


def _copies(model: Model, pooled: Summary) -> list[int]:
    """How many rows all stand for, where weights count them."""
    return [int(pooled["copies"][0])] if model.copies else []


def _copied(made: Estimate, copies: list[int], died: float) -> Estimate:
    """With n and events of the rows that rows stand for; what is hidden is still held to the rows themselves."""
    if not copies:
        return made
    rows = {f"implied:{name}": Counts("implied", made.counts[name].values) for name in ("n", "events")}
    shown = {"n": Counts("size", np.array(copies)), "events": Counts("cells", np.array([round(died)]))}
    return replace(made, n=copies[0], counts={**made.counts, **rows, **shown})


def _beside(model: Model, found: Found, made: Estimate) -> Evaluate:
    """What is asked beside the fit, at its coefficients, with sites as strata."""
    params = {"coefficients": found.last.coefficients, **found.last.place.params()}
    rounds, values = made.rounds, dict(made.values)
    if model.zph is not None:
        asked = {"step": "site zph", **params, **cox_zph.told(model, model.zph)}
        if model.zph in cox_zph.CURVES:
            pooled = yield Round(cox_zph.curve_layout(model), {"step": "site curve"})
            asked["curve"], rounds = cox_zph.curve(model.zph, pooled, 1), rounds + 1
        pooled = yield Round(cox_zph.layout(model), asked)
        values["zph"] = cox_zph.tests(model, found.last.place, found.last.information, pooled)
        rounds += 1
    whole: Estimate = yield from _concordance(model, params, replace(made, rounds=rounds, values=values))
    return whole


def _concordance(model: Model, params: dict[str, Any], made: Estimate) -> Evaluate:
    """With the concordance of the linear predictor at `params` within sites, where it is asked for."""
    if not model.concordance:
        return made
    pooled = yield Round(cox_model.pairs_layout(), {"step": "site pairs", **params})
    concordant, discordant, tied = pooled["pairs"].tolist()
    whole = concordant + discordant + tied
    if whole == 0.0:
        return replace(made, rounds=made.rounds + 1)
    somers_d = (concordant - discordant) / whole
    asked = {"step": "site squares", **params, "count": whole, "somers_d": somers_d}
    pooled = yield Round(cox_model.squares_layout(), asked)
    found = {"concordance": (somers_d + 1.0) / 2.0, "concordance_error": math.sqrt(pooled["squares"][0])}
    return replace(made, rounds=made.rounds + 2, values={**made.values, **found})


@dataclass(frozen=True, slots=True)
class Middle:
    """Of the sandwich, and the clusters it is summed over (None: rows)."""

    meat: FloatArray
    clusters: IntArray | None


def _meat(model: Model, found: Found, params: dict[str, Any]) -> Evaluate:
    if not model.sandwich:
        return None
    params |= {"coefficients": found.last.coefficients, **found.last.place.params()}
    pooled = yield Round(cox_model.meat_layout(model), params)
    return Middle(pooled["meat"], None if model.cluster is None else sandwich.counted(model.cluster, pooled))


def fit_common(model: Model) -> Flow:
    """One baseline (per stratum of categories) over all sites, on the common grid."""
    place = coordinates.declared(model.design, model.dictionary)
    pooled = yield Round(cox_model.count_layout(model), {"step": "count", **place.params()})
    marks, blocks = pooled["marks"], event_blocks(model.strata, pooled)
    n, deaths = int(pooled["rows"].sum()), int(blocks.deaths.sum())
    check(model, n, deaths)
    weighting.check_mean(blocks.total, deaths)
    copies = _copies(model, pooled)
    place = centred(place, pooled["moments"] / float(n), model)
    sent = [0]
    latest: list[tuple[RiskSets, FloatArray]] = []

    def evaluate(here: Coordinates, coefficients: FloatArray) -> Evaluate:
        sent[0] += 1
        check_sequence(model, blocks, sent[0])
        base = {
            "coefficients": coefficients,
            "block_of": blocks.block_of,
            "blocks": len(blocks.deaths),
            **here.params(),
        }
        pooled = yield Round(cox_model.risk_layout(model, len(blocks.deaths)), {"step": "risk", **base})
        s0 = cumulated(blocks, pooled["s0"])
        if not bool(np.all(s0 > 0.0)):  # risks so far apart that the last risk set rounds to nothing
            raise diverged(here, coefficients, coefficients, model.design.names, f"event {model.event!r}")
        sets = RiskSets.of(model.ties, blocks, s0, pooled)
        if model.offset:
            sets = replace(sets, event_offset=float(pooled["event_offset"][0]))
        latest[:] = [(sets, coefficients)]
        gram = yield Round(cox_model.hazard_layout(model), {"step": "hazard", **base, **sets.hazards(sets.sums)})
        information = gram["gram"] - sets.squares(sets.sums)
        return At(here, coefficients, sets.loglik(coefficients), sets.score(), information, blocks.total)

    found = yield from newton(model, place, evaluate)
    params = {"step": "common meat", "block_of": blocks.block_of, "blocks": len(blocks.deaths)}
    middle = yield from _meat(model, found, params | latest[0][0].moments())
    made = estimate(model, found, (n, deaths), marks, 1 + 2 * found.evaluations, middle)
    made = _copied(made, copies, blocks.total)
    curve = cox_zph.curve(model.zph, pooled, model.strata) if model.zph in cox_zph.CURVES else None
    made = yield from _beside_common(model, found, latest[0], made, curve)
    params = {"coefficients": found.last.coefficients, **found.last.place.params()}
    whole: Estimate = yield from _concordance(model, params, made)
    return whole


def _beside_common(
    model: Model, found: Found, latest: tuple[RiskSets, FloatArray], made: Estimate, curve: FloatArray | None
) -> Evaluate:
    """What is asked beside the fit, with one baseline: at the coefficients that its risk sets were summed at."""
    sets, at = latest
    last, blocks, values, counts = found.last, sets.blocks, dict(made.values), dict(made.counts)
    edges = np.array(model.edges)[blocks.steps]
    if model.baseline:
        values["baseline"] = _baseline(sets, last.place, last.coefficients, edges)
        counts["baseline"] = Counts("cells", blocks.deaths[blocks.with_events].astype(np.int64))
    if model.zph is None:
        return replace(made, values=values, counts=counts)
    base = {"coefficients": at, "block_of": blocks.block_of, "blocks": len(blocks.deaths)}
    told = cox_zph.told(model, model.zph)
    g = cox_zph.of_time(edges, model.time, told) if curve is None else curve[blocks.steps]
    asked = {"step": "common zph", **base, **last.place.params(), **cox_zph.common_params(sets, g)}
    pooled = yield Round(cox_zph.layout(model), asked)
    sums = cox_zph.common_sums(sets, pooled, g)
    values["zph"] = cox_zph.tests(model, last.place, last.information, sums)
    return replace(made, rounds=made.rounds + 1, values=values, counts=counts)


def _baseline(sets: RiskSets, place: Coordinates, coefficients: FloatArray, edges: FloatArray) -> list[Any]:
    """Per event time: (stratum, time, cumulative hazard where all columns are 0)."""
    shift = math.exp(-linear.dot(place.raw(coefficients), place.centre))
    hazard = sets.hazards(sets.sums)["hazard"]
    found = [
        (stratum, float(hazard[k]) * shift)
        for stratum, (low, high) in enumerate(pairwise(sets.blocks.bounds))
        for k in range(low + 1, high)
    ]
    return [(stratum, time, value) for (stratum, value), time in zip(found, edges.tolist(), strict=True)]


def newton(model: Model, place: Coordinates, evaluate: Any) -> Evaluate:
    """`Found` at the largest likelihood, from 0; `evaluate(place, coefficients)` asks the rounds and returns `At`.

    Raises:
        Invalid: E-COLLINEAR, E-SEPARATED, E-CONVERGENCE.
    """
    null, place, used = yield from _first(model, place, evaluate)
    at: At = null
    before: FloatArray | None = None
    while used <= MAX_ROUNDS:
        step = _step(model, at, before)
        moved = at.coefficients + step.move
        if largest_step(step, at.place, 1.0) < STEP:
            return Found(replace(at, coefficients=moved), step.inverse, null, used)
        before, now, last = at.place.moved(at.coefficients, place), at.place.moved(moved, place), at.loglik
        at = yield from evaluate(place, now)
        used += 1
        while must_halve(-2.0 * at.loglik, -2.0 * last) and used <= MAX_ROUNDS:
            now = (now + before) / 2.0
            at = yield from evaluate(place, now)
            used += 1
    raise _no_end(model, at, before)


def _first(model: Model, place: Coordinates, evaluate: Any) -> Evaluate:
    """(evaluation at 0, coordinates from its information, evaluations): scaled again where columns (nearly) vanished."""
    now = np.zeros(model.size)
    null: At = yield from evaluate(place, now)
    _check_company(model, null)
    target = _rescaled(model, null)
    faint = bool(np.any(np.diag(null.information) < FAINT * null.deaths))
    if _definite(null.information) and not faint:
        return null, target, 1
    again = yield from evaluate(target, now)
    return again, _rescaled(model, again), 2


def _check_company(model: Model, null: At) -> None:
    """Whether events say anything: of one who is alone at risk the likelihood is 1 (with a weight it has no information).

    Raises:
        Invalid: E-NO-EVENTS.
    """
    alone = abs(null.loglik) < ALONE
    if model.weighting is not None:
        alone = bool(np.all(np.diag(null.information) < SILENT * null.deaths))
    if alone:
        differs = "" if model.weighting is None else " who differs"
        message = f"no event {model.event!r} happens beside another person at risk{differs}"
        raise Invalid("E-NO-EVENTS", message, "look at the times; strata of one person compare nothing")


def _definite(information: FloatArray) -> bool:
    try:
        linear.cholesky(information)
    except linear.Dependent:
        return False
    return True


def _rescaled(model: Model, at: At) -> Coordinates:
    """Scales and, where needed, a rotation from the information at 0."""
    fixed = np.array([column.indicator for column in model.design.columns])
    information = at.information / float(at.deaths)
    target = Coordinates(at.place.centre, coordinates.recentred(at.place, information, fixed).scale, intercept=False)
    if not _definite(information):
        return target
    return coordinates.rotated(target, coordinates.turned(information, at.place, target))


def _step(model: Model, at: At, before: FloatArray | None) -> Step:
    try:
        return newton_step(at.information, at.score)
    except linear.Dependent as error:
        if before is None:
            within = " within each of the strata" if model.steps == 0 or model.strata > 1 else ""
            raise linear.collinear(error, model.design.names, within) from error
        raise _no_end(model, at, before) from error


def _no_end(model: Model, at: At, before: FloatArray | None) -> Invalid:
    move = at.coefficients if before is None else at.coefficients - before
    return diverged(at.place, move, at.coefficients, model.design.names, f"event {model.event!r}")


def check(model: Model, n: int, deaths: int) -> None:
    """Whether there is anything to fit.

    Raises:
        Invalid: E-NO-ROWS, E-NO-EVENTS.
    """
    if n == 0:
        raise Invalid("E-NO-ROWS", "no row has all variables of this question", "look at `excluded`")
    if deaths == 0:
        raise Invalid("E-NO-EVENTS", f"no row has the event {model.event!r}", "nothing can be fitted to it")


def check_sequence(model: Model, blocks: EventBlocks, rounds: int) -> None:
    """Each round shows the pooled risk sets at another beta: leavers must outnumber what is said about them.

    DISCLOSURE (Cox, one baseline): rounds x (1 + p)(2 + p) / 2 numbers, so leavers > rounds x (p + 2) / 2. Late
    entries, where a block has any, and what they leave of a risk set are held to the same.
    """
    if model.open_rules:
        return
    need, entering = rounds * (model.size + 2) / 2.0, blocks.entering[blocks.entering > 0.0]
    if not all(bool(np.all(v > need)) for v in (blocks.leaving[blocks.with_events], entering, blocks.at_risk())):
        raise Refused(
            "E-DISCLOSURE",
            "risk sets of one baseline would be shown too often for their size",
            "use strata: [site], a coarser grid or fewer terms",
        )


def centred(place: Coordinates, means: FloatArray, model: Model) -> Coordinates:
    """Centre at the pooled means, scale by the pooled deviations, from first and second moments."""
    size = model.size
    gram = np.zeros((size + 1, size + 1))
    gram[0, 0] = 1.0
    gram[0, 1:] = means[0]
    gram[1:, 1:] = np.diag(means[1])
    with_ones = Coordinates(np.append(0.0, place.centre), np.append(1.0, place.scale), intercept=True)
    fixed = np.array([True, *(column.indicator for column in model.design.columns)])
    made = coordinates.recentred(with_ones, gram, fixed)
    return Coordinates(made.centre[1:], made.scale[1:], intercept=False)


def estimate(
    model: Model, found: Found, sizes: tuple[int, int], marks: FloatArray, rounds: int, middle: Middle | None
) -> Estimate:
    """From the last evaluation: (rows, events), sums behind implied cells, and the middle of a sandwich."""
    last, null = found.last, found.null
    inner = found.inverse if middle is None else linear.congruence(found.inverse, middle.meat)
    score = linear.solve(linear.cholesky(null.information), null.score)
    wald = linear.dot(last.coefficients, linear.product(last.information, last.coefficients))
    if middle is not None:  # as coxph: by the errors that are shown
        wald = inference.wald(last.coefficients, inner)
    n, events = sizes
    values = {
        "estimates": last.place.raw(last.coefficients),
        "vcov": last.place.covariance(inner),
        "fit": {
            "loglik": last.loglik,
            "loglik_null": null.loglik,
            "score": linear.dot(null.score, score),
            "wald": wald,
        },
    }
    counts = {
        "n": Counts("size", np.array([n])),
        "events": Counts("cells", np.array([events])),
        "non_events": Counts("implied", np.array([n - events])),
        **implied.implied_cells(model.design, marks, sizes),
    }
    if middle is not None and middle.clusters is not None:
        counts["clusters"] = Counts("size", middle.clusters)
    return Estimate(
        kind="cox",
        exactness=model.exactness,
        n=n,
        rounds=rounds if middle is None else rounds + 1,
        counts=counts,
        values=values,
        parameters=model.fitted,
    )
