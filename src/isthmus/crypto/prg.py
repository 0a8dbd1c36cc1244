"""The one place where keys become other keys and mask words.

Numpy's generators are never used in this layer: a seed folded to 32 bits has broken a peer's masking.
"""

from __future__ import annotations

import hmac
from typing import TypeAlias

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from isthmus.model.errors import Invalid

Words: TypeAlias = NDArray[np.uint64]

SECRET_SIZE = 32
WORD_SIZE = 8
_BLOCK_WORDS = 2  # `update_into` asks for one spare block (16 bytes) of room
_PREFIX = b"isthmus secagg/1"


def check_secret(secret: bytes) -> None:
    """Return when `secret` can be a key.

    Raises:
        Invalid: E-KEY, not 32 bytes.
    """
    if len(secret) != SECRET_SIZE:
        raise Invalid("E-KEY", "a secret has 32 bytes")


def derive(secret: bytes, label: str, *context: bytes) -> bytes:
    """32 bytes bound to `label` and every part of `context`; parts carry their length, so no two calls share input.

    Args:
        secret: (32,) uniformly random bytes, used as the pseudorandom key.
        label: what the derived key is for.
        context: byte strings to bind.

    Raises:
        Invalid: E-KEY, a secret of another length.

    Reference: RFC 5869 section 2.3 (HKDF-Expand, SHA-256, one block).
    """
    check_secret(secret)
    info = b"".join(len(part).to_bytes(8, "big") + part for part in (_PREFIX, label.encode(), *context))
    return hmac.digest(secret, info + b"\x01", "sha256")


class Stream:
    """AES-256-CTR from counter 0, read once from beginning to end: it cannot be wound back or copied.

    Two fields masked by two streams that both start at 0 would be a two-time pad; so one key is one stream over the
    whole reply. Reference: NIST SP 800-38A section 6.5.
    """

    __slots__ = ("_cipher", "_zeros")

    def __init__(self, key: bytes) -> None:
        check_secret(key)
        self._cipher = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
        self._zeros = b""

    def words(self, count: int) -> Words:
        """The next `count` little-endian uint64 words of the stream, (count,)."""
        size = WORD_SIZE * count
        if len(self._zeros) < size:
            self._zeros = bytes(size)
        out = np.empty(count + _BLOCK_WORDS, dtype="<u8")
        self._cipher.update_into(memoryview(self._zeros)[:size], out.view(np.uint8).data)
        return out[:count]
