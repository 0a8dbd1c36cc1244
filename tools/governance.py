"""What the rule pack shows of itself (`make governance`), and docs/reference/governance-rules.md (`--write`).

Prints every rule on the worked case and on its planted fault, every fact taken away, and the SATRE items for which a command
gives evidence. Exit code 1 when a rule does not hold or fire, or falls silent.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from isthmus.governance.rulepack import Pack, own_pack, pack_digest
from isthmus.governance.selfcheck import deletions, shown, silenced_faults, worked_case
from isthmus.sdk.artefacts.satre import coverage

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "governance-rules.md"

HEAD = """# The rule pack

Written by `tools/governance.py` from the pack that comes with Isthmus.

**Not legal advice.** Statute text was read in third-party copies in November 2026. Thresholds and dates in the worked case are placeholders that data owners must set. Scotland, Wales,
Northern Ireland and US states other than Washington are not modelled, nor is any other country: rule XB-11 refuses them.

How rules are evaluated, what the facts are and how a consortium adds rules of its own: [governance.md](governance.md).
"""


def page(pack: Pack) -> str:
    """The reference page of the pack."""
    parts = [HEAD, f"Pack `{pack.id}`, version {pack.version} of {pack.date}; digest `{pack_digest(pack)}`.\n"]
    parts += ["## Constants\n", table(("Constant", "Entries", "Source", "Read"), constants(pack)), "## Rules\n"]
    for rule in pack.rules:
        facts = f"{rule.gate} gate; {rule.severity}; {rule.jurisdiction}; {rule.citation}."
        parts.append(f"### {rule.id}\n\n{rule.why}\n\n{facts}\n")
    return "\n".join(parts)


def constants(pack: Pack) -> Iterable[tuple[str, ...]]:
    return ((f"`{n}`", str(c.entries), c.source, c.read) for n, c in pack.constants.items())


def table(headings: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> str:
    cells = [headings, tuple("---" for _ in headings), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells) + "\n"


def say_coverage() -> None:
    data = coverage()
    covered = {entry["item"]: entry for entry in data["covered"]}
    stated = {entry["item"]: entry["fact"] for entry in data["stated"]}
    lines = ((e["item"], f"`{e['command']}`", e["extent"], e.get("needs", ""), e["evidence"]) for e in covered.values())
    print(f"## SATRE {data['version']}\n\n" + table(("Item", "Command", "Extent", "Needs", "Evidence"), lines))
    said = ((item, fact.replace("_", " ")) for item, fact in stated.items())
    print("Stated by facilities, or by a document of the agreement:\n\n" + table(("Item", "Fact"), said))
    for importance, items in data["items"].items():
        every = items.split()
        shown_, only = [i for i in every if i in covered], [i for i in every if i in stated and i not in covered]
        left = [i for i in every if i not in covered and i not in stated]
        whole = sum(covered[i]["extent"] == "whole" for i in shown_)
        print(
            f"{importance}: {len(every)}. By evidence {len(shown_)}, {whole} of them whole; stated alone {len(only)}; not covered"
            f" {len(left)}: {' '.join(left)}\n"
        )


def say_pack(pack: Pack) -> bool:
    facts = worked_case()
    rules = shown(pack, facts)
    lines = ((s.rule.id, s.rule.gate, s.rule.severity, s.worked, s.fault) for s in rules)
    print("## Rules\n\n" + table(("Rule", "Gate", "Severity", "Worked case", "Planted fault"), lines))
    taken = deletions(pack, facts)
    noticed = ((d.fact, " ".join(d.noticed), " ".join(d.silenced) or "none") for d in taken if d.noticed or d.silenced)
    print("## Facts taken away\n\n" + table(("Fact", "Rules that stop passing", "Rules silenced"), noticed))
    idle = [d.fact for d in taken if not d.noticed and not d.silenced]
    print(f"{len(idle)} facts decide nothing in the worked case: {', '.join(idle)}\n")
    silenced = silenced_faults(pack, facts)
    print(f"{len(taken)} facts; faults that a missing fact hides: {silenced or 'none'}\n")
    bad = [s.rule.id for s in rules if not s.good]
    print(f"{len(rules)} rules; not holding or not firing: {', '.join(bad) or 'none'}\n")
    return not bad and not silenced and not any(d.silenced for d in taken)


def main() -> int:
    pack = own_pack()
    if "--write" in sys.argv:
        PAGE.write_text(page(pack), encoding="utf-8")
        return 0
    print(f"# {pack.title}: version {pack.version} of {pack.date}, {pack_digest(pack)}\n")
    good = say_pack(pack)
    say_coverage()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
