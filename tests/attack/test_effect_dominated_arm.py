"""An untreated person who looks treated has nearly all the weight of the untreated, and their mean is that person's."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hole_lab import answered, ask, refused

from attack import Attack
from isthmus import strict
from isthmus.disclosure.site import weigh
from isthmus.model.rules import Rules
from isthmus.statistics.effect_site import ARMS, Estimand, Rows, predicted_sums
from stated_rules import STRICT

ATTACK = Attack(
    "A weighted mean of an arm that is one person's outcome",
    "effective rows and maximum_weight_share in each arm, not over both",
)
QUESTION = {
    "treatment": "T", "outcome": "CHOL", "adjust": "X + AGE", "method": "iptw", "estimand": "ATT", "errors": "known",
}  # fmt: skip
ROWS = 3000
SECRET = 283.0


def clinic(seed: int, *, victim: bool) -> dict[str, np.ndarray]:
    """One site: treatment follows X but for a few treated people; the victim has the X of the treated and is not."""
    draw, half = np.random.default_rng(seed), ROWS // 2
    x = np.concatenate([np.clip(draw.normal(0, 0.2, half), -1.6, 1.5), np.clip(draw.normal(4, 0.8, half), -1.6, None)])
    treated = np.repeat([0.0, 1.0], half)
    treated[:4] = 1.0
    chol, age = np.round(draw.normal(200, 40, ROWS)), np.round(draw.uniform(20, 90, ROWS), 1)
    if victim:
        x[half - 1], chol[half - 1] = 2.2, SECRET
    return {"T": treated, "X": np.round(x, 2), "CHOL": chol, "AGE": age}


def clinics() -> list[dict[str, np.ndarray]]:
    """Three, the victim in the first."""
    return [clinic(1, victim=True), clinic(2, victim=False), clinic(3, victim=False)]


def test_bare_the_mean_is_the_persons_outcome(leak) -> None:
    answer = ask("effect", QUESTION, clinics())
    found = next(term["estimate"] for term in answer["terms"] if term["term"] == "mean[0]")
    assert found == pytest.approx(SECRET, rel=0.05)
    leak(f"one person's cholesterol, {SECRET:.0f}, to within a twentieth")


def test_through_the_sites_it_is_refused(stop) -> None:
    assert refused("effect", QUESTION, clinics())
    for errors, estimand in product(("known", "stacked"), ("ATE", "ATT")):
        augmented = {**QUESTION, "method": "aipw", "estimand": estimand, "family": "gaussian", "errors": errors}
        assert refused("effect", augmented, clinics())
    stop("refused: the treated do not lend the untreated their rows")


def ordinary(seed: int) -> dict[str, np.ndarray]:
    """One site with people of both kinds everywhere."""
    draw = np.random.default_rng(seed)
    x, age = np.round(draw.normal(0, 1, 600), 2), np.round(draw.uniform(20, 90, 600), 1)
    treated = (draw.random(600) < 1.0 / (1.0 + np.exp(-0.6 * x))).astype(float)
    died = (draw.random(600) < 1.0 / (1.0 + np.exp(0.7 - 0.5 * x - 0.4 * treated))).astype(float)
    return {"T": treated, "X": x, "AGE": age, "CHOL": np.round(draw.normal(200 + 10 * x, 40)), "DIED": died}


@pytest.mark.parametrize("outcome", ["CHOL", "DIED"])
@pytest.mark.parametrize(
    "how",
    [
        *({"method": "iptw", "estimand": estimand} for estimand in ("ATE", "ATT", "ATO")),
        *({"method": method, "estimand": e} for method in ("aipw", "gcomputation") for e in ("ATE", "ATT")),
    ],
    ids=["ATE", "ATT", "ATO", "aipw", "aipw ATT", "gcomputation", "gcomputation ATT"],
)
def test_ordinary_effects_are_answered(outcome: str, how: dict[str, str]) -> None:
    family = {} if how["method"] == "iptw" else {"family": "gaussian" if outcome == "CHOL" else "binomial"}
    question = {"treatment": "T", "outcome": outcome, "adjust": "X + AGE", **how, **family}
    assert answered("effect", question, [ordinary(seed) for seed in (1, 2, 3)])


@pytest.mark.parametrize(
    ("estimand", "number", "holds"), [("ATE", 0.0, True), ("ATE", 6.0, False), ("ATT", -6.0, False)]
)
def test_so_are_the_slopes_of_augmented_means(estimand: Estimand, number: float, holds: bool) -> None:
    """One of sixty has nearly all the weight, and a residual of 0: the means do not show them, their slopes would."""
    people = 60
    columns = np.vstack([np.ones(people), np.append(number, np.zeros(people - 1))])
    first = 1.0 - np.arange(people) % 2.0
    rows = Rows(columns, first if estimand == "ATE" else 1.0 - first, np.zeros(people))
    flat = {"centre": np.zeros(2), "scale": np.ones(2), "coefficients": np.zeros(2), "response_scale": 1.0}
    params = {f"{fit}{key}": value for fit in ("ps ", *ARMS) for key, value in flat.items()}
    params |= {"ps coefficients": np.array([0.0, -1.0]), "unit": 1.0, "stacked": 1, "logit": False}
    weights = predicted_sums(rows, estimand, "aipw", params)[1]
    assert weigh(weights, strict.parse(Rules, STRICT, "rules")).holds is holds
