"""Facts are derived from the agreement, the request and the site; on the worked agreement every rule holds."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from governance_alliance import FLOOR, draft
from governance_worked import DOCUMENT, DUTIES, UK, US, facility, flow, trust_in, worked_agreement, worked_terms

from isthmus.governance.admission import RunRequest
from isthmus.governance.agreement import agreement_digest
from isthmus.governance.consistency import check_agreement
from isthmus.governance.drafting import read_agreement, write_text
from isthmus.governance.facts import (
    Asking,
    Known,
    agreement_facts,
    signature_facts,
    site_facts,
    study_facts,
    today,
)
from isthmus.governance.route import flows, route
from isthmus.governance.rulepack import own_pack, pack_digest
from isthmus.governance.selfcheck import worked_case
from isthmus.governance.verdicts import decide, verdicts, worst
from isthmus.model.errors import Invalid, IsthmusError
from isthmus.model.study import Study
from isthmus.strict import parse

PACK = own_pack()
SIGNED = Known(signers=frozenset({"alice", "carol"}))
STUDY = {
    "isthmus": "study/1",
    "title": "Statins",
    "dataset": "statins",
    "purpose": {"duo": "DUO:0000006", "text": "a test", "disease": "MONDO:0005068"},
    "derive": {"old": "age > 75"},
    "analyses": {"effect": {"glm": {"formula": "mi ~ statin + age + sex", "family": "binomial"}}},
}


def facts(agreement: Any, study: dict[str, Any] = STUDY, known: Known = SIGNED) -> dict[str, Any]:
    request = RunRequest(
        isthmus="request/1",
        study=parse(Study, study, "study"),
        agreement=agreement_digest(agreement),
        roster=("center", "trust"),
        mode="federated",
        number=1,
        created="2026-11-22T12:00:00+00:00",
    )
    reads = ("age", "sex", "statin", "mi", "old", "site", "country")
    return {
        "a": agreement_facts(agreement, PACK, known),
        "s": study_facts(request, Asking("erin"), agreement, "trust", reads),
        "site": site_facts(agreement, "trust", agreement.disclosure),
        "sig": signature_facts(agreement, known.signers),
        "now": today(datetime(2026, 11, 22, 12, tzinfo=UTC)),
    }


def outcomes(found: dict[str, Any]) -> dict[str, str]:
    rules = [r for r in PACK.rules if r.gate != "egress"]
    return {v.rule.id: v.outcome for v in verdicts(PACK, rules, found)}


WORKED = worked_agreement()


def test_the_worked_agreement_gives_the_facts_of_the_worked_case():
    """Only its digest, the rule pack's and the study's are other ones; the output is no business of the adapter."""
    stated, found = worked_case(), facts(WORKED)
    del stated["o"], stated["a"]["digest"], stated["a"]["version"], stated["a"]["rule_pack"]
    assert found["a"]["rule_pack"] == pack_digest(PACK)
    del stated["s"]["study"], stated["s"]["agreement"]
    assert_within(stated, found, "")


def assert_within(stated: Any, found: Any, place: str) -> None:
    """Every stated fact is found as stated; lists of facts match whatever their order."""
    if isinstance(stated, dict):
        for name, value in stated.items():
            assert name in found, f"{place}.{name}"
            assert_within(value, found[name], f"{place}.{name}")
    elif isinstance(stated, list) and stated and isinstance(stated[0], dict):
        for value in stated:
            assert any(within(value, other) for other in found), (place, value)
    else:
        assert stated == found or (isinstance(stated, list) and sorted(stated) == sorted(found)), place


def within(stated: Any, found: Any) -> bool:
    try:
        assert_within(stated, found, "")
    except AssertionError:
        return False
    return True


def test_every_rule_holds_on_the_worked_agreement():
    assert set(outcomes(facts(WORKED)).values()) == {"pass", "n/a"}
    for gate in ("agreement", "run", "operations"):
        assert worst(decide(PACK, gate, facts(WORKED)).verdicts) == "passes"


def test_an_agreement_that_states_nothing_for_the_law_is_still_read_and_stops():
    plain_one = draft()
    assert plain_one.duties is None
    a = agreement_facts(plain_one, PACK, Known())
    assert {d["controller"] for d in a["datasets"]} == {p["party"] for p in a["parties"]} - {"hub-trust"}
    decision = decide(PACK, "agreement", {"a": a})
    assert worst(decision.verdicts) == "stops"
    assert [v.rule.id for v in decision.verdicts if v.outcome == "fail"] == ["XB-11"]  # a party in Norway
    assert {v.rule.id for v in decision.verdicts if v.outcome == "pass"} == {"OUT-07"}


def test_yaml_comes_back_the_same():
    assert read_agreement(write_text(WORKED)) == WORKED


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (
            {"datasets": [worked_terms()["datasets"][0] | {"custody": [US]}]},
            "UK-LAW-01",
        ),  # nothing said by the UK party
        ({"datasets": [worked_terms()["datasets"][0] | {"custody": [UK | {"schedule_1": "none"}, US]}]}, "UK-LAW-02"),
        ({"duties": DUTIES | {"flows": DUTIES["flows"][:1]}}, "XB-10"),  # results go back by no agreed way
        ({"duties": DUTIES | {"approvals": []}}, "GOV-02"),
        ({"people": {}}, "GOV-03"),
        ({"duties": {k: v for k, v in DUTIES.items() if k != "facilities"}}, "GOV-05"),
        ({"analyses": ["crosstab"]}, "GOV-04"),
        ({"two_party": True, "disclosure": worked_terms()["disclosure"] | {"minimum_sites": 2}}, None),
    ],
)
def test_a_part_that_is_left_out_is_seen(change, rule):
    found = {k for k, v in outcomes(facts(worked_agreement(**change))).items() if v in {"fail", "unknown"}}
    assert (rule in found) if rule else not found


@pytest.mark.parametrize(
    ("purpose", "rule"),
    [
        ({"duo": "DUO:0000011", "text": "ancestry"}, "DUO-01"),
        ({"duo": "DUO:0000006", "text": "another disease", "disease": "MONDO:0000001"}, "GOV-04"),
        ({"duo": "DUO:0000031", "text": "methods"}, "DUO-01"),
    ],
)
def test_a_purpose_outside_the_terms_is_seen(purpose, rule):
    found = outcomes(facts(WORKED, STUDY | {"purpose": purpose}))
    assert found[rule] in {"fail", "unknown"}


def test_the_route_is_what_the_numbers_really_take():
    legs = route(WORKED, "statins")
    assert [(x["sender"], x["receiver"], x["what"]) for x in legs] == [
        ("uk", "us", "encrypted_shares"),
        ("us", "uk", "aggregates"),
    ]


def test_a_facility_abroad_moves_the_border():
    legs = route(trust_in("US"), "statins")
    assert {x["from_country"] for x in legs if x["sender"] == "uk"} == {"US"}


def test_data_in_a_facility_abroad_are_under_its_law_too_and_only_where_their_owner_lets_them():
    found, home = outcomes(facts(trust_in("US"))), outcomes(facts(WORKED))
    held = agreement_facts(trust_in("US"), PACK, Known())["datasets"][0]
    assert (held["uk"], held["us"], held["stored"]) == (True, True, ["US"])
    assert (found["UK-NHS-05"], found["US-HIP-01"]) == ("fail", "unknown")
    assert (home["UK-NHS-05"], home["US-HIP-01"]) == ("pass", "pass")
    assert outcomes(facts(trust_in("IE")))["XB-11"] == "fail"


@pytest.mark.parametrize(
    "places",
    [
        [facility("leeds-dc1", "US"), facility("boston-dc1", "US")],
        [facility("leeds-dc1", "UK"), facility("boston-dc1", "US")],
        [facility("leeds-dc1", "US") | {"abroad": True}, facility("boston-dc1", "US")],
        [facility("leeds-dc1", "GB") | {"abroad": True}, facility("boston-dc1", "US")],
        [facility("leeds-dc1", "GB"), facility("boston-dc1", "GB")],
    ],
)
def test_a_facility_is_in_the_country_of_the_cards_of_what_runs_in_it(places):
    with pytest.raises(IsthmusError) as caught:
        worked_agreement(duties=DUTIES | {"facilities": places})
    assert caught.value.code == "E-AGREEMENT"
    assert caught.value.where.startswith("duties.facilities.")


def test_a_card_abroad_is_not_enough_the_facility_says_so():
    trust_in("US")
    with pytest.raises(IsthmusError) as caught:
        trust_in("US", abroad=False)
    assert "abroad: true" in caught.value.message


def test_the_place_of_the_hub_is_asked_as_a_sites_is():
    apart = [*DUTIES["facilities"], facility("hub-dc", "US") | {"controls": {"mfa": False}}]
    terms = worked_terms()["facilities"] | {"hub": "hub-dc"}
    found = outcomes(facts(worked_agreement(duties=DUTIES | {"facilities": apart}, facilities=terms)))
    assert found["GOV-05"] == "fail"
    apart[2] = apart[1] | {"facility": "hub-dc", "iso27001_expires": "2026-01-01"}
    found = outcomes(facts(worked_agreement(duties=DUTIES | {"facilities": apart}, facilities=terms)))
    assert (found["GOV-05"], found["GOV-06"]) == ("pass", "fail")
    with pytest.raises(IsthmusError):
        worked_agreement(facilities=terms)  # a facility that nobody states


def test_data_past_their_last_day_answer_nothing_whatever_the_agreements():
    short = facts(worked_agreement(duties=DUTIES | {"retention": DUTIES["retention"] | {"data_until": "2026-11-22"}}))
    assert outcomes(short)["GOV-07"] == "pass"
    assert outcomes(short | {"now": "2026-11-23"})["GOV-07"] == "fail"
    assert outcomes(facts(WORKED) | {"now": "2026-11-23"})["GOV-07"] == "pass"


def held_by_uk(**stated: Any) -> Any:
    cohort = {"origins": ["cohort"], "confidence_basis": "consent", **stated}
    terms, status = worked_terms()["datasets"][0], worked_terms()["parties"]
    parties = status | {"uk": status["uk"] | {"legal_form": "university"}}
    return worked_agreement(datasets=[terms | {"custody": [UK | cohort, US]}], parties=parties)


def test_an_ethics_opinion_that_has_lapsed_is_none_whoevers_patients_they_are():
    late = outcomes(facts(held_by_uk(ethics=UK["ethics"] | {"expires": "2026-11-21"})))
    assert (late["UK-LAW-13"], late["DUO-05"], late["UK-NHS-07"]) == ("fail", "fail", "n/a")
    free = held_by_uk(ethics=UK["ethics"] | {"expires": "2026-11-21"}, duo=UK["duo"] | {"modifiers": []})
    assert (outcomes(facts(free))["UK-LAW-13"], outcomes(facts(free))["DUO-05"]) == ("fail", "pass")
    good = outcomes(facts(held_by_uk(ethics=UK["ethics"] | {"expires": "2026-11-22"})))
    assert (good["UK-LAW-13"], good["UK-LAW-14"], good["DUO-05"]) == ("pass", "pass", "pass")
    none = outcomes(facts(held_by_uk(ethics=UK["ethics"] | {"committee": "none"})))
    assert (none["UK-LAW-13"], none["UK-LAW-14"]) == ("pass", "fail")


def test_who_asks_for_a_company_says_whether_it_is_commercial():
    none, status = {"modifiers": ["DUO:0000046"]}, worked_terms()["parties"]
    entry = worked_terms()["datasets"][0] | {"custody": [UK | {"duo": UK["duo"] | none}, US]}

    def found(form: str, **stated: bool) -> str:
        made = worked_agreement(datasets=[entry], parties=status | {"us": status["us"] | {"legal_form": form}})
        return outcomes(facts(made, STUDY | {"purpose": STUDY["purpose"] | stated}))["DUO-02"]

    assert (found("nonprofit"), found("company")) == ("pass", "unknown")
    assert (found("company", commercial=False), found("company", commercial=True)) == ("pass", "fail")


@pytest.mark.parametrize("sha", ["0" * 64, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"])
def test_a_digest_of_nothing_is_no_documents(sha):
    dpia = DOCUMENT | {"sha256": f"sha256:{sha}"}
    with pytest.raises(IsthmusError) as caught:
        worked_agreement(duties=DUTIES | {"assessments": DUTIES["assessments"] | {"dpia": dpia}})
    assert (caught.value.code, caught.value.where) == ("E-AGREEMENT", "duties.assessments.dpia.sha256")


def test_records_that_are_passed_on_stay_their_owners():
    """Of whoever sent them first: the sender has none of its own, or had them by another flow."""
    given = flow("given", "uk", "us", "records") | {"personal": True, "mechanism": "idta", "test": DOCUMENT}
    back = flow("on", "us", "uk", "records")
    both = outcomes(facts(worked_agreement(duties=DUTIES | {"flows": [*DUTIES["flows"], given, back]})))
    assert both["UK-NHS-05"] == "fail"
    alone = worked_agreement(duties=DUTIES | {"flows": [*DUTIES["flows"], back]})
    made = {f["flow"]: f["whose"] for f in flows(alone)}
    assert made["on"] == {"statins": ["us"]}
    status = worked_terms()["parties"]
    processor = worked_agreement(
        parties=status | {"us": status["us"] | {"role": "processor"}},
        datasets=[worked_terms()["datasets"][0] | {"custody": [UK | {"processors": ["us"]}]}],
        duties=DUTIES | {"flows": [*DUTIES["flows"], back]},
    )
    found = outcomes(facts(processor))
    assert {f["flow"]: f["whose"] for f in flows(processor)}["on"] == {"statins": ["uk"]}
    assert (found["UK-NHS-05"], found["UK-NHS-06"]) == ("fail", "fail")


def test_a_processor_that_holds_data_needs_no_basis_of_its_own_but_a_contract():
    parties = worked_terms()["parties"]
    changed = worked_agreement(
        parties=parties | {"us": parties["us"] | {"role": "processor"}},
        datasets=[worked_terms()["datasets"][0] | {"custody": [UK | {"processors": ["us"]}]}],
    )
    found = outcomes(facts(changed))
    assert found["UK-LAW-01"] == "pass"
    assert found["UK-LAW-07"] == "fail"


def test_who_calls_itself_a_processor_of_nobody_silences_nothing():
    """All parties processors, nothing stated of any data: every rule on data had been about none."""
    parties = {name: stated | {"role": "processor"} for name, stated in worked_terms()["parties"].items()}
    entry = worked_terms()["datasets"][0]
    changed = worked_agreement(
        parties=parties,
        datasets=[{name: said for name, said in entry.items() if name != "custody"}],
        duties=DUTIES | {"assessments": DUTIES["assessments"] | {"processor_contract": DOCUMENT}},
    )
    found = outcomes(facts(changed))
    assert {found[rule] for rule in ("UK-LAW-01", "UK-NHS-01", "US-HIP-01", "US-CR-01", "DUO-01")} == {"unknown"}


def test_a_controller_is_under_the_law_of_its_processors_country():
    held = [UK, US | {"processors": ["uk"]}]
    parties = worked_terms()["parties"]
    changed = worked_agreement(
        parties=parties | {"uk": parties["uk"] | {"role": "processor"}},
        datasets=[worked_terms()["datasets"][0] | {"custody": held[1:]}],
    )
    assert outcomes(facts(changed))["UK-LAW-01"] == "fail"


def test_people_in_reach_are_added_up_and_unknown_stays_unknown():
    a = agreement_facts(WORKED, PACK, Known())
    assert a["bulk"] == [{"category": "health", "people": 61000}]
    entry = worked_terms()["datasets"][0]
    silent = worked_agreement(datasets=[entry | {"custody": [UK, {k: v for k, v in US.items() if k != "people_us"}]}])
    assert agreement_facts(silent, PACK, Known())["bulk"] == [{"category": "health"}]
    assert outcomes(facts(silent))["US-DSP-02"] == "unknown"


def test_people_reached_within_twelve_months_under_another_agreement_count_too():
    """Neither passes the threshold of health data, 10,001 people, by itself; together they do."""
    entry = worked_terms()["datasets"][0]
    small = worked_agreement(datasets=[entry | {"custody": [UK, US | {"people_us": 6000}]}])
    before = {"urn:other statins us": {"health": 5000}, f"{small.id} statins us": {"health": 5500}}
    assert agreement_facts(small, PACK, Known())["bulk"] == [{"category": "health", "people": 6000}]
    known = Known(reached=before)
    assert agreement_facts(small, PACK, known)["bulk"] == [{"category": "health", "people": 11000}]
    unstated = Known(reached={"urn:other statins us": {"health": None}})
    assert agreement_facts(small, PACK, unstated)["bulk"] == [{"category": "health"}]


def test_only_a_verified_signature_is_an_approval():
    assert {p["party"] for p in agreement_facts(WORKED, PACK, SIGNED)["approvals"]} == {"uk", "us"}
    assert [p["role"] for p in agreement_facts(WORKED, PACK, Known())["approvals"]] == ["information_governance"]


def test_a_pack_without_the_facts_constants_is_an_error():
    for name in ("statbarns", "evidence_years"):
        less = replace(PACK, constants={k: v for k, v in PACK.constants.items() if k != name})
        with pytest.raises(Invalid) as caught:
            agreement_facts(WORKED, less, Known())
        assert (caught.value.code, caught.value.where) == ("E-PACK", f"constants.{name}")


def test_noise_asked_for_is_held_against_the_budget():
    entry = worked_terms()["datasets"][0]
    budget = {"rho": 1.0, "delta": 1e-6, "per_person": 0.5, "per_project": 0.7, "colluders": 1, "minimum_survivors": 2}
    noisy = worked_agreement(datasets=[entry | {"privacy": budget}])
    effect = STUDY["analyses"]["effect"]["glm"]
    for rho, outcome in ((0.4, "pass"), (0.6, "fail"), (None, "fail")):
        asked = effect | ({"privacy": {"rho": rho}} if rho else {})
        assert outcomes(facts(noisy, STUDY | {"analyses": {"effect": {"glm": asked}}}))["OUT-12"] == outcome


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (
            {"duties": DUTIES | {"retention": DUTIES["retention"] | {"data_until": "soon"}}},
            "duties.retention.data_until",
        ),
        (
            {"duties": DUTIES | {"flows": [DUTIES["flows"][0] | {"receivers": ["rome"]}]}},
            "duties.flows.sums-to-hub",
        ),
        ({"duties": DUTIES | {"facilities": DUTIES["facilities"][:1]}}, "duties.facilities"),
        ({"duties": DUTIES | {"purposes": DUTIES["purposes"] * 2}}, "duties.purposes"),
        ({"duties": DUTIES | {"rule_pack": "the usual"}}, "duties.rule_pack"),
        (
            {
                "duties": DUTIES
                | {"judgements": [{"rule": "XB-07", "person": "erin", "reason": "rare", "date": "2026-06-01"}]}
            },
            "duties.judgements",
        ),
        (
            {"datasets": [worked_terms()["datasets"][0] | {"custody": [UK | {"controller": "rome"}]}]},
            "datasets.statins.custody",
        ),
        (
            {"datasets": [worked_terms()["datasets"][0] | {"custody": [UK | {"subjects": ["UK!"]}, US]}]},
            "datasets.statins.custody.subjects",
        ),
        ({"people": {"nobody": {"country": "GB"}}}, "nobody"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(change, where):
    with pytest.raises(IsthmusError) as caught:
        check_agreement(worked_agreement(**change))
    assert (caught.value.code, caught.value.where) == ("E-AGREEMENT", where)


def test_old_agreements_keep_their_digest():
    """Parts that are left out are not in the canonical form."""
    assert "duties" not in write_text(draft(disclosure=FLOOR))


def custody(uk: dict[str, Any] | None = None, us: dict[str, Any] | None = None) -> dict[str, Any]:
    entry = worked_terms()["datasets"][0]
    return {"datasets": [entry | {"custody": [UK | (uk or {}), US | (us or {})]}]}


@pytest.mark.parametrize("name", ["subjects", "categories", "origins"])
def test_an_empty_list_switches_no_rule_off(name):
    with pytest.raises(Invalid) as caught:
        worked_agreement(**custody(us={name: []}))
    assert caught.value.code == "E-AGREEMENT"
    assert caught.value.where == f"datasets.statins.custody.{name}"


def test_synthetic_data_are_about_nobody():
    nobody = {"identifiability": "synthetic", "subjects": [], "categories": [], "origins": []}
    assert outcomes(facts(worked_agreement(**custody(uk=nobody))))["XB-11"] == "pass"


@pytest.mark.parametrize("subjects", [["DE"], ["GB", "FR"]])
def test_people_of_a_country_whose_law_is_not_here_stop_the_agreement(subjects):
    assert outcomes(facts(worked_agreement(**custody(uk={"subjects": subjects}))))["XB-11"] == "fail"


@pytest.mark.parametrize(
    ("approvals", "outcome"),
    [
        ([("information_governance", "us", "erin")], "fail"),
        ([("information_governance", "us", "erin"), ("information_governance", "uk", "bob")], "pass"),
        ([], "fail"),
    ],
)
def test_what_the_requester_approved_does_not_count(approvals, outcome):
    stated = [{"role": r, "party": p, "person": who, "date": "2026-06-21"} for r, p, who in approvals]
    assert outcomes(facts(worked_agreement(duties=DUTIES | {"approvals": stated})))["GOV-02"] == outcome


def test_a_custodian_who_asks_has_not_said_yes_for_their_party():
    found = facts(WORKED)
    found["s"]["requester"]["person"] = "carol"
    assert outcomes(found)["GOV-02"] == "fail"


def test_of_two_custodians_of_a_party_the_one_who_signed_has_said_yes():
    """A colleague's name beside it is no second yes: not where the signer asks, and not for an approval without a document."""
    carol = next(person for person in WORKED.people if person.person == "carol")
    colleague = replace(carol, person="cyrus", key="c" * 64)
    two = replace(WORKED, people=(*WORKED.people, colleague))
    for signers, outcome in ({"alice", "carol"}, "fail"), ({"alice", "carol", "cyrus"}, "pass"), ({"alice"}, "fail"):
        found = facts(two, known=Known(signers=frozenset(signers)))
        found["s"]["requester"]["person"] = "carol"
        assert outcomes(found)["GOV-02"] == outcome
    stated = [{"role": "information_governance", "party": "us", "person": "cyrus", "date": "2026-06-21"}]
    named = replace(worked_agreement(duties=DUTIES | {"approvals": stated}), people=two.people)
    for signers, outcome in ({"alice", "carol"}, "unknown"), ({"alice", "carol", "cyrus"}, "pass"):
        made = agreement_facts(named, PACK, Known(signers=frozenset(signers)))
        rules = [rule for rule in PACK.rules if rule.id == "GOV-13"]
        assert [v.outcome for v in verdicts(PACK, rules, {"a": made})] == [outcome]


def assessed(**changed: Any) -> dict[str, Any]:
    sums = DUTIES["flows"][0]
    return DUTIES | {"flows": [sums | {"identifiability_assessment": DOCUMENT | changed}, DUTIES["flows"][1]]}


def test_an_assessment_that_says_no_is_none():
    found = outcomes(facts(worked_agreement(duties=assessed(outcome="not_ok"))))
    assert (found["XB-08"], found["XB-09"], found["GOV-08"]) == ("fail", "fail", "fail")


@pytest.mark.parametrize(("day", "outcome"), [("1990-01-01", "fail"), ("2023-06-30", "fail"), ("2023-07-02", "pass")])
def test_an_old_assessment_is_for_a_person(day, outcome):
    assert outcomes(facts(worked_agreement(duties=assessed(date=day))))["GOV-08"] == outcome
    others = DUTIES | {"assessments": DUTIES["assessments"] | {"harm": DOCUMENT | {"date": day}}}
    assert outcomes(facts(worked_agreement(duties=others)))["GOV-08"] == outcome


@pytest.mark.parametrize(("checked", "outcome"), [("2026-06-01", "pass"), ("2019-11-01", "fail")])
def test_a_listing_is_looked_up_every_year(checked, outcome):
    listed = {"active": True, "uk_extension": True, "non_hr": True, "checked": checked}
    parties = worked_terms()["parties"]
    flows = [DUTIES["flows"][0] | {"mechanism": "uk_us_data_bridge"}, DUTIES["flows"][1]]
    made = worked_agreement(parties=parties | {"us": parties["us"] | {"dpf": listed}}, duties=DUTIES | {"flows": flows})
    assert outcomes(facts(made))["XB-02"] == outcome
