"""What people see of the law: templates to complete, the matrix, and differences of two versions in words."""

import re
from dataclasses import replace

import pytest
from governance_alliance import CODEBOOK, card_of, draft
from governance_worked import DUTIES, UK, US, worked_agreement, worked_terms

from isthmus.cli.law import taken
from isthmus.data.yaml_text import load_yaml
from isthmus.governance import matrix as matrices
from isthmus.governance.difference import differences
from isthmus.governance.drafting import Terms, new_agreement
from isthmus.governance.facts import Known, agreement_facts, signed_by_all
from isthmus.governance.matrix import matrix
from isthmus.governance.rulepack import own_pack, packed
from isthmus.governance.verdicts import decide
from isthmus.governance.verdicts import verdicts as verdicts_of
from isthmus.model.canonical import digest
from isthmus.model.errors import Invalid
from isthmus.strict import parse

PACK = own_pack()
TODAY = "2026-11-22"
TEMPLATES = ("uk-us-academic", "uk-us-company", "one-country")
DAYS = {
    "expires": "2027-06-30",
    "training_expires": "2027-06-30",
    "iso27001_expires": "2027-06-30",
    "until": "2027-06-30",
    "evidence_until": "2038-01-01",
    "data_until": "2027-09-30",
}


def filled(name: str, claims: bool) -> dict:
    """A template with its placeholders replaced; with its claims too where asked."""
    text = packed(f"{name}.yaml", "templates")
    head, body = text.split("\nid:", 1)
    assert head.startswith("# Terms")
    body = ("id:" + body).replace("#? training_expires", "training_expires")  # else nobody could review
    if claims:
        body = body.replace("#? ", "")
    body = re.sub(r'(\w+): "YYYY-MM-DD"', lambda m: f'{m[1]}: "{DAYS.get(m[1], "2026-06-01")}"', body)
    body = body.replace("codebook: sha256:TO-BE-STATED", f"codebook: {digest(CODEBOOK)}")
    return load_yaml(body.replace("sha256:TO-BE-STATED", "sha256:" + "a" * 64).replace("TO-BE-STATED", "trial"))


def agreement_of(terms: dict):
    stated = parse(Terms, terms, "terms")
    custody = {c.controller: c for c in stated.datasets[0].custody}
    controllers = dict(zip(stated.datasets[0].sites, custody, strict=True))
    country = {name: "US" if c.subjects == ("US",) else "GB" for name, c in custody.items()}
    hub = next(r for f in stated.duties.flows for r in f.receivers if f.flow == "sums-to-hub")
    cards = [card_of("site", site, party, country[party]) for site, party in controllers.items()]
    cards += [card_of("custodian", f"custodian-{party}", party, country.get(party, "GB")) for party in {*custody, hub}]
    cards += [card_of("hub", "our-hub", hub, "GB"), card_of("researcher", "ada", hub, "GB")]
    checkers = {name: s.country for name, s in stated.people.items() if name.startswith("checker")}
    of = {c: next((p for p in custody if country[p] == c), hub) for c in ("GB", "US")}
    cards += [card_of("output_checker", name, of[c], c) for name, c in checkers.items()]
    return new_agreement(stated, cards)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_as_it_is_written_does_not_pass_for_terms(name):
    with pytest.raises(Invalid):
        agreement_of(load_yaml(packed(f"{name}.yaml", "templates")))


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_without_its_claims_is_unknown_and_with_them_holds(name):
    bare, whole = agreement_of(filled(name, claims=False)), agreement_of(filled(name, claims=True))
    found = {gate: decide(PACK, gate, {"a": agreement_facts(bare, PACK, Known())}) for gate in ("agreement",)}
    assert "unknown" in {v.outcome for v in found["agreement"].verdicts}
    assert (whole.review.study, whole.review.egress) == ("custodians", 2)
    cells, verdicts = matrix(whole, PACK, signed(whole), TODAY)
    assert not [(v.rule.id, v.outcome, v.missing) for v in verdicts]
    assert {c.final for c in cells} == {"passes"}
    assert {c.destination for c in cells} == ({"GB"} if name == "one-country" else {"GB", "US"})


def signed(agreement) -> Known:
    return signed_by_all(agreement)


def judged(day: str = TODAY, **changed):
    agreement = worked_agreement(**changed)
    return matrix(agreement, PACK, signed(agreement), day)


def held(uk: dict | None = None, us: dict | None = None) -> dict:
    entry = worked_terms()["datasets"][0]
    return {"datasets": [entry | {"custody": [UK | (uk or {}), US | (us or {})]}]}


def party(name: str, **stated) -> dict:
    parties = worked_terms()["parties"]
    return {"parties": parties | {name: parties[name] | stated}}


def person(**stated) -> dict:
    people = worked_terms()["people"]
    return {"people": people | {"erin": people["erin"] | stated}}


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        (held(uk={"section_251": UK["section_251"] | {"expires": "2020-01-01"}}), "UK-NHS-02"),
        (held(uk={"opt_out_applied": False}), "UK-NHS-03"),
        (party("uk", dspt={"status": "not_met", "expires": "2027-06-30"}), "UK-NHS-04"),
        (held(us={"deidentification": US["deidentification"] | {"identifiers_found": ["(G)"]}}), "US-HIP-02"),
        (held(us={"deidentification": US["deidentification"] | {"age90_ok": False}}), "US-HIP-03"),
        (held(us={"identifiability": "hipaa_lds"}), "US-HIP-06"),
        (held(us={"ethics": US["ethics"] | {"irb": "none"}}), "US-CR-01"),
        (held(us={"ethics": US["ethics"] | {"expires": "2026-11-01"}}), "US-CR-01"),
        (party("us", covered_person=True), "US-DSP-01"),
        (person(covered_person=True), "US-DSP-01"),
        (person(training_expires="2026-11-01"), "GOV-03"),
        (person(training_expires=None), "GOV-03"),
        ({"duties": DUTIES | {"approvals": []}}, "GOV-02"),
        ({"duties": {k: v for k, v in DUTIES.items() if k != "facilities"}}, "GOV-05"),
        (held(uk={"duo": UK["duo"] | {"until": "2026-11-01"}}), "DUO-07"),
    ],
)
def test_every_rule_whose_facts_the_agreement_holds_is_judged(changed, rule):
    cells, verdicts = judged(**changed)
    assert rule in {v.rule.id for v in verdicts}
    assert {c.final for c in cells} == {"stops"}
    assert all(rule in c.open for c in cells)


def test_who_is_asked_about_is_named():
    cells, _ = judged(**person(training_expires="2026-11-01"))
    assert cells[0].of == {"GOV-03": ("erin",)}
    controls = [f | {"controls": f["controls"] | {"mfa": f["country"] == "US"}} for f in DUTIES["facilities"]]
    cells, _ = judged(duties=DUTIES | {"facilities": controls})
    assert cells[0].of == {"GOV-05": ("trust",)}


def test_today_counts_and_what_has_not_begun_is_judged_on_its_first_day():
    assert not judged(day="2026-06-25")[1]
    assert {v.rule.id for v in judged(day="2027-07-01")[1]} >= {"DUO-07", "UK-NHS-02", "GOV-03", "GOV-12"}


LATER = {"rule": "XB-07", "person": "alice", "reason": "one transfer, once", "date": "2099-01-01"}


@pytest.mark.parametrize(
    ("day", "changed"),
    [
        (TODAY, {"duties": DUTIES | {"judgements": [LATER]}}),
        (TODAY, {"duties": DUTIES | {"approvals": [DUTIES["approvals"][0] | {"date": "2099-01-01"}]}}),
        ("2026-06-15", {}),  # it begins in July, and an approval is dated the 21st of June
    ],
)
def test_what_is_dated_after_today_keeps_sites_from_taking_it(day, changed):
    agreement = worked_agreement(**changed)
    assert taken(agreement, day).where == "GOV-10"
    cells, verdicts = matrix(agreement, PACK, signed(agreement), day)
    assert [v.rule.id for v in verdicts] == ["GOV-10"]
    assert {c.final for c in cells} == {"stops"}
    assert taken(agreement, "2099-01-02") is None


def test_every_rule_is_asked_once_of_what_it_reads_and_says_the_same(monkeypatch):
    """Against every rule asked in every cell, of everyone, on all facts."""

    class Slow:
        def __init__(self, pack):
            self.pack = pack

        def verdicts(self, shared, questions):
            return [verdicts_of(self.pack, q.rules, {**shared, **q.own}) for q in questions]

    changes = [{}, *WEAKER.values(), *UNASKED.values(), person(training_expires=None), {"people": {}}]
    made = [worked_agreement(**changed) for changed in changes]
    made += [draft(), *(agreement_of(filled(name, claims=c)) for name in TEMPLATES for c in (True, False))]
    second = filled("uk-us-academic", claims=True)
    entry = second["datasets"][0]
    custody = [c | {"opt_out_applied": False} for c in entry["custody"]]
    second["datasets"].append(entry | {"dataset": "other", "custody": custody})
    made.append(agreement_of(second))
    quick = [matrix(a, PACK, known, TODAY) for a in made for known in (signed(a), Known())]
    monkeypatch.setattr(matrices, "Judge", Slow)
    assert quick == [matrix(a, PACK, known, TODAY) for a in made for known in (signed(a), Known())]
    assert len({cell.open for cells, _ in quick for cell in cells}) > 30


def test_what_only_a_run_shows_is_not_missing():
    """Its columns where the agreement narrows none, its visas, its output."""
    entry = {k: v for k, v in worked_terms()["datasets"][0].items() if k != "variables"}
    cells, verdicts = judged(datasets=[entry])
    assert not verdicts
    assert {c.final for c in cells} == {"passes"}


def test_a_cell_names_basis_and_what_is_missing():
    cells, verdicts = judged()
    assert [(c.dataset, c.purpose, c.destination, c.final) for c in cells] == [
        ("statins", "statins-over-75", "GB", "passes"),
        ("statins", "statins-over-75", "US", "passes"),
    ]
    assert "uk: 6(1)(e), 9(2)(j), para 4, s251" in cells[1].basis
    assert "us: deidentified" in cells[1].basis or "us: not_confidential, deidentified" in cells[1].basis
    assert "uk to us: not_restricted" in cells[1].basis
    assert not verdicts


def test_a_fault_shows_only_where_it_is():
    flows = [DUTIES["flows"][0] | {"personal": True}, DUTIES["flows"][1]]  # out of the UK, to the US
    cells, verdicts = judged(duties=DUTIES | {"flows": flows})
    assert {c.destination: c.open for c in cells} == {"GB": (), "US": ("XB-01",)}
    assert [v.rule.id for v in verdicts] == ["XB-01"]


def test_an_agreement_without_duties_has_a_matrix_of_what_is_missing():
    cells, verdicts = matrix(draft(), PACK, Known(), TODAY)
    assert {c.purpose for c in cells} == {"not stated"}
    assert {c.final for c in cells} == {"stops"}
    assert {v.missing for v in verdicts} >= {"subjects", "flows"}


def test_differences_are_sentences():
    old = worked_agreement()
    entry = worked_terms()["datasets"][0]
    new = worked_agreement(
        datasets=[entry | {"variables": ["age", "sex", "statin"], "custody": [UK | {"article_6": "6(1)(f)"}, US]}],
        disclosure=worked_terms()["disclosure"] | {"minimum_count": 20, "digits": 6},
        analyses=["glm"],
        duties=DUTIES | {"flows": DUTIES["flows"][:1], "rule_pack": "sha256:" + "b" * 64},
    )
    assert differences(old, new) == [
        "dataset statins: variables: mi removed (stricter)",
        "dataset statins: custody of uk: article 6: 6(1)(f), was 6(1)(e) (check)",
        "analyses: crosstab removed (stricter)",
        "disclosure: minimum count: 20, was 11 (stricter)",
        "disclosure: digits: 6, was 4 (weaker)",
        "flows: results-to-uk removed (stricter)",
        "rule pack: replaced by another",
    ]
    assert differences(old, old) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            held(us={"people_us": 9000}),
            "people us: 9000, was 61000 (check: no longer bulk data for a category of 28 CFR 202.205)",
        ),
        (held(us={"people_us": 62000}), "people us: 62000, was 61000 (weaker)"),
        (
            held(us={"people_us": 120000}),
            "people us: 120000, was 61000 (weaker: from now on bulk data for a category of 28 CFR 202.205)",
        ),
        (held(uk={"duo": UK["duo"] | {"modifiers": ["DUO:0000021"]}}), "modifiers: DUO:0000045 removed (weaker)"),
        (
            held(us={"duo": US["duo"] | {"modifiers": ["DUO:0000046"]}}),
            "modifiers: DUO:0000046 added (stricter)",
        ),
        (held(uk={"territory": ["GB", "US"]}), "territory: US added (weaker)"),
        ({"releases": ["site_results"]}, "releases: site_results added (weaker)"),
        ({"analyses": ["glm", "crosstab", "cox"]}, "analyses: cox added (weaker)"),
        (party("us", covered_person=True), "covered person: True, was False (weaker)"),
        (
            {"duties": DUTIES | {"flows": [DUTIES["flows"][0] | {"personal": True}, DUTIES["flows"][1]]}},
            "personal: True, was False (weaker)",
        ),
        (
            {"duties": DUTIES | {"flows": [DUTIES["flows"][0] | {"onward_ban": False}, DUTIES["flows"][1]]}},
            "onward ban: False, was True (weaker)",
        ),
        (
            {"two_party": False, "disclosure": worked_terms()["disclosure"] | {"minimum_sites": 3}},
            "two party: False, was True (stricter)",
        ),
    ],
)
def test_a_difference_says_which_way_it_goes(changed, said):
    assert any(line.endswith(said) for line in differences(worked_agreement(), worked_agreement(**changed)))


def uk(**changed) -> dict:
    return held(uk=changed)


def duties(**changed) -> dict:
    return {"duties": DUTIES | changed}


def flowing(**changed) -> dict:
    return duties(flows=[DUTIES["flows"][0] | changed, DUTIES["flows"][1]])


def dataset(**changed) -> dict:
    return {"datasets": [worked_terms()["datasets"][0] | changed]}


JUDGED = {"rule": "XB-07", "person": "alice", "reason": "once", "date": "2026-07-01"}
WEAKER = {  # what is changed from the worked agreement -> the end of its sentence
    "expires: 2028-06-30, was 2027-06-30": {"expires": "2028-06-30"},
    "starts: 2026-06-01, was 2026-07-01": {"starts": "2026-06-01"},
    "zeros: allowed, was barred": {"disclosure": worked_terms()["disclosure"] | {"zeros": "allowed"}},
    "minimum count: 5, was 11": {"disclosure": worked_terms()["disclosure"] | {"minimum_count": 5}},
    "variables: no longer stated": dataset(variables=None),
    "custody of uk: identifiability: identifiable, was pseudonymised": uk(identifiability="identifiable"),
    "custody of uk: categories: genomic added": uk(categories=["health", "ethnicity", "genomic"]),
    "custody of uk: confidence basis: not_confidential, was s251": uk(confidence_basis="not_confidential"),
    "custody of uk: ethics: no longer stated": uk(ethics=None),
    "opt out exempt: True, was False": uk(section_251=UK["section_251"] | {"opt_out_exempt": True}),
    "duo: until: 2030-01-01, was 2027-06-30": uk(duo=UK["duo"] | {"until": "2030-01-01"}),
    "deidentification: no longer stated": held(us={"deidentification": None}),
    "hipaa path: not_phi, was deidentified": held(us={"hipaa_path": "not_phi"}),
    "identifiers found: G added": held(us={"deidentification": US["deidentification"] | {"identifiers_found": ["G"]}}),
    "ethics: irb: none, was exempt": held(us={"ethics": US["ethics"] | {"irb": "none"}}),
    "dspt: no longer stated": party("uk", dspt=None),
    "dspt: status: not_met, was met": party("uk", dspt={"status": "not_met", "expires": "2027-06-30"}),
    "hipaa: none, was covered_entity": party("us", hipaa="none"),
    "training expires: no longer stated, was 2027-01-01": person(training_expires=None),
    "identifiability assessment: no longer stated": flowing(identifiability_assessment=None),
    "journalism: True, was False": flowing(journalism=True),
    "approvals: bob as information_governance removed": duties(approvals=[]),
    "retention: data until: 2030-01-01, was 2027-09-30": duties(
        retention=DUTIES["retention"] | {"data_until": "2030-01-01"}
    ),
    "evidence until: 2037-07-01, was 2038-06-30": duties(
        retention=DUTIES["retention"] | {"evidence_until": "2037-07-01"}
    ),
    "data action: archive_readonly, was destroy": duties(
        retention=DUTIES["retention"] | {"data_action": "archive_readonly"}
    ),
    "retention: no longer stated": duties(retention=None),
    "assessments: dpia: no longer stated": duties(assessments=DUTIES["assessments"] | {"dpia": None}),
    "assessments: harm: outcome: not_ok, was ok": duties(
        assessments=DUTIES["assessments"] | {"harm": DUTIES["assessments"]["harm"] | {"outcome": "not_ok"}}
    ),
    "controls: mfa: False, was True": duties(
        facilities=[
            DUTIES["facilities"][0] | {"controls": DUTIES["facilities"][0]["controls"] | {"mfa": False}},
            DUTIES["facilities"][1],
        ]
    ),
    "satre: no longer stated": duties(facilities=[DUTIES["facilities"][0] | {"satre": None}, DUTIES["facilities"][1]]),
    "purposes: more added": duties(
        purposes=[*DUTIES["purposes"], {"purpose": "more", "text": "More.", "duo": "DUO:0000007"}]
    ),
}


@pytest.mark.parametrize(("said", "changed"), WEAKER.items())
def test_every_weakening_says_so_and_its_undoing_is_stricter(said, changed):
    old, new = worked_agreement(), worked_agreement(**changed)
    assert any(line.endswith(f"{said} (weaker)") for line in differences(old, new)), differences(old, new)
    back = differences(new, old)
    assert not any(line.endswith("(weaker)") for line in back), back
    assert any("(stricter)" in line or "(check)" in line for line in back), back


ASKED = "no longer asked of statins of uk: "
NO_PATIENTS = party("uk", legal_form="university")
UNASKED = {  # a change that takes rules away, or may -> what is said of it
    "identifiability: synthetic, was pseudonymised (check)": uk(identifiability="synthetic"),
    f"{ASKED}UK-LAW-01, UK-LAW-02, UK-LAW-03, UK-LAW-12, UK-LAW-13, UK-LAW-14, UK-NHS-05, US-DSP-04 (weaker)": uk(
        identifiability="synthetic"
    ),
    "custody of us: subjects: US removed (check)": held(us={"subjects": ["GB"], "people_us": 0}),
    "no longer asked of statins of us: US-DSP-01, US-DSP-03 (weaker)": held(us={"subjects": ["GB"], "people_us": 0}),
    f"{ASKED}UK-LAW-02, UK-LAW-06, UK-NHS-01, UK-NHS-02, UK-NHS-03, UK-NHS-04, UK-NHS-06, UK-NHS-07 (weaker)": NO_PATIENTS
    | uk(categories=["other"], origins=["cohort"], confidence_basis="not_confidential"),
    "origins: nhs_confidential removed (check)": uk(origins=["cohort"]),
    "categories: health removed (check)": uk(categories=["ethnicity"]),
    f"{ASKED}UK-NHS-02, UK-NHS-03 (weaker)": uk(confidence_basis="consent"),
    "people us: 0, was 61000 (check: no longer bulk data for a category of 28 CFR 202.205)": held(us={"people_us": 0}),
    "people us: 60000, was 61000 (check)": held(us={"people_us": 60000}),
    "mechanism: none, was not_restricted (check)": flowing(mechanism="none"),
    "what: records, was encrypted_shares (weaker)": flowing(what="records"),
    "what: aggregates, was encrypted_shares (weaker)": flowing(what="aggregates"),
    "permission: DUO:0000042, was DUO:0000006 (weaker)": uk(duo=UK["duo"] | {"permission": "DUO:0000042"}),
    "permission: DUO:0000011, was DUO:0000006 (check)": uk(duo=UK["duo"] | {"permission": "DUO:0000011"}),
    "country: CN, was US (weaker: a country of concern, 28 CFR 202.601)": person(country="CN"),
    "country: GB, was US (check)": person(country="GB"),
    "article 9: 9(2)(i), was 9(2)(j) (check)": uk(article_9="9(2)(i)"),
}


@pytest.mark.parametrize(("said", "changed"), UNASKED.items())
def test_a_change_that_takes_rules_away_is_never_called_stricter(said, changed):
    told = differences(worked_agreement(), worked_agreement(**changed))
    assert any(line.endswith(said) for line in told), told
    assert not any("(stricter)" in line for line in told), told


def test_judgements_review_and_researchers_too():
    old = worked_agreement()
    judged = worked_agreement(**duties(judgements=[JUDGED]))
    assert differences(old, judged) == ["judgements: stated now (weaker)"]
    more = worked_agreement(**duties(judgements=[JUDGED, JUDGED | {"rule": "XB-03"}]))
    assert differences(judged, more) == ["judgements: XB-03 added (weaker)"]
    idta = worked_agreement(**flowing(mechanism="idta"))
    assert differences(idta, old) == [
        "flow sums-to-hub: mechanism: not_restricted, was idta (weaker)",
        "no longer asked of flow sums-to-hub from uk to us: XB-06 (weaker)",
    ]
    asker = next(p for p in old.people if "researcher" in p.roles)
    fewer = replace(old, people=tuple(p for p in old.people if p is not asker))
    assert differences(fewer, old) == ["people: erin added (weaker)"]
    more_roles = replace(asker, roles=("auditor",))
    other = replace(old, people=tuple(more_roles if p is asker else p for p in old.people))
    assert "person erin: roles: researcher added (weaker)" in differences(other, old)


def test_two_parties_alone_are_weaker():
    old = worked_agreement()
    assert differences(replace(old, two_party=False), old) == ["two party: True, was False (weaker)"]


def test_another_key_is_a_difference_without_its_digits():
    old = worked_agreement()
    new = replace(old, hub=replace(old.hub, key="0" * 64))
    assert differences(old, new) == ["hub: key: replaced by another"]
