"""Words of an expression of the Common Expression Language: what a load of a rule pack looks at besides its syntax."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

_WORD = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |(?P<name>[A-Za-z_]\w*)
    |(?P<mark>\d[\w.]*|.)""",
    re.DOTALL | re.VERBOSE,
)
_PREFIX = re.compile(r"[rRbB]{1,2}\Z")
CONSTANTS = "k"


def words(expression: str) -> list[str]:
    """Names, marks and strings in their order, without spaces and comments.

    Raises:
        ValueError: a raw, byte or triple-quoted string, in which what is code could not be told from what is text.
    """
    found: list[str] = []
    joined = False  # the word before touches this one
    for match in _WORD.finditer(expression):
        kind, word = match.lastgroup, match[0]
        if kind == "string" and joined and (found[-1][0] in "'\"" or _PREFIX.match(found[-1])):
            raise ValueError("strings stand in single or double quotes, without a prefix")
        joined = kind != "space"
        if joined:
            found.append(word)
    return found


def hushes(expression: str) -> bool:
    """Whether it asks for a fact that may be missing, by has() or an optional part: a deleted fact could switch it off."""
    found = words(expression)
    pairs = set(pairwise(found))
    return ("has", "(") in pairs or (".", "?") in pairs or ("[", "?") in pairs


def constants(expression: str) -> Iterator[str]:
    """Names of the constants that it uses, each written k.NAME.

    Raises:
        ValueError: `k` is used in another way, so that nobody could tell which constant is meant.
    """
    found = ["", *words(expression), "", ""]
    for before, word, dot, name in zip(found, found[1:], found[2:], found[3:], strict=False):
        if word == CONSTANTS and before != ".":
            if dot != "." or not name.isidentifier():
                raise ValueError("a constant is written k.NAME")
            yield name
