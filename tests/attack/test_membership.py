"""Homer's membership inference: is someone among the 100 whose 2,000 allele means were published?"""

from pathlib import Path

import numpy as np
import pytest
from privacy_lab import Site, bytes_of, purse

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
