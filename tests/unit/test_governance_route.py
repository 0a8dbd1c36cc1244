"""The way of a study's numbers, and the flow that permits each leg."""

from __future__ import annotations

from dataclasses import replace

from governance_worked import DUTIES, facility, worked_agreement
from reviewed_alliance import AGREEMENT, ASKER, person

from isthmus.governance.route import AT_HOME, legs, way_from_hub, way_out

WORKED = worked_agreement()


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
    abroad = {**DUTIES, "facilities": [facility("leeds-dc1", "IE"), facility("boston-dc1", "US")]}
    assert way_out(worked_agreement(duties=abroad), "trust", "statins").from_country == "IE"


def test_output_checkers_abroad_are_on_the_way_where_results_are_reviewed() -> None:
    cleo = person("cleo")
    away = replace(cleo, standing=replace(cleo.standing, country="FR"))
    abroad = replace(AGREEMENT, people=tuple(away if p.person == "cleo" else p for p in AGREEMENT.people))

    def ends(agreement) -> set[tuple[str, str]]:
        found = legs(agreement, "trial", {ASKER})
        return {(leg.receiver, leg.to_country) for leg in found if leg.what == "aggregates"}

    assert ("leeds-nhs", "FR") in ends(abroad)
    assert ("leeds-nhs", "FR") not in ends(replace(abroad, review=None)) | ends(AGREEMENT)
    to_cleo = way_from_hub(abroad, "cleo", "trial")
    assert to_cleo is not None
    assert (to_cleo.to_country, to_cleo.flow) == ("FR", None)
    assert way_from_hub(abroad, "nobody", "trial") is None


def test_the_way_from_the_hub_to_a_site_and_to_people() -> None:
    site, home = way_from_hub(WORKED, "trust", "statins"), way_from_hub(WORKED, "center", "statins")
    assert site is not None
    assert home is not None
    assert (site.receiver, site.flow, site.facilities) == ("uk", "results-to-uk", ("leeds-dc1",))
    assert (home.receiver, home.flow, home.mechanism) == ("us", None, AT_HOME)
