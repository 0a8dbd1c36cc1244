"""HIPAA's 18 identifiers, looked for in a codebook: names, labels, types, ranges and levels, never rows.

A codebook that shows one cannot be called de-identified under Safe Harbor, whatever its controller states. A codebook that
shows none proves nothing: a free name can hide anything, so the controller's own statement stays necessary.
Letters are those of 45 CFR 164.514(b)(2)(i).
"""

from __future__ import annotations

import re

from isthmus.model.codebook import Codebook, Variable
from isthmus.model.record import record

# letter -> single words, and words that stand one after the other
_WORDS: dict[str, frozenset[tuple[str, ...]]] = {
    letter: frozenset(tuple(phrase.split("+")) for phrase in text.split())
    for letter, text in {
        "A": "surname forename firstname lastname fullname initials maiden first+name last+name patient+name full+name",
        "B": "zip zipcode zip3 postcode postal address street city town county ward parish lsoa msoa tract latitude longitude"
        " geocode",
        "C": "dob birthdate birth+date date",
        "D": "phone telephone mobile",
        "E": "fax",
        "F": "email e+mail",
        "G": "ssn social+security",
        "H": "mrn nhsno nhs+number medical+record hospital+number chi+number",
        "I": "health+plan beneficiary mbi hicn",
        "J": "account iban",
        "K": "licence license certificate",
        "L": "vin vehicle number+plate license+plate",
        "M": "imei udi serial+number device+id",
        "N": "url website homepage",
        "O": "ip+address ipaddress",
        "P": "fingerprint voiceprint biometric retina+scan iris+scan",
        "Q": "photo photograph portrait",
        "R": "uuid guid patient+id person+id subject+id participant+id",
    }.items()
}
_ZIP = {"zip", "zipcode", "zip3"}
_YEARS = {None, "a", "y", "year", "years"}
OLDEST = 90  # one value for "90 or older"; 45 CFR 164.514(b)(2)(i)(C)
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
        age90_ok: every age's declared range ends at 90, which stands for 90 or older.
    """

    found: dict[str, tuple[str, ...]]
    zips: bool
    zip3_ok: bool
    age90_ok: bool


def scan(codebook: Codebook) -> Scan:
    """Look for identifiers; the person identifier itself is no variable and no study reads it."""
    found: dict[str, list[str]] = {}
    for name, variable in codebook.variables.items():
        for letter in sorted(_letters(name, variable)):
            found.setdefault(letter, []).append(name)
    zips = [v for n, v in codebook.variables.items() if _is_zip(n, v)]
    ages = [v for n, v in codebook.variables.items() if _is_age(n, v)]
    return Scan(
        found={letter: tuple(names) for letter, names in sorted(found.items())},
        zips=bool(zips),
        zip3_ok=all(_zip3(v) for v in zips),
        age90_ok=not any(_too_old(v) for v in ages),
    )


def _letters(name: str, variable: Variable) -> set[str]:
    texts = [_tokens(name), _tokens(variable.label or "")]
    found = {letter for letter, phrases in _WORDS.items() if any(_has(t, p) for t in texts for p in phrases)}
    if variable.type == "date" or (_is_age(name, variable) and _too_old(variable)):
        found.add("C")
    if _is_zip(name, variable) and _zip3(variable):
        found.discard("B")
    return found


def _tokens(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _has(tokens: list[str], phrase: tuple[str, ...]) -> bool:
    return any(tuple(tokens[i : i + len(phrase)]) == phrase for i in range(len(tokens)))


def _is_zip(name: str, variable: Variable) -> bool:
    return bool(_ZIP & {*_tokens(name), *_tokens(variable.label or "")})


def _zip3(variable: Variable) -> bool:
    levels = variable.levels or ()
    return bool(levels) and all(re.fullmatch(r"\d{3}", v) and v not in SMALL_ZIP3 for v in levels)


def _is_age(name: str, variable: Variable) -> bool:
    numeric = variable.type in {"number", "integer"} and variable.unit in _YEARS
    return numeric and "age" in {*_tokens(name), *_tokens(variable.label or "")}


def _too_old(variable: Variable) -> bool:
    return variable.range is None or variable.range[1] > OLDEST
