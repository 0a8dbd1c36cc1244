"""Weights, sums and influence values of a treatment effect at one site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy import special

from isthmus.evidence import Evidence, Weights, of_squares, weights_of, worst
from isthmus.statistics import unusual
from isthmus.statistics.effect_local import Local
from isthmus.summary import FloatArray, IntArray

Estimand = Literal["ATE", "ATT", "ATO"]
Params = Mapping[str, Any]
ARMS = ("treated ", "control ")
CUTS = ("least", "most")  # parameters: weights beyond become it
ENDS = 2.0**-40  # a propensity nearer to 0 or 1 gives a weight that no rule would pass


@dataclass(frozen=True, slots=True)
class Rows:
    """One site's rows: `columns` (p, n) of the adjustment, treatment and outcome (n,), negative controls (n,) each.

    With a survival outcome `outcome` is the event (0 or 1) at `time`. `local`: the site's own propensity model, if it has one.
    """

    columns: FloatArray
    treated: FloatArray
    outcome: FloatArray
    controls: tuple[FloatArray, ...] = ()
    time: FloatArray = field(default_factory=lambda: np.zeros(0))
    local: Local | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """Propensity (n,), weights of treated and control (2, n), and their derivatives by the linear predictor (2, n)."""

    propensity: FloatArray
    weights: FloatArray
    slopes: FloatArray


def turned(columns: FloatArray, params: Params, prefix: str) -> FloatArray:
    """Columns (p, n) in the coordinates of a fit whose parameters are named `prefix` and so on."""
    centre, scale = np.asarray(params[f"{prefix}centre"]), np.asarray(params[f"{prefix}scale"])
    z: FloatArray = (columns - centre[:, None]) / scale[:, None]
    return z if f"{prefix}rotation" not in params else params[f"{prefix}rotation"] @ z


def predictor(columns: FloatArray, params: Params, prefix: str) -> FloatArray:
    """Linear predictor (n,) of that fit."""
    found: FloatArray = np.asarray(params[f"{prefix}coefficients"]) @ turned(columns, params, prefix)
    scale, centre = (float(params.get(f"{prefix}response_{name}", d)) for name, d in (("scale", 1.0), ("centre", 0.0)))
    return found * scale + centre


def scored(rows: Rows, estimand: Estimand, params: Params) -> Score:
    """Hajek weights by estimand: ATE 1/e and 1/(1-e), ATT 1 and e/(1-e), overlap (ATO) 1-e and e; from `least` to `most`.

    Nobody's weight of 1 moves. Reference: Li, Morgan & Zaslavsky (2018), JASA 113:390.
    """
    e = np.clip(special.expit(log_odds(rows, params)), ENDS, 1.0 - ENDS)
    odds, spread = e / (1.0 - e), e * (1.0 - e)
    if estimand == "ATE":
        weights, slopes = (1.0 / e, 1.0 / (1.0 - e)), (-1.0 / odds, odds)
    elif estimand == "ATT":
        weights, slopes = (np.ones_like(e), odds), (np.zeros_like(e), odds)
    else:
        weights, slopes = (1.0 - e, e), (-spread, spread)
    w, slope = np.array(weights), np.array(slopes)
    limits = [float(params.get(end, d)) for end, d in zip(CUTS, (0.0, np.inf), strict=True)]
    cut = _cut_arms(estimand)
    slope[cut] = np.where((w[cut] > limits[0]) & (w[cut] < limits[1]), slope[cut], 0.0)
    w[cut] = np.clip(w[cut], limits[0], limits[1])
    return Score(e, w, slope)


def log_odds(rows: Rows, params: Params) -> FloatArray:
    """Linear predictor (n,) of the propensity, whichever model it is of."""
    return predictor(rows.columns, params, "ps ") if rows.local is None else rows.local.predictor


def _cut_arms(estimand: Estimand) -> slice:
    """Whose weights are cut: of ATT the control's."""
    return slice(1, 2) if estimand == "ATT" else slice(0, 2)


def cut_off(rows: Rows, estimand: Estimand, params: Params) -> Evidence:
    """Who a cut takes weight from, and who keeps less than it, in each arm: nobody, or enough people.

    Asked with another cut, or with none, the sums differ by what these weights exceed it, times the outcome: of all cuts
    that is shared out least evenly where the other is without end. Beside unweighted sums it is what they fall short. The
    other of two cuts evens these gaps out (they are cut as well), so each is looked at as if it were alone.
    """
    ends = [end for end in CUTS if end in params]
    uncut = arms_uncut(rows, estimand, params) if ends else {}
    sides = {
        f"{name} the cut at {end}": side for end in ends for name, side in beside_cut(uncut, float(params[end])).items()
    }
    return Evidence(rows=rows.treated.size, sides=sides)


def arms_uncut(rows: Rows, estimand: Estimand, params: Params) -> dict[str, FloatArray]:
    """Weights that a cut may be of, by arm, as they are without any."""
    cut = _cut_arms(estimand)
    whole = scored(rows, estimand, {key: value for key, value in params.items() if key not in CUTS}).weights
    inside = arms(rows)[cut] > 0.0
    return {arm: w[kept] for arm, w, kept in zip(ARMS[cut], whole[cut], inside, strict=True)}


def beside_cut(uncut: Mapping[str, FloatArray], cut: float) -> dict[str, IntArray]:
    """Of each arm those above a cut, and below: their number, and effective people of what lies between."""
    found = {}
    for arm, weights in uncut.items():
        for name, gap in (("above", weights - cut), ("below", cut - weights)):
            part = gap[gap > 0.0]
            found[f"{arm}weights {name}"] = np.array([part.size, unusual.effective(part)], dtype=np.int64)
    return found


def columns_of(rows: Rows, params: Params) -> FloatArray:
    """Columns (p, n) in the coordinates of the propensity model, whichever it is."""
    return turned(rows.columns, params, "ps ") if rows.local is None else rows.local.columns


def arms(rows: Rows) -> FloatArray:
    """(2, n): 1 where treated, then where control."""
    return np.array([rows.treated, 1.0 - rows.treated])


def weighed(rows: Rows, estimand: Estimand, params: Params) -> tuple[dict[str, Any], Weights]:
    """Per arm: n, sums of y, w, w**2, w y; moments of the columns unweighted and weighted; what each weight's slope adds."""
    at, inside = scored(rows, estimand, params), arms(rows)
    z, y = columns_of(rows, params), rows.outcome / float(params["unit"])
    values, guard = weighted(rows, at.weights * inside, params)
    if rows.local is not None:
        return {**values, "bends": np.zeros((2, 2, len(z)))}, guard  # what its weights' slopes add stays at the site
    slope = at.slopes * inside
    return {**values, "bends": np.array([[z @ one, z @ (one * y)] for one in slope])}, guard


def weighted(rows: Rows, w: FloatArray, params: Params) -> tuple[dict[str, Any], Weights]:
    """Those sums and moments for weights (2, n) that are 0 outside each arm, and their guard."""
    inside, y = arms(rows), rows.outcome / float(params["unit"])
    sums = np.array([inside.sum(axis=1), inside @ y, w.sum(axis=1), (w * w).sum(axis=1), w @ y]).T
    plain = (rows.columns - np.asarray(params["ps centre"])[:, None]) / np.asarray(params["ps scale"])[:, None]
    moments = [
        [[v @ plain.T, v @ np.square(plain).T] for v in (one, mine)] for one, mine in zip(inside, w, strict=True)
    ]
    return {"sums": sums, "moments": np.array(moments)}, _each(w, len(rows.columns))


def _each(weights: FloatArray, parameters: int) -> Weights:
    """The guard of both arms' weights (2, n), for a sum leaves of each: an arm never hides behind the other."""
    return worst(weights_of(one, parameters) for one in weights)


def influence(rows: Rows, estimand: Estimand, method: str, params: Params) -> tuple[dict[str, Any], Weights]:
    """Sums of h1**2, h0**2 and h1 h0, h a row's influence on the mean of each arm times its denominator; and of h."""
    inside, unit = arms(rows), float(params["unit"])
    means = np.asarray(params["means"])[:, None]
    y = rows.outcome / unit
    if method == "iptw":
        at = scored(rows, estimand, params)
        gap, z, turns = rows.treated - at.propensity, columns_of(rows, params), params["turns"]
        if rows.local is not None and params["stacked"]:
            turns = ((at.slopes * inside * (y - means)) @ z.T) @ rows.local.inverse
        h = at.weights * inside * (y - means) + (turns @ z) * gap
    else:
        h = augmented(rows, estimand, method, params) - among(rows, estimand) * means
        h += through_models(rows, estimand, method, params)
    size, parameters = h * h, len(rows.columns)
    guard = worst((weights_of(size.sum(axis=0), parameters), of_squares(_each(size, parameters))))
    return {"squares": h @ h.T, "totals": h.sum(axis=1)}, guard


def among(rows: Rows, estimand: Estimand) -> FloatArray:
    """(n,) 1 for those whose mean outcomes are wanted, all or the treated; else 0."""
    return rows.treated if estimand == "ATT" else np.ones_like(rows.treated)


def augmented(rows: Rows, estimand: Estimand, method: str, params: Params) -> FloatArray:
    """(2, n) predicted outcome under treatment and control of those it is wanted of, in `unit`; for `aipw` with the weighted residual added.

    Reference: for the treated, Mercatanti & Li (2014), Ann Appl Stat 8:2485.
    """
    predicted = np.array([_mean(rows, params, arm) for arm in ARMS])
    wanted: FloatArray = among(rows, estimand) * predicted
    if method != "aipw":
        return wanted
    at = scored(rows, estimand, params)
    y = rows.outcome / float(params["unit"])
    found: FloatArray = wanted + at.weights * arms(rows) * (y - predicted)
    return found


def predicted_sums(rows: Rows, estimand: Estimand, method: str, params: Params) -> tuple[dict[str, Any], Weights]:
    """Sums (2,) of the predicted (augmented) outcomes; `slopes` and `bends` (2, p): how they turn with the models' coefficients."""
    values = augmented(rows, estimand, method, params)
    guards, made = [weights_of(among(rows, estimand), len(rows.columns))], {"predicted": values.sum(axis=1)}
    if method == "aipw":  # what the weighted residuals add to each mean: most of it may be one person's
        added = np.abs(values - augmented(rows, estimand, "gcomputation", params))
        guards += [weights_of(one, 1) for one in added if one.any()]
    if not params["stacked"]:
        return made, worst(guards)
    turns = _model_slopes(rows, estimand, method, params)
    made["slopes"] = np.array([turned(rows.columns, params, arm) @ turns[at] for at, arm in enumerate(ARMS)])
    if method == "aipw":
        bent = _bent(rows, estimand, params)
        guards += [weights_of(np.abs(one), len(rows.columns)) for one in (*turns, *bent) if one.any()]
        if rows.local is None:  # else it stays at the site
            made["bends"] = bent @ columns_of(rows, params).T
    return made, worst(guards)


def through_models(rows: Rows, estimand: Estimand, method: str, params: Params) -> FloatArray:
    """(2, n): what a row's scores in the models move the predicted (augmented) sums; 0 for models taken as known."""
    found = np.zeros((2, rows.treated.size))
    if not params["stacked"]:
        return found
    y, inside = rows.outcome / float(params["unit"]), arms(rows)
    for at, arm in enumerate(ARMS):
        residual = inside[at] * (y - _mean(rows, params, arm)) * float(params["unit"])
        residual /= float(params[f"{arm}response_scale"])
        found[at] = (params["model turns"][at] @ turned(rows.columns, params, arm)) * residual
    if method == "aipw":
        z = columns_of(rows, params)
        turns = params["turns"] if rows.local is None else _bent(rows, estimand, params) @ z.T @ rows.local.inverse
        found += (turns @ z) * (rows.treated - scored(rows, estimand, params).propensity)
    return found


def _model_slopes(rows: Rows, estimand: Estimand, method: str, params: Params) -> FloatArray:
    """(2, n): derivative of each row's predicted (augmented) outcome by the linear predictor of the arm's model."""
    slopes = np.array([_slope(rows, params, arm) for arm in ARMS])
    wanted = among(rows, estimand)
    return slopes * (wanted if method != "aipw" else wanted - scored(rows, estimand, params).weights * arms(rows))


def _bent(rows: Rows, estimand: Estimand, params: Params) -> FloatArray:
    """(2, n): derivative of each row's augmented outcome by the linear predictor of the propensity model."""
    y = rows.outcome / float(params["unit"])
    residuals = arms(rows) * (y - np.array([_mean(rows, params, arm) for arm in ARMS]))
    found: FloatArray = scored(rows, estimand, params).slopes * residuals
    return found


def _mean(rows: Rows, params: Params, arm: str) -> FloatArray:
    eta = predictor(rows.columns, params, arm)
    found: FloatArray = special.expit(eta) if params["logit"] else eta
    return found / float(params["unit"])


def _slope(rows: Rows, params: Params, arm: str) -> FloatArray:
    """Derivative (n,) of the predicted outcome by the linear predictor, in `unit`."""
    if not params["logit"]:
        return np.full(rows.treated.size, float(params[f"{arm}response_scale"]) / float(params["unit"]))
    share = special.expit(predictor(rows.columns, params, arm))
    found: FloatArray = share * (1.0 - share) / float(params["unit"])
    return found
