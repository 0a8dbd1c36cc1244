"""Formula text in tokens, and the error that names a place in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from isthmus.model.errors import Invalid

MAX_TEXT = 4_000  # characters; longer formulas are machine-made
ALLOWED = "allowed: names, + : * ^ - 0 1, parentheses, log exp sqrt C I bs ns, offset strata cluster, Surv on the left"

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z][A-Za-z0-9_.]*)|(?P<mark>[~+\-*/^:(),=]))",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of a formula."""

    kind: str  # number, name, mark or end
    text: str
    place: int  # first character, from 1


def fail(place: int, message: str, hint: str = ALLOWED) -> NoReturn:
    """Raise E-FORMULA with the place."""
    raise Invalid("E-FORMULA", message, hint, f"character {place} of the formula")


def tokens(text: str) -> list[Token]:
    """Of a whole formula, an end last.

    Raises:
        Invalid: E-FORMULA.
    """
    if len(text) > MAX_TEXT:
        fail(MAX_TEXT, f"a formula has at most {MAX_TEXT} characters")
    found: list[Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            fail(at + 1, f"{text[at]!r} has no place in a formula")
        kind = match.lastgroup or "mark"
        found.append(Token(kind, match.group(kind), match.start(kind) + 1))
        at = match.end()
    return [*found, Token("end", "", end + 1)]
