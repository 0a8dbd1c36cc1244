"""Two caps, or a cap and none, with one person's weight above: the answers differ by that person's outcome."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hole_lab import answered, ask, refused

from attack import Attack

ATTACK = Attack(
    "An effect with its weights capped, and not",
    "0 or minimum_count people, in effective people of what the cap takes away, above and below it in each arm",
)
ROWS, VICTIM = 400, 7
ASKED: dict[str, Any] = {"treatment": "T", "adjust": "X", "outcome": "Y", "method": "iptw", "errors": "known"}


def clinics(steep: float = 0.0) -> list[dict[str, np.ndarray]]:
    """Nearly all of the first site are treated where X is high; the victim is not, and alone has a weight above 4."""
    made = []
    for seed in (1, 2, 3):
        draw = np.random.default_rng(seed)
        x = np.round(draw.uniform(0, 1, ROWS), 2)
        treated = (draw.random(ROWS) < 1 / (1 + np.exp(-steep * (x - 0.5)))).astype(float)
        made.append({"X": x, "T": treated, "Y": np.round(draw.normal(100, 20, ROWS))})
    if not steep:
        made[0]["X"][VICTIM], made[0]["T"][VICTIM] = 2.2, 0.0
        for site in made:
            site["T"] = np.where(site["X"] == 2.2, 0.0, np.where(site["X"] > 0.85, 1.0, site["T"]))
    return made


def weighted(sites: list[dict[str, np.ndarray]], cap: float | None) -> dict[str, float]:
    """Of the untreated: sum of w y and of w, from the mean and the effective number (sum w)**2 / sum w**2 are known."""
    found = ask("effect", ASKED | ({} if cap is None else {"cap": cap}), sites)
    return {term["term"]: term["estimate"] for term in found["terms"]} | {"ess": found["fit"]["ess"]["control"]}


def test_bare_two_caps_give_the_outcome(leak) -> None:
    sites = clinics()
    y = np.concatenate([site["Y"] for site in sites])
    x, t = (np.concatenate([site[name] for site in sites]) for name in ("X", "T"))
    told = ask("effect", ASKED, sites)["propensity"]  # what is released of the model gives anyone's weight by X
    w = 1 + np.exp(told["(Intercept)"] + told["X"] * x)
    above = (t == 0) & (w > 4.0)
    assert above.sum() == 1
    assert above[VICTIM]
    plain, capped = (weighted(sites, cap)["mean[0]"] for cap in (None, 4.0))
    total = w[t == 0].sum()  # of everyone else an attacker knows X; or from `ess` of three caps
    excess = w[VICTIM] - 4.0
    found = (plain * total - capped * (total - excess)) / excess
    assert found == pytest.approx(y[VICTIM], rel=1e-6)
    leak("one person's outcome, exactly")


def test_through_the_sites_the_capped_answer_is_refused(stop) -> None:
    assert answered("effect", ASKED, clinics())
    assert refused("effect", {**ASKED, "cap": 4.0}, clinics())
    stop("refused: a cap takes weight from nobody or from enough people")


def test_nor_does_one_weight_outweigh_the_others_above_the_cap() -> None:
    """Enough people lie just above, so that their number alone would let it pass."""
    sites = clinics()
    assert refused("effect", {**ASKED, "cap": 3.0}, sites)


def test_an_ordinary_cap_is_answered() -> None:
    assert answered("effect", {**ASKED, "cap": 2.5}, clinics(2.0))
    assert answered("effect", {**ASKED, "cap": 50.0}, clinics(2.0))  # nobody is above it
