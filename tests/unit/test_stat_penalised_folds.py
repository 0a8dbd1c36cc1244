"""Folds: the same wherever a row lies, and each held to the rules of a fit of its own."""

from __future__ import annotations

import numpy as np
from stat_help import evidence

from isthmus import strict
from isthmus.disclosure.site import consider
from isthmus.model.rules import Rules
from isthmus.statistics.penalised_folds import chosen, folds_of
from stated_rules import STRICT

ASKED = {"formula": "y ~ x", "family": "binomial", "lambdas": [0.1], "folds": 5, "seed": 3}


def patients(rows: int) -> dict:
    draw = np.random.default_rng(1)
    return {"x": draw.normal(size=rows), "y": (draw.random(rows) < 0.5).astype(float)}


def test_a_rows_fold_is_its_own() -> None:
    draw = np.random.default_rng(0)
    x, order = draw.normal(size=(3, 500)), draw.permutation(500)
    folds = folds_of(x, [x[0]], 10, 5)
    assert np.array_equal(folds_of(x[:, order], [x[0, order]], 10, 5), folds[order])
    assert np.array_equal(folds_of(-0.0 * x, [], 10, 5), folds_of(0.0 * x, [], 10, 5))
    assert not np.array_equal(folds_of(x, [x[0]], 10, 6), folds)
    assert np.bincount(folds).min() > 25


def test_a_fold_of_few_people_is_refused_where_the_path_alone_is_not() -> None:
    rules = strict.parse(Rules, STRICT)
    few, many = (evidence("penalised", ASKED, patients(rows)) for rows in (90, 3000))
    alone = evidence("penalised", {k: v for k, v in ASKED.items() if k not in {"folds", "seed"}}, patients(90))
    assert few.groups["folds"].sum() == 90
    broken = {name for verdict in consider(few, rules).verdicts for name in verdict.broken}
    assert any(name.startswith("cell fold") for name in broken)
    assert not {name for verdict in consider(alone, rules).verdicts for name in verdict.broken} - {"path"}
    assert consider(many, rules).holds


def test_the_largest_penalty_within_one_error_of_the_best() -> None:
    lost = np.array([[3.0, 2.0, 2.1], [5.0, 2.0, 1.9], [4.0, 2.4, 2.0]])
    found = chosen([0.3, 0.2, 0.1], np.ones(3), lost)
    assert [point["mean"] for point in found["path"]] == [4.0, np.mean(lost[:, 1]), 2.0]
    assert (found["lambda_min"], found["lambda_1se"]) == (0.1, 0.1)
