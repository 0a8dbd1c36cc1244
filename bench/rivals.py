"""The same fits on pooled rows by the tools people use, and by bare numpy: the floor."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.data import Array, Pooled


@dataclass(frozen=True, slots=True)
class Timing:
    """Wall seconds of one fit, its coefficients (without the intercept), and a word on how."""

    seconds: float
    coefficients: Array = field(repr=False)
    note: str = ""


Rival = Callable[[Pooled], Timing]


def timed(fit: Callable[[], Any], coefficients: Callable[[Any], Any]) -> Timing:
    start = time.perf_counter()
    fitted = fit()
    seconds = time.perf_counter() - start
    return Timing(seconds, np.asarray(coefficients(fitted), dtype=float))


def with_intercept(pooled: Pooled) -> Array:
    return np.column_stack([np.ones(len(pooled.y)), pooled.x])


def irls(x: Array, y: Array) -> Array:
    """Logistic regression by iteratively reweighted least squares: nothing but numpy, R's stopping rule (1e-8)."""
    beta = np.zeros(x.shape[1])
    before = np.inf
    for _ in range(25):
        eta = x @ beta
        mu = 1 / (1 + np.exp(-eta))
        w = mu * (1 - mu)
        weighted = x * np.sqrt(w)[:, None]
        beta = beta + np.linalg.solve(weighted.T @ weighted, x.T @ (y - mu))
        deviance = 2 * np.sum(np.logaddexp(0, eta) - y * eta)
        if abs(deviance - before) < 1e-8 * (abs(deviance) + 0.1):
            break
        before = deviance
    return beta


CHUNK = 16_384


def irls_chunked(xt: Array, y: Array) -> Array:
    """The same with rows in chunks that stay in cache and nothing allocated inside the loop; `xt` is (p, n).

    This is the kernel that a site runs, without a site around it.
    """
    p, n = xt.shape
    beta, before, constant = np.zeros(p), np.inf, xt @ y
    buffer, e, mu = np.empty((p, CHUNK)), np.empty(CHUNK), np.empty(CHUNK)
    for _ in range(25):
        information, score, deviance = np.zeros((p, p)), constant.copy(), 0.0
        for start in range(0, n, CHUNK):
            part = xt[:, start : start + CHUNK]
            m = part.shape[1]
            eta, ex, mean, z = beta @ part, e[:m], mu[:m], buffer[:, :m]
            np.exp(np.negative(np.abs(eta, out=ex), out=ex), out=ex)  # exp(-|eta|)
            deviance += 2 * (np.log1p(ex).sum() + np.maximum(eta, 0).sum() - eta @ y[start : start + m])
            np.divide(1.0, 1.0 + ex, out=mean)
            np.subtract(1.0, mean, out=mean, where=eta < 0)
            score -= part @ mean
            np.multiply(part, np.sqrt(mean * (1 - mean)), out=z)
            information += z @ z.T
        beta = beta + np.linalg.solve(information, score)
        if abs(deviance - before) < 1e-8 * (abs(deviance) + 0.1):
            break
        before = deviance
    return beta


def numpy_floor(pooled: Pooled) -> Timing:
    x = with_intercept(pooled)
    return timed(lambda: irls(x, pooled.y), lambda b: b[1:])


def numpy_floor_chunked(pooled: Pooled) -> Timing:
    xt = np.ascontiguousarray(with_intercept(pooled).T)
    return timed(lambda: irls_chunked(xt, pooled.y), lambda b: b[1:])


def statsmodels_glm(pooled: Pooled) -> Timing:
    import statsmodels.api as sm

    x = with_intercept(pooled)
    return timed(lambda: sm.GLM(pooled.y, x, family=sm.families.Binomial()).fit(), lambda f: f.params[1:])


def sklearn_newton_cholesky(pooled: Pooled) -> Timing:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8, max_iter=50)
    return timed(lambda: model.fit(pooled.x, pooled.y), lambda f: f.coef_[0])


def lifelines_cox(pooled: Pooled, strata: list[str]) -> Timing:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas and numpy deprecations inside lifelines
        import pandas as pd
        from lifelines import CoxPHFitter

        frame = pd.DataFrame(pooled.x, columns=list(pooled.names))
        frame["days"], frame["event"] = pooled.days, pooled.event
        if strata:
            frame["site"] = pooled.site
        return timed(
            lambda: CoxPHFitter().fit(frame, "days", "event", strata=strata or None), lambda f: f.params_.to_numpy()
        )


R_PROGRAM = """
suppressMessages(library(survival))
args <- commandArgs(trailingOnly = TRUE)
p <- as.integer(args[2]); n <- as.integer(args[3])
m <- matrix(readBin(args[1], "double", n * (p + 3)), nrow = n)
x <- m[, 1:p]; days <- m[, p + 1]; event <- m[, p + 2]; site <- m[, p + 3]
took <- system.time(fit <- if (args[4] == "site") coxph(Surv(days, event) ~ x + strata(site), ties = "efron")
                           else coxph(Surv(days, event) ~ x, ties = "efron"))
cat(took[["elapsed"]], format(coef(fit), digits = 17), sep = "\\n")
"""


def r_has_survival() -> bool:
    """Whether Rscript and its survival package are installed."""
    if not shutil.which("Rscript"):
        return False
    return subprocess.run(["Rscript", "-e", "library(survival)"], capture_output=True, timeout=60).returncode == 0


def r_coxph(pooled: Pooled, strata: str) -> Timing:
    """R's `coxph`, timed inside R (reading the rows and starting R not counted)."""
    table = np.column_stack([pooled.x, pooled.days, pooled.event, pooled.site])
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.bin"
        rows.write_bytes(np.asfortranarray(table).tobytes(order="F"))
        arguments = [str(rows), str(pooled.x.shape[1]), str(len(table)), strata]
        done = subprocess.run(["Rscript", "-e", R_PROGRAM, *arguments], capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"R failed: {done.stderr[-400:]}")
    seconds, *coefficients = (float(word) for word in done.stdout.split())
    return Timing(seconds, np.array(coefficients))


def all_rivals() -> dict[str, dict[str, Rival]]:
    """Fit -> name of the rival -> how to run it. The floor comes first."""
    rivals: dict[str, dict[str, Rival]] = {
        "glm": {
            "numpy IRLS (floor)": numpy_floor,
            "numpy IRLS, chunked": numpy_floor_chunked,
            "statsmodels GLM": statsmodels_glm,
            "scikit-learn newton-cholesky": sklearn_newton_cholesky,
        },
        "cox_site": {"lifelines CoxPH": lambda d: lifelines_cox(d, ["site"])},
        "cox_one": {"lifelines CoxPH": lambda d: lifelines_cox(d, [])},
    }
    if r_has_survival():
        rivals["cox_site"]["R coxph"] = lambda d: r_coxph(d, "site")
        rivals["cox_one"]["R coxph"] = lambda d: r_coxph(d, "none")
    return rivals
