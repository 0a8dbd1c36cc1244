"""float64 <-> Z_2^128 with 64 fractional bits, two little limbs; exact, elementwise, the same on every machine.

Written for chunks of 16,384 values, where temporaries stay in the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isthmus.crypto.prg import Words
    from isthmus.summary import FloatArray

FRACTION_BITS = 64
CHUNK_VALUES = 16_384
_DIGIT = 2.0**32
_LOW = np.uint64(2**32 - 1)
_SHIFT = np.uint64(32)
_TOP = np.uint64(63)


def encode(values: FloatArray, out: Words) -> None:
    """Write round(value * 2**64) mod 2**128 as (low, high) word pairs.

    Sign-magnitude before two's complement: encode(-x) is the negative of encode(x). Exact for |x| >= 2**-11;
    below, to the nearest 2**-64, half to even.

    Args:
        values: (n,) finite, |value| < 2**62 (the caller has checked).
        out: (2 n,) words.
    """
    whole = np.trunc(values)
    rest = values - whole
    rest *= _DIGIT
    upper = np.trunc(rest)  # signed 32-bit digits of the fraction: both carry the sign of the value
    rest -= upper
    rest *= _DIGIT
    np.rint(rest, out=rest)
    high: NDArray[np.int64] = whole.astype(np.int64)
    first: NDArray[np.int64] = upper.astype(np.int64)
    second: NDArray[np.int64] = rest.astype(np.int64)
    borrow = first | second
    borrow >>= 63  # -1 where the fraction is below zero
    first <<= 32
    signed = out.view(np.int64)
    np.add(first, second, out=signed[0::2])
    np.add(high, borrow, out=signed[1::2])


def decode(words: Words, out: FloatArray) -> None:
    """Write the float64 nearest to each two's complement value / 2**64.

    One rounding (plus 2**-52 of it) for |value| < 2**53; within one unit in the last place above.

    Args:
        words: (2 n,) low and high words.
        out: (n,) float64.
    """
    low = words[0::2].copy()
    high = words[1::2].view(np.int64).copy()
    sign = high >> 63  # -1 below zero
    mask = sign.view(np.uint64)
    low ^= mask
    low -= mask
    high ^= sign
    high -= sign * (low == 0)  # the carry of the negation
    whole = high.astype(np.float64)
    lower = (low & _LOW).view(np.int64).astype(np.float64)
    low >>= _SHIFT
    upper = low.view(np.int64).astype(np.float64)
    upper *= 1 / _DIGIT
    lower *= 1 / _DIGIT**2
    np.add(whole, upper, out=out)  # Fast2Sum (Dekker 1971): whole is 0 or at least 1, upper is below 1
    whole -= out
    whole += upper
    whole += lower
    out += whole
    bits = out.view(np.uint64)
    mask <<= _TOP
    bits |= mask
