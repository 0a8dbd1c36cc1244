"""Discrete Gaussian noise: exact, in integers, from a cryptographic source of bytes, many values at a time.

P(x) is proportional to exp(-x**2 / (2 variance)) over all whole numbers. No floating point takes part: every
acceptance compares a uniform integer below D with an integer N, for a probability N / D or exp(-N / D).

Reference: Canonne, Kamath & Steinke (2020), The Discrete Gaussian for Differential Privacy, algorithms 1 to 3.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import isqrt
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from isthmus.model.errors import Invalid
from isthmus.summary import IntArray

Randomness: TypeAlias = Callable[[int], bytes]
Whole: TypeAlias = NDArray[Any]  # uint64; Python's integers (object) where 64 bits do not hold them
BATCH = 1 << 16  # values under way at a time: they stay in the processor's cache
_FITS = 1 << 31  # squares of anything below fit 64 bits
_ROOM = 1 << 58  # denominators below leave room for the factor of a Bernoulli trial


def discrete_gaussian(variance: Fraction, size: int, randomness: Randomness) -> IntArray:
    """`size` independent draws.

    Args:
        variance: above 0; a variance up to 2**26 with denominator 1 is fast, any other exact and slow.
        size: how many.
        randomness: n -> n bytes of a CSPRNG.

    Raises:
        Invalid: E-NOISE, a variance that is not positive or beyond 2**80.
    """
    if not 0 < variance <= 1 << 80:
        raise Invalid("E-NOISE", "the variance of noise lies between 0 and 2**80", "state a larger rho")
    out: IntArray = np.empty(size, dtype=np.int64)
    for start in range(0, size, BATCH):
        out[start : start + BATCH] = _batch(variance, min(BATCH, size - start), randomness)
    return out


def _batch(variance: Fraction, size: int, randomness: Randomness) -> IntArray:
    scale = isqrt(variance.numerator // variance.denominator) + 1
    found: list[IntArray] = []
    missing = size
    while missing > 0:
        drawn = _laplace(scale, missing + missing // 2 + 16, randomness)
        kept = drawn[_accepted(np.abs(drawn), variance, scale, randomness)]
        found.append(kept[:missing])
        missing -= found[-1].size
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


def _accepted(sizes: IntArray, variance: Fraction, scale: int, randomness: Randomness) -> NDArray[np.bool_]:
    """Algorithm 3: a Laplace draw y stands with probability exp(-(|y| - variance / t)**2 / (2 variance))."""
    a, b = variance.numerator, variance.denominator
    below = 2 * a * b * scale * scale
    small = sizes < (_FITS - a) // (b * scale) if a < _FITS else np.zeros(sizes.shape, dtype=np.bool_)
    if below >= _ROOM:
        small = np.zeros(sizes.shape, dtype=np.bool_)
    out = np.zeros(sizes.shape, dtype=np.bool_)
    if small.any():
        near = sizes[small] * (b * scale) - a
        out[small] = _exp_trials((near * near).astype(np.uint64), below, randomness)
    far = [(int(y) * b * scale - a) ** 2 for y in sizes[~small].tolist()]
    out[~small] = [_exp_trial(above, below, randomness) for above in far]
    return out


def _laplace(scale: int, size: int, randomness: Randomness) -> IntArray:
    """At most `size` draws with P(x) proportional to exp(-|x| / scale) (algorithm 2); those not accepted are left out."""
    if scale < _FITS:
        low = _below(scale, size, randomness)
        low = low[_exp_trials(low, scale, randomness)].astype(np.int64)
    else:
        tried = [_below_one(scale, randomness) for _ in range(size)]
        low = np.array([u for u in tried if _exp_trial(u, scale, randomness)], dtype=np.int64)
    high = np.zeros(low.size, dtype=np.int64)
    going = np.arange(low.size)
    while going.size:
        one = np.ones(going.size, dtype=np.uint64)
        going = going[_exp_trials(one, 1, randomness)]
        high[going] += 1
    sizes = low + scale * high
    minus = _bits(sizes.size, randomness)
    signed: IntArray = np.where(minus, -sizes, sizes)
    kept: IntArray = signed[~(minus & (sizes == 0))]
    return kept


def _exp_trials(above: Whole, below: int, randomness: Randomness) -> NDArray[np.bool_]:
    """Bernoulli trials of exp(-above / below), (n,) (algorithm 1)."""
    whole, rest = above // np.uint64(below), above % np.uint64(below)
    out = np.ones(above.shape, dtype=np.bool_)
    going = np.flatnonzero(whole)
    left = whole[going]
    while going.size:  # exp(-1), as many times as `whole` says
        passed = _exp_below_one(np.ones(going.size, dtype=np.uint64), 1, randomness)
        out[going[~passed]] = False
        left = left[passed] - np.uint64(1)
        going = going[passed][left > 0]
        left = left[left > 0]
    at = np.flatnonzero(out)
    out[at] = _exp_below_one(rest[at], below, randomness)
    return out


def _exp_below_one(above: Whole, below: int, randomness: Randomness) -> NDArray[np.bool_]:
    """Trials of exp(-above / below) for above <= below: count trials of above / (below k), k = 1, 2, ..., to the first
    that fails; an odd k is a success."""
    out = np.zeros(above.shape, dtype=np.bool_)
    going, k = np.arange(above.size), 1
    while going.size:
        passed = _below(below * k, going.size, randomness) < above[going]
        if k % 2:
            out[going[~passed]] = True
        going, k = going[passed], k + 1
    return out


def _exp_trial(above: int, below: int, randomness: Randomness) -> bool:
    """One trial of exp(-above / below) in whole numbers of any length."""
    for _ in range(above // below):
        if not _exp_trial_below_one(1, 1, randomness):
            return False
    return _exp_trial_below_one(above % below, below, randomness)


def _exp_trial_below_one(above: int, below: int, randomness: Randomness) -> bool:
    k = 1
    while _below_one(below * k, randomness) < above:
        k += 1
    return k % 2 == 1


def _below(bound: int, size: int, randomness: Randomness) -> Whole:
    """Uniform whole numbers in [0, bound), (size,) uint64; bound below 2**63."""
    if bound & (bound - 1) == 0:
        return _words(size, randomness) & np.uint64(bound - 1)
    limit = np.uint64((1 << 64) // bound * bound - 1)
    words = _words(size, randomness)
    bad = np.flatnonzero(words > limit)
    while bad.size:
        words[bad] = _words(bad.size, randomness)
        bad = bad[words[bad] > limit]
    return words % np.uint64(bound)


def _below_one(bound: int, randomness: Randomness) -> int:
    """A uniform whole number in [0, bound), of any length."""
    length = (bound.bit_length() + 7) // 8 + 1
    limit = (1 << 8 * length) // bound * bound
    while True:
        drawn = int.from_bytes(randomness(length), "little")
        if drawn < limit:
            return drawn % bound


def _words(size: int, randomness: Randomness) -> Whole:
    return np.frombuffer(bytearray(randomness(8 * size)), dtype="<u8").astype(np.uint64, copy=False)


def _bits(size: int, randomness: Randomness) -> NDArray[np.bool_]:
    return (np.frombuffer(randomness(size), dtype=np.uint8) & 1).astype(np.bool_)
