"""What everyone is told when a site stops a run: a code, and the text that the hub has for it.

A site sends its code alone, and of a rule of law its id, which is public. Its own words could name a row, a file or itself, and would reach researchers verbatim.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from isthmus.model.errors import IsthmusError

_CODE = re.compile(r"E-[A-Z0-9]+(?:-[A-Z0-9]+){0,4}")
_RULE = re.compile(r"[A-Z0-9]{1,8}(?:-[A-Z0-9]{1,8}){1,2}")
_OF_LAW = {"E-RULE", "E-HUMAN"}
_LONGEST = 40
_PLAIN = "a site stopped the run"

_AT_THE_SITE = "the status names the site that declined; its own log and `isthmus doctor` there name the column"

# code -> (what happened, hint)
_TEXTS: Mapping[str, tuple[str, str]] = {
    "E-DISCLOSURE": ("disclosure control stopped the run at a site", "ask a coarser question"),
    "E-SURVIVORS": (
        "a site that took part before is missing, or one that was missing before is there: over the same data the two"
        " sums would differ by that site's own part",
        "wait for the missing site, then run it again with the same sites as before",
    ),
    "E-MIN-SITES": ("fewer sites than the threshold or than minimum_sites are left", "wait for the missing sites"),
    "E-RANGE": ("a value at a site cannot be masked", "rescale the column in the codebook"),
    "E-LEDGER": ("the hub's ledger does not continue what a site holds of it", "ask the hub's operator"),
    "E-UNSIGNED": ("a site does not find the signature it needs", "sign the study again"),
    "E-VARIABLE": ("a site does not allow a column of the study, or does not have it", "compare the codebook"),
    "E-CODEBOOK": ("a site holds another codebook", "exchange the codebook"),
    "E-LEVEL": ("a column at a site holds a level that the codebook does not declare", _AT_THE_SITE),
    "E-TEXT-IN-NUMBER": ("a column at a site holds text where the codebook says number", _AT_THE_SITE),
    "E-COLUMN-MISSING": ("a column of the codebook is missing at a site", _AT_THE_SITE),
    "E-COLUMN-TYPE": ("a column at a site has another type than the codebook says", _AT_THE_SITE),
    "E-REVOKED": (
        "a party revoked the agreement",
        "nothing more is done under it; a new version needs the signature of every party",
    ),
    "E-EXPIRED": ("the agreement has expired", "sign a new version"),
    "E-RULE": ("a rule of law stops the study at a site", "`where` is the rule; isthmus agreement check says more"),
    "E-HUMAN": (
        "a rule of law asks for a person's decision, and the agreement holds none",
        "`where` is the rule; a custodian decides, and the agreement says so in `judgements`",
    ),
    "E-PACK": ("a site's rule pack cannot be used", "compare the sites' versions and rule_pack"),
    "E-NOT-APPROVED": ("a site's custodian has not approved the study", "isthmus study status says who is asked"),
    "E-NOT-CHECKED": ("a site does not find the votes that would release the result", "ask the output checkers"),
    "E-DATASET": ("a site does not have the dataset", "compare the agreement with the sites"),
}


def told(code: str) -> tuple[str, str]:
    """Code and text for what a site stopped with; a code that is none becomes E-UNKNOWN."""
    if len(code) > _LONGEST or not _CODE.fullmatch(code):
        code = "E-UNKNOWN"
    return code, _TEXTS[code][0] if code in _TEXTS else _PLAIN


def hint_of(code: str) -> str:
    """What to do about a run that stopped."""
    return _TEXTS[code][1] if code in _TEXTS else ""


def rule_of(code: str, where: str) -> str:
    """The rule of law that stopped a run, by its id; nothing for any other code, and for what is no id."""
    return where if code in _OF_LAW and _RULE.fullmatch(where) else ""


def told_of(error: IsthmusError) -> IsthmusError:
    """An error of a site as everyone is told it: neither who it was, nor its own words."""
    code, said = told(error.code)
    return type(error)(code, said, hint_of(code), rule_of(code, error.where))
