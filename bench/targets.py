"""What the project set out to reach on two cores."""

from __future__ import annotations

from bench.table import Target

ISTHMUS = "Isthmus"
GLM, COX_SITE, COX_ONE = "GLM binomial", "Cox Efron, strata = site", "Cox Efron, one baseline"
ROUND_SMALL, ROUND_BIG, MEMORY = "round, 1 KB", "round, 8 MB", "ten summaries of 80 MB"
SUPPRESSION = "suppression, 20 x 20"
HISTORY = "differencing history, 10 M people, 10,000 populations"
ALONE, ALL_RULES = "minimum count alone", "all rules and history"
RATIO = "all rules, as a multiple of the minimum count alone"
FIRST, CACHED, ENROLMENT = "first run", "cached", "enrolment of a snapshot"
LAW = "rules of law, 20 parties, 50 datasets"
LEDGER = "ledger, 1 M entries"
METHODS = {
    "probit": "GLM probit",
    "ridge": "GLM logit, ridge",
    "robust": "GLM logit, HC3 errors",
    "cluster": "GLM logit, 300 clusters",
    "inverse_gaussian": "GLM inverse Gaussian, log link",
    "poisson": "GLM Poisson",
    "gamma": "GLM gamma, log link",
    "negative_binomial": "GLM negative binomial",
    "ordinal": "ordinal, 4 grades",
    "multinomial": "multinomial, 4 grades",
    "mixed": "mixed model, 300 clinics",
    "slopes": "mixed model with slopes, 300 clinics",
    "glmm": "logistic mixed model, 300 clinics",
    "gee": "GEE exchangeable, 300 clinics",
    "weibull": "Weibull",
    "lognormal": "log-normal survival",
    "piecewise": "piecewise exponential, 4 intervals",
    "conditional_logistic": "conditional logistic, exact, sets of 5",
    "fine_gray": "Fine-Gray, one baseline",
    "lasso": "lasso path, binomial",
    "lasso_folds": "lasso path, binomial, 5 folds",
    "cox_lasso": "lasso path, Cox, strata = site",
    "propensity": "propensity score",
    "iptw": "IPTW effect",
    "iptw_hazard": "IPTW hazard ratio, strata = site",
    "aipw": "AIPW effect",
    "gcomputation": "g-computation",
    "stratified": "effect in strata of the score",
}
LARGE = {
    "log_rank": "log-rank, strata = site, 3 M rows",
    "kaplan_meier": "Kaplan-Meier, 3 M rows",
    "roc": "ROC, 3 M rows",
}
ABOVE = {"glm": "memory of a binomial GLM, 3 M rows", "cox_site": "memory of Cox, strata = site, 3 M rows"}
GATED = tuple(f"{fit}, {when}" for fit in (GLM, COX_SITE) for when in (FIRST, CACHED))

TARGETS = (
    Target(GLM, ISTHMUS, 1.5, "numpy IRLS (floor)"),
    Target(GLM, ISTHMUS, 0.5, "statsmodels GLM"),
    Target(COX_SITE, ISTHMUS, 0.06, "lifelines CoxPH"),
    Target(COX_SITE, ISTHMUS, 0.1, "R coxph"),
    Target(COX_ONE, ISTHMUS, 0.25, "R coxph"),
    *(Target(part, ISTHMUS, 2.0, "numpy.argsort") for part in LARGE.values()),
    *(Target(part, "site, peak above its columns", 1.0) for part in ABOVE.values()),
    Target(ROUND_SMALL, "3 sites", 20),
    Target(ROUND_SMALL, "10 sites", 60),
    Target(ROUND_BIG, "3 sites", 0.7),
    Target(ROUND_BIG, "10 sites", 2.5),
    Target(HISTORY, "check, unrelated to earlier sets", 50),
    Target(HISTORY, "worst check", 2000),
    Target(LAW, "cold", 2),
    Target(LAW, "nothing changed", 0.05),
    Target(LEDGER, "one entry, durable", 20),
    Target(LEDGER, "100 entries, durable", 20),
    Target(LEDGER, "inclusion proof", 5),
    Target(LEDGER, "verify an export", 30),
    Target(MEMORY, "hub, peak", 400),
    Target(MEMORY, "site, peak above its columns", 300),
    *(Target(SUPPRESSION, f"mean count {rate}", 1) for rate in (2, 4, 8, 15)),
    *(Target(part, RATIO, 1.15) for part in GATED),
)
