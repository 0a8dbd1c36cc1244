"""HIPAA's 18 identifiers in a codebook, and a statement of de-identification held against it."""

from typing import Any

import pytest
from governance_worked import UK, US, issued, worked_agreement, worked_terms

from isthmus.governance.facts import Known, agreement_facts
from isthmus.governance.identifiers import HARMLESS, Scan, scan
from isthmus.governance.rulepack import own_pack
from isthmus.governance.selfcheck import worked_case
from isthmus.governance.verdicts import verdicts
from isthmus.model.codebook import Codebook, Variable

PACK = own_pack()
PLAIN = {
    "age": Variable(type="integer", unit="a", range=(18, 90)),
    "sex": Variable(type="category", levels=("F", "M")),
    "statin": Variable(type="integer"),
    "mi": Variable(type="integer", label="Myocardial infarction"),
    "platelets": Variable(type="number", label="Platelet count"),
    "stage": Variable(type="category", levels=("I", "II")),
}


def scanned(codebook: Codebook) -> Scan:
    return scan(codebook, "2026-12-31")


def book(**more: Variable) -> Codebook:
    return Codebook(name="statins", person="pid", variables={**PLAIN, **more})


def test_an_ordinary_codebook_shows_nothing():
    found = scanned(book())
    assert (found.found, found.zip3_ok, found.age90_ok) == ({}, True, True)


@pytest.mark.parametrize(
    ("name", "label", "letter"),
    [
        ("surname", None, "A"),
        ("patientName", None, "A"),
        ("home_postcode", None, "B"),
        ("PatientZIP", None, "B"),
        ("dob", None, "C"),
        ("x1", "Date of birth", "C"),
        ("mobile_phone", None, "D"),
        ("fax", None, "E"),
        ("email", None, "F"),
        ("SSN", None, "G"),
        ("nhs_number", None, "H"),
        ("x2", "Medical record number", "H"),
        ("health_plan_no", None, "I"),
        ("account_no", None, "J"),
        ("licence", None, "K"),
        ("vin", None, "L"),
        ("device_id", None, "M"),
        ("url", None, "N"),
        ("ip_address", None, "O"),
        ("fingerprint", None, "P"),
        ("photo", None, "Q"),
        ("patient_id", None, "R"),
    ],
)
def test_each_kind_of_identifier_is_seen(name, label, letter):
    assert letter in scanned(book(**{name: Variable(type="category", levels=("a",), label=label)})).found


def test_a_date_is_a_date_whatever_its_name():
    assert scanned(book(seen=Variable(type="date"))).found == {"C": ("seen",)}


@pytest.mark.parametrize(("spread", "good"), [((0, 90), True), ((0, 89), True), ((0, 120), False), (None, False)])
def test_ages_end_at_ninety_and_say_so(spread, good):
    found = scanned(book(age=Variable(type="integer", unit="a", range=spread)))
    assert found.age90_ok is good
    assert ("C" in found.found) is not good


@pytest.mark.parametrize(
    ("levels", "good"), [(("021", "100", "000"), True), (("02139",), False), (("036",), False), (None, False)]
)
def test_zip_codes_are_three_digits_of_large_areas(levels, good):
    found = scanned(book(zip3=Variable(type="category", levels=levels)))
    assert found.zip3_ok is good
    assert ("B" in found.found) is not good


SEEN = {  # a value whose form tells what it is -> its letter
    "943 476 5919": "H",
    "9434765919": "H",
    "MRN: 0048213": "H",
    "219-09-9999": "G",
    "jo.bloggs@nhs.net": "F",
    "call +44 20 7946 0018": "D",
    "(555) 010-0199": "D",
    "02079460018": "D",
    "SW1A 1AA": "B",
    "ec1y8sd": "B",
    "02139-4307": "B",
    "https://example.org/jo": "N",
    "192.0.2.7": "O",
    "2001:db8::1": "O",
    "00:1a:2b:3c:4d:5e": "M",
    "2024-03-09": "C",
    "seen 9/3/2024": "C",
    "9 March 2024": "C",
    "Mar 2024": "C",
    "2024-Q1": "C",
    "2024-03": "C",
    "3f2504e0-4f89-11d3-9a0c-0305e82c3301": "R",
    "AB123456D": "G",
    "1EG4-TE5-MK73": "I",
    "4111 1111 1111 1111": "J",
    "@alice_s": "R",
}
NOTHING = [  # values of ordinary variables
    ("I", "II", "III", "IV"),
    ("married", "single", "may be"),
    ("9434765918", "other"),  # ten digits with a wrong check digit
    ("000-12-3456",),  # no such social security number
    ("E11.9", "I21", "M54.5"),
    ("CD4 5RA", "B12 5MG", "BRCA1"),  # no postcode area, and no end of a postcode
    ("2.0.1", "300.1.1.1"),
    ("2019", "2020", "2019-2020"),  # years alone
    ("10000", "20000", "50000"),
    ("HLA-A*02:01", "HLA-B*07:02"),
    ("18-34", "35-64", "65+"),
    ("1", "2", "3"),
    ("10 mg", "20 mg"),
    ("QQ123456C", "4111111111111112"),  # no such National Insurance number, a wrong check digit
    ("St Mary", "King George", "James Paget", "Leeds"),  # one given name of four
    ("M1", "M2", "S1"),
]


@pytest.mark.parametrize(("value", "letter"), SEEN.items())
def test_a_value_is_known_by_its_form(value, letter):
    found = scanned(book(note=Variable(type="category", levels=("none", value)))).found
    assert letter in found, found


@pytest.mark.parametrize("levels", NOTHING)
def test_ordinary_values_are_nothing(levels):
    assert scanned(book(note=Variable(type="category", levels=levels))).found == {}


@pytest.mark.parametrize(
    ("levels", "letter"),
    [
        (("02139", "10001", "60614"), "B"),
        (("Jan", "Feb", "May"), "C"),
        (("Monday", "Sun"), "C"),
        (("20240309", "20231224"), "C"),
        (tuple(f"AB{i}" for i in range(100_200, 100_220)), "R"),
        (("LS1 4", "M13 9"), "B"),
        (("E01000001", "W01000002"), "B"),
        (("AB12 CDE", "CD34EFG"), "L"),
        (("Alice Smith", "Jones-Brown", "Dr. Robert O'Hara"), "A"),
        (("Mary", "Bob"), "A"),
    ],
)
def test_forms_that_other_codes_share_count_where_every_value_has_them(levels, letter):
    assert letter in scanned(book(note=Variable(type="category", levels=levels))).found
    assert letter in scanned(book(note=Variable(type="category", levels=(*levels, "unknown")))).found
    ordinary = tuple(f"code {at}" for at in range(len(levels) + 1))
    assert scanned(book(note=Variable(type="category", levels=(*levels, *ordinary)))).found == {}


@pytest.mark.parametrize("name", ["cpt", "icd9_code", "snomed", "procedure"])
def test_codes_of_a_system_are_no_zip_codes_and_no_numbers_of_people(name):
    levels = ("99213", "99214", "36415")
    assert scanned(book(**{name: Variable(type="category", levels=levels)})).zips is False
    many = tuple(str(386_661_006 + i) for i in range(30))
    assert scanned(book(**{name: Variable(type="category", levels=many)})).found == {}


def test_zip_codes_under_another_name():
    assert scanned(book(area=Variable(type="category", levels=("021", "100")))).zips
    assert not scanned(book(area=Variable(type="category", levels=("021", "036")))).zip3_ok
    assert not scanned(book(drg=Variable(type="category", levels=("021", "036")))).zips


@pytest.mark.parametrize("phrase", sorted(HARMLESS))
def test_words_that_name_something_else_are_no_alarm(phrase):
    assert scanned(book(**{"_".join(("x", *phrase)): Variable(type="number")})).found == {}


@pytest.mark.parametrize(
    ("name", "letter"),
    [("social_security_income_ssn", "G"), ("mobile_phase_phone", "D"), ("mobile", "D"), ("dob2", "C")],
)
def test_what_stands_beside_harmless_words_is_seen(name, letter):
    assert letter in scanned(book(**{name: Variable(type="category", levels=("a",))})).found


@pytest.mark.parametrize(
    ("name", "letter"),
    [
        *(("name", "A"), ("pt_nm", "A"), ("next_of_kin", "A"), ("GPName", "A"), ("lat", "B"), ("gp_practice", "B")),
        *(("adm_dt", "C"), ("days_since_1970", "C"), ("week_of_admission", "C"), ("nok_tel", "D"), ("nino", "G")),
        *(
            ("nhsnumber", "H"),
            ("nhs_num", "H"),
            ("hosp_no", "H"),
            ("chi", "H"),
            ("medicare_id", "I"),
            ("sort_code", "J"),
        ),
        *(("passport", "K"), ("pacemaker_serial", "M"), ("face_img", "Q"), ("record_id", "R"), ("subjectNo", "R")),
    ],
)
def test_short_names_are_known(name, letter):
    assert letter in scanned(book(**{name: Variable(type="category", levels=("a", "b"))})).found


@pytest.mark.parametrize("name", ["lateral", "chi_square", "drug_name", "lat_wall", "town_type", "licence_status"])
def test_longer_names_are_not_taken_for_short_ones(name):
    assert scanned(book(**{name: Variable(type="category", levels=("a", "b"))})).found == {}


def test_a_category_of_yes_and_no_is_a_flag():
    assert scanned(book(email_sent=Variable(type="category", levels=("yes", "no", "unknown")))).found == {}


def test_a_flag_of_great_age_tells_it():
    over, plain = Variable(type="boolean", label="aged 100 or more"), Variable(type="boolean", label="aged 75 or more")
    assert not scanned(book(old=over)).age90_ok
    assert not scanned(book(centenarian=Variable(type="boolean"))).age90_ok
    assert scanned(book(old=plain)).age90_ok


def test_a_yes_or_no_is_nobodys_number_but_may_tell_where_someone_lives():
    assert scanned(book(phone=Variable(type="boolean"), ssn=Variable(type="boolean"))).found == {}
    assert scanned(book(inner_city=Variable(type="boolean"))).found == {"B": ("inner_city",)}


@pytest.mark.parametrize(
    ("name", "variable", "good"),
    [
        ("age_months", Variable(type="integer", unit="mo", range=(0, 1080)), True),
        ("age_months", Variable(type="integer", range=(0, 1080)), True),
        ("age_months", Variable(type="integer", unit="months", range=(0, 1188)), False),
        ("age", Variable(type="integer", unit="d", range=(0, 32_872)), True),
        ("age_in_days", Variable(type="integer", range=(0, 40_000)), False),
        ("age_at_day_30", Variable(type="integer", range=(18, 101)), False),  # no unit: years
        ("gestational_age", Variable(type="number", unit="wk", range=(20, 45)), True),
        ("bone_age", Variable(type="number", unit="score"), True),
        ("yob", Variable(type="integer", range=(1936, 2008)), True),
        ("yob", Variable(type="integer", range=(1920, 2008)), False),
        ("birth_year", Variable(type="integer"), False),
        ("year_of_birth", Variable(type="category", levels=("1936 or before", "1937-1959", "1960-")), True),
        ("year_of_birth", Variable(type="category", levels=("1930-1939", "1940-")), False),
        ("age_group", Variable(type="category", levels=("18-64", "65-89", "90+")), True),
        ("age_group", Variable(type="category", levels=("18-64", "65-89", "90 or older")), True),
        ("age_group", Variable(type="category", levels=("18-64", "65-80", "80+")), True),
        ("age_group", Variable(type="category", levels=("18-89", ">=90")), True),
        ("age_group", Variable(type="category", levels=("18-89", ">89")), True),
        ("age_group", Variable(type="category", levels=("18-90", ">90")), False),
        ("age_group", Variable(type="category", levels=("18-89", "90-94", "95+")), False),
        ("age_group", Variable(type="category", levels=("under 85", "85-95")), False),
        ("age", Variable(type="integer", levels=("88", "89", "90")), True),
        ("age", Variable(type="integer", levels=("89", "91")), False),
        ("ageband", Variable(type="category", levels=("91-95",)), False),
        ("age_class", Variable(type="category", levels=("child", "adult")), True),
    ],
)
def test_no_age_tells_more_than_ninety_or_older(name, variable, good):
    found = scanned(book(**{name: variable}))
    assert found.age90_ok is good
    assert ("C" in found.found) is not good


@pytest.mark.parametrize("name", ["byear", "yr_birth", "born", "birth_cohort"])
def test_years_of_birth_under_other_names(name):
    assert not scanned(book(**{name: Variable(type="integer", range=(1900, 2008))})).age90_ok


@pytest.mark.parametrize(("name", "unit", "end"), [("yrs_old", None, 110), ("age", "decade", 11), ("agegp", None, 95)])
def test_ages_under_other_names_and_in_other_units(name, unit, end):
    assert not scanned(book(**{name: Variable(type="number", unit=unit, range=(0, end))})).age90_ok


def test_a_year_of_birth_tells_an_age_on_a_day():
    born = book(yob=Variable(type="integer", range=(1936, 2008)))
    assert scan(born, "2026-12-31").age90_ok
    assert not scan(born, "2030-12-31").age90_ok


@pytest.mark.parametrize(
    ("spread", "letter"),
    [
        ((19_900_101, 20_241_231), "C"),
        ((199_001, 202_412), "C"),
        ((4_000_000_000, 7_999_999_999), "R"),
        ((0, 90_000), None),
    ],
)
def test_a_number_is_known_by_its_range(spread, letter):
    found = scanned(book(x=Variable(type="integer", range=spread))).found
    assert found == ({letter: ("x",)} if letter else {})
    assert scanned(book(x=Variable(type="integer", unit="1/L", range=spread))).found == {}


def outcomes(codebook: Codebook | None, **held: Any) -> dict[str, str]:
    entry = worked_terms()["datasets"][0]
    agreement = worked_agreement(datasets=[entry | {"custody": [UK, US | held]}])
    known = Known(codebooks={"statins": codebook} if codebook else None)
    facts = {**worked_case(), "a": agreement_facts(agreement, PACK, known)}
    return {v.rule.id: v.outcome for v in verdicts(PACK, PACK.rules, facts)}


def test_a_statement_is_held_against_the_codebook():
    assert outcomes(book())["US-HIP-02"] == "pass"
    assert outcomes(book(ssn=Variable(type="integer")))["US-HIP-02"] == "fail"
    assert outcomes(book(age=Variable(type="integer", range=(0, 110))))["US-HIP-03"] == "fail"


def test_a_clean_codebook_makes_no_statement():
    said = dict(US["deidentification"])
    del said["no_actual_knowledge"]
    assert outcomes(book(), deidentification=said)["US-HIP-02"] == "unknown"
    said = {**US["deidentification"], "zip3_ok": False}
    assert outcomes(book(), deidentification=said)["US-HIP-03"] == "fail"


@pytest.mark.parametrize(
    ("census", "outcome"), [("2020", "pass"), ("2000", "fail"), ("none", "unknown"), (None, "unknown")]
)
def test_a_zip_code_needs_the_census_by_which_small_areas_were_found(census, outcome):
    zips = book(zip3=Variable(type="category", levels=("000", "021", "606")))
    said = {**US["deidentification"], "zip3_census": census}
    assert outcomes(zips, deidentification={k: v for k, v in said.items() if v is not None})["US-HIP-03"] == outcome
    assert (
        outcomes(book(), deidentification=said | {"zip3_census": "2000"})["US-HIP-03"] == "pass"
    )  # no ZIP code at all


@pytest.mark.parametrize("identifiability", ["hipaa_safe_harbor", "anonymous_ico", "synthetic", "identifiable"])
def test_what_is_called_de_identified_is_scanned_whatever_else_it_is_called(identifiability):
    shown = book(ssn=Variable(type="integer"), age=Variable(type="integer", range=(0, 120)))
    found = outcomes(shown, identifiability=identifiability)
    assert (found["US-HIP-02"], found["US-HIP-03"]) == ("fail", "fail")
    assert outcomes(book(), identifiability=identifiability)["US-HIP-02"] == "pass"


def test_de_identified_without_a_statement_is_unknown():
    entry = {k: v for k, v in US.items() if k != "deidentification"} | {"identifiability": "anonymous_ico"}
    agreement = worked_agreement(datasets=[worked_terms()["datasets"][0] | {"custody": [UK, entry]}])
    facts = {**worked_case(), "a": agreement_facts(agreement, PACK, Known())}
    found = {v.rule.id: v.outcome for v in verdicts(PACK, PACK.rules, facts)}
    assert (found["US-HIP-02"], found["US-HIP-03"]) == ("unknown", "unknown")


@pytest.mark.parametrize("identifiability", ["identifiable", "pseudonymised", "hipaa_lds"])
def test_what_is_identifiable_is_not_de_identified(identifiability):
    assert outcomes(book(), identifiability=identifiability)["US-HIP-01"] == "fail"
    waived = {"hipaa_path": "waiver", "hipaa_document": issued("a privacy board")}
    assert outcomes(book(), identifiability=identifiability, **waived)["US-HIP-01"] == "pass"
