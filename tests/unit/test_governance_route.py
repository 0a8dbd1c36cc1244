"""The way of a study's numbers, and the flow that permits each leg."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from governance_worked import DUTIES, trust_in, worked_agreement
from reviewed_alliance import AGREEMENT, person, with_roles

from isthmus.governance.agreement import Agreement
from isthmus.governance.facts import agreement_facts, signed_by_all
from isthmus.governance.route import AT_HOME, deciding, flows, legs, way_from_hub, way_out
from isthmus.governance.rulepack import own_pack
from isthmus.governance.verdicts import decide

WORKED = worked_agreement()


def facts_of(agreement: Agreement) -> dict[str, Any]:
    return agreement_facts(agreement, own_pack(), signed_by_all(agreement))


def test_each_leg_names_its_facilities_and_the_flow_that_permits_it() -> None:
    out, back = sorted(legs(WORKED, "statins"), key=lambda leg: leg.what, reverse=True)
    assert (out.sender, out.from_country, out.receiver, out.to_country) == ("uk", "GB", "us", "US")
    assert (out.what, out.facilities, out.flow, out.mechanism) == (
        "encrypted_shares",
        ("leeds-dc1",),
        "sums-to-hub",
        "not_restricted",
    )
    assert (back.sender, back.receiver, back.flow, back.facilities) == ("us", "uk", "results-to-uk", ("leeds-dc1",))


def test_a_leg_that_no_flow_names_says_so() -> None:
    bare = worked_agreement(duties={**DUTIES, "flows": DUTIES["flows"][:1]})
    assert {leg.flow for leg in legs(bare, "statins")} == {"sums-to-hub", None}
    assert {leg.flow for leg in legs(replace(WORKED, duties=None), "statins")} == {None}


def test_a_sites_way_out_is_its_leg_to_the_hub() -> None:
    way = way_out(WORKED, "trust", "statins")
    assert (way.facilities, way.flow, way.mechanism) == (("leeds-dc1",), "sums-to-hub", "not_restricted")
    home = way_out(WORKED, "center", "statins")
    assert (home.sender, home.receiver, home.flow, home.mechanism) == ("us", "us", None, AT_HOME)


def test_a_site_in_a_facility_abroad_starts_from_there() -> None:
    assert way_out(trust_in("IE"), "trust", "statins").from_country == "IE"


@pytest.mark.parametrize("role", ["output_checker", "auditor", "researcher"])
def test_whoever_may_see_results_is_on_the_way_whether_they_ask_or_not(role: str) -> None:
    cleo = person("cleo")
    away = replace(cleo, roles=(role,), standing=replace(cleo.standing, country="FR"))
    abroad = replace(AGREEMENT, people=tuple(away if p.person == "cleo" else p for p in AGREEMENT.people))

    def ends(agreement: Agreement) -> set[tuple[str, str]]:
        return {(leg.receiver, leg.to_country) for leg in legs(agreement, "trial") if leg.what == "aggregates"}

    assert ("leeds-nhs", "FR") in ends(abroad)
    assert ("leeds-nhs", "FR") in ends(replace(abroad, review=None))
    assert ("leeds-nhs", "FR") not in ends(with_roles(abroad, "cleo", "engineer")) | ends(AGREEMENT)
    to_cleo = way_from_hub(abroad, "cleo", "trial")
    assert to_cleo is not None
    assert (to_cleo.to_country, to_cleo.flow) == ("FR", None)
    assert way_from_hub(abroad, "nobody", "trial") is None


def test_a_flow_permits_a_leg_to_the_countries_that_its_rules_were_asked_of() -> None:
    """Someone of a party that has a flow, who works in a third country: the rules ask about that country, or nothing goes there."""
    erin = next(p for p in WORKED.people if p.person == "erin")
    seer = replace(erin, person="eve", party="uk", roles=("auditor",), standing=replace(erin.standing, country="IN"))
    abroad = replace(WORKED, people=(*WORKED.people, seer))
    asked = {v.rule.id: v.outcome for v in decide(own_pack(), "agreement", {"a": facts_of(abroad)}).verdicts}
    assert asked["XB-11"] == "fail"
    assert "IN" in {f["to_country"] for f in flows(abroad)}
    custodian = replace(seer, roles=("custodian",))
    unseeing = replace(WORKED, people=(*WORKED.people, custodian))
    assert "IN" not in {f["to_country"] for f in flows(unseeing)}
    way = way_from_hub(unseeing, "eve", "statins")
    assert way is not None
    assert (way.flow, way.mechanism) == (None, None)
    people = {v.rule.id: v.outcome for v in decide(own_pack(), "agreement", {"a": facts_of(unseeing)}).verdicts}
    assert people["XB-11"] == "fail"


def test_the_way_from_the_hub_to_a_site_and_to_people() -> None:
    site, home = way_from_hub(WORKED, "trust", "statins"), way_from_hub(WORKED, "center", "statins")
    assert site is not None
    assert home is not None
    assert (site.receiver, site.flow, site.facilities) == ("uk", "results-to-uk", ("leeds-dc1",))
    assert (home.receiver, home.flow, home.mechanism) == ("us", None, AT_HOME)


@pytest.mark.parametrize(
    ("ends", "what", "mechanism", "personal", "rules"),
    [
        ("GB GB", "encrypted_shares", "not_restricted", True, {"XB-10"}),
        ("GB US", "aggregates", "not_restricted", False, {"XB-08", "XB-10"}),
        ("GB US", "encrypted_shares", "idta", True, {"XB-01", "XB-06", "XB-09", "XB-10"}),
        ("GB US", "aggregates", "uk_us_data_bridge", True, {"XB-01", "XB-02", "XB-03", "XB-10"}),
        ("GB US", "aggregates", "art49", True, {"XB-01", "XB-07", "XB-10"}),
        ("US GB", "encrypted_shares", "not_restricted", False, {"US-DSP-02", "XB-09", "XB-10"}),
    ],
)
def test_a_leg_names_the_rules_that_decided_on_its_flow(
    ends: str, what: str, mechanism: str, personal: bool, rules: set[str]
) -> None:
    left, entered = ends.split()
    flow = {"from_country": left, "to_country": entered, "what": what, "mechanism": mechanism, "personal": personal}
    assert set(deciding(flow)) == rules
