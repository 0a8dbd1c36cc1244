"""One error tree. Four ways to fail; each error carries a stable code, a safe message and a hint.

Messages name the rule and the limit, never a value from the rows, a small count or a secret: they are
shown to researchers, written to logs and kept in ledgers. `docs/reference/errors.md` has a heading per code.
"""

from __future__ import annotations

import traceback
from enum import IntEnum

# What a defect raises, and the arithmetic of absurd values; a disk or memory that ends is no matter of one analysis.
DEFECTS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class Exit(IntEnum):
    """Exit codes of the command line."""

    DONE = 0
    INTERNAL = 1
    USAGE = 2
    UNREACHABLE = 3
    WAITING = 4
    REFUSED = 5
    SITES_FAILED = 6
    BUDGET = 7
    UNVERIFIED = 8
    INTERRUPTED = 130


class IsthmusError(Exception):
    """Base of the tree: `code` is stable, `message` is safe to show, `hint` says what to do."""

    exit: Exit = Exit.INTERNAL

    def __init__(self, code: str, message: str, hint: str = "", where: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.where = where

    def __str__(self) -> str:
        place = f" at {self.where}" if self.where else ""
        advice = f" ({self.hint})" if self.hint else ""
        return f"{self.code}{place}: {self.message}{advice}"

    def to_dict(self) -> dict[str, str]:
        """`{code, message, hint}` and `where` when known."""
        shown = {"code": self.code, "message": self.message, "hint": self.hint}
        return shown | ({"where": self.where} if self.where else {})


class Invalid(IsthmusError):
    """What was given is malformed or cannot be computed; the caller can mend it."""

    exit = Exit.USAGE


class Refused(IsthmusError):
    """A rule of the agreement or of disclosure control says no."""

    exit = Exit.REFUSED


class Untrusted(IsthmusError):
    """A signature, digest, key or protocol step does not hold."""

    exit = Exit.UNVERIFIED


class Unavailable(IsthmusError):
    """A party, file or service cannot be reached or used now."""

    exit = Exit.UNREACHABLE


class Waiting(Unavailable):
    """The run is paused for a named party or approval."""

    exit = Exit.WAITING


def coded(error: BaseException) -> IsthmusError:
    """The error itself; of a defect, E-INTERNAL in its place."""
    return error if isinstance(error, IsthmusError) else unforeseen(error)


def unforeseen(error: BaseException) -> Invalid:
    """E-INTERNAL in place of a defect: where in our code, never the message or locals (both may hold values from rows)."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "isthmus" in frame.filename]
    place = f"isthmus{frames[-1].filename.rpartition('isthmus')[2]}:{frames[-1].lineno}" if frames else ""
    hint = "this is a defect of Isthmus, or a value beyond all arithmetic: report it with the place"
    return Invalid("E-INTERNAL", f"unforeseen {type(error).__name__}", hint, place)
