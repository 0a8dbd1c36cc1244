"""Weights truncated at a percentile beyond which one person lies: with the plain answer beside, that person's outcome follows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hole_lab import answered, ask
from test_cap_of_one_weight import ASKED, VICTIM, clinics

import isthmus
from attack import Attack
from stated_rules import STRICT

ATTACK = Attack(
    "An effect with its weights truncated at a percentile, and not",
    "minimum_count_site on both arms of each cell in the ballots on the cuts; 0 or minimum_count effective people beyond a cut and within",
)
TRUNCATED = {**ASKED, "truncate": [0, 0.9995]}


def guessed(rules: dict[str, Any] | None) -> tuple[float, float]:
    """The victim's outcome as both answers tell it, and the share of people whose weights were not cut."""
    sites = clinics()
    x, t = (np.concatenate([site[name] for site in sites]) for name in ("X", "T"))
    plain, cut = (ask("effect", asked, sites, rules) for asked in (ASKED, TRUNCATED))
    means = [next(m["estimate"] for m in a["terms"] if m["term"] == "mean[0]") for a in (plain, cut)]
    (line,) = cut["fit"]["truncation"]
    w = 1 + np.exp(plain["propensity"]["(Intercept)"] + plain["propensity"]["X"] * x)
    excess = w[VICTIM] - line["at"]
    total = w[t == 0].sum()
    others = total - np.maximum(w[t == 0] - line["at"], 0.0).sum()
    return float((means[0] * total - means[1] * others) / excess), float(line["below"])


def test_bare_a_percentile_beyond_all_others_gives_the_outcome(leak) -> None:
    found, below = guessed(None)
    assert below == pytest.approx(1199 / 1200)
    assert found == pytest.approx(clinics()[0]["Y"][VICTIM], rel=1e-6)
    leak("one person's outcome, exactly")


def test_through_the_sites_the_cut_is_where_enough_people_lie_beyond(stop) -> None:
    try:
        found, below = guessed(STRICT)
    except (isthmus.Refused, KeyError):
        stop("refused")
        return
    assert (1.0 - below) * 1200 > 2 * 11
    assert abs(found - clinics()[0]["Y"][VICTIM]) > 100.0
    stop(
        "answered, cut at the nearest weight that enough people of each arm and site lie beyond: the difference is theirs"
    )


@pytest.mark.parametrize("change", [{"truncate": [0.05, 0.95]}, {"truncate": [0, 0.9], "estimand": "ATT"}])
def test_an_ordinary_truncation_is_answered(change) -> None:
    assert answered("effect", {**ASKED, **change}, clinics(2.0))
