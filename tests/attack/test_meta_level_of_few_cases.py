"""Attack: a meta-analysis over places. Every stage has many people; one place has two of stage III at each site. Of a
saturated model in that place, one estimate and its error are two equations of two counts: both come out.

Defence: the guards of the model inside each place: its outcome's levels, causes and classes, their cells with every
indicator, and its groups. The hub's sums are held to the same.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hole_lab import ONLY_SUMS, answered, ask, refused, sites

from attack import Attack, Say

ATTACK = Attack(
    "A place's few cases of a level, behind a meta-analysis", "cells of levels, causes and classes in each level"
)
STAGES = {"formula": "STAGE ~ HIV"}
PLACE = {"by": "PLACE", "method": "fixed"}
MULTINOMIAL = {**PLACE, "of": {"multinomial": STAGES}, "term": "III: (Intercept)"}
CAUSES = {"causes": {"1": "a", "2": "b"}, "cause": "a"}
MODELS: dict[str, tuple[dict[str, Any], str]] = {
    "multinomial": (STAGES, "III: HIV"),
    "ordinal": (STAGES, "HIV"),
    "fine_gray": ({"formula": "Surv(DAYS, CAUSE) ~ AGE", **CAUSES, "strata": ["site"]}, "AGE"),
    "roc": ({"marker": "BMI", "outcome": "ILL"}, "auc"),
    "conditional_logistic": ({"formula": "ILL ~ AGE", "sets": "PAIR"}, "AGE"),
    "rate": ({"event": "ILL", "time": "DAYS", "by": "ARM"}, "rate ratio[B]"),
    "mixed": ({"formula": "CHOL ~ AGE", "group": "WARD"}, "AGE"),
}


def placed(few: int) -> list[dict[str, Any]]:
    """Three sites of 1,200 people in two places. In the south each site has `few` with HIV, and `few` without, of stage
    III, of cause 1 and ill; and a ward of `few`."""
    tables = []
    for at, table in enumerate(sites()):
        draw = np.random.default_rng(at)
        made = {name: np.concatenate([values] * 3) for name, values in table.items()}
        n = len(made["AGE"])
        made["CHOL"] = made["CHOL"] + draw.normal(0, 1, n)
        made["HIV"] = (draw.random(n) < 0.5).astype(float)
        south = np.arange(n) < n // 2
        made["PLACE"] = np.where(south, "south", "north").astype(object)
        made["STAGE"] = draw.choice(["I", "II"], n).astype(object)
        made["CAUSE"] = draw.choice(["0", "2"], n).astype(object)
        made["ILL"] = np.zeros(n)
        made["WARD"] = np.array([f"w{k % 20}" for k in range(n)], dtype=object)
        made["PAIR"] = np.array([f"p{k % 60}" for k in range(n)], dtype=object)
        for place, size in ((south, few), (~south, 60)):
            for hiv in (0.0, 1.0):
                chosen = np.flatnonzero(place & (made["HIV"] == hiv))[:size]
                made["STAGE"][chosen], made["CAUSE"][chosen], made["ILL"][chosen] = "III", "1", 1.0
        if few < 20:
            made["WARD"][np.flatnonzero(south)[:few]] = "small"
        tables.append(made)
    return tables


def test_an_estimate_and_its_error_tell_the_few(leak: Say) -> None:
    south = next(row for row in ask("meta", MULTINOMIAL, placed(2))["terms"] if row["term"] == "south")
    odds = math.exp(south["estimate"])  # of stage III to stage I without HIV; the variance is 1 / III + 1 / I
    assert (1.0 + odds) / south["std_error"] ** 2 == pytest.approx(6.0)
    leak("a count of 6, exactly")


@pytest.mark.parametrize("kind", MODELS)
def test_through_the_sites_it_is_refused(stop: Say, kind: str) -> None:
    model, term = MODELS[kind]
    asked = {**PLACE, "of": {kind: model}, "term": term}
    for few in (1, 2, 3):
        assert refused("meta", asked, placed(few))
    assert answered("meta", asked, placed(60))
    if kind not in {"mixed", "rate"}:  # whose groups are guarded otherwise; a table of counts is gated in the sum
        assert refused("meta", asked, placed(1), ONLY_SUMS)
    stop("refused by the sites, whichever model; answered where each place has enough")


def test_all_places_together_are_answered() -> None:
    assert answered("multinomial", STAGES, placed(20))
    assert answered("ordinal", STAGES, placed(20))


def test_a_table_of_few_is_left_out_where_only_sums_leave() -> None:
    model, term = MODELS["rate"]
    found = ask("meta", {**PLACE, "of": {"rate": model}, "term": term}, placed(1), ONLY_SUMS)
    assert "terms" not in found
    assert "south (E-TERM)" in found["error"]["hint"]
