"""Weights truncated at a percentile beyond which one person lies: with the plain answer beside, that person's outcome follows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hole_lab import answered, ask, refused
from test_cap_of_one_weight import ASKED, VICTIM, clinics

import isthmus
from attack import Attack
from isthmus.statistics import effect_truncation
from isthmus.statistics.contract import Grid
from isthmus.statistics.cutting import Counted
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


LOW = 1.3  # of all weights the victim's alone is below


def light_victim() -> list[dict[str, np.ndarray]]:
    sites = clinics(2.0)
    sites[0]["X"][VICTIM], sites[0]["T"][VICTIM] = -1.2, 0.0
    return sites


def without_ballot(monkeypatch: pytest.MonkeyPatch, end: str, cut: float) -> dict[str, Any]:
    """The question of a hub that lets no site vote and names a cut of its own."""

    def named(probs: Any, estimand: str, start: Any) -> Any:
        yield from ()
        at = Counted(Grid((float(np.log(cut - 1.0)),), recorded=False), np.full((2, 2), 300), 0)
        return effect_truncation.Truncated(at, {end: 0}, estimand)

    monkeypatch.setattr(effect_truncation, "found", named)
    return {**ASKED, "truncate": [0, 0.9] if end == "most" else [0.1, 1]}


@pytest.mark.parametrize("end", ["least", "most"])
def test_bare_a_cut_that_no_site_voted_on_gives_the_outcome(monkeypatch, end) -> None:
    """Raised to the cut, or alone not lowered to it: beside the plain sum, or the unweighted one, the victim's part is left."""
    sites = light_victim()
    x, t, y = (np.concatenate([site[name] for site in sites]) for name in ("X", "T", "Y"))
    plain = ask("effect", ASKED, sites)
    cut = ask("effect", without_ballot(monkeypatch, end, LOW), sites)
    means = [next(m["estimate"] for m in a["terms"] if m["term"] == "mean[0]") for a in (plain, cut)]
    whole = 1 + np.exp(plain["propensity"]["(Intercept)"] + plain["propensity"]["X"] * x)
    w, others = whole[t == 0], LOW - whole[VICTIM]
    if end == "least":
        total, beside = np.maximum(w, LOW).sum(), means[0] * w.sum()
    else:
        total, beside, others = np.minimum(w, LOW).sum(), LOW * y[t == 0].sum(), -others
    assert (means[1] * total - beside) / others == pytest.approx(y[VICTIM], rel=1e-6)


@pytest.mark.parametrize("end", ["least", "most"])
def test_a_site_looks_at_the_cut_again_when_it_weighs(monkeypatch, end) -> None:
    assert answered("effect", ASKED, light_victim())
    assert refused("effect", without_ballot(monkeypatch, end, LOW), light_victim())
    assert answered("effect", without_ballot(monkeypatch, end, 2.0), clinics(2.0))
