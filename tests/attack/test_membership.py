"""Homer's membership inference: is someone among the 100 whose 2,000 allele means were published?"""

from pathlib import Path

import numpy as np
import pytest
from privacy_lab import Site, bytes_of, means, purse, run

from attack import Attack, Say

ATTACK = Attack("Membership in 2,000 published means (Homer)", "privacy budget", number=4)
PEOPLE, MARKERS = 100, 2000
PAGE = Path(__file__).parents[2] / "docs" / "privacy.md"


def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    frequency = rng.uniform(0.1, 0.9, MARKERS)
    inside, outside = ((rng.uniform(size=(PEOPLE, MARKERS)) < frequency).astype(float) for _ in range(2))
    return frequency, inside, outside


def auc(frequency: np.ndarray, means: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> float:
    """How well the published means tell who is in them."""
    direction = means - frequency
    a, b = inside @ direction, outside @ direction
    return float(np.mean(a[:, None] > b[None, :]))


def test_bare_exact_means_tell_who_is_in_them(leak: Say) -> None:
    frequency, inside, outside = drawn()
    found = auc(frequency, inside.mean(axis=0), inside, outside)
    assert found > 0.95
    leak(f"AUC {found:.3f}")


@pytest.mark.parametrize(("rho", "most"), [(0.1, 0.6), (0.5, 0.7)])
def test_through_the_gate_they_do_not(stop: Say, rho: float, most: float) -> None:
    frequency, inside, outside = drawn()
    site = Site(purse(rho), bytes_of(4))
    found = auc(frequency, site.answer(inside, rho) / PEOPLE, inside, outside)
    assert found < most
    assert f"a rho of {rho} leaves {found:.2f}" in PAGE.read_text(encoding="utf-8")
    stop(f"AUC {found:.3f} at rho = {rho}")


def test_through_the_sites_they_do_not_either(stop: Say) -> None:
    """One table of 400 common alleles (rare ones the floor refuses) over three sites; everyone at two of them is known."""
    frequency = drawn()[0]
    common = np.flatnonzero((frequency > 0.3) & (frequency < 0.7))[:400]
    frequency, inside, outside = (part[..., common] for part in drawn())
    assert auc(frequency, inside.mean(axis=0), inside, outside) > 0.8
    others = np.random.default_rng(5).uniform(size=(2 * PEOPLE, 400)) < frequency
    tables = {"leeds": inside, "oxford": others[:PEOPLE], "boston": others[PEOPLE:]}
    question = {"table_one": {"variables": [f"B{k}" for k in range(400)], "privacy": {"rho": 0.1}}}
    result = run({site: np.asarray(rows, dtype=np.int64) for site, rows in tables.items()}, 0.1, {"m": question})
    theirs = 3.0 * means(result, "m") - others.sum(axis=0) / PEOPLE
    found = auc(frequency, theirs, inside, outside)
    assert found < 0.65  # a guess gives 0.5, with an error of 0.04
    stop("AUC below 0.65 from a table over three sites, whose noise is fresh in every run")
