"""The one strict door: outside data into a record. Unknown key, wrong type, missing key: `Invalid`."""

from __future__ import annotations

import difflib
import json
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from isthmus.model.errors import Invalid
from isthmus.model.record import outside

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")


@lru_cache(maxsize=256)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter  # imported here: 0.13 s

    return TypeAdapter(kind)


def parse(kind: type[T], data: Any, where: str = "") -> T:
    """`data` (JSON-like: dicts, lists, text, numbers, booleans, None) as a `kind`.

    Raises:
        Invalid: E-UNKNOWN-KEY (names the nearest known key), E-MISSING-KEY, E-TYPE.
    """
    from pydantic import ValidationError

    try:
        raw = json.dumps(data, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid("E-TYPE", "not plain data", "text, finite numbers, lists and objects only", where) from error
    try:
        parsed: T = _adapter(cast("Any", kind)).validate_json(raw, strict=True)
    except ValidationError as error:
        raise _explain(kind, min(error.errors(), key=_typos_first), where) from None
    return parsed


_UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")


def _typos_first(problem: Any) -> bool:
    return problem["type"] not in _UNKNOWN


def _explain(kind: type[Any], first: Any, where: str) -> Invalid:
    path = [str(part) for part in first["loc"]]
    place = ".".join([where, *path] if where else path)
    name = path[-1] if path else ""
    if first["type"] in _UNKNOWN:
        known = _known_keys(kind, path[:-1])
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "known keys: " + ", ".join(known)
        return Invalid("E-UNKNOWN-KEY", f"unknown key {name!r}", hint, place)
    if first["type"].startswith("missing"):
        return Invalid("E-MISSING-KEY", f"key {name!r} is missing", "every key without a default must be stated", place)
    return Invalid("E-TYPE", str(first["msg"]), "", place)


def _known_keys(kind: Any, path: list[str]) -> list[str]:
    from typing import get_args, get_type_hints

    for part in path:
        if not is_dataclass(kind):
            break
        hint = get_type_hints(kind).get(part, kind)
        kind = next((a for a in get_args(hint) if is_dataclass(a)), hint)
    return [outside(f.name) for f in fields(kind)] if is_dataclass(kind) else []
