"""Models with noise: without it they are the exact fit; with it intervals cover, and the noise adds about a tenth of an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Invalid
from isthmus.model.formula import design, parse
from isthmus.model.privacy import Allowance, exact
from isthmus.statistics.contract import Estimate, Setting
from isthmus.statistics.glm import Glm
from isthmus.statistics.glm_kernel import Rows
from isthmus.statistics.noisy.glm import STATISTIC
from isthmus.summary import Summary

TERMS = tuple(f"x{j}" for j in range(5))
TRUE = np.array([0.5, 0.3, -0.2, 0.1, 0.0, 0.4])
BOOK = Codebook(
    name="d",
    variables={
        **{name: Variable(type="number", range=(-4.0, 4.0)) for name in TERMS},
        "y": Variable(type="number", range=(-8.0, 8.0)),
        "d": Variable(type="integer", range=(0.0, 1.0)),
    },
)
OUTCOME = {"gaussian": "y", "binomial": "d"}


def question(family: str, **more: Any) -> Glm:
    return Glm(formula=f"{OUTCOME[family]} ~ " + " + ".join(TERMS), family=family, **more)


def setting(asked: Glm, rho: float) -> Setting:
    stated = exact(rho)
    allowed = Allowance(rho=(stated.numerator, stated.denominator), honest=1)
    made = design(parse(asked.formula), BOOK, {}, {})
    return Setting(sites=1, dictionary=BOOK, levels={}, conf_level=0.95, design=made, privacy=allowed)


def made_rows(family: str, n: int, rng: np.random.Generator) -> Rows:
    columns = np.vstack([np.ones(n), rng.normal(size=(5, n))])
    eta = TRUE @ columns
    noisy = eta + rng.normal(size=n)
    y = noisy if family == "gaussian" else (rng.uniform(size=n) < 1.0 / (1.0 + np.exp(-eta))).astype(float)
    return Rows(columns, y, None, None)


def fitted(asked: Glm, given: Setting, rows: Rows, rng: np.random.Generator | None) -> Estimate:
    flow = STATISTIC.flow(asked, given)
    step = next(flow)
    try:
        while True:
            part = STATISTIC.summarise(asked, given, rows, step).summary
            values = dict(part.values)
            for name, field in step.noise.fields.items() if rng is not None else ():
                drawn = rng.normal(size=values[name].shape) * field.variance**0.5
                values[name] = values[name] + np.rint(drawn).astype(np.int64)
            step = flow.send(Summary(part.layout, values))
    except StopIteration as stop:
        return stop.value


def pooled(family: str, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and standard errors of the exact fit."""
    x, beta = rows.columns, np.zeros(6)
    for _ in range(25):
        mean = x.T @ beta if family == "gaussian" else 1.0 / (1.0 + np.exp(-(x.T @ beta)))
        weight = np.ones(rows.size) if family == "gaussian" else mean * (1.0 - mean)
        inverse = np.linalg.inv((x * weight) @ x.T)
        beta = beta + inverse @ (x @ (rows.y - mean))
    spread = float(np.var(rows.y - mean)) if family == "gaussian" else 1.0
    return beta, np.sqrt(spread * np.diag(inverse))


@pytest.mark.parametrize("family", ["gaussian", "binomial"])
def test_added_error_is_about_a_tenth_of_a_standard_error(family: str) -> None:
    rng, asked = np.random.default_rng(1), question(family)
    added = []
    for _ in range(8):
        rows = made_rows(family, 20_000, rng)
        estimates, errors = pooled(family, rows)
        found = fitted(asked, setting(asked, 0.5), rows, rng)
        added.append((found.values["estimates"] - estimates) / errors)
    assert np.sqrt(np.mean(np.square(added))) < 0.2  # 0.13 and 0.10 over many runs


@pytest.mark.parametrize("family", ["gaussian", "binomial"])
def test_intervals_that_include_the_noise_cover(family: str) -> None:
    rng, asked = np.random.default_rng(2), question(family)
    covered = []
    for _ in range(150):
        rows = made_rows(family, 4_000, rng)
        found = fitted(asked, setting(asked, 2.0), rows, rng)
        covered.append(np.abs(found.values["estimates"] - TRUE) < 1.96 * np.sqrt(np.diag(found.values["vcov"])))
    assert 0.93 < np.mean(covered) < 0.97


def test_noise_that_would_drown_the_model_is_refused() -> None:
    rng, asked = np.random.default_rng(3), question("gaussian")
    with pytest.raises(Invalid, match="larger than what the model rests on"):
        fitted(asked, setting(asked, 0.05), made_rows("gaussian", 500, rng), rng)


@pytest.mark.parametrize("more", [{"family": "poisson"}, {"robust": "HC0"}, {"link": "probit", "family": "binomial"}])
def test_models_without_a_noisy_variant_are_named(more: dict[str, Any]) -> None:
    asked = Glm(**{"formula": "d ~ x0", "family": "gaussian", **more})
    with pytest.raises(Invalid, match="no variant that answers with noise"):
        next(STATISTIC.flow(asked, setting(asked, 0.5)))
