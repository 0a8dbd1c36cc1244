"""What people see of an effect: terms, weights and balance, strata, controls, curves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from isthmus.model.errors import Invalid
from isthmus.statistics import (
    effect_controls,
    effect_sensitivity,
    effect_strata,
    effect_survival,
    effect_truncation,
    kaplan_meier,
)
from isthmus.statistics.contract import Estimate, Setting
from isthmus.statistics.effect_question import Effect, outcome_name
from isthmus.statistics.inference import quantile, term_rows
from isthmus.statistics.show import counts, number, numbers, size
from isthmus.summary import FloatArray

LOG_RATIO = "log hazard ratio"
RISK_RATIO = "log ratio"


def _terms(estimate: Estimate, conf_level: float) -> list[dict[str, Any]]:
    means, covariance = estimate.values["means"], estimate.values["covariance"]
    names, found = ["mean[1]", "mean[0]", "difference"], [means[0], means[1], means[0] - means[1]]
    gradients = [np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([1.0, -1.0])]
    if estimate.values["binary"] and 0.0 < means[0] < 1.0 and 0.0 < means[1] < 1.0:
        odds = means / (1.0 - means)
        names += [RISK_RATIO, "log odds ratio"]
        found += [math.log(means[0] / means[1]), math.log(odds[0] / odds[1])]
        gradients += [np.array([1.0, -1.0]) / means, np.array([1.0, -1.0]) / (means * (1.0 - means))]
    errors = [math.sqrt(max(float(g @ covariance @ g), 0.0)) for g in gradients]
    return term_rows(names, np.array(found), np.array(errors), conf_level, None)


def _log_ratio(name: str, means: FloatArray, covariance: FloatArray) -> tuple[str, float, float]:
    """Of a 0/1 outcome: its name, log risk ratio and error.

    Raises:
        Invalid: E-NO-EVENTS, an arm without any; E-OUTCOME, it has one value.
    """
    if not bool(np.all(means > 0.0)):
        raise Invalid("E-NO-EVENTS", f"an arm has no case of {name!r}", "leave it out")
    gradient = np.array([1.0, -1.0]) / means
    error = math.sqrt(max(float(gradient @ covariance @ gradient), 0.0))
    if not error > 0.0:
        raise Invalid("E-OUTCOME", f"{name!r} does not vary in either arm", "leave it out")
    return name, math.log(means[0] / means[1]), error


def _calibration(question: Effect, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    found = estimate.values
    own = _log_ratio(outcome_name(question), found["means"], found["covariance"])
    controls = [_log_ratio(n, *pair) for n, pair in zip(question.negative_controls, found["controls"], strict=True)]
    return effect_controls.calibrated(own[1:], controls, setting.conf_level)


def report(question: Effect, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    """The body of the result."""
    if question.time is not None:
        ratio = _hazard_ratio(setting, estimate)
        beside = {"hazard_ratio": ratio, **_hazard_e_values(ratio, estimate.values["share"])}
        if question.strata:
            log_ratio, variance = estimate.values["hazard"]
            terms = term_rows([LOG_RATIO], np.array([log_ratio]), np.sqrt([variance]), setting.conf_level, None)
            body = _shared(question, setting, estimate, terms, beside)
        else:
            terms = _survival_terms(question, setting, estimate)
            body = _shared(question, setting, estimate, terms, beside) | _curves(question, setting, estimate)
        if question.truncate is None:
            return body
        return {**effect_truncation.body(estimate, question.truncate), **body, "bound": None}
    terms = _terms(estimate, setting.conf_level)
    fit = _risk_e_values(terms)
    strata = effect_strata.shown(estimate) if question.method == "stratified" else {}
    if strata:
        fit["strata"] = strata["strata"]
    if question.negative_controls:
        fit["calibration"] = _calibration(question, setting, estimate)
    body = _shared(question, setting, estimate, terms, fit)
    if question.truncate is not None:
        body |= effect_truncation.body(estimate, question.truncate)
        return body if question.method == "iptw" else {**body, "bound": None}
    return body | ({"error": "known", "grid": {"edges": strata["edges"]}, "bound": None} if strata else {})


def _risk_e_values(terms: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the log risk ratio, where the outcome is 0/1 and has one."""
    for term in terms:
        if term["term"] == RISK_RATIO:
            estimate, low, high = (math.exp(term[key]) for key in ("estimate", "conf_low", "conf_high"))
            return effect_sensitivity.e_values(estimate, low, high)
    return {"e_value": None, "e_value_limit": None}


def _hazard_e_values(ratio: dict[str, float], share: float) -> dict[str, Any]:
    found = [effect_sensitivity.risk_ratio(ratio[key], share) for key in ("estimate", "conf_low", "conf_high")]
    return effect_sensitivity.e_values(*found)


def weights(setting: Setting, estimate: Estimate) -> dict[str, Any]:
    """Effective people after weighting, of the people shown; balance before and after, over the unweighted standard deviation.

    Of equal weights they are the arm's people, whom the gate may have rounded: a share of these, never the exact number.
    """
    people = np.asarray(estimate.counts["arms"].values, dtype=np.float64) * estimate.values["effective"]
    found, names = estimate.values, setting.design.names if setting.design is not None else ()
    before, after = found["balance"]
    shown = zip(names, before.tolist(), after.tolist(), strict=True)
    return {
        "ess": {"treated": number(people[0]), "control": number(people[1])},
        "balance": [{"term": n, "before": b, "after": a} for n, b, a in shown if n != "(Intercept)"],
    }


def _shared(
    question: Effect, setting: Setting, estimate: Estimate, terms: list[dict[str, Any]], fit: dict[str, Any]
) -> dict[str, Any]:
    """What every effect shows."""
    found, names = estimate.values, setting.design.names if setting.design is not None else ()
    cut = question.truncate
    own = question.propensity == "site"  # coefficients of a site are its own
    return {
        "kind": estimate.kind,
        "exactness": estimate.exactness,
        "n": size(estimate.counts["n"]),
        "rounds": estimate.rounds,
        "terms": terms,
        "fit": {
            "method": question.method,
            "estimand": question.estimand,
            **({} if question.cap is None else {"cap": question.cap}),
            **({} if cut is None else {"truncation": effect_truncation.shown(estimate, cut)}),
            **weights(setting, estimate),
            **fit,
        },
        "propensity": None if own else dict(zip(names, found["propensity"].tolist(), strict=True)),
        "reference": dict(setting.design.reference) if setting.design is not None else {},
        "conf_level": setting.conf_level,
        "test": "z",
        "error": question.errors,
    }


# -- survival ---------------------------------------------------------------------------------------------------------


def _survival_terms(question: Effect, setting: Setting, estimate: Estimate) -> list[dict[str, Any]]:
    """Log hazard ratio, and of each time that the rules leave: survival of both arms and the difference of risks."""
    found = estimate.values["survival"]
    names, gradients, shown = [LOG_RATIO], [np.eye(len(found.estimates))[0]], [True]
    wanted = [(f"at {time:g}", time) for time in question.at]
    wanted += [] if question.tau is None else [(f"to {question.tau:g}", question.tau)]
    for k, (word, time) in enumerate(wanted):
        first, second = np.eye(len(found.estimates))[1 + 2 * k : 3 + 2 * k]
        mean = k >= len(question.at)
        names += [f"mean[1] {word}", f"mean[0] {word}"] if mean else [f"survival[1] {word}", f"survival[0] {word}"]
        names.append(f"difference {word}" if mean else f"risk difference {word}")
        gradients += [first, second, first - second if mean else second - first]
        shown += [_reached(setting, estimate, time)] * 3
    turn = np.array(gradients)
    errors = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", turn, found.covariance, turn), 0.0))
    told = np.array(shown)
    values, errors = np.where(told, turn @ found.estimates, np.nan), np.where(told, errors, np.nan)
    return term_rows(names, values, errors, setting.conf_level, None)


def _reached(setting: Setting, estimate: Estimate, time: float) -> bool:
    """Whether both curves are shown at the last step before `time`, and beyond it."""
    edges = () if setting.grid is None else setting.grid.edges
    k = effect_survival.last_step(edges, time)
    for arm in (0, 1):
        table = np.asarray(estimate.counts[f"curve:{arm}"].values, dtype=np.float64)
        there = np.isfinite(table).all(axis=0) & (table[0] > 0.0)
        alive = estimate.values["survival"].curves.alive[arm]
        ended = there & (alive <= 0.0)
        before = k < 0 or there[k] or bool(ended[: k + 1].any())
        beyond = there & (np.array(edges) >= time * (1.0 - 1e-12))
        if not before or not (bool(beyond.any()) or bool(ended[: k + 1].any())):
            return False
    return True


def _hazard_ratio(setting: Setting, estimate: Estimate) -> dict[str, float]:
    """As it is read."""
    middle, variance = (float(value) for value in estimate.values["hazard"])
    reach = quantile(setting.conf_level) * math.sqrt(max(variance, 0.0))
    return {k: math.exp(middle + s * reach) for k, s in (("estimate", 0.0), ("conf_low", -1.0), ("conf_high", 1.0))}


def _curves(question: Effect, setting: Setting, estimate: Estimate) -> dict[str, Any]:
    made: dict[str, Any] = {"curves": [_curve(question, setting, estimate, arm) for arm in (0, 1)]}
    if setting.grid is not None and not setting.grid.recorded:
        made |= {"grid": {"edges": list(setting.grid.edges)}, "bound": _bound(estimate.values["survival"])}
    return made


def _curve(question: Effect, setting: Setting, estimate: Estimate, arm: int) -> dict[str, Any]:
    """One arm's curve at the steps that are shown; counts are of people, survival of weights."""
    found, grid = estimate.values["survival"], setting.grid
    table = np.asarray(estimate.counts[f"curve:{arm}"].values, dtype=np.float64)
    kept = np.isfinite(table).all(axis=0) & (table[0] > 0.0)
    if grid is not None and grid.recorded:
        left = np.nonzero(kept & (table[1] + table[2] > 0.0))[0]
    else:
        left = np.arange(table.shape[1])
    time = np.array([] if grid is None else grid.edges)[left]
    alive, error = (np.where(kept, values[arm], np.nan)[left] for values in (found.curves.alive, found.errors))
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = kaplan_meier.interval(alive, error / alive, quantile(setting.conf_level), "log")
    blank = np.isnan(alive)
    return {
        "group": {question.treatment: "01"[1 - arm]},
        "n": size(estimate.counts[f"n:{arm}"]),
        "time": time.tolist(),
        "at_risk": counts(table[0][left]),
        "events": counts(table[1][left]),
        "censored": counts(table[2][left]),
        "survival": numbers(alive),
        "std_error": numbers(error),
        "conf_low": numbers(np.where(blank, np.nan, low)),
        "conf_high": numbers(np.where(blank, np.nan, high)),
        "median": kaplan_meier.median(time, alive),
    }


def _bound(found: effect_survival.Found) -> float:
    """As `kaplan_meier.bound`, of the weighted curves."""
    curves, worst = found.curves, 0.0
    for arm in (0, 1):
        risk, events = curves.risk[arm], curves.events[arm]
        censored = risk - np.append(risk[1:], found.outlasting[arm]) - events
        least = risk[risk > 0.0].min(initial=1.0)  # that function takes counts: 1 or more where there is anyone
        worst = max(worst, kaplan_meier.bound(np.array([risk, events, np.maximum(censored, 0.0)]) / least))
    return worst
