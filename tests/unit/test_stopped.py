"""What a site's own words can reach people by: its code, and the id of a rule of law."""

import pytest

from isthmus.federation.protocol.stopped import hint_of, rule_of, told


@pytest.mark.parametrize(
    ("code", "where", "shown"),
    [
        ("E-RULE", "GOV-03", "GOV-03"),
        ("E-HUMAN", "UK-LAW-10", "UK-LAW-10"),
        ("E-RULE", "patient 17 of leeds", ""),
        ("E-RULE", "A" * 60, ""),
        ("E-VARIABLE", "GOV-03", ""),
    ],
)
def test_only_a_rules_id_goes_on(code, where, shown):
    assert rule_of(code, where) == shown
    assert told(code)[0] == code
    assert hint_of(code)
