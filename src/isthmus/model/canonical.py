"""Canonical JSON (RFC 8785) and the digests built on it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785

from isthmus.model.errors import Invalid
from isthmus.model.names import Digest
from isthmus.model.record import outside

_LEAF = (str, int, float, type(None))  # most of any document: asked first, it is walked in half the time
Json = Any  # str | int | float | bool | None | list[Json] | dict[str, Json]; outside data


def plain(value: object) -> Json:
    """Records, mappings and tuples as dicts and lists; keys of records whose value is None are left out."""
    if isinstance(value, _LEAF):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {outside(name): plain(item) for name, item in pairs if item is not None}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def canonical(value: object) -> bytes:
    """RFC 8785 bytes of `value` (records allowed).

    Raises:
        Invalid: E-JSON, when a value has no canonical form (NaN, an integer beyond 2**53, bytes).
    """
    try:
        return rfc8785.dumps(plain(value))
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise Invalid(
            "E-JSON", "no canonical JSON for this value", "finite numbers, text, lists and objects only"
        ) from error


def digest_bytes(raw: bytes) -> Digest:
    """`sha256:...` of bytes."""
    return Digest("sha256:" + hashlib.sha256(raw).hexdigest())


def digest(value: object) -> Digest:
    """`sha256:...` of the canonical JSON of `value`."""
    return digest_bytes(canonical(value))
