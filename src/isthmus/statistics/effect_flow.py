"""Effect of a treatment: propensity model, weighted or predicted means, and their joint sandwich, from pooled sums.

Every mean is a root of estimating equations stacked on those of the fitted models (Stefanski & Boos 2002): a row's
influence on it is its own term plus what its score in the models moves. So two rounds follow the fits, which run in
lockstep: sums of every outcome, then the squares of the influences at the pooled means.
Reference: Lunceford & Davidian (2004), Stat Med 23:2937; Robins, Rotnitzky & Zhao (1994), JASA 89:846.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from isthmus.evidence import Counts
from isthmus.model.errors import Invalid
from isthmus.statistics import (
    coordinates,
    effect_hazard,
    effect_survival,
    effect_truncation,
    glm_flow,
    linear,
    lockstep,
)
from isthmus.statistics.contract import Estimate, Flow, Grid, Round
from isthmus.statistics.cutting import Counted
from isthmus.statistics.effect_site import ARMS
from isthmus.statistics.effect_survival import Wish
from isthmus.statistics.glm_flow import Fitted, Pooled
from isthmus.statistics.glm_model import Model
from isthmus.statistics.glm_start import Start
from isthmus.summary import Field, FloatArray, Layout, Summary

NOUGHT = 1e-12  # a difference this small is rounding: overlap weights balance means exactly
Pair: TypeAlias = tuple[FloatArray, FloatArray]  # means of treated and control (2,), and their covariance (2, 2)
NO_MEANS: Pair = (np.zeros(2), np.zeros((2, 2)))

ABSURD = 2.0**20  # unit of an outcome in which an arm without the absurd value has hardly any squares
ROUNDING = 2.0**-40  # of a sum of squares: more than the square of a mean that is taken off loses
FEW = 2.0**-34  # of sums of squares: with 64 fractional bits less keeps fewer than nine digits


@dataclass(frozen=True, slots=True)
class Plan:
    """Public facts: the propensity model, the outcome models of the arms (or None), what is estimated.

    `controls` are the names of negative controls; `local`: each site has a propensity model of its own; `wish`: of a
    survival outcome, whose every time is its own step where `recorded`; `within`: the hazard ratio alone, within sites;
    `cap`: the largest weight; `truncate`: the percentiles that weights are cut at; `bounds`: low and width of the outcome's range.
    """

    propensity: Model
    outcome: Model | None
    name: str
    method: str
    estimand: str
    stacked: bool
    unit: float
    controls: tuple[str, ...] = ()
    local: bool = False
    wish: Wish | None = None
    recorded: bool = False
    within: bool = False
    cap: float | None = None
    truncate: effect_truncation.Probs | None = None
    bounds: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Fit:
    """One fitted model: where it began, where it ended, its parameters by name in later rounds."""

    start: Start
    fitted: Fitted
    params: Mapping[str, Any]


def weigh_layout(plan: Plan) -> Layout:
    """Weighted and unweighted sums by arm (see `effect_site.weighed`)."""
    size = plan.propensity.size
    return Layout(
        fields=(
            Field(name="sums", shape=(2, 5), kind="sum"),
            Field(name="moments", shape=(2, 2, 2, size), kind="moment"),
            Field(name="bends", shape=(2, 2, size), kind="score"),
            Field(name="binary", shape=(3,), kind="sum"),
        )
    )


def predict_layout(plan: Plan) -> Layout:
    """Predicted outcomes, summed; where models are stacked beneath, how these turn with their coefficients."""
    shape, fields = (2, plan.propensity.size), [Field(name="predicted", shape=(2,), kind="sum")]
    if plan.stacked:
        fields.append(Field(name="slopes", shape=shape, kind="score"))
    if plan.stacked and plan.method == "aipw" and not plan.local:
        fields.append(Field(name="bends", shape=shape, kind="score"))
    return Layout(fields=tuple(fields))


INFLUENCE = Layout(
    fields=(Field(name="squares", shape=(2, 2), kind="gram"), Field(name="totals", shape=(2,), kind="score"))
)


def run(plan: Plan) -> Flow:
    """Fits, cuts of the weights, sums, influences."""
    propensity, *fits = yield from _models(plan)
    base = _base(plan, propensity, *fits)
    if plan.truncate is None:
        return (yield from _answered(plan, propensity, fits, base))
    cuts = effect_truncation.found(plan.truncate, plan.estimand, uncut(propensity))
    cut = yield from lockstep.beside(cuts, {**base, "truncate": np.array(plan.truncate)})
    made = yield from _answered(plan, propensity, fits, {**base, **cut.cuts})
    return effect_truncation.noted(made, cut)


def _models(plan: Plan) -> lockstep.Asking[tuple[Fit, ...]]:
    """The propensity's, and where the outcome is modelled that of each arm, side by side."""
    own: list[Pooled] = []
    if plan.outcome is not None:
        treatment = plan.propensity.outcome
        for at, arm in enumerate(ARMS):
            own.append(fitted(plan.outcome, arm, f"the outcome model where {treatment!r} is {1 - at}"))
    return (yield from lockstep.every([propensity_model(plan), *own]))


def _answered(plan: Plan, propensity: Fit, fits: Sequence[Fit], base: dict[str, Any]) -> Flow:
    """What follows the fits."""
    if plan.outcome is not None:
        logit = {"logit": plan.outcome.family.base == "binomial"}
        return (yield from _modelled(plan, propensity, fits, base | logit))
    if plan.within:
        return (yield from _within_sites(plan, propensity, base))
    if plan.wish is not None:
        return (yield from _survival(plan, plan.wish, propensity, base))
    return (yield from _compared(plan, propensity, base))


def uncut(propensity: Fit) -> Counted:
    """Both arms on no cut at all, control first: what the fit has counted."""
    n, treated = (round(propensity.start.sums[name]) for name in ("n", "response"))
    return Counted(Grid((), recorded=False), np.array([[n - treated], [treated]], dtype=np.int64), 0)


def _compared(plan: Plan, propensity: Fit, base: dict[str, Any]) -> Flow:
    """Weighted means of the outcome and of every negative control."""
    outcomes = [base, *({**base, "of": i, "unit": 1.0} for i, _ in enumerate(plan.controls, start=1))]
    found = yield from lockstep.every([_weighed(plan, propensity, told) for told in outcomes])
    made = estimate(plan, propensity, *found[0], propensity.fitted.rounds + 2)
    counts = dict(made.counts)
    for name, (pooled, _) in zip(plan.controls, found[1:], strict=True):
        counts |= {f"{key} of {name}": c for key, c in _counts(plan, pooled).items() if c.kind == "implied"}
    return replace(made, counts=counts, values={**made.values, "controls": [pair for _, pair in found[1:]]})


def _base(plan: Plan, *fits: Fit) -> dict[str, Any]:
    """What rounds after the fits know."""
    base: dict[str, Any] = {"unit": plan.unit, "stacked": int(plan.stacked)}
    base |= {} if plan.cap is None else {"most": plan.cap}
    for fit in fits:
        base |= fit.params
    return base


def propensity_model(plan: Plan) -> Pooled:
    """The common model; or, where each site has its own, the coordinates alone in which balance is measured: a `Fit`."""
    if not plan.local:
        return (yield from fitted(plan.propensity, "ps ", "the propensity model"))
    start, used = yield from lockstep.beside(glm_flow.begin(plan.propensity), {"fit": "ps "})
    size = plan.propensity.size
    none = np.zeros((size, size))
    nothing = Fitted(np.zeros(size), none, none, 0.0, 1.0, 0.0, used, size)
    return Fit(start, nothing, {f"ps {key}": value for key, value in start.place.params().items()})


def _within_sites(plan: Plan, propensity: Fit, base: dict[str, Any]) -> Flow:
    """The hazard ratio with sites as strata, balance in its first round."""
    base["ps inverse"] = propensity.fitted.inverse
    ratio = lockstep.tallied(effect_hazard.run(plan.propensity.size, base, _stacked(plan)))
    weigh = Round(weigh_layout(plan), {"step": "weigh", **base})
    (found, rounds), pooled = yield from lockstep.both(ratio, lockstep.once(weigh))
    made = estimate(plan, propensity, pooled, NO_MEANS, propensity.fitted.rounds + rounds)
    return replace(made, values={**made.values, "hazard": found})


def _stacked(plan: Plan) -> str:
    """What the errors of a hazard ratio are stacked on."""
    return ("site" if plan.local else "common") if plan.stacked else "no"


def _survival(plan: Plan, wish: Wish, propensity: Fit, base: dict[str, Any]) -> Flow:
    """Weighted curves and what follows from them, balance in their first round."""
    base["ps inverse"] = propensity.fitted.inverse
    weighted = effect_survival.run(wish, plan.propensity.size, base, _stacked(plan))
    weigh = Round(weigh_layout(plan), {"step": "weigh", **base})
    found, pooled = yield from lockstep.both(weighted, lockstep.once(weigh))
    made = estimate(plan, propensity, pooled, NO_MEANS, propensity.fitted.rounds)
    leaving = found.people.sum(axis=1)
    risk = np.add.accumulate(leaving[:, ::-1], axis=1)[:, ::-1] + found.beyond[:, None]
    curves = {}
    for arm in (0, 1):
        table = np.array([risk[arm], *found.people[arm]]).astype(np.int64)
        curves[f"curve:{arm}"] = Counts("survival", table)
        curves[f"n:{arm}"] = Counts("size", table[0, :1])
    return replace(
        made,
        exactness="exact" if plan.recorded else "grid",
        rounds=made.rounds + found.rounds,
        counts={**made.counts, **curves},
        values={**made.values, "survival": found, "hazard": (found.estimates[0], found.covariance[0, 0])},
    )


def _weighed(plan: Plan, propensity: Fit, base: Mapping[str, Any]) -> Generator[Round, Summary, tuple[Summary, Pair]]:
    """Weighted means of one outcome, and their covariance, in its unit."""
    pooled = yield Round(weigh_layout(plan), {"step": "weigh", **base})
    sums = pooled["sums"]
    means = sums[:, 4] / sums[:, 2]
    turns = _turns(plan, propensity, pooled, means)
    last = yield Round(INFLUENCE, {"step": "influence", **base, "means": means, "turns": turns})
    return pooled, (means, last["squares"] / np.outer(sums[:, 2], sums[:, 2]))


def _modelled(plan: Plan, propensity: Fit, fits: Sequence[Fit], base: dict[str, Any]) -> Flow:
    """Means of predicted (augmented) outcomes: sums, then influences."""
    rounds = max(fit.fitted.rounds for fit in (propensity, *fits)) + 2
    sums = (("weigh", weigh_layout(plan)), ("predict", predict_layout(plan)))
    pooled, found = yield from lockstep.at_once([Round(layout, {"step": step, **base}) for step, layout in sums])
    arms = pooled["sums"][:, 0]
    n = float(arms[0] if plan.estimand == "ATT" else arms.sum())
    if not n > 0.0:
        raise one_group(plan)
    means = found["predicted"] / n
    asked: dict[str, Any] = {"step": "influence", **base, "means": means}
    if plan.stacked:
        through = [linear.product(fit.fitted.inverse, found["slopes"][i]) for i, fit in enumerate(fits)]
        asked["model turns"] = np.array(through)
    if "bends" in found.values:
        asked["turns"] = np.array([linear.product(propensity.fitted.inverse, one) for one in found["bends"]])
    last = yield Round(INFLUENCE, asked)
    return estimate(plan, propensity, pooled, (means, last["squares"] / (n * n)), rounds)


def fitted(model: Model, name: str, told: str) -> Pooled:
    """One model, its rounds and parameters tagged with `name`: a `Fit`. An error says which model it is, as `told`."""
    try:
        start, used = yield from lockstep.beside(glm_flow.begin(model), {"fit": name})
        fitted = yield from lockstep.beside(glm_flow.score(model, start, used), {"fit": name})
    except Invalid as error:
        raise Invalid(error.code, f"{told}: {error.message}", error.hint) from error
    stated = {"coefficients": fitted.coefficients, **start.response(), **start.place.params()}
    return Fit(start, fitted, {f"{name}{key}": value for key, value in stated.items()})


def _turns(plan: Plan, propensity: Fit, pooled: Summary, means: FloatArray) -> FloatArray:
    """(2, p): how each weighted sum moves with a row's score in the propensity model; 0 for weights taken as known."""
    bends = pooled["bends"]
    if not plan.stacked:
        return np.zeros_like(bends[:, 0])
    moved = bends[:, 1] - means[:, None] * bends[:, 0]
    return np.array([linear.product(propensity.fitted.inverse, one) for one in moved])


def estimate(
    plan: Plan, propensity: Fit, pooled: Summary, found: tuple[FloatArray, FloatArray], rounds: int
) -> Estimate:
    """From the propensity model, the round of weighted sums, and means with their covariance."""
    sums = pooled["sums"]
    n = int(sums[:, 0].sum())
    means, covariance = found[0] * plan.unit, found[1] * plan.unit**2
    if not bool(np.all(sums[:, 0] > 0.0)):
        raise one_group(plan)
    if plan.unit > ABSURD and bool(np.any(np.diag(found[1]) * n * n < FEW)):
        hint = "look for absurd values, such as codes of missing ones"
        raise Invalid("E-RANGE", f"values of {plan.name!r} are so far apart that an arm's error loses its digits", hint)
    values = {
        "means": means,
        "covariance": covariance,
        "weights": sums[:, 2],
        "spread": _spread(pooled["binary"], n, plan, means),
        "effective": sums[:, 2] ** 2 / (sums[:, 3] * sums[:, 0]),
        "balance": balance(pooled["moments"], sums),
        "propensity": propensity.start.place.raw(propensity.fitted.coefficients),
        "binary": bool(pooled["binary"][0] == pooled["binary"][1]),
        "share": float(pooled["binary"][0]) / n,
    }
    return Estimate("effect", "exact", n, rounds, _counts(plan, pooled), values, parameters=plan.propensity.size)


def _spread(marks: FloatArray, n: int, plan: Plan, means: FloatArray) -> FloatArray:
    """(2,) sums of squares of all outcomes about the mean of each arm, or a little more."""
    low, width = plan.bounds
    total, squares = marks[:2]
    mean = (means - low) / width
    left = np.maximum(squares - 2.0 * mean * total + n * mean * mean, 0.0)
    spread: FloatArray = (left + ROUNDING * squares) * width**2
    return spread


def one_group(plan: Plan) -> Invalid:
    """The error for an arm without anyone."""
    return Invalid("E-ONE-GROUP", f"{plan.propensity.outcome!r} has one value only", "compare treated with control")


def _counts(plan: Plan, pooled: Summary) -> dict[str, Counts]:
    arms = np.rint(pooled["sums"][:, 0]).astype(np.int64)
    found = {"n": Counts("size", np.array([int(arms.sum())])), "arms": Counts("size", arms)}
    total, squares, treated = pooled["binary"].tolist()
    if total == squares:  # two values: weighted means of similar people give the cells back, nearly
        hit = np.array([round(treated), round(total - treated)])
        found["implied:outcome"] = Counts("implied", np.concatenate([hit, arms - hit]))
    return found


def balance(moments: FloatArray, sums: FloatArray) -> FloatArray:
    """(2, p) standardised mean differences before and after weighting, both over the unweighted standard deviation.

    The variance is that of each arm (n - 1), averaged, as Austin (2009), Stat Med 28:3083.
    """
    n, w = sums[:, 0][:, None], sums[:, 2][:, None]
    plain, weighted = moments[:, 0, 0] / n, moments[:, 1, 0] / w
    variance = (moments[:, 0, 1] - n * plain * plain) / np.maximum(n - 1.0, 1.0)
    spread = np.sqrt(np.maximum((variance[0] + variance[1]) / 2.0, 0.0))
    safe = np.where(spread > 0.0, spread, 1.0)
    found = np.array([np.where(spread > 0.0, (m[0] - m[1]) / safe, 0.0) for m in (plain, weighted)])
    return np.where(np.abs(found) > NOUGHT, found, 0.0)


def outcome_unit(name: str, model: Model) -> float:
    """Scale of the outcome in the sums: 1 for shares, else that of its declared range."""
    return coordinates.variable_scale(name, model.dictionary)[1]
