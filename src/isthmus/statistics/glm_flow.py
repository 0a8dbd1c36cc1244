"""Fisher scoring over pooled sums: what every party runs between two rounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy import special

from isthmus.evidence import Counts
from isthmus.model.errors import Invalid
from isthmus.statistics import coordinates, glm_model, linear, sandwich, weighting
from isthmus.statistics.contract import Estimate, Flow, Round
from isthmus.statistics.coordinates import Coordinates
from isthmus.statistics.families import Family, null_deviance
from isthmus.statistics.glm_border import no_end
from isthmus.statistics.glm_model import Model
from isthmus.statistics.glm_null import NO_NULL, NullModel
from isthmus.statistics.glm_start import Start, outcome_place, rescaled, response_params
from isthmus.statistics.implied import implied_cells
from isthmus.statistics.newton import MAX_ROUNDS, STEP, Step, largest_step, must_halve, newton_step
from isthmus.summary import FloatArray, Summary

PERFECT = 1e-5  # residual over outcome, root mean squares: below this a gaussian fit is rounding
NEAR, SMALL = 0.1, 0.2  # standard errors, and change of the predictor, after which another model goes on
OBSERVE = 0.1  # standard errors: from a step this small on, observed information (STATISTICS.md)
LAST = 2.0**-46  # of a predictor: a step within the last bits of its sums
ROUNDED = 1e-13  # the same for a deviance of ratios, over the weights: differences of logarithms keep half the digits
DIGITS = 2.0**-36  # deviance over the sum of squares: of a smaller one HC2 and HC3 have fewer than nine digits
CONSTANT = 1e-28  # null deviance over the sum of squares: below this the outcome differs from its mean by rounding
Pooled = Generator[Round, Summary, Any]


@dataclass(frozen=True, slots=True)
class Fitted:
    """After the last scoring round, in coordinates of `start.place`.

    `inverse`: of the information, and the penalty where there is one; `parameters`: as degrees of freedom count them.
    """

    coefficients: FloatArray
    information: FloatArray
    inverse: FloatArray
    deviance: float
    dispersion: float
    null: float
    rounds: int
    parameters: float


def fit(model: Model, start_from: Callable[[Model], Pooled] | None = None) -> Flow:
    """The whole flow: start, scoring until the step is below 1e-10 standard errors, the sandwich where asked."""
    start, rounds = yield from (start_from or begin)(model)
    fitted = yield from score(model, start, rounds)
    if model.robust is None and model.cluster is None:
        return _estimate(model, start, fitted, None)
    meat, clusters = yield from middle(model, start, fitted.coefficients, fitted.inverse, parameters=fitted.parameters)
    found = _estimate(model, start, replace(fitted, rounds=fitted.rounds + 1), meat)
    return replace(found, counts={**found.counts, **clusters})


def middle(
    model: Model,
    start: Start,
    coefficients: FloatArray,
    inverse: FloatArray,
    more: Mapping[str, Any] = MappingProxyType({}),
    parameters: float | None = None,
) -> Pooled:
    """One round: the middle of the sandwich (p, p), and how many clusters there are; `more` parameters of the round;
    `parameters` of the model, where they are not those of `parameters_of`.

    HC2 and HC3 divide by what a row's leverage leaves, which is its site's own given the pooled `inverse` information.
    """
    power = {"HC2": 1, "HC3": 2}.get(model.robust or "")
    powers: dict[str, Any] = {} if power is None else {"power": power, "inverse": inverse}
    layout = sandwich.layout(model.size, model.cluster, power is not None)
    pooled = yield Round(layout, _params(start, "meat", coefficients) | powers | dict(more))
    if power is not None:
        sandwich.check_leverage(str(model.robust), model.design.names, pooled)
    fitted = parameters_of(model, start) if parameters is None else parameters
    return pooled["meat"] * _small_sample(model, start, fitted), sandwich.counts(model.cluster, pooled)


def _small_sample(model: Model, start: Start, parameters: float) -> float:
    """HC1's n / (n - p)."""
    count = rows_of(model, start)
    return count / (count - parameters) if model.robust == "HC1" else 1.0


def begin(model: Model) -> Pooled:
    """The first round or two: (`Start`, rounds)."""
    place = coordinates.declared(model.design, model.dictionary)
    place = place if model.design.intercept else place.uncentred()
    about, unit = outcome_place(model)
    fixed = np.array([column.indicator for column in model.design.columns])
    for attempt in (1, 2):
        params = {"step": "start", **response_params(about, unit), **place.params()}
        pooled = yield Round(glm_model.start_layout(model), params)
        sums = {name: float(pooled[name][0]) for name in SCALARS}
        check_pooled(model, sums)
        gram = pooled["gram"]
        target = coordinates.recentred(place, gram, fixed)
        turned = coordinates.settled(place, gram, target, model.design.names, again=attempt == 2)
        if turned is None:
            place = target
            continue
        first = place.moved(linear.solve(linear.cholesky(gram), pooled["right"]), turned)
        if model.family.bounded and model.design.intercept:
            first = at_mean(model, turned, sums)
        return rescaled(Start(turned, first, unit, sums, pooled["marks"], about), model), attempt
    raise Invalid("E-COLLINEAR", "no start")


SCALARS = ("n", "weight", "response", "square", "saturated", "log_response", "constant", "log_weight")


def at_mean(model: Model, place: Coordinates, sums: dict[str, float]) -> FloatArray:
    """Coefficients of the common mean, which lies where every link has one; R's starting values may not."""
    first = np.zeros(model.size)
    unit = 1.0 if place.rotation is None else float(place.rotation[0, 0])
    first[0] = model.family.predictor(sums["response"] / sums["weight"]) / unit
    return first


def _params(start: Start, step: str, coefficients: FloatArray) -> dict[str, Any]:
    return {"step": step, **start.response(), "coefficients": coefficients, **start.place.params()}


def approach(model: Model, start: Start, used: int) -> Pooled:
    """(coefficients near the fit, rounds used): where a model that goes on from there begins."""
    if model.family.base == "gaussian":  # least squares are the start
        return start.coefficients, used
    fitted = yield from score(model, start, used, NEAR)
    return fitted.coefficients, fitted.rounds


def score(model: Model, start: Start, used: int, until: float = STEP) -> Pooled:
    """Scoring rounds from `start` until the step is below `until`: `Fitted`; with another end than `STEP` no null model."""
    now, before, last, near = start.coefficients, None, math.inf, math.inf
    null = NullModel.begin(model, start) if until == STEP else NO_NULL
    halved, grams = 0, list[FloatArray]()
    for rounds in range(used + 1, MAX_ROUNDS + used + 1):
        params = _params(start, "newton", now) | null.params()
        pooled = yield Round(glm_model.newton_layout(model, bool(null.params())), params)
        deviance = float(pooled["deviance"][0])
        objective = deviance + start.penalised(now)
        if before is not None and must_halve(objective, last):
            now, halved = (now + before) / 2.0, halved + 1
            continue
        grams = [*grams[:1], pooled["gram"]]
        try:
            step = _step(model, start, pooled, now, near < OBSERVE)
        except linear.Dependent as error:  # columns were independent at the start: weights have vanished since
            raise no_end(model, start, (now, before), halved, grams) from error
        null = null.moved(pooled)
        parameters = _parameters(model, start, pooled["gram"], step.inverse)
        statistic = float(pooled["pearson"][0]) if model.family.pearson else deviance
        dispersion = _dispersion(model, start, statistic, parameters)
        near = largest_step(step, start.place, max(dispersion, _rounding(model, start)))
        near = 0.0 if _still(model, start, step.move, now) else near
        before, last, now = now, objective, now + step.move
        moves = until != STEP and bool(np.any(np.abs(start.place.raw(step.move) * start.place.scale) > SMALL))
        if near < until and null.settled and not moves:
            told = (now, pooled["gram"], step.inverse, deviance, dispersion, null.deviance)
            return Fitted(*told, rounds, parameters)
    raise no_end(model, start, (now, before), halved, grams)


def _step(model: Model, start: Start, pooled: Summary, now: FloatArray, near: bool) -> Step:
    """A scoring step; near the end of a link that is not canonical a Newton step, which does not slow down there.

    The inverse is always that of the expected information, as R's standard errors are.
    """
    gram, score = pooled["gram"], pooled["score"]
    if start.penalty is not None:
        gram, score = gram + np.diag(start.penalty), score - start.penalty * now
    step = newton_step(gram, score)
    if model.family.canonical or not near:
        return step
    try:
        return replace(step, move=newton_step(gram + pooled["correction"], score).move)
    except linear.Dependent:  # observed information need not be positive; expected information is
        return step


def _still(model: Model, start: Start, move: FloatArray, now: FloatArray) -> bool:
    """Whether a step is rounding, whatever the errors: those of an outcome that is fitted exactly are rounding too."""
    size, reach = (float(np.max(np.abs(start.place.raw(v) * start.place.scale))) for v in (move, now))
    return model.family.estimated and size <= LAST * max(reach, 1.0 if model.family.link == "log" else 0.0)


def rows_of(model: Model, start: Start) -> float:
    """n as degrees of freedom count it: a frequency weight counts its rows."""
    return start.sums["weight"] if model.weighting == "frequency" else start.sums["n"]


def parameters_of(model: Model, start: Start) -> int:
    """Coefficients, and intercepts that are profiled out."""
    return model.size + int(start.sums.get("strata", 0.0))


def _parameters(model: Model, start: Start, information: FloatArray, inverse: FloatArray) -> float:
    """What degrees of freedom count: with a penalty P the trace of I (I + P)**-1, I the information."""
    if start.penalty is None:
        return parameters_of(model, start)
    return linear.trace(linear.product(information, inverse))


def _dispersion(model: Model, start: Start, statistic: float, parameters: float) -> float:
    """Pearson's `statistic` (a gaussian's deviance) over the degrees of freedom."""
    return statistic / (rows_of(model, start) - parameters) if model.family.estimated else 1.0


def _rounding(model: Model, start: Start) -> float:
    """Smallest dispersion a step is measured by: a perfect fit leaves rounding alone, and no step gets below that."""
    sums = start.sums
    if model.family.base == "gaussian":
        return PERFECT**2 * sums["square"] / sums["weight"]
    return PERFECT**2 * max(1.0, _size_of(model, start)) if model.family.estimated else 0.0


def _size_of(model: Model, start: Start) -> float:
    """What a dispersion scales with where the outcome is rescaled: Poisson's is in its unit, inverse Gaussian in 1 over it."""
    size = start.sums["response"] / start.sums["weight"]
    return size ** {"poisson": 1, "inverse_gaussian": -1}.get(model.family.base, 0)


def check_pooled(model: Model, sums: dict[str, float]) -> None:
    """Whether there is something to fit.

    Raises:
        Invalid: E-NO-ROWS, E-TOO-MANY-TERMS, E-NO-EVENTS, E-OUTCOME.
    """
    name = repr(model.outcome)
    if sums["n"] == 0:
        raise weighting.no_rows(model.weighting)
    weighting.check_mean(sums["weight"], sums["n"])
    count = sums["weight"] if model.weighting == "frequency" else sums["n"]
    if count <= model.size + sums.get("strata", 0.0):
        raise Invalid("E-TOO-MANY-TERMS", "there are at least as many terms as rows", "use fewer terms")
    if model.family.base != "gaussian" and not sums["response"] > 0.0:
        raise Invalid("E-NO-EVENTS", f"outcome {name} is 0 in every row", "nothing can be fitted to it")
    if model.family.base == "binomial" and not sums["response"] < sums["weight"]:
        raise Invalid("E-OUTCOME", f"outcome {name} is 1 in every row", "nothing can be fitted to it")


def _estimate(model: Model, start: Start, fitted: Fitted, meat: FloatArray | None) -> Estimate:
    count = rows_of(model, start)
    unit = start.unit
    df = count - fitted.parameters
    dispersion = fitted.dispersion * unit**2
    if model.family.estimated and model.intercept and not fitted.null > _nothing(model, start):
        raise Invalid("E-OUTCOME", f"outcome {model.outcome!r} has one value only", "nothing can be fitted to it")
    _check_digits(model, start, fitted)
    middle = meat if meat is not None or start.penalty is None else fitted.information
    inner = fitted.inverse if middle is None else linear.congruence(fitted.inverse, middle)
    covariance = start.place.covariance(inner)
    spread = dispersion if meat is None else unit**2
    loglik = _loglik(model, start, fitted.deviance * unit**2, count) if model.family.likelihood else None
    parameters = fitted.parameters + (1 if model.family.estimated else 0)
    values = {
        "estimates": start.raw(fitted.coefficients),
        "vcov": covariance * spread,
        "df_residual": df,
        "test": "t" if model.family.estimated and meat is None else "z",
        "error": model.error,
        "fit": {
            "family": model.family.name,
            "link": model.family.link,
            "deviance": fitted.deviance * unit**2,
            "null_deviance": fitted.null * unit**2,
            "df_residual": int(df) if start.penalty is None else df,
            "df_null": int(count) - (1 if model.intercept else 0),
            "loglik": loglik,
            "aic": None if loglik is None else 2.0 * parameters - 2.0 * loglik,
            "dispersion": dispersion,
            "converged": True,
            **({} if start.penalty is None else {"ridge": model.ridge, "df": fitted.parameters}),
        },
        "null_parts": null_parts(model, start, fitted.null * unit**2),
    }
    return Estimate(
        kind="glm",
        exactness="exact",
        n=int(count),
        rounds=fitted.rounds,
        counts=counts(model, start, int(count)),
        values=values,
        parameters=parameters_of(model, start),
    )


def _check_digits(model: Model, start: Start, fitted: Fitted) -> None:
    """A gaussian outcome that nothing takes the constant of is far from 0 only if its residuals are too."""
    measured = model.family.base == "gaussian" and start.about is None
    if measured and fitted.deviance < DIGITS * start.sums["square"]:
        message = f"residuals of {model.outcome!r} are so small beside its size that standard errors lose their digits"
        raise Invalid("E-RANGE", message, "keep the intercept, or subtract a constant from it in `derive`")


def _nothing(model: Model, start: Start) -> float:
    """Null deviance of an outcome that differs from its mean by rounding."""
    sums = start.sums
    if model.family.base == "gaussian":
        return CONSTANT * (sums["square"] + sums["weight"] * ((start.about or 0.0) / start.unit) ** 2)
    return ROUNDED * sums["weight"] * _size_of(model, start)


def _loglik(model: Model, start: Start, deviance: float, count: float) -> float:
    """As R's `logLik`: gaussian, gamma and inverse gaussian at dispersion deviance / n, n the sum of weights."""
    sums = start.sums
    if model.family.base == "gaussian":
        if not deviance > 0.0:
            return math.inf
        log_weight = 0.0 if model.weighting == "frequency" else sums["log_weight"]
        return -0.5 * (count * (math.log(2.0 * math.pi * deviance / count) + 1.0) - log_weight)
    total, logs = sums["weight"], sums["log_response"]
    if model.family.base == "gamma":
        shape = total / deviance
        # sum of w (y / mu + log mu) is deviance / 2 + sum of w log y + sum of w
        return float(total * (shape * math.log(shape) - shape - special.gammaln(shape) - 0.5) - logs)
    if model.family.base == "inverse_gaussian":
        return -0.5 * (total * (math.log(2.0 * math.pi * deviance / total) + 1.0) + 3.0 * logs)
    return sums["constant"] - 0.5 * deviance


def counts(model: Model, start: Start, count: int) -> dict[str, Counts]:
    """Rows, events where they are counts, and the cells behind each indicator of an outcome with two values."""
    found = {"n": Counts("size", np.array([count]))}
    if model.family.base == "binomial" and model.weighting is None:
        events = round(start.sums["response"])
        found["events"] = Counts("cells", np.array([events]))
        found["non_events"] = Counts("implied", np.array([count - events]))
    elif model.family.base == "poisson" and model.weighting is None and start.sums["response"].is_integer():
        found["events"] = Counts("cells", np.array([int(start.sums["response"])]))
    return found | _implied(model, start.marks, round(start.sums["n"]))


def _implied(model: Model, marks: FloatArray, count: int) -> dict[str, Counts]:
    """The 2 x 2 cells behind each indicator, where the outcome has two values: what estimates give away."""
    total, squares, _ = marks[:, -1].tolist()
    if total != squares:
        return {}
    events = round(total)
    found = {f"implied:{model.outcome}": Counts("implied", np.array([events, count - events]))}
    return found | implied_cells(model.design, marks, (count, events))


def null_parts(model: Model, start: Start, null: float) -> dict[str, float] | None:
    """What the deviance of the common mean follows from, where it has a closed form in counts that are shown."""
    if model.null_needs_rounds or model.family.base not in {"binomial", "poisson"} or model.weighting is not None:
        return None
    sums = start.sums
    return {"n": sums["n"], "events": sums["response"], "logs": sums["saturated"] + sums["response"], "null": null}


def null_shown(family: Family, parts: Mapping[str, float], counts: Mapping[str, Counts]) -> float:
    """The deviance of the common mean, from the counts that the gate left: an exact one would give them back. Else NaN."""
    n, events = (float(counts[name].values[0]) for name in ("n", "events"))
    if (n, events) == (parts["n"], parts["events"]):
        return parts["null"]
    possible = events > 0.0 and (events < n or family.base == "poisson")
    return null_deviance(family, n, events, parts["logs"] - events) if possible else math.nan
