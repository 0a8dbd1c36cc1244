"""Outcomes with levels: who stands behind a clustered error, and the middle of a sandwich is weighed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stat_help import codebook, evidence, make, run

from isthmus import strict
from isthmus.disclosure.site import weigh
from isthmus.model.rules import Rules
from isthmus.statistics.catalogue import CATALOGUE
from stated_rules import STRICT

KINDS = ("multinomial", "ordinal")


def patients() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(3)
    x = draw.normal(size=300)
    grade = np.array(["a", "b", "c"], dtype=object)[np.digitize(x + draw.normal(size=300), [-0.5, 0.5])]
    return {"y": grade, "x": x, "ward": np.arange(300) % 12}


@pytest.mark.parametrize("kind", KINDS)
def test_clusters_are_counted(kind) -> None:
    asked = {"formula": "y ~ x", "cluster": "ward"}
    assert evidence(kind, asked, patients()).supports["clusters"].tolist() == [12]


@pytest.mark.parametrize("kind", KINDS)
def test_the_middle_of_a_sandwich_is_weighed(kind) -> None:
    rules, statistic = strict.parse(Rules, STRICT), CATALOGUE[kind]
    asked = {"formula": "y ~ x", "robust": "HC0"}
    fair, question = run(kind, asked, patients()).rounds[-1], strict.parse(statistic.question, asked)
    few = patients()
    few["y"] = np.array([*"abca", *["b"] * 296], dtype=object)
    far = (
        np.array([-40.0, 40.0, 0.0]) if kind == "ordinal" else np.array([40.0, 0.0, 0.0, 0.0])
    )  # of all others no score
    steered = replace(fair, params={**fair.params, "coefficients": far})
    assert fair.params["step"] == "meat"
    for table, asked_, holds in ((patients(), fair, True), (few, fair, True), (few, steered, False)):
        made = make(statistic, question, table, codebook(table))
        rows = statistic.prepare(question, made.setting, made.inputs)
        assert weigh(statistic.summarise(question, made.setting, rows, asked_).weights, rules).holds is holds
