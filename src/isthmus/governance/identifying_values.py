"""What a value's form tells: an NHS number, a postcode, a date, an age over 89. Texts alone, whatever their column is called.

Letters are those of 45 CFR 164.514(b)(2)(i). `single` forms are telling in one value; `common` forms, which other codes share,
only where every value has them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import date
from ipaddress import ip_address

from isthmus.governance.identifying_words import GIVEN

OLDEST = 90  # one value for "90 or older"; 45 CFR 164.514(b)(2)(i)(C)
CODES = 10  # so many different long numbers, and no other value, are numbers of people and not of things

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_WEEKDAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?"
_YEAR = r"(?:18|19|20)\d\d"
# The areas of postcodes (Royal Mail's Postcode Address File), so that `CD4 5RA` is none; the last two letters are never C, I,
# K, M, O or V, so that `5MG` is none.
_AREAS = "|".join(
    [
        "AB",
        "AL",
        "B",
        "BA",
        "BB",
        "BD",
        "BH",
        "BL",
        "BN",
        "BR",
        "BS",
        "BT",
        "CA",
        "CB",
        "CF",
        "CH",
        "CM",
        "CO",
        "CR",
        "CT",
        "CV",
        "CW",
        "DA",
        "DD",
        "DE",
        "DG",
        "DH",
        "DL",
        "DN",
        "DT",
        "DY",
        "E",
        "EC",
        "EH",
        "EN",
        "EX",
        "FK",
        "FY",
        "G",
        "GL",
        "GU",
        "GY",
        "HA",
        "HD",
        "HG",
        "HP",
        "HR",
        "HS",
        "HU",
        "HX",
        "IG",
        "IM",
        "IP",
        "IV",
        "JE",
        "KA",
        "KT",
        "KW",
        "KY",
        "L",
        "LA",
        "LD",
        "LE",
        "LL",
        "LN",
        "LS",
        "LU",
        "M",
        "ME",
        "MK",
        "ML",
        "N",
        "NE",
        "NG",
        "NN",
        "NP",
        "NR",
        "NW",
        "OL",
        "OX",
        "PA",
        "PE",
        "PH",
        "PL",
        "PO",
        "PR",
        "RG",
        "RH",
        "RM",
        "S",
        "SA",
        "SE",
        "SG",
        "SK",
        "SL",
        "SM",
        "SN",
        "SO",
        "SP",
        "SR",
        "SS",
        "ST",
        "SW",
        "SY",
        "TA",
        "TD",
        "TF",
        "TN",
        "TQ",
        "TR",
        "TS",
        "TW",
        "UB",
        "W",
        "WA",
        "WC",
        "WD",
        "WF",
        "WN",
        "WR",
        "WS",
        "WV",
        "YO",
        "ZE",
    ]
)
_MBI = "[AC-HJKMNP-RT-Y]"
_IN_TEXT = {  # anywhere in a value
    "C": rf"\b{_YEAR}[-/.]\d\d?[-/.]\d\d?\b|\b\d\d?[-/.]\d\d?[-/.]{_YEAR}\b"
    rf"|\b\d\d?(?:st|nd|rd|th)?[ -]{_MONTH},?[ -](?:{_YEAR}|\d\d)\b|\b{_MONTH} \d\d?,? {_YEAR}\b",
    "D": r"(?<![\d.])(?:\+\d{1,3}[ .(-]*\d[\d ().-]{6,14}\d|\(\d{3}\) ?\d{3}[ -]\d{4}|(?:1[-.])?\d{3}([-.])\d{3}\1\d{4}|0[1-37]\d{8,9}"
    r"|0\d{2,4} \d{3,4} ?\d{3,4}|07\d{3} ?\d{6}|\(0\d{2,4}\) ?\d{3,4} ?\d{3,4})(?![\d.])",
    "F": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "G": r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\d-])",
    "H": r"\b(?:mrn|chi|nhs)(?: ?(?:no|number|nr))?[.:# -]*\d{5,}",
    "M": r"\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b",
    "N": r"\b(?:https?|ftp)://|\bwww\.",
    "R": r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
}
_WHOLE = {  # the whole of a value
    "B": rf"(?:{_AREAS})\d[\dA-Z]? ?\d[ABD-HJLNP-UW-Z]{{2}}|\d{{5}}-\d{{4}}",
    "C": rf"(?:{_MONTH}|q[1-4])[ /-]?{_YEAR}|{_YEAR}[ /-]?(?:{_MONTH}|q[1-4])|{_YEAR}[-/](?:0[1-9]|1[0-2])"
    rf"|(?:0[1-9]|1[0-2])[-/]{_YEAR}",
    "G": r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D]",  # National Insurance number
    "I": rf"[1-9]{_MBI}[\dA-Z]\d-?{_MBI}[\dA-Z]\d-?{_MBI}{{2}}\d\d",  # Medicare Beneficiary Identifier (CMS)
    "R": r"@\w{3,}",
}
_SINGLE = {letter: re.compile(text, re.IGNORECASE) for letter, text in _IN_TEXT.items()}
_ENTIRE = {letter: re.compile(text, re.IGNORECASE) for letter, text in _WHOLE.items()}
_COMMON = {
    "B": re.compile(rf"(?:{_AREAS})\d[\dA-Z]? \d|[EWSN]\d{{8}}"),  # a postcode's sector, an area of the ONS
    "L": re.compile(r"[A-Z]{2}\d\d ?[A-Z]{3}"),
    "C": re.compile(rf"{_MONTH}|{_WEEKDAY}|{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", re.IGNORECASE),
    "R": re.compile(r"[A-Z]{0,3}[-/]?\d{6,12}", re.IGNORECASE),
}
_NHS = re.compile(r"(?<![\d.])\d{3}[ -]?\d{3}[ -]?\d{4}(?!\d)")
_ADDRESS = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]*(?::[0-9a-f]*){3,7})(?![\w.:])", re.IGNORECASE)
_ZIP = re.compile(r"\d{5}")
_CARD = re.compile(r"(?<!\d)\d{4}(?:[ -]?\d{4}){2}[ -]?\d{1,4}(?!\d)")
_NAME = re.compile(r"(?:(?:Mrs?|Ms|Miss|Dr)\.? )?([A-Z][a-z]+)(?:,? [A-Z][A-Za-z'-]+){0,2}")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_LATER = re.compile(r">(?!=)|over|above|more than|older than", re.IGNORECASE)


def letters(values: Collection[str], *, codes: bool = False) -> set[str]:
    """Kinds of identifier that values are, by their form.

    Args:
        values: distinct; of one column.
        codes: they are codes of a known system of diagnoses, procedures, drugs: long numbers in it are no one's.
    """
    found = {letter for letter, form in _SINGLE.items() if any(form.search(v) for v in values)}
    found |= {letter for letter, form in _ENTIRE.items() if any(form.fullmatch(v.strip()) for v in values)}
    if any(nhs_number(text) for v in values for text in _NHS.findall(v)) and not codes:
        found.add("H")
    if any(_luhn(text) for v in values for text in _CARD.findall(v)):
        found.add("J")
    if len(values) > 1 and 2 * sum(map(_is_name, values)) >= len(values):
        found.add("A")
    found |= {letter for letter in ("B", "L") if len(values) > 1 and _all(_COMMON[letter], values)}
    if any(_is_address(text) for v in values for text in _ADDRESS.findall(v)):
        found.add("O")
    if _all(_COMMON["C"], values) and len(values) > 1 and not codes:
        found.add("C")
    if _all(_COMMON["R"], values) and len(values) >= CODES and not (codes or "C" in found):
        found.add("R")
    return found


def nhs_number(text: str) -> bool:
    """Whether ten digits end in the check digit of an NHS number (NHS Data Dictionary: modulus 11)."""
    digits = [int(c) for c in text if c.isdigit()]
    if len(digits) != 10 or len(set(digits)) == 1:
        return False
    check = (11 - sum(d * w for d, w in zip(digits, range(10, 1, -1), strict=False)) % 11) % 11
    return check == digits[9]


def _luhn(text: str) -> bool:
    """Whether digits end in the check digit of a payment card (ISO/IEC 7812-1)."""
    digits = [int(c) for c in text if c.isdigit()][::-1]
    doubled = [sum(divmod(2 * d, 10)) for d in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0 and len(set(digits)) > 1


def _is_name(text: str) -> bool:
    """Whether a text is someone's name: a common given name, alone or before one or two more."""
    found = _NAME.fullmatch(text.strip())
    return found is not None and found.group(1).lower() in GIVEN


def five_digits(values: Collection[str]) -> bool:
    """Whether all values are five digits, as ZIP codes are, and not all of them round, as amounts are."""
    return len(values) > 1 and _all(_ZIP, values) and any(int(v) % 100 for v in values)


def whole_postcodes(values: Collection[str]) -> bool:
    """Whether a value is a whole postcode or a ZIP+4: a few houses."""
    return any(_ENTIRE["B"].fullmatch(v.strip()) for v in values)


def three_digits(values: Collection[str]) -> bool:
    """Whether all values are three digits, as ZIP codes are in a set that is de-identified."""
    return bool(values) and all(re.fullmatch(r"\d{3}", v) for v in values)


def tells_age(values: Iterable[str], least: int) -> bool:
    """Whether an age or a band of ages tells more of someone of `least` than that they are so old or older."""
    return any(_beyond(value, least) for value in values)


def tells_birth(values: Iterable[str], first: int) -> bool:
    """Whether a year, or a band of years, of birth goes before `first`, which stands for that year or before."""
    return any(float(number) < first for value in values for number in _NUMBER.findall(value))


def day_number(number: float) -> bool:
    """Whether a number is a day written YYYYMMDD."""
    text = f"{number:.0f}"
    if len(text) != 8 or number != int(number):
        return False
    try:
        return 1850 <= date(int(text[:4]), int(text[4:6]), int(text[6:])).year <= 2100
    except ValueError:
        return False


def month_number(number: float) -> bool:
    """Whether a number is a month written YYYYMM."""
    return number == int(number) and 1850 <= number // 100 <= 2100 and 1 <= number % 100 <= 12


def _beyond(value: str, least: int) -> bool:
    numbers = [float(n) for n in _NUMBER.findall(value)]
    if len(numbers) > 1:
        return numbers[1] > least or numbers[0] >= least
    # "90", "90+" and "90 or older" are the one value that may be; beside ">90" those of 90 would stand apart
    return bool(numbers) and (numbers[0] > least or (numbers[0] == least and _LATER.match(value.strip()) is not None))


def _is_address(text: str) -> bool:
    try:
        return ip_address(text) is not None
    except ValueError:
        return False


def _all(form: re.Pattern[str], values: Collection[str]) -> bool:
    return bool(values) and all(form.fullmatch(v.strip()) for v in values)
