"""Made-up rows with holes, an analysis over imputed data without files, and the same on one table by other code."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
from bare import codebook
from scipy import special, stats

from isthmus import strict
from isthmus.data.design_matrix import matrix
from isthmus.model.formula import design
from isthmus.statistics import imputation, imputation_question
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.statistics.contract import Gaps, Inputs, Setting
from isthmus.testing import Example

Rows = dict[str, Any]


def holes(rows: int, seed: int) -> Rows:
    """A binary outcome on age, sex, pressure and smoking; pressure and smoking are missing more often in cases."""
    draw = np.random.default_rng(seed)
    age, sex = draw.normal(60, 10, rows), draw.choice(["F", "M"], rows)
    pressure = 120 + 0.5 * (age - 60) + 5 * (sex == "M") + draw.normal(0, 10, rows)
    smoker = (draw.random(rows) < 0.35).astype(float)
    risk = -0.5 + 0.04 * (age - 60) + 0.03 * (pressure - 120) - 0.4 * (sex == "M") + 0.7 * smoker
    died = (draw.random(rows) < special.expit(risk)).astype(float)
    pressure[draw.random(rows) < 0.1 + 0.2 * died] = np.nan
    smoker[draw.random(rows) < 0.2] = np.nan
    return {"age": age, "sex": sex.astype(object), "pressure": pressure, "smoker": smoker, "died": died}


def keys(rows: int) -> Any:
    """As a site's secret would make them."""
    made = [hashlib.sha256(f"secret {i}".encode()).digest()[:8] for i in range(rows)]
    return np.array([int.from_bytes(word, "big") for word in made], dtype=np.uint64)


def imputed(kind: str, stated: dict[str, Any], rows: Rows, wish: dict[str, Any]) -> tuple[Any, Example]:
    """The statistic and its example, as `plan` and `selected` would make them."""
    statistic, book = CATALOGUE[kind], codebook(rows)
    question = strict.parse(statistic.question, stated)
    needs = statistic.needs(question)
    levels = {name: tuple(book.variables[name].levels or ()) for name in needs.categories}
    setting = Setting(sites=1, dictionary=book, levels=levels, conf_level=0.95, open_rules=True)
    rungs = statistic.rungs(question, book)
    made_design = design(needs.formula, book, {}, {})  # type: ignore[arg-type]
    setting = replace(setting, design=made_design, grid=rungs[0] if rungs else None)
    made = imputation.over(
        imputation_question.Asked(statistic, question, needs, setting), imputation_question.Wish(**wish)
    )
    size = len(next(iter(rows.values())))
    codes = {name: _codes(rows[name], made.setting.levels[name]) for name in made.needs.categories}
    numbers = {name: rows[name].astype(float) for name in made.needs.numbers}
    keyed = {name: np.unique(rows[name], return_inverse=True)[1].astype(np.int32) for name in made.needs.keys}
    inputs = Inputs(rows=size, numbers=numbers, codes=codes, keys=keyed, gaps=Gaps(keys(size), matrix))
    return made.statistic, Example(made.arguments, made.setting, inputs)


def _codes(values: Any, levels: tuple[str, ...]) -> Any:
    return np.array([levels.index(v) if v in levels else -1 for v in values.tolist()], dtype=np.int32)


# -- the same on one table, by other code ---------------------------------------------------------------------------


def pooled_run(columns: Rows, targets: dict[str, str], wish: dict[str, Any]) -> list[Rows]:
    """The completed tables of `m` chains. `columns`: numbers alone; `targets`: name -> linear or logistic."""
    size = len(next(iter(columns.values())))
    own = keys(size)
    missing = {name: np.isnan(columns[name]) for name in targets}
    tables = []
    for chain in range(wish["m"]):
        filled, step = dict(columns), 0
        for cycle in range(wish["cycles"] + 1):
            start = dict(columns) if cycle == 0 else filled
            for name, method in targets.items():
                others = [np.ones(size)] + ([] if cycle == 0 else [filled[o] for o in columns if o != name])
                x, seen = np.column_stack(others), ~missing[name]
                seed = f"isthmus impute {wish['seed']} {chain} {step} {name}"
                beta, sigma = _posterior(method, x[seen], start[name][seen], f"parameters {seed}")
                u = _uniform_rows(own[~seen], f"rows {seed}")
                eta = x[~seen] @ beta
                values = filled[name].copy()
                drawn = (
                    eta + sigma * stats.norm.ppf(u) if method == "linear" else (u < special.expit(eta)).astype(float)
                )
                values[~seen] = drawn
                filled = {**filled, name: values}
                step += 1
        tables.append(filled)
    return tables


def _posterior(method: str, x: Any, y: Any, seed: str) -> tuple[Any, float]:
    n, p = x.shape
    u = [(int.from_bytes(hashlib.sha256(f"{seed} {i}".encode()).digest()[:8], "big") >> 11) for i in range(p + 1)]
    uniforms = (np.array(u, dtype=float) + 0.5) / 2.0**53
    z = stats.norm.ppf(uniforms[:p])
    if method == "logistic":
        beta, vcov = logistic(x, y)
        return beta + np.linalg.cholesky(vcov) @ z, 1.0
    beta = np.linalg.lstsq(x, y, rcond=None)[0]
    variance = float(np.sum((y - x @ beta) ** 2)) / (n - p)
    spread = np.sqrt((n - p) / stats.chi2.isf(uniforms[p], n - p))
    lower = np.linalg.cholesky(variance * np.linalg.inv(x.T @ x))
    return beta + spread * lower @ z, float(np.sqrt(variance) * spread)


def logistic(x: Any, y: Any) -> tuple[Any, Any]:
    """Estimates and covariance, by Newton's method."""
    beta = np.zeros(x.shape[1])
    for _ in range(50):
        mu = special.expit(x @ beta)
        information = (x * (mu * (1 - mu))[:, None]).T @ x
        beta = beta + np.linalg.solve(information, x.T @ (y - mu))
    return beta, np.linalg.inv(information)


def _uniform_rows(own: Any, seed: str) -> Any:
    tag = hashlib.sha256(seed.encode()).digest()
    words = [hashlib.blake2b(int(k).to_bytes(8, "little"), digest_size=8, key=tag).digest() for k in own]
    return (np.array([int.from_bytes(w, "big") >> 11 for w in words], dtype=float) + 0.5) / 2.0**53


def rubin(fits: list[tuple[Any, Any]], df: float) -> list[tuple[float, float, float]]:
    """(estimate, standard error, df) of each coefficient of m fits."""
    m, found = len(fits), []
    for j in range(len(fits[0][0])):
        q, v = np.array([f[0][j] for f in fits]), np.array([f[1][j, j] for f in fits])
        between = q.var(ddof=1)
        total = v.mean() + (1 + 1 / m) * between
        share = (1 + 1 / m) * between / total
        old, observed = (m - 1) / share**2, (df + 1) / (df + 3) * df * (1 - share)
        found.append((float(q.mean()), float(np.sqrt(total)), float(old * observed / (old + observed))))
    return found
