"""What a claim that nobody can be told from data forbids the data to show, and the rule that says so.

Letters are those of 45 CFR 164.514(b)(2)(i). Identifiable and pseudonymised data claim nothing; an expert's finding stands in
the expert's report (US-HIP-06), and synthetic data are about nobody (XB-08).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.governance.duties import Custody
    from isthmus.governance.identifiers import Scan

Shown = dict[str, tuple[str, ...]]  # letter -> variables

SAFE_HARBOR, AGES_AND_ZIPS, LIMITED, ANONYMOUS = "US-HIP-02", "US-HIP-03", "US-HIP-07", "UK-LAW-15"
# 164.514(e)(2)(i)-(xvi): of places addresses alone, and neither dates (C) nor other codes (R)
_DIRECT = frozenset("ADEFGHIJKLMNOPQ")


def says_gone(held: Custody) -> bool:
    """Whether a controller says that all 18 identifiers are gone: as `applies` of the rules US-HIP-02 and US-HIP-03."""
    named = held.identifiability != "hipaa_expert" and held.hipaa_path == "deidentified"
    return held.identifiability == "hipaa_safe_harbor" or named


def claimed_by(held: Custody) -> str | None:
    """The rule of the strictest claim that a controller makes; None where it makes none."""
    if says_gone(held):
        return SAFE_HARBOR
    if held.identifiability == "anonymous_ico":
        return ANONYMOUS
    return LIMITED if held.identifiability == "hipaa_lds" or held.hipaa_path == "lds_dua" else None


def shown_against(held: Custody, found: Scan) -> Shown:
    """What was found that the controller's claim forbids: of anonymous data every direct identifier, a number of someone too."""
    rule = claimed_by(held)
    if rule in {None, SAFE_HARBOR}:
        return dict(found.found) if rule else {}
    letters = _DIRECT | {"R"} if rule == ANONYMOUS else _DIRECT
    shown = {letter: names for letter, names in found.found.items() if letter in letters}
    return shown | ({"B": found.addresses} if found.addresses else {})
