"""The protocol's arithmetic in whole Python numbers, straight from its definition: slow, and of nothing but the text.

The vectors are made with this, not with the code they test. Only AES, HMAC and SHA-256 are taken from libraries.
"""

from __future__ import annotations

import hashlib
import hmac
from fractions import Fraction

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

ONE_WORD = ("count", "histogram", "vote")
PRIME = 2**521 - 1


def material(label: str, size: int = 32) -> bytes:
    """Bytes that look random and are the same on every run."""
    blocks = (hashlib.sha256(f"{label}/{at}".encode()).digest() for at in range(-(-size // 32)))
    return b"".join(blocks)[:size]


def derive(secret: bytes, label: str, *context: bytes) -> bytes:
    info = b"".join(len(part).to_bytes(8, "big") + part for part in (b"isthmus secagg/1", label.encode(), *context))
    return hmac.new(secret, info + b"\x01", "sha256").digest()


def stream(key: bytes, size: int) -> bytes:
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(size))


def sizes(layout: list[dict]) -> list[int]:
    """Bytes of each value of the stream, the checksum last."""
    widths = []
    for field in layout:
        count = 1
        for extent in field["shape"]:
            count *= extent
        widths += [8 if field["kind"] in ONE_WORD else 16] * count
    return [*widths, 8]


def encode(value: float) -> int:
    """round(value * 2**64), half to even, as a signed whole number."""
    return round(Fraction(value) * 2**64)


def checksum(values: list[int], ctx: bytes) -> int:
    factors = stream(derive(hashlib.sha256(ctx).digest(), "checksum"), 8 * len(values))
    return sum((int.from_bytes(factors[8 * k : 8 * k + 8], "little") | 1) * q for k, q in enumerate(values)) % 2**64


def packed(layout: list[dict], fields: list[list[float]], ctx: bytes) -> list[int]:
    """Signed integers of every value, then the checksum."""
    values = []
    for field, numbers in zip(layout, fields, strict=True):
        values += [int(x) if field["kind"] in ONE_WORD else encode(x) for x in numbers]
    return [*values, checksum(values, ctx)]


def to_bytes(values: list[int], widths: list[int]) -> bytes:
    return b"".join((v % 2 ** (8 * w)).to_bytes(w, "little") for v, w in zip(values, widths, strict=True))


def from_bytes(raw: bytes, widths: list[int]) -> list[int]:
    values, at = [], 0
    for width in widths:
        values.append(int.from_bytes(raw[at : at + width], "little"))
        at += width
    return values


def masked(values: list[int], widths: list[int], plus: list[bytes], minus: list[bytes]) -> bytes:
    total = list(values)
    for sign, keys in ((1, plus), (-1, minus)):
        for key in keys:
            total = [t + sign * m for t, m in zip(total, from_bytes(stream(key, sum(widths)), widths), strict=True)]
    return to_bytes(total, widths)


def shares(secret: bytes, coefficients: list[int], indices: list[int]) -> dict[int, bytes]:
    """Coefficients from the highest power down to the first."""
    polynomial = [int.from_bytes(secret, "big"), *reversed(coefficients)]
    return {
        x: (sum(c * pow(x, power, PRIME) for power, c in enumerate(polynomial)) % PRIME).to_bytes(66, "big")
        for x in indices
    }


def tree_hash(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, as written."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + tree_hash(leaves[:k]) + tree_hash(leaves[k:])).digest()


def tree_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962 section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if index < k:
        return [*tree_path(index, leaves[:k]), tree_hash(leaves[k:])]
    return [*tree_path(index - k, leaves[k:]), tree_hash(leaves[:k])]


def tree_proof(old: int, leaves: list[bytes], known: bool = True) -> list[bytes]:
    """RFC 6962 section 2.1.2."""
    if old == len(leaves):
        return [] if known else [tree_hash(leaves)]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if old <= k:
        return [*tree_proof(old, leaves[:k], known), tree_hash(leaves[k:])]
    return [*tree_proof(old - k, leaves[k:], known=False), tree_hash(leaves[:k])]
