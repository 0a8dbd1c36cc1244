"""Isthmus: nothing crosses but what every party agreed may cross."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Loaded when first used, so that `import isthmus` stays under half a second; `__init__.pyi` tells type checkers.
_WHERE = {
    "Invalid": "isthmus.model.errors",
    "IsthmusError": "isthmus.model.errors",
    "Refused": "isthmus.model.errors",
    "Result": "isthmus.sdk.result",
    "Study": "isthmus.sdk.study",
    "Unavailable": "isthmus.model.errors",
    "Untrusted": "isthmus.model.errors",
    "connect": "isthmus.sdk.connect",
    "pool_estimates": "isthmus.sdk.meta",
    "pool_tables": "isthmus.sdk.meta",
    "precision": "isthmus.sdk.precision",
    "rehearse": "isthmus.sdk.rehearse",
    "verify": "isthmus.sdk.bundle",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'isthmus' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted([*_WHERE, "__version__"])
