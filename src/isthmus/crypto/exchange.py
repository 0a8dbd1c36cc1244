"""Hybrid key agreement: X25519 and ML-KEM-768, combined by HKDF.

A hub that keeps masked replies today must break both to open them later.
"""

from __future__ import annotations

import hashlib
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from isthmus.model.errors import Invalid, Untrusted
from isthmus.model.record import record

X25519_SIZE = 32
MLKEM_PUBLIC_SIZE = 1184  # FIPS 203 table 3, ML-KEM-768
MLKEM_CIPHERTEXT_SIZE = 1088
MLKEM_SEED_SIZE = 64
_INFO = b"isthmus secagg/1 pair secret"


@record
class ExchangePublic:
    """The public halves a site signs in M1."""

    x25519: bytes
    mlkem: bytes

    def to_json(self) -> dict[str, str]:
        """Both keys in lower-case hex."""
        return {"x25519": self.x25519.hex(), "mlkem": self.mlkem.hex()}


def exchange_public(json: Any) -> ExchangePublic:
    """The public keys of `to_json`.

    Raises:
        Invalid: E-KEY, anything but two lower-case hex keys of the right length.
    """
    if not isinstance(json, dict) or set(json) != {"x25519", "mlkem"}:
        raise Invalid("E-KEY", "exchange keys are an object with x25519 and mlkem")
    return ExchangePublic(
        x25519=_unhex(json["x25519"], X25519_SIZE),
        mlkem=_unhex(json["mlkem"], MLKEM_PUBLIC_SIZE),
    )


class ExchangeKeys:
    """A site's private halves for one run; erased at its end."""

    __slots__ = ("_mlkem", "_x25519", "public")

    def __init__(self, x25519: X25519PrivateKey, mlkem: MLKEM768PrivateKey) -> None:
        self._x25519 = x25519
        self._mlkem = mlkem
        self.public = ExchangePublic(
            x25519=x25519.public_key().public_bytes_raw(), mlkem=mlkem.public_key().public_bytes_raw()
        )

    @classmethod
    def generate(cls) -> Self:
        """New keys from the operating system's randomness."""
        return cls(X25519PrivateKey.generate(), MLKEM768PrivateKey.generate())

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """The keys of `to_bytes`.

        Raises:
            Invalid: E-KEY, another length.
        """
        if len(raw) != X25519_SIZE + MLKEM_SEED_SIZE:
            raise Invalid("E-KEY", "exchange keys have 96 bytes")
        return cls(
            X25519PrivateKey.from_private_bytes(raw[:X25519_SIZE]),
            MLKEM768PrivateKey.from_seed_bytes(raw[X25519_SIZE:]),
        )

    def to_bytes(self) -> bytes:
        """The X25519 scalar (32) and the ML-KEM seed (64)."""
        return self._x25519.private_bytes_raw() + self._mlkem.private_bytes_raw()

    def x25519_shared(self, peer: ExchangePublic) -> bytes:
        """The X25519 secret with `peer`. Untrusted (E-KEY) for a point of small order."""
        try:
            return self._x25519.exchange(X25519PublicKey.from_public_bytes(peer.x25519))
        except ValueError as error:  # RFC 7748 section 6.1: an all-zero secret is refused
            raise _bad_key() from error

    def mlkem_shared(self, ciphertext: bytes) -> bytes:
        """The ML-KEM secret in `ciphertext`. Untrusted (E-KEY) for another length."""
        try:
            return self._mlkem.decapsulate(ciphertext)
        except ValueError as error:
            raise _bad_key() from error

    def __repr__(self) -> str:
        return "ExchangeKeys(...)"


def encapsulate(own: ExchangeKeys, peer: ExchangePublic, context: bytes) -> tuple[bytes, bytes]:
    """The ciphertext for `peer` and the pair's 32-byte secret; done by the lower index of the pair.

    Args:
        own: this site's keys.
        peer: the higher index's public keys, already verified against its pinned identity.
        context: canonical bytes of protocol, study, run, both indices and both M1 digests.

    Raises:
        Untrusted: E-KEY, the peer's key is not a key.
    """
    try:
        shared, ciphertext = MLKEM768PublicKey.from_public_bytes(peer.mlkem).encapsulate()
    except ValueError as error:  # FIPS 203 section 7.2: encapsulation key check
        raise _bad_key() from error
    secret = _combine(own.x25519_shared(peer), shared, own.public, peer, (context, ciphertext))
    return ciphertext, secret


def decapsulate(own: ExchangeKeys, peer: ExchangePublic, ciphertext: bytes, context: bytes) -> bytes:
    """The pair's 32-byte secret; done by the higher index of the pair.

    A tampered ciphertext gives another secret, not an error (implicit rejection, FIPS 203 section 6.3): its
    signature is what is checked, and shares sealed under a wrong secret do not open.

    Raises:
        Untrusted: E-KEY, a key or ciphertext of another length or small order.
    """
    return _combine(own.x25519_shared(peer), own.mlkem_shared(ciphertext), peer, own.public, (context, ciphertext))


def _combine(
    classical: bytes, quantum: bytes, lower: ExchangePublic, higher: ExchangePublic, bound: tuple[bytes, bytes]
) -> bytes:
    keys = hashlib.sha256(lower.x25519 + lower.mlkem + higher.x25519 + higher.mlkem).digest()  # fixed lengths
    info = b"".join(len(part).to_bytes(8, "big") + part for part in (_INFO, keys, *bound))
    # NIST SP 800-56C rev. 2 section 2: a hybrid secret is the concatenation of the two.
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(classical + quantum)


def _unhex(text: Any, size: int) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except (TypeError, ValueError) as error:
        raise Invalid("E-KEY", "a key is lower-case hex") from error
    if len(raw) != size or raw.hex() != text:
        raise Invalid("E-KEY", f"a key of {size} bytes in lower-case hex is expected here")
    return raw


def _bad_key() -> Untrusted:
    return Untrusted("E-KEY", "the other site's exchange key or ciphertext is not valid")
