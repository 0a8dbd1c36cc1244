"""Ed25519 identities: signing keys, verification, fingerprints."""

from __future__ import annotations

import hashlib
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from isthmus.model.errors import Invalid, Untrusted

KEY_SIZE = 32
SIGNATURE_SIZE = 64


class SigningKey:
    """An Ed25519 private key. It shows nothing of itself when printed.

    Reference: RFC 8032, Ed25519 (pure).
    """

    __slots__ = ("_key", "public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public: bytes = key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> Self:
        """A new key from the operating system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """The key whose 32-byte seed is `raw`.

        Raises:
            Invalid: E-KEY, another length.
        """
        if len(raw) != KEY_SIZE:
            raise Invalid("E-KEY", "an Ed25519 private key has 32 bytes")
        return cls(Ed25519PrivateKey.from_private_bytes(raw))

    def to_bytes(self) -> bytes:
        """The 32-byte seed."""
        return self._key.private_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """64-byte signature of `message`."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"SigningKey({fingerprint(self.public)})"


def verify(public: bytes, signature: bytes, message: bytes) -> None:
    """Return when `signature` is `public`'s over `message`.

    Raises:
        Untrusted: E-SIGNATURE, for a wrong signature, length or key.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise Untrusted("E-SIGNATURE", "the signature does not hold", "the message or the key was changed") from error


def fingerprint(public: bytes) -> str:
    """Six groups of four hex digits (96 bits of SHA-256), for two people to compare aloud."""
    shown = hashlib.sha256(b"isthmus fingerprint\n" + public).hexdigest()[:24]
    return " ".join(shown[at : at + 4] for at in range(0, 24, 4))
