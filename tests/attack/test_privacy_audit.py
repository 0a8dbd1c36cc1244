"""An empirical audit of the gate: how far apart are the answers on D and on D without one row?

The lower end of a Clopper-Pearson interval for epsilon must not exceed the epsilon that is claimed, nor that for the
Gaussian mechanism's mu what rho means, sqrt(2 rho); with a sampler whose noise is too small it must.
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
MU = (2 * RHO) ** 0.5
CHANCE = 1e-4  # that a bound fails although the noise is right, over all events tried


def answers(runs: int, rows: int) -> np.ndarray:
    site = Site(purse(RHO * runs), secrets.token_bytes)
    return np.array([site.answer(np.ones((rows, 1)), RHO)[0] for _ in range(runs)])


def least(runs: int) -> tuple[float, float]:
    """Lower bounds of epsilon at DELTA and of mu (Dong, Roth and Su 2022), over nine events `answer >= threshold`."""
    more, fewer = answers(runs, ROWS), answers(runs, ROWS - 1)
    levels = np.arange(ROWS - 2.0, ROWS + 2.5, 0.5)
    wrong = CHANCE / (2 * levels.size)
    epsilons, mus = [0.0], [0.0]
    for level in levels:
        k, m = int((more >= level).sum()), int((fewer >= level).sum())
        low = stats.beta.ppf(wrong, k, runs - k + 1) if k else 0.0
        high = stats.beta.isf(wrong, m + 1, runs - m) if m < runs else 1.0
        if low > DELTA:
            epsilons.append(float(np.log((low - DELTA) / high)))
        mus.append(float(stats.norm.ppf(low) - stats.norm.ppf(high)))
    return max(epsilons), max(mus)


@pytest.fixture(params=[100, 4])
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """A sampler with a hundredth, or a quarter, of the variance."""
    part: int = request.param
    weak = lambda variance, n, source: discrete_gaussian(variance / part, n, source)  # noqa: E731
    monkeypatch.setattr(gate, "discrete_gaussian", weak)
    return part


@pytest.mark.parametrize("runs", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_bare_a_broken_sampler_is_found_out(leak: Say, runs: int, broken: int) -> None:
    shown, mu = least(runs)
    assert mu > MU
    if broken == 100:
        assert shown > epsilon(RHO, DELTA)
    leak(f"with 1/{broken} of the variance mu is at least {mu:.1f}, where {MU:.1f} is claimed")


@pytest.mark.parametrize("runs", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_through_the_gate_the_noise_is_what_is_claimed(stop: Say, runs: int) -> None:
    shown, mu = least(runs)
    assert shown <= epsilon(RHO, DELTA)
    assert mu <= MU
    stop(f"no event shows more than the epsilon that is claimed, {epsilon(RHO, DELTA):.2f}, nor a mu above {MU:.1f}")


def test_answers_are_on_the_public_grid() -> None:
    drawn = answers(50, ROWS) * 2.0**20
    assert np.array_equal(drawn, np.rint(drawn))
