"""Signed envelopes (DSSE): a payload with its type, signed by one or more identities."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.crypto.keys import SigningKey, verify
from isthmus.model.errors import Invalid, Untrusted


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed. Reference: DSSE v1.0.2, "PAE"."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def sign_envelope(payload_type: str, payload: bytes, keys: Sequence[tuple[str, SigningKey]]) -> dict[str, Any]:
    """An envelope of `payload` signed by each (key id, key).

    Raises:
        Invalid: E-ENVELOPE, no key or one key id twice.
    """
    names = [keyid for keyid, _ in keys]
    if not names or len(set(names)) != len(names):
        raise Invalid("E-ENVELOPE", "an envelope needs at least one signer and each key id once")
    message = pre_authentication(payload_type, payload)
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": payload_type,
        "signatures": [{"keyid": keyid, "sig": base64.b64encode(key.sign(message)).decode()} for keyid, key in keys],
    }


def keyids(envelope: Any) -> tuple[str, ...]:
    """The key ids that an envelope names, whether or not they signed it; none of what is no envelope."""
    listed = envelope.get("signatures") if isinstance(envelope, Mapping) else None
    named = [each.get("keyid") for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []
    return tuple(name for name in named if isinstance(name, str))


def open_envelope(
    envelope: Mapping[str, Any], payload_type: str, keys: Mapping[str, bytes]
) -> tuple[bytes, tuple[str, ...]]:
    """The payload and the key ids in `keys` that signed it, in the envelope's order; never an empty tuple.

    A signature under a key id not in `keys` counts for nothing; a wrong one under a known id fails the envelope.

    Raises:
        Invalid: E-ENVELOPE, not an envelope, not canonical base64, a key id twice.
        Untrusted: E-SIGNATURE, another payload type, a signature that does not hold, or none by a known key.
    """
    payload, entries = _read(envelope)
    if envelope["payloadType"] != payload_type:  # DSSE: the type is checked before the payload is used
        raise Untrusted("E-SIGNATURE", f"the envelope is not of type {payload_type}")
    message = pre_authentication(payload_type, payload)
    signers = tuple(keyid for keyid, _ in entries if keyid in keys)
    for keyid, signature in entries:
        if keyid in keys:
            verify(keys[keyid], signature, message)
    if not signers:
        raise Untrusted("E-SIGNATURE", "no known key signed the envelope")
    return payload, signers


def _read(envelope: Mapping[str, Any]) -> tuple[bytes, list[tuple[str, bytes]]]:
    if not isinstance(envelope, Mapping) or set(envelope) != {"payload", "payloadType", "signatures"}:
        raise _malformed()
    if not isinstance(envelope["signatures"], list):
        raise _malformed()
    entries = [_signature(item) for item in envelope["signatures"]]
    if len({keyid for keyid, _ in entries}) != len(entries):
        raise Invalid("E-ENVELOPE", "one key id signed the envelope twice")
    return _unbase64(envelope["payload"]), entries


def _signature(item: Any) -> tuple[str, bytes]:
    if not isinstance(item, Mapping) or set(item) != {"keyid", "sig"} or not isinstance(item["keyid"], str):
        raise _malformed()
    return item["keyid"], _unbase64(item["sig"])


def _unbase64(text: Any) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise _malformed() from error
    if base64.b64encode(raw).decode() != text:  # one text per byte string
        raise _malformed()
    return raw


def _malformed() -> Invalid:
    return Invalid("E-ENVELOPE", "not a signed envelope", "payload, payloadType, signatures [{keyid, sig}]")
