"""Canonical JSON read back: one byte string per document, so nothing in it can be changed unnoticed."""

from __future__ import annotations

import json
import re
from typing import Any

from isthmus.model.canonical import canonical
from isthmus.model.errors import Invalid

_LARGEST = 2**53 - 1  # RFC 8785 numbers are float64; integers beyond print as digits too
_DIGITS = 16
_HEX = re.compile(r"([0-9a-f]{2})*", re.ASCII)
_WRITER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def read_canonical(raw: bytes, what: str) -> Any:
    """The JSON value whose canonical bytes are `raw`.

    Args:
        raw: the document.
        what: what it should be, for the message.

    Raises:
        Invalid: E-CANONICAL, not JSON, or not the canonical bytes of it (white space, order, a key twice).
    """
    try:
        value = _plain(raw)
        if value is not None:
            return value
        value = json.loads(raw.decode("utf-8"), parse_int=_integer)
        same = canonical(value) == raw
    except (ValueError, RecursionError, Invalid) as error:
        raise _not_canonical(what) from error
    if not same:
        raise _not_canonical(what)
    return value


def hex_bytes(text: Any) -> bytes:
    """The bytes of lower-case hex, one text per byte string. Invalid (E-CANONICAL) for anything else."""
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise _not_canonical("row of lower-case hex digits")
    return bytes.fromhex(text)


def _plain(raw: bytes) -> Any:
    """The value of an ASCII document of text and whole numbers below 10**15, several times as fast; else `None`.

    For these json's own writer gives the RFC 8785 form.
    """
    if not raw.isascii():
        return None
    try:
        value = _READER.decode(raw.decode("ascii"))
    except _OtherNumber:
        return None
    return value if _WRITER.encode(value).encode() == raw else None


class _OtherNumber(Exception):
    """A number that json and RFC 8785 may write differently."""


def _other(_: str) -> float:
    raise _OtherNumber


def _small(digits: str) -> int:
    return int(digits) if len(digits) < _DIGITS and digits != "-0" else int(_other(digits))


def _integer(digits: str) -> int | float:
    if len(digits.lstrip("-")) > _DIGITS or abs(int(digits)) > _LARGEST:
        return float(digits)  # canonical(1e20) is its digits: read back as the float it was
    return int(digits)


def _not_canonical(what: str) -> Invalid:
    return Invalid("E-CANONICAL", f"this is not a {what} in canonical JSON", "the file was changed or cut")


_READER = json.JSONDecoder(parse_float=_other, parse_int=_small)
