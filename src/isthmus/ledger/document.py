"""Canonical JSON read back: one byte string per document, so nothing in it can be changed unnoticed."""

from __future__ import annotations

import json
from typing import Any

from isthmus.model.canonical import canonical
from isthmus.model.errors import Invalid

_LARGEST = 2**53 - 1  # RFC 8785 numbers are float64; integers beyond print as digits too
_DIGITS = 16


def read_canonical(raw: bytes, what: str) -> Any:
    """The JSON value whose canonical bytes are `raw`.

    Args:
        raw: the document.
        what: what it should be, for the message.

    Raises:
        Invalid: E-CANONICAL, not JSON, or not the canonical bytes of it (white space, order, a key twice).
    """
    try:
        value = json.loads(raw.decode("utf-8"), parse_int=_integer)
        same = canonical(value) == raw
    except (ValueError, RecursionError, Invalid) as error:
        raise _not_canonical(what) from error
    if not same:
        raise _not_canonical(what)
    return value


def _integer(digits: str) -> int | float:
    if len(digits.lstrip("-")) > _DIGITS or abs(int(digits)) > _LARGEST:
        return float(digits)  # canonical(1e20) is its digits: read back as the float it was
    return int(digits)


def _not_canonical(what: str) -> Invalid:
    return Invalid("E-CANONICAL", f"this is not a {what} in canonical JSON", "the file was changed or cut")
