"""HIPAA's 18 identifiers in a codebook, and a statement of de-identification held against it."""

from typing import Any

import pytest
from governance_worked import UK, US, worked_agreement, worked_terms

from isthmus.governance.facts import Known, agreement_facts
from isthmus.governance.identifiers import scan
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


def book(**more: Variable) -> Codebook:
    return Codebook(name="statins", person="pid", variables={**PLAIN, **more})


def test_an_ordinary_codebook_shows_nothing():
    found = scan(book())
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
    assert letter in scan(book(**{name: Variable(type="category", levels=("a",), label=label)})).found


def test_a_date_is_a_date_whatever_its_name():
    assert scan(book(seen=Variable(type="date"))).found == {"C": ("seen",)}


@pytest.mark.parametrize(("spread", "good"), [((0, 90), True), ((0, 89), True), ((0, 120), False), (None, False)])
def test_ages_end_at_ninety_and_say_so(spread, good):
    found = scan(book(age=Variable(type="integer", unit="a", range=spread)))
    assert found.age90_ok is good
    assert ("C" in found.found) is not good


@pytest.mark.parametrize(
    ("levels", "good"), [(("021", "100", "000"), True), (("02139",), False), (("036",), False), (None, False)]
)
def test_zip_codes_are_three_digits_of_large_areas(levels, good):
    found = scan(book(zip3=Variable(type="category", levels=levels)))
    assert found.zip3_ok is good
    assert ("B" in found.found) is not good


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
    assert outcomes(book(), identifiability=identifiability, hipaa_path="waiver")["US-HIP-01"] == "pass"
