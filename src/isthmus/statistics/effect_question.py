"""Average effect of a treatment (kind `effect`): propensity model, balance, weighted or predicted outcome and its errors, in one question.

Propensity e(x) = P(treated | x): logistic, one model for all sites fitted on pooled sums, or with `propensity: site` one of each site.

- `iptw`: weighted means sum(w y) / sum(w) of each arm (Hajek), w = 1/e and 1/(1 - e) for `ATE`, 1 and e/(1 - e) for
  `ATT`, 1 - e and e for `ATO` (overlap).
- `gcomputation`: the mean over all rows (`ATT`: the treated) of what a model of the outcome, fitted in each arm, predicts.
- `aipw`: mean of m1(x) + t (y - m1(x)) / e(x), and of m0(x) + (1 - t) (y - m0(x)) / (1 - e(x)): right if either model is.
  `ATT`: the treated's own mean, and the sum of t m0(x) + (1 - t) (y - m0(x)) e(x) / (1 - e(x)) over their number.
- `stratified`: means of the arms within strata of e, weighted by the strata's sizes; cuts at pooled quantiles (`grid`).

Errors are sandwiches without small-sample factor: `stacked` counts the estimation of all models (Stefanski & Boos 2002,
Am Stat 56:29), `known` takes the weights as known (`stratified` always does), with `aipw` both models: the deviation of the
augmented outcomes over the root of n. `gcomputation` has no weights, and its errors are stacked.

`cap` replaces weights above it by it, so that few people do not make the estimate. `truncate` cuts weights at two pooled
percentiles (type 7; `ATT`: of the control's), as near as the people beyond allow at every site: `fit.truncation` has, of each,
the weight cut `at`, the ends `from` and `to` of the percentile, and the share of people `below`. The answer is exact at these
weights (`grid`); `bound` is what no mean nor their difference differs by more from that at the percentiles (`iptw` of a 0/1
outcome, or of one with a range in the codebook). A weight that was cut does not move with the propensity model, which stacked
errors know; they take the cuts as known. The estimand is that of the cut weights (Cole & Hernan 2008, Am J Epidemiol 168:656).

With `time` and `event` the outcome is survival (`iptw`): weighted Kaplan-Meier curves of both arms, and a Cox model of the treatment alone (one baseline, Efron's ties).
With `strata: [site]` too, each site has a baseline of its own: the hazard ratio alone, exact whatever the floor; curves and times are asked without.

Result keys: `terms` (`mean[1]`, `mean[0]`, `difference`; `log ratio` and `log odds ratio` of a 0/1 outcome; of survival
`log hazard ratio`, `survival[1] at t`, `survival[0] at t`, `risk difference at t`, `mean[1] to tau`, `mean[0] to tau`,
`difference to tau`), `fit` (`method`, `estimand`, `cap`, `truncation`, `ess` of both arms, `balance`: standardised mean difference of each
term before and after, `e_value` of a risk or hazard ratio, `e_value_limit` of the end of its interval nearer to 1, `hazard_ratio`, `strata`, `calibration` by negative controls), `curves` of survival,
`propensity` (the coefficients), `n`, `test` (`z`), `error` (`stacked` or `known`).

Reference: Lunceford & Davidian (2004), Stat Med 23:2937; Li, Morgan & Zaslavsky (2018), JASA 113:390; VanderWeele & Ding
(2017), Ann Intern Med 167:268 (E-value). In R: `survey` or `PSweight`, `geex` for stacked errors; `survfit` and `coxph`
with `weights` and `robust = TRUE` for survival with known weights, `strata(site)` for `strata: [site]`.
"""

from __future__ import annotations

from typing import Literal

from isthmus.model.errors import Invalid
from isthmus.model.formula import Formula, no_site, parse
from isthmus.model.record import record
from isthmus.statistics import effect_controls
from isthmus.statistics.survival import GridWish


@record
class Effect:
    """Arguments of `effect`.

    `treatment`: a 0/1 variable; `outcome`: a number, or 0/1; or `time` and `event` (0/1); `adjust`: the right-hand side of the models,
    `AGE + SEX`; `family`: of the outcome models of `aipw` and `gcomputation`; `errors`: `stacked` or `known`;
    `propensity_strata`: number of strata of the propensity score, of `stratified`, whose errors take them as known;
    `negative_controls`: 0/1 outcomes that the treatment cannot change, three or more, with `iptw`;
    `propensity`: one `common` model, or one of each `site`; `at`, `tau`, `grid`: times, end and steps of survival;
    `strata`: `[site]`, of the hazard ratio of survival; `cap`: the largest weight, 1/e and so on, of `iptw` and `aipw`;
    `truncate`: the percentiles of the weights at which they are cut instead, `[0.01, 0.99]`; 0 and 1 cut nothing.
    """

    treatment: str
    adjust: str
    outcome: str | None = None
    time: str | None = None
    event: str | None = None
    method: Literal["iptw", "aipw", "gcomputation", "stratified"]
    estimand: Literal["ATE", "ATT", "ATO"] = "ATE"
    family: Literal["gaussian", "binomial"] | None = None
    errors: Literal["stacked", "known"] = "stacked"
    propensity_strata: int = 5
    negative_controls: tuple[str, ...] = ()
    propensity: Literal["common", "site"] = "common"
    at: tuple[float, ...] = ()
    tau: float | None = None
    grid: GridWish | None = None
    strata: tuple[str, ...] = ()
    cap: float | None = None
    truncate: tuple[float, float] | None = None


def outcome_name(question: Effect) -> str:
    """Its name; with survival the event's."""
    return str(question.event if question.outcome is None else question.outcome)


def adjustment(question: Effect) -> Formula:
    """The propensity model.

    Raises:
        Invalid: E-FORMULA, E-ESTIMAND, E-MISSING-KEY, E-OUTCOME, E-TIME: arguments that do not fit together.
    """
    formula = no_site(parse(f"{question.treatment} ~ {question.adjust}"), "write `propensity: site`")
    if formula.strata or formula.cluster or formula.offset or not formula.intercept or not formula.terms:
        raise Invalid("E-FORMULA", "`adjust` is terms alone", "write `AGE + SEX`")
    _check(question)
    return formula


def _check(question: Effect) -> None:
    """Method, estimand and outcome models fit together."""
    if question.estimand == "ATO" and question.method != "iptw":
        raise Invalid("E-ESTIMAND", f"{question.method} estimates the ATE and ATT", "use method: iptw for ATO")
    if question.method in {"aipw", "gcomputation"} and question.family is None:
        raise Invalid("E-MISSING-KEY", f"{question.method} needs the outcome models' `family`", "gaussian or binomial")
    if question.method == "gcomputation" and question.errors == "known":
        raise Invalid("E-ESTIMAND", "gcomputation has no weights to take as known", "its errors are stacked")
    controls = question.negative_controls
    if controls and (question.method != "iptw" or len(set(controls)) < effect_controls.FEWEST):
        hint = f"method: iptw, and {effect_controls.FEWEST} different controls or more"
        raise Invalid("E-OUTCOME", "negative controls calibrate a weighted estimate", hint)
    if {outcome_name(question), question.treatment} & set(controls):
        raise Invalid("E-OUTCOME", "a negative control is neither the treatment nor the outcome", "leave it out")
    if question.propensity == "site" and question.method not in {"iptw", "aipw"}:
        raise Invalid(
            "E-ESTIMAND", f"{question.method} has one propensity model", "propensity: site is for iptw and aipw"
        )
    if question.cap is not None or question.truncate is not None:
        _check_cut(question)
    _check_outcome(question)


def _check_cut(question: Effect) -> None:
    if question.method not in {"iptw", "aipw"} or question.estimand == "ATO":
        hint = "leave it out, or ask for ATE or ATT by iptw"
        raise Invalid("E-ESTIMAND", "`cap` and `truncate` cut weights that may be large", hint)
    if question.cap is not None and question.truncate is not None:
        raise Invalid("E-WEIGHTS", "weights are cut at a `cap` or at percentiles, not both", "leave one out")
    if question.cap is not None and not question.cap > 1.0:
        raise Invalid("E-WEIGHTS", "`cap` is a number above 1: no weight of ATE is smaller", "cap: 10")
    low, high = question.truncate or (0.0, 0.5)
    if not 0.0 <= low < high <= 1.0 or (low, high) == (0.0, 1.0):
        hint = "[0.01, 0.99], or [0, 0.99] for large weights alone"
        raise Invalid("E-PROBABILITY", "`truncate` is two percentiles from 0 to 1, the lower first", hint)


def _check_outcome(question: Effect) -> None:
    """One outcome, and nothing of survival where it is not."""
    survives = question.time is not None and question.event is not None
    if question.strata not in {(), ("site",)} or (question.strata and not survives):
        raise Invalid("E-OUTCOME", "`strata` is `[site]`, of a hazard ratio", "use propensity or adjust for the rest")
    if question.strata and (question.at or question.tau is not None or question.grid is not None):
        raise Invalid("E-OUTCOME", "curves have one baseline, not one of each site", "ask for them without `strata`")
    if survives == (question.outcome is not None) or (question.time is None) != (question.event is None):
        raise Invalid("E-MISSING-KEY", "an effect has an `outcome`, or a `time` and an `event`", "state one of them")
    if not survives:
        if question.at or question.tau is not None or question.grid is not None:
            raise Invalid("E-OUTCOME", "`at`, `tau` and `grid` are of survival", "state `time` and `event`")
        return
    if question.method != "iptw" or question.negative_controls:
        raise Invalid("E-OUTCOME", "survival is compared by weighting, without controls", "method: iptw")
    if not all(time > 0.0 for time in (*question.at, *(() if question.tau is None else (question.tau,)))):
        raise Invalid("E-TIME", "`at` and `tau` are times above 0", "leave them out, or state later ones")
