"""`@record`: the one way to declare a frozen, keyword-only value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


def outside(field: str) -> str:
    """A field's name in files and messages: without the underscore of a word that Python reserves (`from_`)."""
    return field.removesuffix("_")


STRICT = {"extra": "forbid", "strict": True, "alias_generator": outside}


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(cls: type[T]) -> type[T]:
    """Make `cls` a frozen, slotted, keyword-only dataclass: a value, compared by content.

    The class says how outside data must be read into it (`strict.parse`): unknown keys and wrong types are errors.
    """
    made = dataclass(frozen=True, slots=True, kw_only=True)(cls)
    made.__pydantic_config__ = STRICT  # type: ignore[attr-defined]
    return made
