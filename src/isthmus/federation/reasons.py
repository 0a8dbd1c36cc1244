"""Errors that cross the network: the same kind, code, message and hint at the other end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from isthmus.model import errors
from isthmus.model.errors import IsthmusError

_KINDS: Mapping[int, type[IsthmusError]] = {
    2: errors.Invalid,
    3: errors.Unavailable,
    4: errors.Waiting,
    5: errors.Refused,
    8: errors.Untrusted,
}


def facts(error: IsthmusError) -> dict[str, Any]:
    """An error as `error_of` reads it: `{code, message, hint, where?, exit}`."""
    return {**error.to_dict(), "exit": int(error.exit)}


def text(error: IsthmusError) -> str:
    """The facts as JSON, as a store keeps them."""
    return json.dumps(facts(error))


def error_of(shown: Any) -> IsthmusError:
    """The error that `shown` tells of; Refused where its kind is not known."""
    told = shown if isinstance(shown, Mapping) else {}
    code, message, hint, where = (str(told.get(name, ""))[:500] for name in ("code", "message", "hint", "where"))
    stated = told.get("exit")
    kind = _KINDS.get(stated, errors.Refused) if isinstance(stated, int) else errors.Refused
    return kind(code or "E-UNKNOWN", message, hint, where)
