"""Cross-validation of a Cox model with one baseline sums risk sets over all rows and over those outside each fold: with the
same coefficients, of 0, what is between the two is the fold's, and where one person of it leaves in a step it is theirs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from hole_lab import ONLY_SUMS, ROWS, answered, refused, sites

from attack import Attack
from isthmus import strict
from isthmus.statistics.catalogue import CATALOGUE
from isthmus.statistics.penalised_folds import folds_of
from isthmus.testing import run_flow

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "law"))
from bare import make

ATTACK = Attack(
    "The one person of a fold who leaves in a step, out of cross-validated risk sets",
    "every rule on each fold's bins; leavers of a fold, and all evaluations, by the rule for the sequence",
)
FOLDS, SEED, EARLY = 5, 3, 30.0
QUESTION: dict[str, Any] = {
    "formula": "Surv(DAYS, DIED) ~ CHOL",
    "family": "cox",
    "lambdas": [0.2],
    "folds": FOLDS,
    "seed": SEED,
}


def early(few: int) -> list[dict[str, Any]]:
    """So many at each site leave, with the event, by day 30."""
    tables = sites()
    for table in tables:
        first = np.arange(ROWS) < few
        table["DAYS"] = np.where(first, EARLY, EARLY + table["DAYS"])
        table["DIED"] = np.where(first, 1.0, table["DIED"])
    return tables


def asked(**change: Any) -> dict[str, Any]:
    return {**QUESTION, "grid": {"edges": [EARLY, 2000]}, **change}


def test_bare_the_covariate_of_the_one_comes_out(leak) -> None:
    table = early(4)[0]
    rows = {name: table[name] for name in ("DAYS", "DIED", "CHOL")}
    fold = folds_of(rows["CHOL"][None], [rows["DAYS"], rows["DIED"]], FOLDS, SEED)
    k = next(k for k in range(FOLDS) if np.count_nonzero(fold[:4] == k) == 1)
    statistic = CATALOGUE["penalised"]
    question = strict.parse(statistic.question, asked())
    made = make(statistic, question, rows)
    trace = run_flow(statistic, question, made.setting, [made.inputs])
    sums = []
    for lead in ("", f"{k}."):
        at, params = next(
            (pooled, own.params)
            for own, pooled in zip(trace.rounds, trace.pooled, strict=True)
            if own.params.get(f"{lead}step") == "risk"
        )
        s0, s1 = at[f"{lead}s0"][0, 1], at[f"{lead}s1"][0, 0, 1]  # who leaves in the first step, at coefficients 0
        sums.append(np.array([s0, s1 * params[f"{lead}scale"][0] + s0 * params[f"{lead}centre"][0]]))
    count, cholesterol = sums[0] - sums[1]
    (own,) = rows["CHOL"][:4][fold[:4] == k]
    assert np.allclose([count, cholesterol], [1.0, own], rtol=1e-9)
    leak(f"one person's cholesterol, {own:.0f}, exactly")


def test_through_the_sites_it_is_refused(stop) -> None:
    assert refused("penalised", asked(), early(4))
    assert refused("penalised", asked(folds=3), early(40))  # a fold of a dozen at a site, of which some are fewer
    assert refused("penalised", asked(folds=3), early(8), ONLY_SUMS)  # no cell of a site is held: the sums are
    assert answered("penalised", {k: v for k, v in asked(folds=0).items() if k != "seed"}, early(8), ONLY_SUMS)
    assert answered("penalised", asked(folds=3), early(150))
    stop("refused; a hundred and fifty early deaths at each site are answered")
