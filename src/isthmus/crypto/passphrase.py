"""Secrets at rest under a passphrase: scrypt makes the key, AES-256-GCM seals."""

from __future__ import annotations

import json
from typing import Any

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from isthmus.crypto.sealing import seal, unseal
from isthmus.model.canonical import canonical
from isthmus.model.errors import Invalid, Untrusted

SCHEMA = "sealed-key/1"
LEAST = 12  # characters of a passphrase
SALT_SIZE = 16
COST, BLOCK, LANES = 2**17, 8, 1  # 128 MiB a guess: OWASP, password storage, 2023


def lock(secret: bytes, passphrase: str, salt: bytes) -> bytes:
    """A JSON document that only the passphrase opens.

    Args:
        secret: what is sealed.
        passphrase: at least 12 characters; its Unicode text counts as it is typed.
        salt: 16 random bytes, new for each document.

    Raises:
        Invalid: E-PASSPHRASE, too short.
    """
    if len(passphrase) < LEAST:
        raise Invalid("E-PASSPHRASE", f"a passphrase has at least {LEAST} characters", "four unrelated words do")
    head = {"isthmus": SCHEMA, "scrypt": {"n": COST, "r": BLOCK, "p": LANES, "salt": salt.hex()}}
    sealed = seal(_key(passphrase, salt), secret, canonical(head))
    return canonical({**head, "sealed": sealed.hex()}) + b"\n"


def unlock(document: bytes, passphrase: str) -> bytes:
    """The secret of `lock`.

    Raises:
        Invalid: E-KEY, not such a document, or of other costs.
        Untrusted: E-PASSPHRASE, another passphrase, or a changed document.
    """
    body = _read(document)
    salt, sealed = bytes.fromhex(body["scrypt"]["salt"]), bytes.fromhex(body["sealed"])
    head = {name: value for name, value in body.items() if name != "sealed"}
    try:
        return unseal(_key(passphrase, salt), sealed, canonical(head))
    except Untrusted as error:
        raise Untrusted("E-PASSPHRASE", "the passphrase does not open these keys", "or the file was changed") from error


def _key(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=COST, r=BLOCK, p=LANES).derive(passphrase.encode())


def _read(document: bytes) -> dict[str, Any]:
    try:
        body = json.loads(document)
        salt, sealed = bytes.fromhex(body["scrypt"]["salt"]), bytes.fromhex(body["sealed"])
        made = {"n": COST, "r": BLOCK, "p": LANES, "salt": salt.hex()}
        whole = body == {"isthmus": SCHEMA, "scrypt": made, "sealed": sealed.hex()} and len(salt) == SALT_SIZE
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise _malformed() from error
    if not whole:
        raise _malformed()
    return dict(body)


def _malformed() -> Invalid:
    return Invalid("E-KEY", "not a sealed key file of this version", "restore the file that `isthmus init` made")
