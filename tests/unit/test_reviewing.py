"""What people who decide on a study are shown of the rules of law and of the way that its numbers take."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from governance_worked import worked_agreement
from reviewed_alliance import AGREEMENT, ASKER, CHECKER, KEEPER, asked, person, request

from isthmus.governance.route import legs
from isthmus.governance.rulepack import own_pack
from isthmus.model.codebook import Codebook, Variable
from isthmus.model.errors import Refused
from isthmus.sdk.reviewing import _identifiers, _leg, by_agreement, by_rule, require_checker


def test_every_rule_is_shown_with_its_citation_and_what_each_site_said() -> None:
    answers = {
        "leeds": {"verdicts": {"pack": "sha256:p", "pass": ["XB-10", "GOV-02"], "n/a": ["US-HIP-02"]}},
        "boston": {"verdicts": {"pack": "sha256:p", "pass": ["XB-10"], "unknown": ["GOV-02"], "n/a": ["OURS-01"]}},
        "oslo": {"verdicts": None},
    }
    told = by_rule(answers)
    assert [line["rule"] for line in told] == ["GOV-02", "XB-10", "OURS-01", "US-HIP-02"]  # what does not pass first
    said = {line["rule"]: line for line in told}
    assert said["GOV-02"]["said"] == "unknown at boston; pass at leeds"
    assert said["XB-10"] == {
        "rule": "XB-10",
        "said": "pass at boston, leeds",
        "citation": "UK GDPR Art 5(1)(f), 32; SATRE 3.1.05, 3.1.12",
    }
    assert said["OURS-01"]["citation"] == "of a consortium's own pack"
    assert by_rule({}) == []


@pytest.mark.parametrize(
    ("who", "code", "rule"), [(ASKER, "E-SELF", "GOV-02"), (KEEPER, "E-ROLE", "GOV-02"), (CHECKER, None, None)]
)
def test_who_may_not_decide_on_a_result_is_told_why(who: str, code: str | None, rule: str | None) -> None:
    me: Any = SimpleNamespace(agreement=AGREEMENT, identity=SimpleNamespace(card=SimpleNamespace(key=person(who).key)))
    shown = {"request": asked(request()), "result": "sha256:" + "1" * 64}
    if code is None:
        require_checker(me, shown)
        return
    with pytest.raises(Refused) as refused:
        require_checker(me, shown)
    assert (refused.value.code, f"rule {rule}: " in refused.value.hint) == (code, True)


def test_a_leg_names_facilities_flow_and_mechanism() -> None:
    there, back = (
        next(leg for leg in legs(worked_agreement(), "statins") if leg.what == what)
        for what in ("encrypted_shares", "aggregates")
    )
    assert _leg(there).startswith("uk (GB, leeds-dc1) to us (US): masked sums; flow ")
    assert _leg(there).endswith(", not_restricted")
    assert _leg(back).startswith("us (US) to uk (GB, leeds-dc1): pooled sums and results; flow ")
    assert "no flow of the agreement permits it" in _leg(replace(there, flow=None, mechanism=None))


def test_rules_on_the_agreement_are_shown_beside_those_on_a_run() -> None:
    shown = {line["rule"]: line for line in by_agreement(worked_agreement(), "2026-11-22")}
    assert shown["UK-LAW-01"]["said"] == "pass on the agreement"
    assert shown["XB-01"]["said"] == "n/a on the agreement"
    assert shown["UK-LAW-01"]["citation"]
    assert {rule.id for rule in own_pack().rules if rule.gate == "agreement"} == set(shown)


def test_what_the_codebook_shows_is_named_whatever_is_claimed() -> None:
    read = {"analyses": {"who": {"reads": ["nhs_number", "age"]}}, "population": []}
    age = Variable(type="integer", unit="a", range=(18, 90))
    book = Codebook(name="trial", variables={"nhs_number": Variable(type="category"), "phone": age, "age": age})
    (said,) = _identifiers(read, book, "2027-01-01")
    assert said == "by the codebook nhs_number is an identifier of 45 CFR 164.514(b)(2)(i)(H)"
