"""docs/reference/identity.md: the table of roles is the one in force, and the example of a rule works."""

from __future__ import annotations

import re

from documents import ROOT, rows

from isthmus.governance.roles import MAY
from isthmus.governance.rulepack import extended, own_pack, read_pack
from isthmus.governance.selfcheck import planted, shown, silenced_faults, worked_case
from isthmus.governance.verdicts import verdicts

PAGE = ROOT / "docs" / "reference" / "identity.md"
VISA = {
    "type": "ControlledAccessGrants",
    "value": "https://grants.example.org/datasets/statins",
    "source": "https://hospital.example.org",
    "by": "dac",
    "asserted": "2026-10-24",
    "expires": "2027-02-21",
    "issuer": "https://grants.example.org/",
}


def test_the_table_of_roles_is_the_one_in_force() -> None:
    text = PAGE.read_text()
    table = rows(text[text.index("## Roles") : text.index("## Passports")])
    assert {row[0].strip("`"): set(re.findall(r"\w+", row[1])) for row in table} == {r: set(a) for r, a in MAY.items()}


def test_the_example_rule_holds_with_the_grant_alone() -> None:
    text = PAGE.read_text()
    pack = read_pack(re.search(r"```yaml\n(isthmus: rule-pack/1.*?)```", text, re.DOTALL)[1])
    facts = planted(worked_case(), {"s.requester.visas": [VISA]})
    assert all(rule.good for rule in shown(pack, facts))
    assert not silenced_faults(pack, facts)
    (rule,) = extended(own_pack(), pack).rules[-1:]
    for change in (
        {"by": "self"},
        {"source": "https://evil.example.org"},
        {"value": "other"},
        {"asserted": "2024-01-01"},
    ):
        (verdict,) = verdicts(pack, (rule,), planted(facts, {"s.requester.visas": [{**VISA, **change}]}))
        assert verdict.outcome == "fail"
    (verdict,) = verdicts(pack, (rule,), planted(facts, {"s.requester.visas": None}))
    assert verdict.outcome == "unknown"
