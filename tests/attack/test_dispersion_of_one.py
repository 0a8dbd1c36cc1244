"""The dispersion of a quasi-family is Pearson's statistic: one unlikely outcome is most of it, and tells its covariate."""

from __future__ import annotations

import numpy as np
import pytest
from hole_lab import answered, ask, estimates, refused

from attack import Attack

ATTACK = Attack(
    "A dispersion that one person's unlikely outcome makes",
    "effective rows of the terms of Pearson's statistic",
)
QUESTION = {"formula": "DIED ~ X", "family": "quasibinomial"}
ROWS = 1500
SECRET = -2.3


def clinic(seed: int, *, victim: bool) -> dict[str, np.ndarray]:
    """One site: nobody with a low X dies, but the victim."""
    draw = np.random.default_rng(seed)
    x = np.clip(draw.normal(0, 1, ROWS), -2.6, 3)
    died = (draw.random(ROWS) < 1.0 / (1.0 + np.exp(2.0 - 3.0 * x))).astype(float)
    died[x < -1.3] = 0.0
    if victim:
        at = np.flatnonzero(x < -1.5)[0]
        x[at], died[at] = SECRET, 1.0
    return {"X": np.round(x, 3), "DIED": died}


def clinics() -> list[dict[str, np.ndarray]]:
    """Three, the victim in the first."""
    return [clinic(1, victim=True), clinic(2, victim=False), clinic(3, victim=False)]


def test_bare_the_dispersion_tells_the_persons_covariate(leak) -> None:
    answer = ask("glm", QUESTION, clinics())
    n, (intercept, slope) = 3 * ROWS, estimates(answer)
    excess = answer["fit"]["dispersion"] * (n - 2) - 0.85 * n  # 0.85: the dispersion without the victim
    assert (-np.log(excess) - intercept) / slope == pytest.approx(SECRET, rel=0.02)
    leak("one person's covariate, -2.3, to within a fiftieth")


def test_through_the_sites_it_is_refused(stop) -> None:
    assert refused("glm", QUESTION, clinics())
    stop("refused; costs with heavy tails are answered")


def ordinary(seed: int, rows: int) -> dict[str, np.ndarray]:
    """One site: counts that are seldom above 0, costs, stays, an outcome."""
    draw = np.random.default_rng(seed)
    x = np.round(draw.normal(0, 1, rows), 2)
    return {
        "X": x,
        "FALLS": draw.poisson(np.exp(-1.5 + 0.4 * x)).astype(float),
        "COST": np.round(np.exp(draw.normal(7 + 0.2 * x, 1.0)), 2),
        "STAY": np.round(draw.gamma(1.0, np.exp(1.5 + 0.3 * x)) + 0.1, 1),
        "TIME": np.round(draw.wald(np.exp(1.0 + 0.2 * x), 40.0) + 0.01, 2),
        "DIED": (draw.random(rows) < 1.0 / (1.0 + np.exp(1.0 - 0.8 * x))).astype(float),
    }


@pytest.mark.parametrize(
    ("outcome", "family", "link"),
    [
        ("FALLS", "quasipoisson", "log"),
        ("COST", "gamma", "log"),
        ("STAY", "gamma", "log"),
        ("TIME", "inverse_gaussian", "log"),
        ("DIED", "quasibinomial", "logit"),
    ],
)
def test_ordinary_dispersions_are_answered(outcome: str, family: str, link: str) -> None:
    question = {"formula": f"{outcome} ~ X", "family": family, "link": link}
    assert answered("glm", question, [ordinary(seed, 400) for seed in (1, 2, 3)])
