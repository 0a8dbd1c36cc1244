"""AES-256-GCM with a synthetic nonce: same key and message give the same bytes, so a resend is the same message."""

from __future__ import annotations

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from isthmus.crypto.prg import check_secret, derive
from isthmus.model.errors import Untrusted

NONCE_SIZE = 12
OVERHEAD = NONCE_SIZE + 16


def seal(key: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """`nonce | ciphertext | tag`, 28 bytes longer than `plaintext`.

    The nonce is a MAC of the message under a key of its own, so two messages under one key do not share a nonce
    (but for 2**-96) and nobody has to keep a counter. Only the equality of two whole messages shows.

    Raises:
        Invalid: E-KEY, a key of another length.
    """
    check_secret(key)
    message = len(associated).to_bytes(8, "big") + associated + plaintext
    nonce = hmac.digest(derive(key, "seal nonce"), message, "sha256")[:NONCE_SIZE]
    return nonce + AESGCM(key).encrypt(nonce, plaintext, associated)


def unseal(key: bytes, sealed: bytes, associated: bytes) -> bytes:
    """The plaintext of `seal`.

    Raises:
        Invalid: E-KEY, a key of another length.
        Untrusted: E-SEAL, another key, other associated bytes, or changed or short bytes.
    """
    check_secret(key)
    if len(sealed) < OVERHEAD:
        raise Untrusted("E-SEAL", "the sealed message is too short")
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], associated)
    except InvalidTag as error:
        raise Untrusted("E-SEAL", "the sealed message does not open", "it was changed or meant for another") from error
