"""What an agreement calls its data, its flows and its people silences no rule: each lawful-looking fault is found by its rule."""

from typing import Any

import pytest
from governance_worked import DOCUMENT, DUTIES, UK, US, flow, issued, worked_agreement, worked_terms

from isthmus.governance.consistency import check_agreement
from isthmus.governance.facts import agreement_facts, signed_by_all
from isthmus.governance.rulepack import own_pack
from isthmus.governance.selfcheck import planted, worked_case
from isthmus.governance.verdicts import verdicts
from isthmus.model.errors import IsthmusError

PACK = own_pack()
BARE = {"article_6": "none", "article_9": "none", "schedule_1": "none"}
GONE = US["deidentification"]
NOBODY = {"identifiability": "synthetic", "subjects": [], "categories": [], "origins": []}
LATER = DOCUMENT | {"date": "2027-09-01"}


def held(uk: dict[str, Any] | None = None, us: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"datasets": [worked_terms()["datasets"][0] | {"custody": [UK | (uk or {}), US | (us or {})]}]}


def without(**assessments: Any) -> dict[str, Any]:
    return {"duties": DUTIES | {"assessments": DUTIES["assessments"] | assessments}}


def flows(**changed: Any) -> dict[str, Any]:
    return {"duties": DUTIES | {"flows": [DUTIES["flows"][0] | changed, DUTIES["flows"][1]]}}


def more(what: str, **changed: Any) -> dict[str, Any]:
    added = flow("more", "uk", "us", what) | changed
    return {"duties": DUTIES | {"flows": [*DUTIES["flows"], added]}}


def people(name: str, **stated: Any) -> dict[str, Any]:
    everyone = worked_terms()["people"]
    return {"people": everyone | {name: everyone[name] | stated}}


def outcomes(**changed: Any) -> dict[str, str]:
    made = worked_agreement(**changed)
    facts = {**worked_case(), "a": agreement_facts(made, PACK, signed_by_all(made))}
    facts["s"]["agreement"] = facts["a"]["digest"]
    return {v.rule.id: v.outcome for v in verdicts(PACK, PACK.rules, facts)}


def test_the_worked_agreement_is_lawful() -> None:
    assert set(outcomes().values()) == {"pass", "n/a"}


FAULTS: list[tuple[dict[str, Any], str]] = [
    # a label of HIPAA makes nothing anonymous under UK law
    (held(uk=BARE | {"identifiability": "hipaa_lds", "hipaa_path": "lds_dua"}), "UK-LAW-01"),
    (held(uk=BARE | {"identifiability": "hipaa_expert"}), "UK-LAW-02"),
    (held(uk=BARE | {"identifiability": "hipaa_safe_harbor", "deidentification": GONE}), "UK-LAW-01"),
    (held(uk=BARE | {"identifiability": "hipaa_lds"}) | without(necessity=None), "UK-LAW-03"),
    # nobody's data, by a signed test alone
    (held(uk=NOBODY), "XB-08"),
    (held(uk=NOBODY | {"anonymisation_test": DOCUMENT | {"outcome": "not_ok"}}), "XB-08"),
    (held(uk={"identifiability": "anonymous_ico"}), "XB-08"),
    # law goes by where the controller is, too
    (held(uk=BARE | {"subjects": ["US"], "people_us": 10, "hipaa_path": "not_phi"}), "UK-LAW-01"),
    (held(uk={"subjects": ["US"], "people_us": 10, "hipaa_path": "not_phi"}) | without(dpia=None), "UK-LAW-06"),
    (held(us={"subjects": ["GB"], "people_us": 0, "hipaa_path": "none"}), "US-HIP-01"),
    (held(us={"subjects": ["GB"], "people_us": 0, "ethics": US["ethics"] | {"irb": "none"}}), "US-CR-01"),
    (held(us={"hipaa_path": "not_phi", "identifiability": "identifiable"}), "US-HIP-01"),
    # what records are does not follow from what is said of their flow
    (more("records", personal=False, mechanism="not_restricted"), "XB-01"),
    (more("records", personal=False, mechanism="none"), "XB-01"),
    (more("remote_access_records", personal=False, mechanism="none"), "XB-01"),
    (more("aggregates", personal=False, mechanism="none", identifiability_assessment=None), "XB-08"),
    (more("model_parameters", personal=False, mechanism="bcr", identifiability_assessment=None), "XB-08"),
    # special data
    (held(uk={"categories": ["genomic"], "origins": ["cohort"]}) | without(dpia=None), "UK-LAW-06"),
    (held(uk={"categories": ["criminal"], "origins": ["cohort"]}) | without(dpia=None), "UK-LAW-06"),
    (held(uk={"categories": ["precise_geo"], "origins": ["cohort"]}) | without(dpia=None), "UK-LAW-06"),
    (held(uk={"categories": ["criminal"], "origins": ["cohort"], "schedule_1": "none"}), "UK-LAW-11"),
    (held(uk={"categories": ["criminal"], "origins": ["cohort"], "schedule_1": "para 5"}), "UK-LAW-11"),
    (held(uk={"categories": ["precise_geo"], "origins": ["cohort"]}) | without(harm=None), "UK-LAW-03"),
    (held(uk={"categories": ["other"], "article_9": "none"}), "UK-LAW-02"),  # patients' records are about health
    (held(uk={"article_9": "9(2)(i)", "schedule_1": "none"}), "UK-LAW-02"),
    (held(uk={"article_9": "9(2)(i)", "schedule_1": "para 4"}), "UK-LAW-02"),
    (held(uk={"article_9": "9(2)(g)", "schedule_1": "para 3"}), "UK-LAW-02"),
    (held(uk={"article_9": "9(2)(i)", "schedule_1": "para 3"}) | without(necessity=None), "UK-LAW-03"),
    (held(uk={"article_9": "9(2)(zz)"}), "UK-LAW-02"),
    # everyone with access
    (people("alice", covered_person=True), "US-DSP-01"),
    (people("alice", covered_person=None), "US-DSP-01"),
    (people("carol", country="CN"), "US-DSP-01"),
    ({"people": {"erin": worked_terms()["people"]["erin"]}}, "US-DSP-01"),
    # and who decides, looks at results or keeps the machines is trained on the day
    (people("alice", training_expires="2026-11-21"), "GOV-12"),
    (people("alice", training_expires=None), "GOV-12"),
    (people("alice", training_expires="2026-11-21"), "OUT-13"),
    (people("alice", training_expires=None), "OUT-13"),
    (people("gil", training_expires="2026-11-21"), "GOV-12"),
    (people("gil", training_expires=None), "GOV-12"),
    ({"people": {"erin": worked_terms()["people"]["erin"]}}, "GOV-12"),
    # terms that no rule reads
    (held(uk={"duo": UK["duo"] | {"modifiers": ["DUO:9999999"]}}), "DUO-09"),
    (held(us={"duo": US["duo"] | {"permission": "DUO:0000021"}}), "DUO-09"),
    (held(uk={"duo": UK["duo"] | {"modifiers": ["DUO:0000012"]}}), "DUO-10"),
    (held(uk={"duo": UK["duo"] | {"modifiers": ["DUO:0000043"]}}), "DUO-10"),
    # values that cannot be
    (held(us={"deidentification": GONE | {"zip3_census": "2099"}}), "US-HIP-03"),
    (without(privacy_notice=LATER), "GOV-10"),
    (flows(identifiability_assessment=LATER), "GOV-10"),
    (held(uk=NOBODY | {"anonymisation_test": LATER}), "GOV-10"),
    ({"duties": DUTIES | {"approvals": [DUTIES["approvals"][0] | {"date": "2027-09-01"}]}}, "GOV-10"),
    (
        {
            "duties": DUTIES
            | {"judgements": [{"rule": "XB-07", "person": "alice", "reason": "once", "date": "2099-01-01"}]}
        },
        "GOV-10",
    ),
    (held(us={"people_us": 0}), "US-DSP-04"),
    (held(uk={"people_us": 12}), "US-DSP-04"),
    ({"duties": DUTIES | {"retention": None}}, "GOV-11"),
    ({"duties": DUTIES | {"retention": DUTIES["retention"] | {"data_until": "2026-01-01"}}}, "GOV-11"),
]


@pytest.mark.parametrize(("changed", "rule"), FAULTS)
def test_a_fault_is_found_by_its_rule(changed: dict[str, Any], rule: str) -> None:
    assert outcomes(**changed)[rule] in {"fail", "unknown"}


NO = issued("a board", outcome="not_ok")
PAPERS = ((None, "unknown"), (DOCUMENT, "unknown"), (NO, "fail"))  # none, issued by nobody, one that says no


def approved(**changed: Any) -> dict[str, Any]:
    return {"duties": DUTIES | {"approvals": [{**DUTIES["approvals"][0], **changed}]}}


def university(**changed: Any) -> dict[str, Any]:
    parties = worked_terms()["parties"]
    return {"parties": parties | {"uk": parties["uk"] | {"legal_form": "university"} | changed}}


def support(**changed: Any) -> dict[str, Any]:
    return held(uk={"section_251": UK["section_251"] | changed, "opt_out_applied": False})


UNEVIDENCED: list[tuple[dict[str, Any], str, str]] = [
    # an approval by a free name, by a document that nobody issued, by one that says no
    (approved(document=None), "GOV-13", "unknown"),
    (approved(document=DOCUMENT), "GOV-13", "unknown"),
    (approved(document=NO), "GOV-13", "fail"),
    (approved(person="carol", document=None), "GOV-13", "unknown"),  # a custodian, of the other party
    (approved(role="rec", person="alice", document=None), "GOV-13", "unknown"),  # whose signature is no committee's
    (approved(role="cag", person="alice", document=None), "GOV-13", "unknown"),
    (approved(role="dac", person="alice", document=None), "GOV-13", "unknown"),
    (approved(role="irb", person="alice", document=None), "GOV-13", "unknown"),
    (approved(role="privacy_board", person="alice", document=None), "GOV-13", "unknown"),
    # opinions, determinations and letters
    (held(uk={"ethics": UK["ethics"] | {"opinion": None}}), "UK-NHS-07", "unknown"),
    (held(uk={"ethics": UK["ethics"] | {"opinion": DOCUMENT}}), "UK-NHS-07", "unknown"),
    (held(uk={"ethics": UK["ethics"] | {"opinion": NO}}), "UK-NHS-07", "fail"),
    (held(us={"ethics": US["ethics"] | {"determination": None}}), "US-CR-01", "unknown"),
    (held(us={"ethics": US["ethics"] | {"determination": DOCUMENT}}), "US-CR-01", "unknown"),
    (held(us={"ethics": US["ethics"] | {"determination": NO}}), "US-CR-01", "fail"),
    (held(uk={"section_251": UK["section_251"] | {"letter": None}}), "UK-NHS-02", "unknown"),
    (held(uk={"section_251": UK["section_251"] | {"letter": DOCUMENT}}), "UK-NHS-02", "unknown"),
    (held(uk={"section_251": UK["section_251"] | {"letter": NO}}), "UK-NHS-02", "fail"),
    # a HIPAA route without the paper that it is
    *(
        (held(us={"hipaa_path": path, "identifiability": kind, "hipaa_document": paper}), "US-HIP-01", outcome)
        for path, kind in (("waiver", "identifiable"), ("authorization", "identifiable"), ("lds_dua", "hipaa_lds"))
        for paper, outcome in PAPERS
    ),
    *(
        (
            held(
                us={
                    "identifiability": "hipaa_expert",
                    "deidentification": GONE | {"expert_expires": "2027-12-31", "expert_report": paper},
                }
            ),
            "US-HIP-06",
            outcome,
        )
        for paper, outcome in PAPERS
    ),
    # an exemption from the opt-out that nobody gave
    (support(opt_out_exempt=True), "UK-NHS-03", "unknown"),
    (support(opt_out_exempt=True, exemption=DOCUMENT), "UK-NHS-03", "unknown"),
    (support(opt_out_exempt=True, exemption=NO), "UK-NHS-03", "fail"),
    (support(), "UK-NHS-03", "fail"),
    # a duty of confidence that a word lifts
    (held(uk={"confidence_basis": "consent"}), "UK-NHS-01", "unknown"),
    (held(uk={"confidence_basis": "statute"}), "UK-NHS-01", "unknown"),
    (held(uk={"confidence_basis": "consent", "confidence_document": NO}), "UK-NHS-01", "fail"),
    (held(uk={"confidence_basis": "anonymised_before_disclosure"}), "UK-NHS-01", "unknown"),
    (
        held(
            uk={
                "confidence_basis": "anonymised_before_disclosure",
                "identifiability": "identifiable",
                "anonymisation_test": DOCUMENT,
            }
        ),
        "UK-NHS-01",
        "fail",
    ),
    # no human subjects, and a waiver of their authorization
    *(
        (
            held(
                us={
                    "origins": ["cohort"],
                    "hipaa_path": path,
                    "hipaa_document": issued("a board"),
                    "identifiability": kind,
                    "ethics": US["ethics"] | {"irb": "not_hsr"},
                }
            ),
            "US-CR-02",
            "fail",
        )
        for path, kind in (
            ("waiver", "pseudonymised"),
            ("authorization", "pseudonymised"),
            ("lds_dua", "identifiable"),
            ("not_phi", "identifiable"),
        )
    ),
    # consent under data protection law, and conditions of single cases
    (held(uk={"article_6": "6(1)(a)"}), "UK-LAW-01", "unknown"),
    (held(uk={"article_9": "9(2)(a)", "schedule_1": "none"}), "UK-LAW-02", "unknown"),
    (held(uk={"article_9": "9(2)(a)", "schedule_1": "none", "confidence_document": NO}), "UK-LAW-02", "fail"),
    (held(uk={"schedule_1": "para 8"}), "UK-LAW-02", "fail"),  # of public interest, which research does not rest on
    (held(uk={"article_9": "9(2)(e)", "schedule_1": "none"}), "UK-LAW-12", "fail"),
    # another origin is not another duty: an NHS body's patients, and whom section 251 is about
    (held(uk={"origins": ["cohort"], "confidence_basis": "not_confidential"}), "UK-NHS-01", "fail"),
    (held(uk={"origins": ["cohort"], "ethics": UK["ethics"] | {"committee": "none"}}), "UK-NHS-07", "fail"),
    (held(uk={"origins": ["nhs_england_dars"], "ethics": UK["ethics"] | {"committee": "none"}}), "UK-NHS-07", "fail"),
    (held(uk={"origins": ["cohort"]}) | university(dspt=None), "UK-NHS-04", "unknown"),
    (held(uk={"origins": ["cohort"], "categories": ["other"], "article_9": "none"}), "UK-LAW-02", "fail"),
    # controlled access that no committee gave; a health plan's data that are called nobody's
    (held(us={"origins": ["nih_cadr"]}), "US-NIH-03", "fail"),
    (held(us={"origins": ["nih_cadr"]}) | approved(role="dac", document=DOCUMENT), "US-NIH-03", "unknown"),
    (held(us={"origins": ["nih_cadr"]}) | approved(role="dac", document=NO), "US-NIH-03", "fail"),
    (
        held(us={"hipaa_path": "not_phi", "identifiability": "pseudonymised"})
        | {"parties": worked_terms()["parties"] | {"us": worked_terms()["parties"]["us"] | {"hipaa": "none"}}},
        "US-HIP-01",
        "fail",
    ),
    # old approvals and waivers are looked at again, as old assessments are
    (approved(document=issued("NHS Trust", date="2020-01-01")), "GOV-08", "fail"),
    (held(us={"hipaa_document": issued("a board", date="2020-01-01")}), "GOV-08", "fail"),
    # every document of them is dated
    (approved(document=issued("NHS Trust", date="2099-01-01")), "GOV-10", "fail"),
    (held(uk={"ethics": UK["ethics"] | {"opinion": issued("London REC", date="2099-01-01")}}), "GOV-10", "fail"),
    (support(exemption=issued("HRA", date="2099-01-01")), "GOV-10", "fail"),
    (held(us={"hipaa_document": issued("a board", date="2099-01-01")}), "GOV-10", "fail"),
]


@pytest.mark.parametrize(("changed", "rule", "outcome"), UNEVIDENCED)
def test_what_is_claimed_without_its_document_does_not_pass(changed: dict[str, Any], rule: str, outcome: str) -> None:
    assert outcomes(**changed)[rule] == outcome


LAWFUL: list[dict[str, Any]] = [
    approved(person="alice", document=None),  # a custodian of that party, who signs the agreement
    {
        "duties": DUTIES
        | {"approvals": [DUTIES["approvals"][0], DUTIES["approvals"][0] | {"role": "dac", "document": issued("a DAC")}]}
    },
    approved(document=issued("NHS Trust", outcome="conditions")),
    support(opt_out_exempt=True, exemption=issued("Health Research Authority")),
    held(uk={"confidence_basis": "consent", "confidence_document": DOCUMENT}),
    held(uk={"confidence_basis": "anonymised_before_disclosure", "anonymisation_test": DOCUMENT}),
    held(us={"ethics": US["ethics"] | {"irb": "not_hsr"}}),
    held(uk=NOBODY | {"anonymisation_test": DOCUMENT}) | without(necessity=None, harm=None),
    held(uk={"identifiability": "hipaa_lds", "hipaa_path": "lds_dua"}),
    held(uk={"article_9": "9(2)(i)", "schedule_1": "para 3"}),
    held(uk={"article_9": "9(2)(g)", "schedule_1": "para 8"}),
    held(uk={"article_9": "9(2)(a)", "schedule_1": "none", "confidence_document": DOCUMENT}),
    held(uk={"article_6": "6(1)(a)", "confidence_document": DOCUMENT}),
    held(us={"origins": ["nih_cadr"]})
    | {
        "duties": DUTIES
        | {"approvals": [DUTIES["approvals"][0], DUTIES["approvals"][0] | {"role": "dac", "document": issued("a DAC")}]}
    },
    held(uk={"categories": ["health", "criminal"]}),
    more("aggregates", personal=True, mechanism="idta", test=DOCUMENT),
    held(us={"identifiability": "hipaa_lds", "hipaa_path": "lds_dua", "hipaa_document": issued("the holder")}),
    held(us={"identifiability": "identifiable", "hipaa_path": "waiver", "hipaa_document": issued("a board")}),
    held(uk={"people_us": None}),
]


@pytest.mark.parametrize("changed", LAWFUL)
def test_what_keeps_the_rules_passes(changed: dict[str, Any]) -> None:
    assert not {rule for rule, outcome in outcomes(**changed).items() if outcome in {"fail", "unknown"}}


PARTS: list[tuple[dict[str, Any], str]] = [
    # every control of the site's place, and of the hub's, where sums are opened
    *(
        ({f"{place}.controls.{control}": False}, "GOV-05")
        for place in ("site", "a.hub")
        for control in worked_case()["site"]["controls"]
    ),
    *(
        ({f"{place}.{fact}": value}, "GOV-06")
        for place in ("site", "a.hub")
        for fact, value in (
            ("satre.mandatory_met", False),
            ("satre.federation_met", False),
            ("iso27001_expires", "2026-10-01"),
        )
    ),
    # another country, wherever it is named
    *(
        ({fact: "FR"}, "XB-11")
        for fact in ("a.parties.0.country", "a.people.0.country", "a.flows.0.from_country", "a.flows.0.to_country")
    ),
    ({"a.datasets.0.stored": ["GB", "FR"]}, "XB-11"),
    ({"a.datasets.0.subjects": ["GB", "FR"]}, "XB-11"),
    ({"a.datasets.0.subjects": []}, "XB-11"),
    # by the route alone, whatever the data are called
    ({"a.datasets.1.hipaa_path": "lds_dua", "a.datasets.1.shown": ["A"]}, "US-HIP-07"),
    ({"a.datasets.0.origins": ["nhs_england_dars"], "a.flows.0.what": "records"}, "UK-NHS-06"),
    ({"a.datasets.0.origins": ["nhs_england_dars"], "a.datasets.0.confidence_basis": "not_confidential"}, "UK-NHS-01"),
    ({"a.datasets.0.section_251.reference": ""}, "UK-NHS-02"),
    # bans of the owner's, one by one
    ({"a.datasets.0.duo.modifiers": ["DUO:0000015"], "s.purpose.methods_only": True}, "DUO-05"),
    ({"a.datasets.0.duo.modifiers": ["DUO:0000044"], "s.purpose.ancestry": True}, "DUO-05"),
    ({"a.datasets.0.duo.modifiers": ["DUO:0000016"], "s.purpose.genetic": False}, "DUO-05"),
    ({"o.checks.machine": "fail"}, "OUT-13"),
    ({"o.checks.people": []}, "OUT-13"),
]


@pytest.mark.parametrize(("changes", "rule"), PARTS)
def test_each_part_of_a_rule_stops_by_itself(changes: dict[str, Any], rule: str) -> None:
    (asked,) = (r for r in PACK.rules if r.id == rule)
    (verdict,) = verdicts(PACK, (asked,), planted(worked_case(), changes))
    assert verdict.outcome == "fail"


def test_records_of_nobody_are_not_personal_where_a_test_says_so() -> None:
    nobody = NOBODY | {"anonymisation_test": DOCUMENT}
    both = held(uk=nobody, us=nobody) | more("records")
    both["duties"]["flows"][-1]["identifiability_assessment"] = DOCUMENT
    assert outcomes(**both)["XB-01"] == "n/a"


def test_records_of_unknown_data_are_not_known_to_be_anything() -> None:
    silent = {"datasets": [{k: v for k, v in worked_terms()["datasets"][0].items() if k != "custody"}]}
    assert outcomes(**silent, **more("records"))["XB-01"] == "unknown"


@pytest.mark.parametrize(
    ("attested", "outcome"), [("2026-05-01", "pass"), ("2023-06-01", "fail"), ("2027-05-01", "fail")]
)
def test_an_attestation_lasts_three_years(attested: str, outcome: str) -> None:
    facts = planted(worked_case(), {"a.datasets.1.origins": ["nih_cadr"], "site.nist_800_171": attested})
    assert {v.rule.id: v.outcome for v in verdicts(PACK, PACK.rules, facts)}["US-NIH-01"] == outcome


@pytest.mark.parametrize("blank", [" ", ".", "no", "None", "N/A", "-", "x", "tbd", "(none)", "?"])
def test_words_that_say_nothing_are_refused(blank: str) -> None:
    for changed, where in (
        (held(uk={"section_251": UK["section_251"] | {"reference": blank}}), "section_251.reference"),
        (held(uk={"ethics": UK["ethics"] | {"committee": blank}}), "ethics.committee"),
        (without(dpia=DOCUMENT | {"ref": blank}), "dpia.ref"),
        (approved(person=blank), "approvals.person"),
        (approved(document=issued(blank)), "approvals.document.issuer"),
    ):
        with pytest.raises(IsthmusError) as caught:
            worked_agreement(**changed)
        assert caught.value.code == "E-AGREEMENT"
        assert str(caught.value.where).endswith(where)


@pytest.mark.parametrize("census", ["x", "20", "", "2020 ", "next"])
def test_a_census_is_a_year(census: str) -> None:
    with pytest.raises(IsthmusError) as caught:
        check_agreement(worked_agreement(**held(us={"deidentification": GONE | {"zip3_census": census}})))
    assert caught.value.code == "E-AGREEMENT"
