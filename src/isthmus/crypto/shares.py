"""Shamir's secret sharing of 32-byte secrets over the prime field of 2**521 - 1."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from isthmus.crypto.prg import SECRET_SIZE, check_secret
from isthmus.model.errors import Invalid, Untrusted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PRIME = 2**521 - 1
SHARE_SIZE = 66
MAXIMUM_INDEX = 2**16 - 1


def threshold_for(parties: int) -> int:
    """t = floor(2 n / 3) + 1: any two sets of t parties share more than n / 3 (PROTOCOL, parties and keys)."""
    return 2 * parties // 3 + 1


def split(
    secret: bytes, threshold: int, indices: Sequence[int], randomness: Callable[[int], bytes]
) -> dict[int, bytes]:
    """One 66-byte share per index; any `threshold` of them give the secret back, fewer say nothing about it.

    Args:
        secret: (32,) bytes.
        threshold: 1 <= threshold <= number of indices.
        indices: distinct, 1 to 65,535: the points at which the polynomial is evaluated (never 0, the secret).
        randomness: n -> n uniformly random bytes, such as `secrets.token_bytes`.

    Raises:
        Invalid: E-SHARES or E-KEY, arguments out of these bounds.

    Reference: Shamir (1979), How to share a secret.
    """
    check_secret(secret)
    _check_points(indices)
    if not 1 <= threshold <= len(indices):
        raise Invalid("E-SHARES", "the threshold is between 1 and the number of shares")
    coefficients = [_element(randomness) for _ in range(threshold - 1)]
    constant = int.from_bytes(secret, "big")
    return {index: _evaluate(coefficients, constant, index) for index in indices}


def combine(shares: Mapping[int, bytes], threshold: int) -> bytes:
    """The 32-byte secret from the shares of the `threshold` lowest indices.

    A changed share is noticed here only when the result is no 32-byte number: the caller must compare the secret
    with its signed commitment (SHA-256 of b_i in M3).

    Raises:
        Invalid: E-SHARES, indices or threshold out of bounds.
        Untrusted: E-SHARES, too few shares, a share of another size, or shares of no 32-byte secret.
    """
    _check_points(tuple(shares))
    if threshold < 1:
        raise Invalid("E-SHARES", "the threshold is at least 1")
    points = tuple(islice(sorted(shares), threshold))
    if len(points) < threshold:
        raise Untrusted("E-SHARES", "fewer shares than the threshold")
    values = [_read(shares[index]) for index in points]
    secret = sum(weight * value for weight, value in zip(_weights(points), values, strict=True)) % PRIME
    if secret >> (8 * SECRET_SIZE):
        raise Untrusted("E-SHARES", "the shares do not belong together")
    return secret.to_bytes(SECRET_SIZE, "big")


def _evaluate(coefficients: Sequence[int], constant: int, index: int) -> bytes:
    total = 0
    for coefficient in coefficients:  # Horner; indices are small, so one reduction at the end is enough
        total = total * index + coefficient
    return ((total * index + constant) % PRIME).to_bytes(SHARE_SIZE, "big")


def _element(randomness: Callable[[int], bytes]) -> int:
    while True:
        element = int.from_bytes(randomness(SHARE_SIZE), "big") & PRIME  # the low 521 bits
        if element != PRIME:  # rejection keeps it uniform
            return element


def _read(share: bytes) -> int:
    value = int.from_bytes(share, "big")
    if len(share) != SHARE_SIZE or value >= PRIME:
        raise Untrusted("E-SHARES", "a share is a field element in 66 bytes")
    return value


@lru_cache(maxsize=64)
def _weights(points: tuple[int, ...]) -> tuple[int, ...]:
    """Lagrange weights at 0 of the polynomial through `points`; the same answer set comes back every round."""
    weights = []
    for own in points:
        above = below = 1
        for other in points:
            if other != own:
                above = above * other
                below = below * (other - own)
        weights.append(above * pow(below, -1, PRIME) % PRIME)
    return tuple(weights)


def _check_points(indices: Sequence[int]) -> None:
    if len(set(indices)) != len(indices) or not all(1 <= index <= MAXIMUM_INDEX for index in indices):
        raise Invalid("E-SHARES", "share indices are distinct and between 1 and 65,535")
