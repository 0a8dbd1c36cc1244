"""The methods of `methods` on pooled rows: R, timed inside R, and the Python library people would take."""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.patients import Cohort
from bench.rivals import Timing, timed

RIDGE = 0.01  # glmnet's lambda
# Method -> (function as shown, package, the fit, its coefficients of the covariates). None for Fine-Gray: on these rows
# `cmprsk::crr` (quadratic in the rows) and `survival::finegray` (a row for each censoring time) take hours. None for GEE:
# `geepack` inverts a matrix of 1,000 rows for each cluster.
R_CODE: dict[str, tuple[str, str, str, str]] = {
    "probit": ("glm", "stats", "glm(y ~ x, family = binomial('probit'))", "coef(fit)[-1]"),
    "ridge": (
        "glmnet",
        "glmnet",
        f"glmnet(x, y, family = 'binomial', alpha = 0, lambda = {RIDGE}, thresh = 1e-14)",
        "as.vector(coef(fit))[-1]",
    ),
    "robust": (
        "glm and sandwich::vcovHC",
        "sandwich",
        "{ g <- glm(y ~ x, family = binomial); v <- vcovHC(g, type = 'HC3'); g }",
        "coef(fit)[-1]",
    ),
    "cluster": (
        "glm and sandwich::vcovCL",
        "sandwich",
        "{ g <- glm(y ~ x, family = binomial); v <- vcovCL(g, clinic, type = 'HC0', cadjust = FALSE); g }",
        "coef(fit)[-1]",
    ),
    "inverse_gaussian": ("glm", "stats", "glm(stay ~ x, family = inverse.gaussian('log'))", "coef(fit)[-1]"),
    "iptw_hazard": (
        "glm and coxph",
        "survival",
        "{ e <- fitted(glm(treat ~ x, family = binomial)); w <- ifelse(treat == 1, 1 / e, 1 / (1 - e));"
        " coxph(Surv(days, event) ~ treat + strata(clinic %/% 100), weights = w, robust = FALSE) }",
        "coef(fit)",
    ),
    "poisson": ("glm", "stats", "glm(visits ~ x, family = poisson)", "coef(fit)[-1]"),
    "gamma": ("glm", "stats", "glm(cost ~ x, family = Gamma('log'))", "coef(fit)[-1]"),
    "negative_binomial": ("MASS::glm.nb", "MASS", "glm.nb(bursts ~ x)", "coef(fit)[-1]"),
    "ordinal": ("MASS::polr", "MASS", "polr(factor(grade) ~ x)", "coef(fit)"),
    "multinomial": (
        "nnet::multinom",
        "nnet",
        "multinom(factor(grade) ~ x, trace = FALSE, maxit = 500, reltol = 1e-12)",
        "as.vector(t(coef(fit)[, -1]))",
    ),
    "mixed": ("lme4::lmer", "lme4", "lmer(score ~ x + (1 | clinic))", "fixef(fit)[-1]"),
    "slopes": ("lme4::lmer", "lme4", "lmer(score ~ x + (1 + x[, 1] | clinic))", "fixef(fit)[-1]"),
    "glmm": ("lme4::glmer", "lme4", "glmer(y ~ x + (1 | clinic), family = binomial)", "fixef(fit)[-1]"),
    "weibull": ("survival::survreg", "survival", "survreg(Surv(days, event) ~ x)", "coef(fit)[-1]"),
    "lognormal": (
        "survival::survreg",
        "survival",
        "survreg(Surv(days, event) ~ x, dist = 'lognormal')",
        "coef(fit)[-1]",
    ),
    "piecewise": (
        "survSplit and glm",
        "survival",
        "{ s <- survSplit(Surv(days, event) ~ ., data.frame(days, event, x), cut = c(200, 500, 1000), episode = 'k');"
        " glm(event ~ . - tstart - days - k + factor(k) + offset(log(days - tstart)), poisson, s) }",
        "coef(fit)[paste0('x', 1:10)]",
    ),
    "conditional_logistic": ("survival::clogit", "survival", "clogit(y ~ x + strata(set))", "coef(fit)"),
    "lasso": ("glmnet", "glmnet", "glmnet(x, y, family = 'binomial')", "numeric(0)"),
    "lasso_folds": ("cv.glmnet", "glmnet", "cv.glmnet(x, y, family = 'binomial', nfolds = 5)", "numeric(0)"),
    "cox_lasso": (
        "glmnet",
        "glmnet",
        "glmnet(x, stratifySurv(survival::Surv(days, event), clinic %/% 100), family = 'cox')",
        "numeric(0)",
    ),
    "propensity": ("glm", "stats", "glm(treat ~ x, family = binomial)", "coef(fit)[-1]"),
    "gcomputation": (
        "two glm",
        "stats",
        "sapply(0:1, function(a) { g <- glm(y ~ x, family = binomial, subset = treat == a);"
        " mean(plogis(cbind(1, x) %*% coef(g))) })",
        "fit[2] - fit[1]",
    ),
    "iptw": (
        "two glm",
        "stats",
        "{ e <- fitted(glm(treat ~ x, family = binomial)); w <- ifelse(treat == 1, 1 / e, 1 / (1 - e));"
        " lm(y ~ treat, weights = w) }",
        "coef(fit)[-1]",
    ),
}

R_PROGRAM = """
args <- commandArgs(trailingOnly = TRUE)
suppressWarnings(suppressMessages(library(args[4], character.only = TRUE)))
p <- as.integer(args[2]); names <- strsplit(args[5], ",")[[1]]
m <- matrix(readBin(args[1], "double", as.integer(args[3]) * (p + length(names))), ncol = p + length(names))
m <- m[order(m[, p + match("clinic", names)]), ]
x <- m[, 1:p]; colnames(x) <- paste0("x", 1:p)
for (i in seq_along(names)) assign(names[i], m[, p + i])
took <- system.time(fit <- suppressWarnings({FIT}))
cat(took[["elapsed"]], format({COEF}, digits = 17), sep = "\\n")
"""


@lru_cache(maxsize=64)
def r_runs(name: str) -> bool:
    """Whether R and the method's package are installed."""
    if name not in R_CODE:
        return False
    try:
        check = ["Rscript", "-e", f"library({R_CODE[name][1]})"]
        return subprocess.run(check, capture_output=True, timeout=60).returncode == 0
    except FileNotFoundError:
        return False


def r_rival(name: str, rows: Cohort) -> Timing:
    """The fit in R; reading the rows and starting R is not counted."""
    _, package, fit, coefficients = R_CODE[name]
    named = {"y": rows.base.y, "days": rows.base.days, "event": rows.base.event, **rows.columns}
    table = np.column_stack([rows.base.x, *named.values()])
    program = R_PROGRAM.replace("{FIT}", fit).replace("{COEF}", coefficients)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.bin"
        path.write_bytes(np.asfortranarray(table).tobytes(order="F"))
        arguments = [str(path), str(rows.base.x.shape[1]), str(len(table)), package, ",".join(named)]
        done = subprocess.run(["Rscript", "-e", program, *arguments], capture_output=True, text=True, timeout=1200)
    if done.returncode:
        raise RuntimeError(f"R failed: {done.stderr[-400:]}")
    seconds, *found = (float(word) for word in done.stdout.split())
    return Timing(seconds, np.array(found))


PYTHON = {
    "probit": "statsmodels GLM",
    "ridge": "scikit-learn LogisticRegression",
    "robust": "statsmodels GLM",
    "cluster": "statsmodels GLM",
    "inverse_gaussian": "statsmodels GLM",
    "poisson": "statsmodels GLM",
    "gamma": "statsmodels GLM",
    "negative_binomial": "statsmodels NegativeBinomial",
    "ordinal": "statsmodels OrderedModel",
    "multinomial": "statsmodels MNLogit",
    "mixed": "statsmodels MixedLM",
    "gee": "statsmodels GEE",
    "weibull": "lifelines WeibullAFT",
    "lognormal": "lifelines LogNormalAFT",
    "conditional_logistic": "statsmodels ConditionalLogit",
    "lasso": "scikit-learn LogisticRegression",
    "iptw": "statsmodels GLM and WLS",
}


def python_rival(name: str, rows: Cohort) -> Timing:
    """The fit in Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside the libraries
        fit, coefficients = _FITS[name](rows)
        return timed(fit, coefficients)


Fit = tuple[Callable[[], Any], Callable[[Any], Any]]


def _design(rows: Cohort) -> np.ndarray:
    return np.column_stack([np.ones(len(rows.base.y)), rows.base.x])


def _slopes(fit: Any) -> Any:
    return np.asarray(fit.params)[1 : 1 + 10]


def _glm(outcome: str, family: str, errors: str = "nonrobust", **link: str) -> Callable[[Cohort], Fit]:
    def fit(rows: Cohort) -> Fit:
        import statsmodels.api as sm

        chosen = getattr(sm.families, family)(**{k: getattr(sm.families.links, v)() for k, v in link.items()})
        x, y = _design(rows), rows.base.y if outcome == "y" else rows.columns[outcome]
        groups = {"cov_kwds": {"groups": rows.columns["clinic"]}} if errors == "cluster" else {}
        return lambda: sm.GLM(y, x, family=chosen).fit(cov_type=errors, **groups), _slopes

    return fit


def _negative_binomial(rows: Cohort) -> Fit:
    import statsmodels.api as sm

    x = _design(rows)
    return lambda: sm.NegativeBinomial(rows.columns["bursts"], x).fit(disp=0, maxiter=200), _slopes


def _ordinal(rows: Cohort) -> Fit:
    from statsmodels.miscmodels.ordinal_model import OrderedModel

    y = rows.columns["grade"]
    return (
        lambda: OrderedModel(y, rows.base.x, distr="logit").fit(method="bfgs", disp=0, maxiter=200),
        lambda fit: np.asarray(fit.params)[:10],
    )


def _multinomial(rows: Cohort) -> Fit:
    import statsmodels.api as sm

    x = _design(rows)
    return (
        lambda: sm.MNLogit(rows.columns["grade"], x).fit(method="newton", disp=0),
        lambda fit: np.asarray(fit.params)[1:].T.ravel(),
    )


def _mixed(rows: Cohort) -> Fit:
    import statsmodels.api as sm

    x = _design(rows)
    return lambda: sm.MixedLM(rows.columns["score"], x, groups=rows.columns["clinic"]).fit(), _slopes


def _gee(rows: Cohort) -> Fit:
    import statsmodels.api as sm

    x, kind = _design(rows), sm.cov_struct.Exchangeable()
    model = lambda: sm.GEE(rows.base.y, x, rows.columns["clinic"], family=sm.families.Binomial(), cov_struct=kind)  # noqa: E731
    return lambda: model().fit(), _slopes


def _accelerated(fitter: str, location: str) -> Callable[[Cohort], Fit]:
    def fit(rows: Cohort) -> Fit:
        import lifelines
        import pandas as pd

        frame = pd.DataFrame(rows.base.x, columns=list(rows.base.names))
        frame["days"], frame["event"] = rows.base.days, rows.base.event
        return (
            lambda: getattr(lifelines, fitter)().fit(frame, "days", "event"),
            lambda fit: fit.params_[location].drop("Intercept").to_numpy(),
        )

    return fit


def _conditional_logistic(rows: Cohort) -> Fit:
    from statsmodels.discrete.conditional_models import ConditionalLogit

    model = lambda: ConditionalLogit(rows.base.y, rows.base.x, groups=rows.columns["set"])  # noqa: E731
    return lambda: model().fit(disp=0), lambda fit: np.asarray(fit.params)


def _ridge(rows: Cohort) -> Fit:
    from sklearn.linear_model import LogisticRegression

    y, scale = rows.base.y, rows.base.x.std(axis=0)
    x = (rows.base.x - rows.base.x.mean(axis=0)) / scale
    model = LogisticRegression(C=1.0 / (RIDGE * len(y)), solver="newton-cholesky", tol=1e-10)
    return lambda: model.fit(x, y), lambda fit: fit.coef_[0] / scale


def _lasso(rows: Cohort) -> Fit:
    """glmnet's 100 penalties on scaled columns, from the largest down, each from where the one before ended."""
    from sklearn.linear_model import LogisticRegression

    y, n, scale = rows.base.y, len(rows.base.y), rows.base.x.std(axis=0)
    x = (rows.base.x - rows.base.x.mean(axis=0)) / scale
    largest = float(np.abs(x.T @ (y - y.mean())).max()) / n

    def fit() -> Any:
        model = LogisticRegression(l1_ratio=1.0, solver="saga", warm_start=True, tol=1e-4, max_iter=1000)
        for penalty in np.geomspace(largest, largest * 1e-4, 100):
            model.set_params(C=1.0 / (penalty * n)).fit(x, y)
        return model

    return fit, lambda model: model.coef_[0] / scale


def _iptw(rows: Cohort) -> Fit:
    import statsmodels.api as sm

    x, treat = _design(rows), rows.columns["treat"]

    def fit() -> Any:
        score = sm.GLM(treat, x, family=sm.families.Binomial()).fit().fittedvalues
        weights = np.where(treat == 1, 1 / score, 1 / (1 - score))
        return sm.WLS(rows.base.y, sm.add_constant(treat), weights=weights).fit()

    return fit, lambda fitted: np.asarray(fitted.params)[1:]


_FITS: dict[str, Callable[[Cohort], Fit]] = {
    "probit": _glm("y", "Binomial", link="Probit"),
    "ridge": _ridge,
    "robust": _glm("y", "Binomial", "HC3"),
    "cluster": _glm("y", "Binomial", "cluster"),
    "inverse_gaussian": _glm("stay", "InverseGaussian", link="Log"),
    "poisson": _glm("visits", "Poisson"),
    "gamma": _glm("cost", "Gamma", link="Log"),
    "negative_binomial": _negative_binomial,
    "ordinal": _ordinal,
    "multinomial": _multinomial,
    "mixed": _mixed,
    "gee": _gee,
    "weibull": _accelerated("WeibullAFTFitter", "lambda_"),
    "lognormal": _accelerated("LogNormalAFTFitter", "mu_"),
    "conditional_logistic": _conditional_logistic,
    "lasso": _lasso,
    "iptw": _iptw,
}
