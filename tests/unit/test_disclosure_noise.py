"""The sampler: the exact distribution, OpenDP's, its limits, and what a saturating 32-bit integer would do."""

from __future__ import annotations

import secrets
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from isthmus.disclosure.noise import discrete_gaussian
from isthmus.model.errors import Invalid

DRAWS = 100_000
CHANCE = 1e-6  # of a test that fails although the sampler is right


def expected(variance: Fraction, edges: np.ndarray) -> np.ndarray:
    """Probabilities of values below edges[0], between neighbours, and from edges[-1] on."""
    reach = int(12 * float(variance) ** 0.5) + 2
    values = np.arange(-reach, reach + 1)
    weights = np.exp(-(values.astype(np.float64) ** 2) / (2 * float(variance)))
    cut = np.concatenate([[0], np.searchsorted(values, edges), [values.size]])
    return np.array([weights[a:b].sum() for a, b in pairwise(cut)]) / weights.sum()


def binned(drawn: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.bincount(np.searchsorted(edges, drawn, side="right"), minlength=edges.size + 1)


def edges_of(variance: Fraction) -> np.ndarray:
    sigma = float(variance) ** 0.5
    return np.unique(np.rint(np.linspace(-2.5 * sigma, 2.5 * sigma, 21)).astype(np.int64))


@pytest.mark.parametrize(
    "variance", [Fraction(1, 4), Fraction(16), Fraction(33, 7), Fraction(10**6), Fraction(1 << 26)]
)
def test_it_has_the_exact_distribution(variance: Fraction) -> None:
    drawn, edges = discrete_gaussian(variance, DRAWS, secrets.token_bytes), edges_of(variance)
    found, wanted = binned(drawn, edges), expected(variance, edges) * DRAWS
    used = wanted > 5
    statistic = ((found[used] - wanted[used]) ** 2 / wanted[used]).sum()
    assert stats.chi2.sf(statistic, used.sum() - 1) > CHANCE


def test_it_is_opendps_distribution() -> None:
    dp = pytest.importorskip("opendp.prelude")
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="i64")
    theirs = np.array(dp.m.make_gaussian(*space, scale=6.0)([0] * 20_000))
    ours = discrete_gaussian(Fraction(36), 20_000, secrets.token_bytes)
    edges = edges_of(Fraction(36))
    assert stats.chi2_contingency([binned(ours, edges), binned(theirs, edges)]).pvalue > CHANCE


def test_a_draw_beyond_32_bits_is_not_cut() -> None:
    """OpenDP's `int` is i32 and saturates without a word; ours are 64 bits, and so is the oracle as we call it."""
    dp = pytest.importorskip("opendp.prelude")
    dp.enable_features("contrib")
    scale = 1 << 40
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="i64")
    theirs = np.array(dp.m.make_gaussian(*space, scale=float(scale))([0] * 20))
    ours = discrete_gaussian(Fraction(scale) ** 2, 50, secrets.token_bytes)
    for drawn in (ours, theirs):
        assert np.abs(drawn).max() > 2**31 - 1
        assert np.unique(drawn).size == drawn.size


def test_the_slow_way_for_any_rational_has_the_same_distribution() -> None:
    variance = Fraction(10**12 + 1, 10**10)  # about 100: its denominators leave 64 bits
    drawn, edges = discrete_gaussian(variance, 4_000, secrets.token_bytes), edges_of(variance)
    wanted = expected(variance, edges) * drawn.size
    statistic = ((binned(drawn, edges) - wanted) ** 2 / wanted).sum()
    assert stats.chi2.sf(statistic, wanted.size - 1) > CHANCE


def test_equal_bytes_give_equal_noise_and_no_draw_gives_none() -> None:
    def fixed() -> object:
        state = np.random.Generator(np.random.PCG64(1))
        return lambda n: state.bytes(n)

    first = discrete_gaussian(Fraction(100), 1000, fixed())
    assert np.array_equal(first, discrete_gaussian(Fraction(100), 1000, fixed()))
    assert discrete_gaussian(Fraction(100), 0, secrets.token_bytes).size == 0


@pytest.mark.parametrize("variance", [Fraction(0), Fraction(-1), Fraction(1 << 81)])
def test_a_variance_out_of_range_is_refused(variance: Fraction) -> None:
    with pytest.raises(Invalid) as caught:
        discrete_gaussian(variance, 1, secrets.token_bytes)
    assert caught.value.code == "E-NOISE"
