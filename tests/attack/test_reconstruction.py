"""Dinur and Nissim's reconstruction: 800 counts of random subsets of 200 people, and least squares."""

import numpy as np
import pytest
from privacy_lab import Site, bytes_of, means, purse, run

from attack import Attack, Say
from isthmus.model.errors import Refused

ATTACK = Attack("Reconstruction out of 800 counts (Dinur & Nissim)", "privacy budget, hard stop", number=3)
PEOPLE, ASKED, RHO = 200, 800, 0.2


def reconstructed(secret: np.ndarray, subsets: np.ndarray, answers: np.ndarray) -> float:
    """Share of the people whose secret bit comes back."""
    found = np.linalg.lstsq(subsets.astype(float), answers, rcond=None)[0]
    return float(np.mean((found > 0.5) == secret))


def trial(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2, PEOPLE).astype(bool), rng.integers(0, 2, (ASKED, PEOPLE)).astype(bool)


def test_bare_rounding_to_5_gives_everyone_back(leak: Say) -> None:
    shares = []
    for seed in range(2):
        secret, subsets = trial(seed)
        rounded = np.rint((subsets @ secret.astype(float)) / 5.0) * 5.0
        shares.append(reconstructed(secret, subsets, rounded))
    assert min(shares) > 0.97
    leak(f"{100 * np.mean(shares):.0f} % of 200 secrets, although every count was rounded to 5")


def test_through_the_gate_little_more_than_a_guess_comes_back(stop: Say) -> None:
    shares = []
    for seed in range(2):
        secret, subsets = trial(seed)
        site = Site(purse(RHO), bytes_of(seed))
        answers = [site.answer((row & secret)[:, None].astype(float), RHO / ASKED)[0] for row in subsets]
        shares.append(reconstructed(secret, subsets, np.array(answers)))
        with pytest.raises(Refused, match="E-BUDGET"):
            site.answer(secret[:, None].astype(float), RHO / ASKED)
    assert np.mean(shares) < 0.6
    stop(f"{100 * np.mean(shares):.0f} %, where a coin gives 50 %; the 801st count is refused")


def test_through_the_sites_nor_does_a_table_of_800_counts(stop: Say) -> None:
    """All 800 in one table over three sites; the attacker knows the bits of the other two. A second table is not paid."""
    secret, subsets = trial(3)
    others = trial(4)[1][:, : 2 * PEOPLE].T.astype(np.int64)
    tables = {"leeds": (subsets & secret).T.astype(np.int64), "oxford": others, "boston": others[::-1]}
    question = {"table_one": {"variables": [f"B{k}" for k in range(ASKED)], "privacy": {"rho": RHO}}}
    result = run(tables, RHO, {"first": question, "second": {"count": {"privacy": {"rho": RHO}}}})
    assert result["second"].status == "refused"
    everyone = sum(len(rows) for rows in tables.values())
    known = tables["oxford"].sum(axis=0) + tables["boston"].sum(axis=0)
    assert reconstructed(secret, subsets, tables["leeds"].sum(axis=0)) > 0.97
    share = reconstructed(secret, subsets, means(result, "first") * everyone - known)
    assert share < 0.65  # a coin gives 0.5, with an error of 0.035
    stop("less than 65 % from a table of 800 counts over three sites, whose noise is fresh in every run")
