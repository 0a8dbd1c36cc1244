"""Isthmus: nothing crosses but what every party agreed may cross."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from isthmus.sdk.bundle import verify
    from isthmus.sdk.connect import connect
    from isthmus.sdk.rehearse import rehearse
    from isthmus.sdk.result import Result
    from isthmus.sdk.study import Study

__all__ = ["Result", "Study", "__version__", "connect", "rehearse", "verify"]

# Loaded when first used, so that `import isthmus` stays under half a second.
_WHERE = {
    "Result": "isthmus.sdk.result",
    "Study": "isthmus.sdk.study",
    "connect": "isthmus.sdk.connect",
    "rehearse": "isthmus.sdk.rehearse",
    "verify": "isthmus.sdk.bundle",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'isthmus' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
