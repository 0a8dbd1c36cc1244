"""What others' disclosure rules state, as YAML for a person to complete and sign.

No preset is a rules file: whatever its source does not state stands as a question mark, which no reader of rules takes.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from isthmus.disclosure.rules import RULES
from isthmus.model.errors import Invalid
from isthmus.model.record import record

UNSTATED = "?"


@record
class Preset:
    """The rules of one source.

    Attributes:
        title: whose they are.
        cited: the text they were taken from, with its year where it bears one.
        barred: counts that may not be shown, in the source's terms.
        stated: rule -> its value as YAML.
        notes: what the source asks for beyond the rules of Isthmus, or differently.
    """

    title: str
    cited: str
    barred: str
    stated: Mapping[str, str]
    notes: tuple[str, ...] = ()


PRESETS: Mapping[str, Preset] = {
    "cms": Preset(
        title="Centers for Medicare & Medicaid Services",
        cited="CMS, Cell Size Suppression Policy (undated; the data use agreement for your files has the text that binds)",
        barred="1 to 10",
        stated={"minimum_count": "11", "zeros": "allowed"},
        notes=("Counts of 1 to 10 may not be derivable either: suppression and the history of questions see to that.",),
    ),
    "all-of-us": Preset(
        title="All of Us Research Program",
        cited="All of Us, Data and Statistics Dissemination Policy (undated page, researchallofus.org)",
        barred="1 to 20",
        stated={"minimum_count": "21", "zeros": "allowed"},
        notes=("Counts of 1 to 20 may not be derivable either, from percentages or formulas included.",),
    ),
    "nhs-hes": Preset(
        title="NHS England, Hospital Episode Statistics below national level",
        cited="NHS Digital, Disclosure control methodology for HES and ECDS (2018)",
        barred="1 to 7",
        stated={"minimum_count": "8", "round_to": "5"},
        notes=("National figures are not held to it. How zeros are shown is left for you to state.",),
    ),
    "opensafely": Preset(
        title="OpenSAFELY",
        cited="OpenSAFELY documentation, Applying statistical disclosure control (as of 2025)",
        barred="7 and fewer",
        stated={"minimum_count": "8", "round_to": "5"},
        notes=(
            "Midpoint-6 rounding, which the source offers instead, is not offered here: counts are rounded to the nearest.",
        ),
    ),
    "ons-srs": Preset(
        title="Office for National Statistics, Secure Research Service",
        cited="ONS, Researcher Output Guidance of the Secure Research Service (undated)",
        barred="fewer than 10",
        stated={"minimum_count": "10"},
        notes=("The source judges by context; zeros too. A threshold is only part of it.",),
    ),
    "uk-llc": Preset(
        title="UK Longitudinal Linkage Collaboration",
        cited="UK LLC Guidebook, Statistical Disclosure Control (2025)",
        barred="fewer than 10, zero included",
        stated={"minimum_count": "10", "zeros": "barred"},
    ),
    "acro": Preset(
        title="ACRO, its default configuration",
        cited="ACRO 1.0.2, acro/default.yaml",
        barred="fewer than 10, zero included",
        stated={
            "minimum_count": "10",
            "round_to": "5",
            "zeros": "barred",
            "dominance": "{n: 2, k: 0.9, p: 0.1}",
            "minimum_dof": "10",
        },
        notes=("The base of 5 is for where rounding is chosen in place of suppression.",),
    ),
}


def preset(name: str) -> Preset:
    """A preset by name.

    Raises:
        Invalid: E-PRESET.
    """
    if name in PRESETS:
        return PRESETS[name]
    near = difflib.get_close_matches(name, PRESETS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(PRESETS)}"
    raise Invalid("E-PRESET", f"no rule set {name!r}", hint)


def as_yaml(chosen: Preset) -> str:
    """A rules file to complete: what the source states, and a question mark for every rule that a person must state."""
    head = [chosen.title, f"Source: {chosen.cited}", f"Counts that may not be shown: {chosen.barred}.", *chosen.notes]
    missing = [rule for rule in RULES if rule not in chosen.stated]
    head += ["", f"Not stated by the source: {', '.join(missing)}."]
    head += [
        "State each in place of its question mark; until then this is not a rules file. Check the source before you sign."
    ]
    lines = [f"# {line}".rstrip() for line in head]
    lines += [f"{rule}: {chosen.stated.get(rule, f'{UNSTATED!r}  # yours to state')}" for rule in RULES]
    return "\n".join(lines) + "\n"
