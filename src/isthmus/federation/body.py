"""What the body of an output holds besides what it says: rows, identifiers, files. Measured on the JSON that people would get.

The catalogue shows none of them; here a result is looked at as if it might.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from isthmus.disclosure.output import PUBLIC
from isthmus.governance.identifying_values import letters

BUNDLE = ".isthmus"  # what a result leaves in: canonical JSON, sealed
NAMES = frozenset("DFGHMR")  # telephone, e-mail, social security, record, device: letters of 45 CFR 164.514(b)(2)(i)
# How files that can carry rows begin, as text or as base64 of their first bytes.
_BEGIN = {
    ".svg": ("<svg", "PHN2Zy", "<?xml"),
    ".parquet": ("PAR1", "UEFSMQ"),
    ".rds": ("RDX", "UkRY", "H4sI", "WApBAA", "WAoA"),
    ".pkl": ("gAJ", "gAN", "gAR", "gAS"),
    ".dta": ("<stata_dta", "PHN0YXRhX2R0"),
    ".gph": ("<gph", "PGdwaD", "StataFileTM"),
}


def shows_rows(body: Mapping[str, Any], n: int, floor: int) -> bool:
    """Whether a list is as long as there are people, and changes more often than groups of them could make it.

    A cell or a step rests on `floor` people, so it changes a list at most twice for each. Lists beside a public one of the same
    length (`PUBLIC`: times, thresholds) are functions of its points.
    """
    most = 2 * n / max(floor, 2)
    return any(len(found) >= n > 0 and _changes(found) > most for found in _lists(body))


def names(body: Mapping[str, Any]) -> int:
    """Texts, keys too, whose form is that of a person's identifier. Digests and the like are none."""
    return sum(bool(letters([text], codes=False) & NAMES) for text in _texts(body) if not text.startswith("sha256:"))


def extension(body: Mapping[str, Any]) -> str:
    """Of the file that a text in it is the beginning of; else of the bundle that a result leaves in."""
    every = list(_texts(body))
    found = (end for end, begins in _BEGIN.items() for text in every if text.lstrip().startswith(begins))
    return next(found, BUNDLE)


def _changes(values: list[Any]) -> int:
    return sum(one != other for one, other in pairwise(values) if one is not None and other is not None)


def _lists(value: Any) -> Iterator[list[Any]]:
    if isinstance(value, Mapping):
        public = {len(item) for key, item in value.items() if key in PUBLIC and isinstance(item, list)}
        for key, item in value.items():
            if key not in PUBLIC and not (isinstance(item, list) and {len(item), len(item) + 1} & public):
                yield from _lists(item)
    elif isinstance(value, list):
        yield value
        for item in value:
            yield from _lists(item)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value
