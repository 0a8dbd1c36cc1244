"""An empirical audit of the gate: how far apart are the answers on D and on D without one row?

The lower end of a Clopper-Pearson interval for epsilon must not exceed the epsilon that is claimed; with a sampler whose
noise is too small it must.
"""

import secrets

import numpy as np
import pytest
from privacy_lab import Site, purse
from scipy import stats

from attack import Attack, Say
from isthmus.disclosure import gate
from isthmus.disclosure.noise import discrete_gaussian
from isthmus.sdk.privacy import epsilon

ATTACK = Attack(
    "Audit of the noise: D and D without one row", "exact sampler; the gate checks what a variance costs", number=25
)
ROWS, RHO, DELTA = 50, 0.5, 0.01
CHANCE = 1e-4  # that a bound fails although the noise is right, over all events tried


def answers(runs: int, rows: int) -> np.ndarray:
    site = Site(purse(RHO * runs), secrets.token_bytes)
    return np.array([site.answer(np.ones((rows, 1)), RHO)[0] for _ in range(runs)])


def least_epsilon(runs: int) -> float:
    """A lower bound of epsilon at DELTA, over nine events `answer >= threshold`."""
    more, fewer = answers(runs, ROWS), answers(runs, ROWS - 1)
    levels = np.arange(ROWS - 2.0, ROWS + 2.5, 0.5)
    wrong = CHANCE / (2 * levels.size)
    bounds = [0.0]
    for level in levels:
        k, m = int((more >= level).sum()), int((fewer >= level).sum())
        low = stats.beta.ppf(wrong, k, runs - k + 1) if k else 0.0
        high = stats.beta.isf(wrong, m + 1, runs - m) if m < runs else 1.0
        if low > DELTA:
            bounds.append(float(np.log((low - DELTA) / high)))
    return max(bounds)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sampler with a tenth of the standard deviation."""
    monkeypatch.setattr(
        gate, "discrete_gaussian", lambda variance, n, source: discrete_gaussian(variance / 100, n, source)
    )


@pytest.mark.parametrize("runs", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
@pytest.mark.usefixtures("broken")
def test_bare_a_broken_sampler_is_found_out(leak: Say, runs: int) -> None:
    found = least_epsilon(runs)
    assert found > epsilon(RHO, DELTA)
    leak(f"with a tenth of the noise some event shows more than the epsilon that is claimed, {epsilon(RHO, DELTA):.2f}")


@pytest.mark.parametrize("runs", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_through_the_gate_epsilon_is_at_most_what_is_claimed(stop: Say, runs: int) -> None:
    found = least_epsilon(runs)
    assert found <= epsilon(RHO, DELTA)
    stop(f"no event shows more than the epsilon that is claimed, {epsilon(RHO, DELTA):.2f}")


def test_answers_are_on_the_public_grid() -> None:
    drawn = answers(50, ROWS) * 2.0**20
    assert np.array_equal(drawn, np.rint(drawn))
