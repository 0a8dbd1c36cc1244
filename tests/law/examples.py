"""One example or more of every question kind: listing a statistic here gives it all the laws."""

from __future__ import annotations

from typing import Any

import numpy as np
from bare import Made, make

from isthmus import strict
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.statistics.contract import Inputs, Setting, Statistic
from isthmus.statistics.population import PopulationQuestion, population
from isthmus.testing import Example

ROWS = 120


def table(rows: int = ROWS, seed: int = 7) -> dict[str, Any]:
    """Made-up patients: numbers, categories, times with ties, an outcome that depends on them."""
    draw = np.random.default_rng(seed)
    age = np.round(draw.normal(63, 11, rows), 1)
    arm = draw.choice(["control", "treated"], rows)
    stage = draw.choice(["I", "II", "III"], rows, p=[0.5, 0.3, 0.2])
    risk = 0.03 * (age - 63) - 0.6 * (arm == "treated") + 0.4 * (stage == "III")
    died = (draw.random(rows) < 1 / (1 + np.exp(-risk))).astype(float)
    time = np.ceil(draw.exponential(90, rows) * np.exp(-risk))
    censor = np.ceil(draw.uniform(5, 250, rows))
    return {
        "age": age,
        "risk": np.round(1 / (1 + np.exp(-0.03 * (age - 66))), 3),
        "logit": np.round(0.05 * (age - 60), 2),
        "year": np.round(draw.uniform(2000, 2020, rows)),
        "arm": arm.astype(object),
        "stage": stage.astype(object),
        "treat": (arm == "treated").astype(float),
        "left": (np.arange(rows) * 5 % 3 == 0).astype(float),
        "tall": (np.arange(rows) * 11 % 4 == 0).astype(float),
        "practice": (np.arange(rows) * 7 % 30).astype(float),
        "region": draw.choice(["north", "south"], rows).astype(object),
        "died": died,
        "visits": draw.poisson(np.exp(0.4 + 0.01 * (age - 63))).astype(float),
        "pressure": np.round(140 + 0.3 * age + draw.normal(0, 12, rows)),
        "exposure": draw.uniform(0.2, 1.5, rows),
        "copies": draw.integers(1, 4, rows).astype(float),
        "time": np.minimum(time, censor),
        "entry": np.floor(np.minimum(time, censor) * 0.6 * (age - age.min()) / np.ptp(age)),
        "event": (time <= censor).astype(float),
        "score": np.round(50 + 0.2 * age + 6 * np.sin(np.arange(rows) * 7 % 30) + draw.normal(0, 3, rows), 2),
        "falls": draw.negative_binomial(1.2, 1.2 / (1.2 + np.exp(0.6 + 0.02 * (age - 63)))).astype(float),
        "cause": np.where(time <= censor, np.where(np.arange(rows) % 3 == 0, "2", "1"), "0").astype(object),
    }


QUESTIONS: dict[str, list[dict[str, Any]]] = {
    "count": [{"by": ["arm", "stage"]}, {}],
    "rate": [
        {"event": "event", "time": "time", "by": "arm", "per": 100},
        {
            "event": "died",
            "time": "exposure",
            "by": "arm",
            "standardise": {"by": "stage", "weights": {"I": 5, "II": 3, "III": 2}},
        },
    ],
    "crosstab": [{"rows": "arm", "columns": "stage"}],
    "histogram": [
        {"variable": "age", "by": "arm", "grid": {"every": 10, "to": 90}},
        {"variable": "pressure"},
    ],
    "quantiles": [
        {"variable": "age", "by": "stage"},
        {"variable": "pressure", "probs": [0.1, 0.5, 0.95], "grid": {"every": 10, "to": 220}},
    ],
    "roc": [
        {"marker": "age", "outcome": "died", "partial": [0.8, 1.0]},
        {"marker": "pressure", "outcome": "died", "direction": "lower", "grid": {"every": 10, "to": 220}},
        {"marker": "age", "outcome": "died", "compare": {"marker": "pressure"}},
    ],
    "calibration": [
        {"prediction": "risk", "outcome": "died"},
        {"prediction": "logit", "outcome": "died", "scale": "linear"},
    ],
    "decision_curve": [{"prediction": "risk", "outcome": "died", "thresholds": [0.4, 0.5]}],
    "spearman": [{"variables": ["age", "pressure", "year"]}, {"variables": ["pressure", "died"]}],
    "kruskal_wallis": [
        {"variable": "age", "by": "stage"},
        {"variable": "pressure", "by": "arm", "grid": {"every": 10, "to": 220}},
    ],
    "correlation": [{"variables": ["age", "pressure", "year"]}, {"variables": ["died", "event"]}],
    "accuracy": [
        {"marker": "age", "outcome": "died", "threshold": 65},
        {"marker": "event", "outcome": "died"},
    ],
    "table_one": [
        {"variables": ["age", "stage", "pressure"], "by": "arm", "smd": True, "tests": True},
        {"variables": ["year"]},
    ],
    "glm": [
        {"formula": "died ~ age + arm + stage", "family": "binomial", "robust": "HC0"},
        {"formula": "visits ~ age * arm + offset(exposure)", "family": "poisson"},
        {
            "formula": "pressure ~ year + I(year^2) + stage",
            "family": "gaussian",
            "tests": {"s": ["stage[II]", "stage[III]"]},
        },
        {
            "formula": "pressure ~ arm - 1",
            "family": "gaussian",
            "weights": {"variable": "exposure", "kind": "sampling"},
        },
        {
            "formula": "died ~ age + arm",
            "family": "binomial",
            "weights": {"variable": "copies", "kind": "frequency"},
            "contrasts": {"ten years treated": {"age": 10, "arm[treated]": 1}},
            "release": ["vcov"],
        },
        {"formula": "pressure ~ age + arm", "family": "gamma", "link": "log", "robust": "HC3"},
        {"formula": "died ~ age + arm", "family": "binomial", "link": "probit", "robust": "HC2"},
        {"formula": "visits ~ age + arm", "family": "quasipoisson", "robust": "HC1"},
        {"formula": "pressure ~ arm + stage", "family": "inverse_gaussian"},
        {"formula": "falls ~ age + arm + offset(exposure)", "family": "negative_binomial"},
        {
            "formula": "falls ~ age + arm",
            "family": "negative_binomial",
            "weights": {"variable": "copies", "kind": "frequency"},
            "robust": "HC3",
        },
        {"formula": "died ~ age + arm + stage", "family": "binomial", "ridge": 0.05},
        {
            "formula": "pressure ~ ns(age, knots = c(55, 70), Boundary.knots = c(30, 90)) + arm",
            "family": "gaussian",
            "tests": {"curved with age": ["ns(age)[1]", "ns(age)[2]", "ns(age)[3]"]},
        },
        {
            "formula": "pressure ~ age + arm",
            "family": "gaussian",
            "ridge": 2.0,
            "weights": {"variable": "exposure", "kind": "precision"},
            "robust": "HC2",
        },
    ],
    "multinomial": [
        {"formula": "stage ~ age + arm", "release": ["vcov"]},
        {"formula": "stage ~ year + I(year^2)"},
        {
            "formula": "stage ~ age + arm",
            "weights": {"variable": "exposure", "kind": "sampling"},
            "contrasts": {"ten years": {"II: age": 10}},
            "tests": {"all": ["age", "arm"]},
        },
        {"formula": "stage ~ age", "weights": {"variable": "copies", "kind": "frequency"}, "robust": "HC0"},
    ],
    "ordinal": [
        {"formula": "stage ~ age + arm", "release": ["vcov"]},
        {"formula": "stage ~ age + arm + offset(exposure)"},
        {"formula": "stage ~ year + I(year^2)"},
        {
            "formula": "stage ~ age + arm",
            "weights": {"variable": "exposure", "kind": "sampling"},
            "contrasts": {"ten years": {"age": 10}},
            "tests": {"all": ["age", "arm"]},
        },
        {"formula": "stage ~ age", "weights": {"variable": "copies", "kind": "frequency"}, "robust": "HC0"},
    ],
    "mixed": [
        {"formula": "score ~ age + arm", "group": "practice"},
        {"formula": "score ~ year + I(year^2)", "group": "practice", "reml": False, "release": ["vcov"]},
        {
            "formula": "score ~ age + arm",
            "group": "practice",
            "slopes": ["age"],
            "tests": {"all": ["age", "arm[treated]"]},
            "df": "satterthwaite",
        },
        {"formula": "pressure ~ age + arm", "group": "practice"},
        {"formula": "pressure ~ age + arm", "group": "practice", "slopes": ["age"], "reml": False},
        {"formula": "died ~ age + arm", "group": "practice", "family": "binomial", "points": 5},
        {"formula": "falls ~ age + arm", "group": "practice", "family": "poisson", "points": 1},
        {"formula": "died ~ age + arm", "group": "practice", "family": "binomial", "points": 1, "slopes": ["age"]},
    ],
    "gee": [
        {"formula": "died ~ age + arm", "family": "binomial", "cluster": "practice", "release": ["vcov"]},
        {"formula": "score ~ year + I(year^2)", "family": "gaussian", "cluster": "practice"},
        {
            "formula": "visits ~ age + arm + offset(exposure)",
            "family": "poisson",
            "cluster": "practice",
            "correlation": "independence",
        },
    ],
    "conditional_logistic": [
        {"formula": "died ~ age + arm", "sets": "practice", "release": ["vcov"]},
        {"formula": "died ~ year + I(year^2)", "sets": "practice", "method": "efron"},
        {"formula": "died ~ age + stage", "sets": "practice", "method": "breslow", "cluster": "practice"},
    ],
    "penalised": [
        {"formula": "died ~ age + arm + stage + pressure", "family": "binomial"},
        {"formula": "pressure ~ age + year + arm", "family": "gaussian", "alpha": 0.5, "lambdas": [2.0, 0.5, 0.1]},
        {"formula": "visits ~ age + arm + year", "family": "poisson", "alpha": 0.0, "points": 4},
        {"formula": "Surv(entry, time, event) ~ age + arm + stage", "family": "cox", "points": 4},
        {"formula": "died ~ pressure + arm", "family": "binomial", "points": 3, "folds": 3, "seed": 7},
        {"formula": "Surv(entry, time, event) ~ age + arm", "family": "cox", "lambdas": [0.1], "folds": 3, "seed": 7},
    ],
    "kaplan_meier": [
        {"time": "time", "event": "event", "by": "arm", "at": [30, 60], "conf_type": "log-log"},
        {"time": "time", "event": "event", "grid": {"every": 20, "to": 200}},
    ],
    "cumulative_incidence": [
        {"time": "time", "cause": "cause", "causes": {"1": "relapse", "2": "death"}, "by": "arm", "at": [30, 60]},
        {"time": "time", "cause": "cause", "causes": {"1": "relapse", "2": "death"}, "grid": {"every": 20, "to": 200}},
    ],
    "parametric_survival": [
        {"formula": "Surv(time, event) ~ age + arm", "distribution": "weibull", "release": ["vcov"]},
        {"formula": "Surv(time, event) ~ year + I(year^2) + stage", "distribution": "lognormal"},
        {"formula": "Surv(time, event) ~ arm", "distribution": "exponential"},
        {"formula": "Surv(time, event) ~ arm + offset(exposure)", "distribution": "weibull"},
        {"formula": "Surv(entry, time, event) ~ age + arm", "distribution": "weibull"},
        {
            "formula": "Surv(entry, time, event) ~ year + I(year^2) + arm",
            "distribution": "piecewise_exponential",
            "cuts": [20, 45, 90],
            "release": ["vcov"],
        },
        {
            "formula": "Surv(entry, time, event) ~ age + arm",
            "distribution": "lognormal",
            "weights": {"variable": "exposure", "kind": "sampling"},
        },
        {
            "formula": "Surv(time, event) ~ age + stage",
            "distribution": "weibull",
            "weights": {"variable": "copies", "kind": "frequency"},
            "robust": True,
        },
        {
            "formula": "Surv(entry, time, event) ~ age + arm",
            "distribution": "piecewise_exponential",
            "cuts": [45, 90],
            "weights": {"variable": "exposure", "kind": "precision"},
            "robust": True,
        },
    ],
    "fine_gray": [
        {
            "formula": "Surv(time, cause) ~ age + arm",
            "causes": {"1": "relapse", "2": "death"},
            "cause": "relapse",
            "release": ["vcov"],
        },
        {
            "formula": "Surv(time, cause) ~ age + stage",
            "causes": {"1": "relapse", "2": "death"},
            "cause": "relapse",
            "grid": {"every": 25, "to": 150},
        },
        {
            "formula": "Surv(time, cause) ~ age",
            "causes": {"1": "relapse", "2": "death"},
            "cause": "relapse",
            "strata": ["region"],
        },
        {
            "formula": "Surv(entry, time, cause) ~ age + arm",
            "causes": {"1": "relapse", "2": "death"},
            "cause": "relapse",
        },
        {
            "formula": "Surv(entry, time, cause) ~ age",
            "causes": {"1": "relapse", "2": "death"},
            "cause": "relapse",
            "grid": {"every": 25, "to": 150},
        },
    ],
    "propensity": [
        {"treatment": "treat", "adjust": "age + stage"},
        {"treatment": "treat", "adjust": "year + I(year^2)", "estimand": "ATO"},
    ],
    "effect": [
        {"treatment": "treat", "outcome": "died", "adjust": "age + pressure", "method": "iptw", "cap": 2.2},
        {
            "treatment": "treat",
            "outcome": "pressure",
            "adjust": "age",
            "method": "aipw",
            "family": "gaussian",
            "cap": 2.0,
        },
        {
            "treatment": "treat",
            "outcome": "pressure",
            "adjust": "age + pressure",
            "method": "iptw",
            "truncate": [0.1, 0.9],
        },
        {
            "treatment": "treat",
            "outcome": "died",
            "adjust": "age + pressure",
            "method": "iptw",
            "estimand": "ATT",
            "truncate": [0, 0.9],
        },
        {"treatment": "treat", "outcome": "died", "adjust": "age + stage", "method": "iptw"},
        {"treatment": "treat", "outcome": "pressure", "adjust": "age", "method": "iptw", "estimand": "ATO"},
        {"treatment": "treat", "outcome": "died", "adjust": "age", "method": "aipw", "family": "binomial"},
        {"treatment": "treat", "outcome": "pressure", "adjust": "age", "method": "gcomputation", "family": "gaussian"},
        {
            "treatment": "treat",
            "outcome": "died",
            "adjust": "age",
            "method": "gcomputation",
            "family": "binomial",
            "estimand": "ATT",
        },
        {
            "treatment": "treat",
            "outcome": "pressure",
            "adjust": "age + stage",
            "method": "aipw",
            "family": "gaussian",
            "estimand": "ATT",
        },
        {"treatment": "treat", "outcome": "pressure", "adjust": "age", "method": "stratified", "propensity_strata": 3},
        {
            "treatment": "treat",
            "outcome": "died",
            "adjust": "age",
            "method": "iptw",
            "negative_controls": ["event", "left", "tall"],
        },
        {
            "treatment": "treat",
            "time": "time",
            "event": "event",
            "adjust": "age + stage",
            "method": "iptw",
            "at": [30, 60],
            "tau": 60,
        },
        {
            "treatment": "treat",
            "time": "time",
            "event": "event",
            "adjust": "age",
            "method": "iptw",
            "estimand": "ATO",
            "errors": "known",
            "grid": {"every": 20, "to": 200},
        },
    ],
    "rmst": [
        {"time": "time", "event": "event", "by": "arm", "tau": 60},
        {"time": "time", "event": "event", "tau": 90, "grid": {"every": 15, "to": 150}},
    ],
    "log_rank": [
        {"time": "time", "event": "event", "by": "stage"},
        {"time": "time", "event": "event", "by": "arm", "strata": ["region"]},
        {"time": "time", "event": "event", "by": "arm", "grid": {"edges": [20, 50, 120]}},
        {"time": "time", "event": "event", "by": "arm", "rho": 1.0, "gamma": 1.0},
    ],
    "cox": [
        {"formula": "Surv(time, event) ~ age + arm + stage"},
        {"formula": "Surv(time, event) ~ age + arm", "offset": "exposure"},
        {"formula": "Surv(time, event) ~ age + arm", "ties": "breslow", "strata": ["region"]},
        {"formula": "Surv(time, event) ~ age + arm", "grid": {"every": 25, "to": 150}, "robust": True},
        {
            "formula": "Surv(entry, time, event) ~ age + arm",
            "weights": {"variable": "exposure", "kind": "sampling"},
            "grid": {"every": 25, "to": 150},
        },
        {
            "formula": "Surv(entry, time, event) ~ age + stage",
            "weights": {"variable": "copies", "kind": "frequency"},
            "ties": "breslow",
            "zph": "identity",
            "release": ["baseline"],
        },
    ],
    "validate_model": [
        {"outcome": "died", "prediction": "risk", "thresholds": [0.4, 0.5]},
        {
            "outcome": "died",
            "formula": "age + arm",
            "coefficients": {"(Intercept)": -1.2, "age": 0.02, "arm[treated]": -0.4},
            "thresholds": [0.4, 0.5],
        },
        {
            "outcome": "died",
            "formula": "age",
            "coefficients": {"(Intercept)": -1.9, "age": 0.03},
            "baseline": 0.5,
            "thresholds": [0.3, 0.5],
        },
    ],
    "meta": [
        {"by": "stage", "treatment": "treat", "outcome": "died", "method": "MH"},
        {
            "by": "stage",
            "treatment": "treat",
            "outcome": "died",
            "measure": "RR",
            "compare": {"a": ["I"], "b": ["II", "III"]},
        },
        {"by": "region", "of": {"glm": {"formula": "died ~ age + arm", "family": "binomial"}}, "term": "arm[treated]"},
        {
            "by": "stage",
            "of": {"cox": {"formula": "Surv(time, event) ~ arm"}},
            "term": "arm[treated]",
            "interval": "hksj",
        },
        {
            "by": "region",
            "of": {"effect": {"treatment": "treat", "outcome": "died", "adjust": "age", "method": "iptw"}},
            "term": "log odds ratio",
            "method": "fixed",
        },
        {"by": "region", "of": {"ordinal": {"formula": "stage ~ age + arm"}}, "term": "arm[treated]"},
        {"by": "region", "of": {"multinomial": {"formula": "stage ~ age"}}, "term": "II: age"},
        {
            "by": "region",
            "of": {
                "fine_gray": {
                    "formula": "Surv(time, cause) ~ age",
                    "causes": {"1": "relapse", "2": "death"},
                    "cause": "relapse",
                }
            },
            "term": "age",
        },
        {"by": "stage", "of": {"roc": {"marker": "age", "outcome": "died"}}, "term": "auc", "interval": "hksj"},
        {
            "by": "region",
            "of": {"rate": {"event": "event", "time": "time", "by": "arm"}},
            "term": "rate ratio[treated]",
        },
        {"by": "region", "of": {"calibration": {"prediction": "risk", "outcome": "died"}}, "term": "slope"},
        {
            "by": "region",
            "of": {"mixed": {"formula": "score ~ age + arm", "group": "practice"}},
            "term": "arm[treated]",
            "compare": {"a": ["north"], "b": ["south"]},
            "method": "fixed",
        },
    ],
}
SITE_STRATA: dict[str, list[dict[str, Any]]] = {
    "glm": [
        {"formula": "died ~ age + arm", "family": "binomial", "strata": ["site"]},
        {"formula": "falls ~ age + arm", "family": "poisson", "offset": "exposure", "strata": ["site", "region"]},
        {"formula": "pressure ~ age + stage + strata(site)", "family": "gaussian", "robust": "HC1", "strata": []},
        {"formula": "pressure ~ age + arm + site", "family": "gaussian"},
        {"formula": "died ~ age + arm + site", "family": "binomial", "link": "probit"},
        {"formula": "pressure ~ age + arm + site", "family": "gamma", "link": "log"},
        {"formula": "falls ~ age + arm + site", "family": "negative_binomial"},
    ],
    "log_rank": [
        {"time": "time", "event": "event", "by": "arm", "strata": ["site"]},
        {"time": "time", "event": "event", "by": "arm", "strata": ["site", "region"], "rho": 0.5},
        {"time": "time", "event": "event", "by": "arm", "strata": ["site"], "gamma": 1.0},
    ],
    "fine_gray": [
        {
            "formula": "Surv(time, cause) ~ age + arm",
            "causes": {"1": "relapse", "2": "death"},
            "cause": "relapse",
            "strata": ["site"],
        },
        {
            "formula": "Surv(entry, time, cause) ~ age + arm",
            "causes": {"1": "relapse", "2": "death"},
            "cause": "relapse",
            "strata": ["site"],
        },
    ],
    "penalised": [
        {"formula": "Surv(time, event) ~ age + arm", "family": "cox", "strata": ["site"], "lambdas": [0.1, 0.01]},
    ],
    "cox": [
        {"formula": "Surv(time, event) ~ age + arm", "strata": ["site"], "robust": True},
        {"formula": "Surv(time, event) ~ year + I(year^2) + strata(site)", "strata": ["region"], "ties": "breslow"},
        {
            "formula": "Surv(entry, time, event) ~ age + arm",
            "strata": ["site"],
            "weights": {"variable": "exposure", "kind": "sampling"},
            "zph": "log",
            "concordance": True,
        },
        {"formula": "Surv(entry, time, event) ~ age + arm", "strata": ["site"], "zph": "km"},
        {"formula": "Surv(time, event) ~ age + arm + site"},
        {"formula": "Surv(entry, time, event) ~ age + arm", "strata": ["region"], "concordance": "within_sites"},
        {"formula": "Surv(entry, time, event) ~ age + arm + offset(exposure)", "strata": ["site"]},
    ],
}


# Errors clustered by what a site's rows share: equal to the pooled answer where a cluster is dealt whole.
CLUSTERED: dict[str, list[dict[str, Any]]] = {
    "multinomial": [
        {
            "formula": "stage ~ age + arm",
            "cluster": "practice",
            "weights": {"variable": "exposure", "kind": "precision"},
        },
    ],
    "ordinal": [{"formula": "stage ~ age + arm + cluster(practice)"}],
    "parametric_survival": [
        {"formula": "Surv(entry, time, event) ~ age + arm + cluster(practice)", "distribution": "weibull"},
        {
            "formula": "Surv(time, event) ~ age + arm",
            "distribution": "piecewise_exponential",
            "cuts": [45, 90],
            "cluster": "practice",
            "weights": {"variable": "exposure", "kind": "sampling"},
        },
    ],
    "glm": [
        {"formula": "died ~ age + arm + cluster(practice)", "family": "binomial"},
        {
            "formula": "pressure ~ age + stage",
            "family": "gaussian",
            "cluster": "practice",
            "weights": {"variable": "exposure", "kind": "sampling"},
        },
    ],
    "cox": [
        {"formula": "Surv(entry, time, event) ~ age + arm + cluster(practice)"},
        {
            "formula": "Surv(time, event) ~ age + arm",
            "cluster": "practice",
            "weights": {"variable": "exposure", "kind": "precision"},
            "grid": {"every": 25, "to": 150},
        },
    ],
}


def keyed(kind: str, stated: dict[str, Any]) -> bool:
    """Whether it groups rows by an identifier: a group lies inside a site, so it is dealt whole."""
    return bool(CATALOGUE[kind].needs(strict.parse(CATALOGUE[kind].question, stated)).keys)


def clustered_cases() -> list[tuple[str, Statistic, Any]]:
    """(name, statistic, question) of those."""
    return [
        (f"{kind}-{i}", CATALOGUE[kind], strict.parse(CATALOGUE[kind].question, stated))
        for kind, listed in CLUSTERED.items()
        for i, stated in enumerate(listed)
    ]


def cases() -> list[tuple[str, Statistic, Any]]:
    """(name, statistic, question) of every example."""
    return [
        (f"{kind}-{i}", CATALOGUE[kind], strict.parse(CATALOGUE[kind].question, stated))
        for kind, listed in QUESTIONS.items()
        for i, stated in enumerate(listed)
    ]


def site_cases() -> list[tuple[str, Statistic, Any, Any]]:
    """(name, statistic, question with `site` among its strata, the same with a category `clinic` instead)."""
    found = []
    for kind, listed in SITE_STRATA.items():
        for i, stated in enumerate(listed):
            pooled = {
                k: v.replace(" + site", "").replace("site", "clinic") if isinstance(v, str) else v
                for k, v in stated.items()
            }
            pooled["strata"] = ["clinic" if s == "site" else s for s in stated.get("strata", ["site"])]
            pooled.pop("concordance", None)  # within sites alone
            pooled["strata"] += ["site"] if kind == "glm" else []  # the one site of the table
            statistic = CATALOGUE[kind]
            found.append(
                (
                    f"{kind}-{i}",
                    statistic,
                    strict.parse(statistic.question, stated),
                    strict.parse(statistic.question, pooled),
                )
            )
    return found


def example(statistic: Statistic, question: Any, rows: int = ROWS, seed: int = 7) -> Example:
    """The example's setting and pooled rows."""
    made: Made = make(statistic, question, table(rows, seed))
    return Example(question, made.setting, made.inputs)


def population_example() -> tuple[Statistic, Example]:
    """The internal kind."""
    marks = {"age": np.arange(40) % 7 == 0, "sex": np.arange(40) % 5 == 0}
    inputs = Inputs(rows=40, numbers={k: v.astype(float) for k, v in marks.items()}, codes={})
    setting: Setting = make(CATALOGUE["count"], CATALOGUE["count"].question(), table()).setting
    return population, Example(PopulationQuestion(variables=("age", "sex")), setting, inputs)
