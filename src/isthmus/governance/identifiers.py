"""HIPAA's 18 identifiers, looked for in a codebook: names, labels, types, units, ranges and levels, never rows.

A site looks at its rows in the same way, by a codebook that its rows make (`data/seen.py`). A codebook that shows an identifier
cannot be called de-identified under Safe Harbor, whatever its controller states. A codebook that shows none proves nothing:
a free name can hide anything, so the controller's own statement stays necessary.
Letters are those of 45 CFR 164.514(b)(2)(i).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from isthmus.governance.identifying_values import (
    OLDEST,
    day_number,
    five_digits,
    letters,
    month_number,
    tells_age,
    tells_birth,
    three_digits,
    whole_postcodes,
)
from isthmus.governance.identifying_words import (
    ADDRESSES,
    AGES,
    BIRTH_YEARS,
    BORN,
    EXACT,
    HARMLESS,
    OLD,
    PLACES,
    SYSTEMS,
    VERY_OLD,
    WORDS,
    ZIP,
)
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.record import record

# the unit of an age -> how many of it are 90 years, by 365.25 days
_SPANS = {
    **dict.fromkeys(("a", "y", "yr", "yrs", "year", "years"), OLDEST),
    **dict.fromkeys(("mo", "mos", "mth", "mths", "month", "months"), OLDEST * 12),
    **dict.fromkeys(("wk", "wks", "week", "weeks"), 4_696),
    **dict.fromkeys(("d", "day", "days"), 32_872),
    **dict.fromkeys(("decade", "decades"), OLDEST // 10),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 788_940),
}
_LONG = 10**8
_FLAGS = frozenset({"yes", "no", "y", "n", "true", "false", "t", "f", "0", "1", "on", "off"})
_NO_VALUE = frozenset({"", "unknown", "missing", "not known", "not stated", "other", "none", "na", "n/a", "nk"})
_AGE = re.compile(r"(?<!\d)\d{2,3}(?!\d)")
# Three-digit ZIP areas of at most 20,000 people, to be written 000, by the Census of 2000: the 17 that HHS lists in its
# guidance on de-identification of 26 November 2012 (hhs.gov/hipaa/for-professionals/special-topics/de-identification, "When
# can ZIP codes be included"), read again in public copies in November 2026. It tells covered entities not to rely on it once
# newer data are published, so a controller states its Census (`zip3_census`), and this list only finds what is surely wrong.
SMALL_ZIP3 = frozenset(
    {"036", "059", "063", "102", "203", "556", "692", "790", "821", "823", "830", "831", "878", "879", "884", "890"}
    | {"893"}
)
_WORD = re.compile(r"[A-Z]?[a-z]+\d*|[A-Z]+(?![a-z])\d*|\d+")


@record
class Scan:
    """What a codebook shows.

    Attributes:
        found: letter -> variables.
        zips: whether there is a ZIP code.
        zip3_ok: no ZIP code but three digits, with small areas as 000.
        age90_ok: no age, and no year of birth, tells more of someone over 89 than that they are 90 or older.
        addresses: variables of a place as exact as an address: a whole postcode, a ZIP+4, a coordinate.
    """

    found: dict[str, tuple[str, ...]]
    addresses: tuple[str, ...]
    zips: bool
    zip3_ok: bool
    age90_ok: bool


def scan(codebook: Codebook, day: str) -> Scan:
    """Look for identifiers; the person identifier itself is no variable and no study reads it.

    Args:
        codebook: declared, or made from rows.
        day: YYYY-MM-DD, on which a year of birth tells an age: the last of the agreement, for then people are oldest.
    """
    first = int(day[:4]) - OLDEST
    every = [_Seen(name, v, (_words(name), _words(v.label or "")), first) for name, v in codebook.variables.items()]
    found: dict[str, list[str]] = {}
    for seen in every:
        for letter in sorted(_letters(seen)):
            found.setdefault(letter, []).append(seen.name)
    zips = [seen for seen in every if _is_zip(seen)]
    return Scan(
        found={letter: tuple(names) for letter, names in sorted(found.items())},
        addresses=tuple(seen.name for seen in every if _is_address(seen)),
        zips=bool(zips),
        zip3_ok=all(_is_zip3(seen) for seen in zips),
        age90_ok=not any(_tells_old_age(seen) for seen in every),
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """A variable, the words of its name and of its label, and the year of birth that stands for itself and those before."""

    name: str
    variable: Variable
    texts: tuple[list[str], list[str]]
    first: int

    @property
    def levels(self) -> tuple[str, ...]:
        """Those that say something: `unknown` among ZIP codes makes them no less ZIP codes."""
        return tuple(level for level in self.variable.levels or () if level.strip().lower() not in _NO_VALUE)

    def says(self, *words: str) -> bool:
        return any(word in text for word in words for text in self.texts)

    def any(self, phrases: Iterable[tuple[str, ...]]) -> bool:
        return any(_at(text, phrase) is not None for text in self.texts for phrase in phrases)

    @property
    def is_flag(self) -> bool:
        """A yes or no, whatever it is called."""
        flags = bool(self.levels) and {level.strip().lower() for level in self.levels} <= _FLAGS
        return self.variable.type == "boolean" or flags

    def is_age(self) -> bool:
        return self.says(*AGES) or self.any(OLD)

    def is_birth_year(self) -> bool:
        return self.any(BIRTH_YEARS) or tuple(self.texts[0]) in BORN

    def ends(self) -> tuple[float, float]:
        return self.variable.range or (float("-inf"), float("inf"))


def _letters(seen: _Seen) -> set[str]:
    found = _by_words(seen) | letters(seen.levels, codes=seen.says(*SYSTEMS))
    if seen.variable.type == "date" or _tells_old_age(seen) or _is_dated(seen):
        found.add("C")
    elif _is_number_of_someone(seen):
        found.add("R")
    if _is_zip(seen):
        found = found - {"B"} if _is_zip3(seen) else found | {"B"}
    return found


def _by_words(seen: _Seen) -> set[str]:
    """A yes or no is no one's number; only of a place it may tell that someone lives there."""
    found = {letter for letter, phrases in WORDS.items() if seen.any(phrases)}
    found |= {letter for letter, phrases in EXACT.items() if any(tuple(text) in phrases for text in seen.texts)}
    return found & {"B"} if seen.is_flag else found


def _is_address(seen: _Seen) -> bool:
    named = not seen.is_flag and (seen.any(ADDRESSES) or any(tuple(text) in EXACT["B"] for text in seen.texts))
    return named or whole_postcodes(seen.levels)


def _is_zip(seen: _Seen) -> bool:
    """By its name; or its values look like ZIP codes, and its name does not say that they are codes of something else."""
    unnamed = five_digits(seen.levels) and not seen.says(*SYSTEMS)
    return seen.says(*ZIP) or unnamed or (three_digits(seen.levels) and seen.says(*PLACES))


def _is_zip3(seen: _Seen) -> bool:
    return three_digits(seen.levels) and not SMALL_ZIP3 & set(seen.levels)


def _tells_old_age(seen: _Seen) -> bool:
    """Neither range nor levels end where they must. An age that declares neither may be any."""
    if seen.is_birth_year():
        return tells_birth(seen.levels, seen.first) if seen.levels else seen.ends()[0] < seen.first
    if seen.is_flag:
        said = _AGE.findall(f"{seen.name} {seen.variable.label or ''}")
        return seen.any(VERY_OLD) or (seen.is_age() and any(int(number) > OLDEST for number in said))
    least = _span(seen)
    if least is None:
        return False
    return tells_age(seen.levels, least) if seen.levels else seen.ends()[1] > least


def _span(seen: _Seen) -> int | None:
    """What 90 years are in the unit of an age; None where it is no age."""
    if not seen.is_age() or seen.variable.type == "date":
        return None
    if seen.variable.unit is not None:
        return _SPANS.get(seen.variable.unit.lower())
    said = (span for word, span in _SPANS.items() if seen.any({("age", word), ("in", word), ("age" + word,)}))
    return next(said, OLDEST)


def _is_dated(seen: _Seen) -> bool:
    """A number that is a day or a month, by both ends of its range."""
    ends = seen.variable.range
    if ends is None or seen.variable.type != "integer" or seen.variable.unit:
        return False
    return all(day_number(end) for end in ends) or all(month_number(end) for end in ends)


def _is_number_of_someone(seen: _Seen) -> bool:
    """An integer of nine digits and no unit counts nothing."""
    ends = seen.variable.range
    return ends is not None and seen.variable.type == "integer" and not seen.variable.unit and ends[1] >= _LONG


def _words(text: str) -> list[str]:
    """Words in small letters, without a number at their end (`dob2`), harmless phrases cut out."""
    found = [word.lower() for word in _WORD.findall(text)]
    for phrase in sorted(HARMLESS, key=len, reverse=True):
        while (at := _at(found, phrase)) is not None:
            found[at : at + len(phrase)] = [""]
    return [word if word in ZIP | SYSTEMS else word.rstrip("0123456789") or word for word in found]


def _at(words: list[str], phrase: tuple[str, ...]) -> int | None:
    """Where a phrase stands."""
    size = len(phrase)
    return next((i for i in range(len(words)) if tuple(words[i : i + size]) == phrase), None)
