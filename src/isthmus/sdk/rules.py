"""Disclosure rules as a party states them: every rule by name, `null` to switch one off in a rehearsal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isthmus.model.errors import Invalid
from isthmus.model.privacy import Privacy
from isthmus.model.rules import Rules
from isthmus.sdk.files import load_file
from isthmus.strict import parse


def read_rules(source: str | Path | Mapping[str, Any] | Rules) -> Rules:
    """Rules from a file, a mapping or a record. `digits` alone may be left out.

    Raises:
        Invalid: E-MISSING-KEY, E-UNKNOWN-KEY, E-TYPE.
        Unavailable: E-FILE.
    """
    if isinstance(source, Rules):
        return source
    data, where = _stated(source)
    return parse(Rules, {name: value for name, value in data.items() if name != "privacy"}, where)


def read_privacy(source: str | Path | Mapping[str, Any] | Rules) -> Privacy | None:
    """The budget that a rehearsal states beside its rules (`privacy:`), if it does.

    Raises:
        Invalid: E-MISSING-KEY, E-UNKNOWN-KEY, E-TYPE.
        Unavailable: E-FILE.
    """
    if isinstance(source, Rules):
        return None
    data, where = _stated(source)
    return parse(Privacy, data["privacy"], f"{where}.privacy") if data.get("privacy") is not None else None


def _stated(source: str | Path | Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    data, where = (source, "rules") if isinstance(source, Mapping) else (load_file(source), str(source))
    if not isinstance(data, Mapping):
        raise Invalid("E-TYPE", "rules are a mapping of rule names to values", "", where)
    return dict(data), where
