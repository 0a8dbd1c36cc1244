"""Public cards: what a party sends to be written into an agreement. JSON, signed by the key it shows.

    {"schema": "isthmus/card/1", "role": "site", "name": "leeds", "party": "leeds-nhs", "country": "GB",
     "key": Ed25519 hex, "certificate": PEM, "tls": "sha256:...", "signature": hex}

Nobody copies certificates by hand: `isthmus init` writes the card, `new_agreement` reads it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from typing import Literal

from isthmus.crypto.keys import SigningKey, verify
from isthmus.model.canonical import canonical, plain
from isthmus.model.errors import Invalid, Untrusted
from isthmus.model.names import Digest
from isthmus.model.record import record
from isthmus.strict import parse

Role = Literal["site", "hub", "researcher", "custodian", "output_checker", "manager", "engineer", "auditor"]

LARGEST = 64 << 10  # bytes of a card: a certificate is under 1 KiB
_CONTEXT = b"isthmus card 1\n"


@record
class Card:
    """A party's public half.

    Attributes:
        country: ISO 3166-1 alpha-2.
        key: Ed25519 public key, hex.
        certificate: transport certificate, PEM.
        tls: the pin, SHA-256 of the certificate's public key (SubjectPublicKeyInfo).
        signature: by `key` over the other fields, hex: who made the card holds the key.
    """

    schema: Literal["isthmus/card/1"]
    role: Role
    name: str
    party: str
    country: str
    key: str
    certificate: str
    tls: str
    signature: str


def read_card(raw: bytes) -> Card:
    """A card as another party sent it, checked.

    Raises:
        Invalid: E-CARD, not a card; E-CERTIFICATE; E-UNKNOWN-KEY, E-MISSING-KEY, E-TYPE.
        Untrusted: E-SIGNATURE, not signed by its own key; E-PIN, the pin is not the certificate's.
    """
    if len(raw) > LARGEST:
        raise Invalid("E-CARD", "a card is a small file", "send the card.json that `isthmus init` made")
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Invalid("E-CARD", "not a card", "send the card.json that `isthmus init` made") from error
    card = parse(Card, data, "card")
    verify(public_key(card.key, "card.key"), _hex(card.signature, "card.signature"), signed_bytes(card))
    check_pin(card.certificate, card.tls)
    return card


def sign_card(card: Card, key: SigningKey) -> Card:
    """`card` with its signature by `key`; the signature it came with is ignored."""
    body = {f.name: getattr(card, f.name) for f in fields(card)}
    return Card(**{**body, "signature": key.sign(signed_bytes(card)).hex()})


def signed_bytes(card: Card) -> bytes:
    """What a card's signature covers: every other field."""
    return _CONTEXT + canonical({name: value for name, value in plain(card).items() if name != "signature"})


def public_key(text: str, where: str) -> bytes:
    """An Ed25519 public key from 64 lower-case hex digits.

    Raises:
        Invalid: E-KEY.
    """
    raw = _hex(text, where)
    if len(raw) != 32:
        raise Invalid("E-KEY", "an Ed25519 public key has 32 bytes", "64 hex digits, from the party's card", where)
    return raw


def check_pin(certificate: str, tls: str) -> None:
    """Refuse a pin that is not its certificate's.

    Raises:
        Untrusted: E-PIN.
        Invalid: E-CERTIFICATE.
    """
    if pin(certificate) != tls:
        raise Untrusted("E-PIN", "a card's pin is not its certificate's", "ask the party for its card again")


def pin(certificate: str) -> Digest:
    """SHA-256 of the public key of a PEM certificate (SubjectPublicKeyInfo, DER).

    Raises:
        Invalid: E-CERTIFICATE, not readable, or another key than ECDSA P-256.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Invalid("E-CERTIFICATE", "not a PEM certificate", "take it from the party's card") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise Invalid("E-CERTIFICATE", "the certificate's key is not ECDSA P-256", "make it with `isthmus init`")
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Digest("sha256:" + hashlib.sha256(der).hexdigest())


@lru_cache(maxsize=1024)
def dates_of(certificate: str) -> tuple[datetime, datetime]:
    """When a PEM certificate's validity begins and ends.

    Raises:
        Invalid: E-CERTIFICATE.
    """
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(certificate.encode())
    except ValueError as error:
        raise Invalid("E-CERTIFICATE", "not a PEM certificate", "take it from the party's card") from error
    return found.not_valid_before_utc, found.not_valid_after_utc


def _hex(text: str, where: str) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError as error:
        raise Invalid("E-KEY", "not hex digits", "copy nothing by hand: use the card", where) from error
    if raw.hex() != text:  # one text per key: no spaces, no capitals
        raise Invalid("E-KEY", "not lower-case hex digits", "copy nothing by hand: use the card", where)
    return raw
