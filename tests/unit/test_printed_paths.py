"""What a penalised path, and a model of ordered levels, print."""

from __future__ import annotations

from typing import Any

from made_results import LOGISTIC, common

from isthmus.sdk import frames, tables

LAMBDAS = [0.5 / 1.1**k for k in range(50)]


def body(**fit: Any) -> dict[str, Any]:
    cells = [
        {"lambda": lam, "term": term, "estimate": 0.0 if term == "arm" and k < 20 else float(k)}
        for k, lam in enumerate(LAMBDAS)
        for term in ("(Intercept)", "age", "arm")
    ]
    path = [
        {"lambda": lam, "df": 1 + (k >= 20), "deviance": 9.0, "dev_ratio": k / 100} for k, lam in enumerate(LAMBDAS)
    ]
    made = {"family": "binomial", "alpha": 1.0, "null_deviance": 10.0, "path": path, **fit}
    return common("penalised") | {"cells": cells, "fit": made, "reference": {}}


def test_a_path_prints_few_lines_and_tidies_whole() -> None:
    (table,) = tables.of("m", body())
    assert len(table.rows) == 12
    assert [table.rows[0][0], table.rows[-1][0]] == [tables.significant(lam) for lam in (LAMBDAS[0], LAMBDAS[-1])]
    assert table.rows[-1][1:] == ("2", "0.49")
    assert len(frames.tidy(body(), exponentiate=False)) == 150


def test_a_short_path_prints_whole() -> None:
    short = body()
    short["fit"]["path"] = short["fit"]["path"][:1]
    assert len(tables.of("m", short)[0].rows) == 1


def test_a_chosen_penalty_prints_its_coefficients() -> None:
    cv = {"folds": 5, "measure": "deviance", "path": []}
    (table,) = tables.of("m", body(lambda_min=LAMBDAS[30], lambda_1se=LAMBDAS[10], cv=cv))
    assert table.rows[:3] == (("(Intercept)", "30", "10"), ("age", "30", "10"), ("arm", "30", "-"))
    assert table.rows[3:] == (("terms in the model", "2", "1"), ("deviance explained", "0.3", "0.1"))


def test_thresholds_have_no_odds_ratio() -> None:
    cut, age, arm = LOGISTIC["terms"]
    ordinal = {"terms": [{**cut, "term": "low|high"}, age, arm], "levels": {"low": 900, "high": 1240}}
    first, second, _ = tables.of("m", common("ordinal") | ordinal)[0].rows
    assert first[:3] == ("low|high", "-", "-")
    assert first[3] == tables.significant(cut["estimate"])
    assert "-" not in second[1:3]
